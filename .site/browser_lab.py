"""The lab: JupyterLite on Pyodide, whose every file is in the site, except pandas and matplotlib."""

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

#: The parts of npm's package `pyodide` that a browser needs, its index of packages apart.
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
KERNEL = Path("@jupyterlite/pyodide-kernel-extension")
JUPYTER = Path(sysconfig.get_path("data")) / "share" / "jupyter" / "labextensions"
EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", str(KERNEL))

#: The name and the picture of JupyterLite in the browser's tab; its own picture is ten times as large.
APP = {"appName": "bwp_nb", "faviconUrl": "./icon-120x120.png"}

#: The settings of JupyterLite: light or dark, as the visitor's system is.
SETTINGS = {"@jupyterlab/apputils-extension:themes": {"adaptive-theme": True}}

#: Where all packages are for Pyodide: the kernel loads this one first.
PACKED = "piplite"

#: Where pack.py puts what is imported without being unpacked.
IMPORTED = [f"/lib/python3.14/site-packages/{name}.zip" for name in ("library", "packages")]
ENVIRONMENT = {"HOME": "/home/pyodide", "PYTHONPATH": ":".join(IMPORTED)}

#: What the notebooks load, from Pyodide's own host.
LARGE = ("pandas", "matplotlib")


def build(work: Path, site: Path) -> None:
    """Build the lab into the site: a console and a notebook that need no other host, and all notebooks, which do."""
    shutil.rmtree(work, ignore_errors=True)
    runtime = work / "static" / "pyodide"
    runtime.mkdir(parents=True)
    _pyodide(work, runtime)
    _install(work / "packages")
    subprocess.run(["node", HERE / "lab" / "pack.mjs", runtime, work / "packages"], check=True)
    index = json.loads((runtime / "pyodide-lock.json").read_text("utf-8"))
    index["packages"][PACKED] = _entry(runtime / "packages.tar")
    (runtime / "pyodide-lock.json").write_text(json.dumps(index))
    _configure(work / "jupyter-lite.json", [PACKED])
    (work / "overrides.json").write_text(json.dumps(SETTINGS))
    contents = [HERE / "lab" / "try_it.ipynb", *sorted((ROOT / "notebooks").glob("*.ipynb"))]
    command = [sys.executable, "-m", "jupyter", "lite", "build", f"--output-dir={site}"]
    options = ["--no-sourcemaps", "--no-unused-shared-packages", "--ignore-sys-prefix"]
    options += [f"--apps={app}" for app in ("repl", "notebooks", "lab")]
    options += [f"--contents={path}" for path in contents]
    options += [f"--LiteBuildConfig.federated_extensions={JUPYTER / name}" for name in EXTENSIONS]
    subprocess.run([*command, *options], cwd=work, check=True, stdout=subprocess.DEVNULL)
    _configure(site / "lab" / "jupyter-lite.json", [PACKED, *LARGE])


def _pyodide(work: Path, runtime: Path) -> None:
    """Get Pyodide from npm; in its index, the packages get their addresses on Pyodide's own host."""
    version = json.loads((ROOT / "tests" / "node" / "package.json").read_text("utf-8"))["dependencies"]["pyodide"]
    subprocess.run(["npm", "pack", f"pyodide@{version}", "--silent"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(work / f"pyodide-{version}.tgz") as archive:
        for name in RUNTIME:
            (runtime / name).write_bytes(_read(archive, name))
        index: dict[str, Any] = json.loads(_read(archive, "pyodide-lock.json"))
    for package in index["packages"].values():
        package["file_name"] = f"https://cdn.jsdelivr.net/pyodide/v{version}/full/{package['file_name']}"
    (runtime / "pyodide-lock.json").write_text(json.dumps(index))


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/{name}")
    assert file is not None, name  # noqa: S101
    return file.read()


def _install(folder: Path) -> None:
    """Install the package, what it needs and the kernel into a folder, without the kernel's largest need."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", f"--target={folder}"]
    pip += ["--no-deps", "--no-compile", "--ignore-requires-python"]  # it is that of Pyodide
    pure = ["--only-binary=:all:", "--python-version=3.14", "--platform=any", "--implementation=py", "--abi=none"]
    subprocess.run([*pip, *pure, f"--requirement={HERE / 'lab' / 'wheels.txt'}"], check=True)
    wheels = JUPYTER / KERNEL / "static" / "pypi"
    kernel = [
        next(wheels.glob(f"{name}*.whl")) for name in ("ipykernel", "piplite", "pyodide_kernel", "widgetsnbextension-4")
    ]
    subprocess.run([*pip, ROOT, *kernel], check=True)
    # Without it names are completed from what has run; what remains of it says that it need not be looked for.
    shutil.rmtree(folder / "jedi")


def _entry(archive: Path) -> dict[str, Any]:
    """Return the entry of an archive in Pyodide's index."""
    return {
        "name": PACKED,
        "version": "0",
        "file_name": archive.name,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "imports": [],
        "depends": [],
        "install_dir": "site",
        "package_type": "package",
        "unvendored_tests": False,
    }


def _configure(path: Path, packages: list[str]) -> None:
    """Add to the settings of JupyterLite, or of one of its pages, which packages are loaded with Python."""
    settings = {"disablePyPIFallback": True, "loadPyodideOptions": {"packages": packages, "env": ENVIRONMENT}}
    plugins = {"@jupyterlite/pyodide-kernel-extension:kernel": settings}
    config = json.loads(path.read_text("utf-8")) if path.exists() else {"jupyter-lite-schema-version": 0}
    config.setdefault("jupyter-config-data", {}).update(APP, litePluginSettings=plugins)
    path.write_text(json.dumps(config))
