// Run a Python program in Pyodide as the lab starts it, and print its last value: node replay.js FOLDER PROGRAM OPTIONS.
import { readFile } from "node:fs/promises";

const [folder, program, options] = process.argv.slice(2);
const { loadPyodide } = await import(`${folder}/pyodide.mjs`);
const pyodide = await loadPyodide({ indexURL: folder, stdout: console.log, ...JSON.parse(options) });
console.log(await pyodide.runPythonAsync(await readFile(program, "utf-8")));
