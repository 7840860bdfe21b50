// Run pack.py in Pyodide, where bytecode is that of the lab: node pack.mjs RUNTIME PACKAGES.
import { readFile } from "node:fs/promises";

const [runtime, packages] = process.argv.slice(2);
const { loadPyodide } = await import(`${runtime}/pyodide.mjs`);
const pyodide = await loadPyodide({ indexURL: runtime, args: ["-X", "no_debug_ranges"], stdout: () => {} });
const { FS } = pyodide;
for (const [folder, path] of [[runtime, "/runtime"], [packages, "/lib/python3.14/site-packages"]]) {
  FS.mkdirTree(path);
  FS.mount(FS.filesystems.NODEFS, { root: folder }, path);
}
await pyodide.runPythonAsync(await readFile(new URL("pack.py", import.meta.url), "utf-8"));
