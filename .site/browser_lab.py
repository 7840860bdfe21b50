"""The lab: JupyterLite on Pyodide, whose every file is in the site, except pandas and matplotlib."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

#: The parts of npm's package `pyodide` that a browser needs, its index of packages apart.
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
KERNEL = Path("@jupyterlite/pyodide-kernel-extension")
EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", str(KERNEL))

#: The settings of JupyterLite: light or dark, as the visitor's system is.
SETTINGS = {"@jupyterlab/apputils-extension:themes": {"adaptive-theme": True}}

#: What the notebooks load, from Pyodide's own host.
LARGE = ("pandas", "matplotlib")


def build(work: Path, site: Path) -> None:
    """Build the lab into the site: a console and a notebook that need no other host, and all notebooks, which do."""
    shutil.rmtree(work, ignore_errors=True)
    runtime = work / "static" / "pyodide"
    runtime.mkdir(parents=True)
    packages = _pyodide(work, runtime)
    wheels = {entry["name"]: entry for entry in map(_entry, _wheels(runtime))}
    (runtime / "pyodide-lock.json").write_text(json.dumps(packages | {"packages": packages["packages"] | wheels}))
    _configure(work / "jupyter-lite.json", [*wheels])
    (work / "overrides.json").write_text(json.dumps(SETTINGS))
    contents = [HERE / "lab" / "try_it.ipynb", *sorted((ROOT / "notebooks").glob("*.ipynb"))]
    extensions = Path(sysconfig.get_path("data")) / "share" / "jupyter" / "labextensions"
    command = [sys.executable, "-m", "jupyter", "lite", "build", f"--output-dir={site}"]
    options = ["--no-sourcemaps", "--no-unused-shared-packages", "--ignore-sys-prefix"]
    options += [f"--apps={app}" for app in ("repl", "notebooks", "lab")]
    options += [f"--contents={path}" for path in contents]
    options += [f"--LiteBuildConfig.federated_extensions={extensions / name}" for name in EXTENSIONS]
    subprocess.run([*command, *options], cwd=work, check=True, stdout=subprocess.DEVNULL)
    _configure(site / "lab" / "jupyter-lite.json", [*wheels, *LARGE])


def _pyodide(work: Path, runtime: Path) -> dict[str, Any]:
    """Get Pyodide from npm; return its index, in which the packages have their addresses on Pyodide's own host."""
    version = json.loads((ROOT / "tests" / "node" / "package.json").read_text("utf-8"))["dependencies"]["pyodide"]
    subprocess.run(["npm", "pack", f"pyodide@{version}", "--silent"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(work / f"pyodide-{version}.tgz") as archive:
        for name in RUNTIME:
            (runtime / name).write_bytes(_read(archive, name))
        index: dict[str, Any] = json.loads(_read(archive, "pyodide-lock.json"))
    for package in index["packages"].values():
        package["file_name"] = f"https://cdn.jsdelivr.net/pyodide/v{version}/full/{package['file_name']}"
    return index


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/{name}")
    assert file is not None, name  # noqa: S101
    return file.read()


def _wheels(runtime: Path) -> list[Path]:
    """Get the wheels of the package, of what it needs and of the kernel; return their paths."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pure = ["--only-binary=:all:", "--python-version=3.14", "--platform=any", "--implementation=py", "--abi=none"]
    wanted = ["download", "--no-deps", *pure, f"--dest={runtime}", f"--requirement={HERE / 'lab' / 'wheels.txt'}"]
    subprocess.run([*pip, *wanted], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", f"--wheel-dir={runtime}", ROOT], check=True)
    kernel = Path(sysconfig.get_path("data")) / "share" / "jupyter" / "labextensions" / KERNEL / "static" / "pypi"
    for name in ("ipykernel", "piplite", "pyodide_kernel", "widgetsnbextension-4"):
        shutil.copy(next(kernel.glob(f"{name}*.whl")), runtime)
    return sorted(runtime.glob("*.whl"))


def _entry(wheel: Path) -> dict[str, Any]:
    """Return a wheel's entry in Pyodide's index."""
    name, version = wheel.name.split("-")[:2]
    with ZipFile(wheel) as files:
        imports = {re.sub(r"\.py$", "", file.split("/")[0]) for file in files.namelist() if file.endswith(".py")}
    return {
        "name": re.sub(r"[-_.]+", "-", name).lower(),
        "version": version,
        "file_name": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "imports": sorted(imports),
        "depends": [],
        "install_dir": "site",
        "package_type": "package",
        "unvendored_tests": False,
    }


def _configure(path: Path, packages: list[str]) -> None:
    """Add to the settings of JupyterLite, or of one of its pages, which packages are loaded with Python."""
    settings = {"disablePyPIFallback": True, "loadPyodideOptions": {"packages": packages}}
    plugins = {"@jupyterlite/pyodide-kernel-extension:kernel": settings}
    config = json.loads(path.read_text("utf-8")) if path.exists() else {"jupyter-lite-schema-version": 0}
    config.setdefault("jupyter-config-data", {}).update(appName="bwp_nb", litePluginSettings=plugins)
    path.write_text(json.dumps(config))
