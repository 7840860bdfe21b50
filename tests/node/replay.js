// Run a Python program in Pyodide with packages of the lab, and print its last value: node replay.js FOLDER PROGRAM NAMES.
import { readFile } from "node:fs/promises";

const [folder, program, names] = process.argv.slice(2);
const { loadPyodide } = await import(`${folder}/pyodide.mjs`);
const messages = [];
const pyodide = await loadPyodide({ indexURL: folder, stdout: console.log });
await pyodide.loadPackage(JSON.parse(names), { messageCallback: () => {}, errorCallback: (text) => console.error(text) });
console.log(await pyodide.runPythonAsync(await readFile(program, "utf-8")));
