"""Pack Python's library and the packages of the lab, so that they are small and the form is soon there.

Runs in Pyodide, by pack.mjs. What the form imports becomes bytecode, which starts in a third of the time; the rest stays
source, which is half the size. What Python needs before it can unpack anything stays in its own archive; all else is in
another, which compresses better as a whole.
"""

import io
import re
import sys
import tarfile
from collections.abc import Iterator
from compression import zstd
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

STARTING = {name.partition(".")[0] for name in sys.modules}

RUNTIME = Path("/runtime")
LIBRARY = Path("/lib/python314.zip")
PACKAGES = Path("/lib/python3.14/site-packages")

#: What a first visitor does; the kernel imports `piplite` and `pyodide_kernel` before.
VISIT = """
import bwp_nb as bwp
client = bwp.connect()
client.send(client.new_event("page-load", current_url="https://example.com"))
bwp.forms.EventForm(client)
"""

#: What is left out unless the form imports it: what a browser cannot run, tests, and the lexers of other languages.
LEFT_OUT = re.compile(
    r"multiprocessing/|pygments/lexers/(?!_|data|graphql|javascript|python|shell)|certifi/cacert"
    r"|.*/tests?/|.*\.dist-info/(sboms/|RECORD|INSTALLER|REQUESTED|direct_url)|.*__pycache__|bin/"
)


def visit() -> set[str]:
    """Do what a visitor does; return the files that were imported."""
    import piplite.piplite  # noqa: F401
    import pyodide_kernel

    pyodide_kernel.kernel_instance._parent_header = {"header": {}}
    pyodide_kernel.ipython_shell.send_comm = lambda *_: None
    pyodide_kernel.ipython_shell.run_cell(VISIT).raise_error()
    modules = [module.__spec__ for module in sys.modules.values() if getattr(module, "__spec__", None)]
    return {spec.origin for spec in modules if spec.origin}


def files() -> Iterator[tuple[str, str, bytes]]:
    """Return of every file the folder in which it was found, its name there, and its content."""
    with ZipFile(LIBRARY) as library:
        for name in sorted(library.namelist()):
            yield str(LIBRARY), name, library.read(name)
    for path in sorted(PACKAGES.rglob("*")):
        if path.is_file():
            yield str(PACKAGES), str(path.relative_to(PACKAGES)), path.read_bytes()


def compiled(source: bytes, path: str) -> bytes:
    """Return the bytecode of a module, which is not compared with its source, since that is not there."""
    code = compile(source, path, "exec", dont_inherit=True)
    return bytes(_code_to_hash_pyc(code, source_hash(source), False))


def pack() -> None:
    """Write both archives."""
    used = visit()
    archive = io.BytesIO()
    with ZipFile(RUNTIME / "python_stdlib.zip", "w") as library, tarfile.open(fileobj=archive, mode="w") as packages:
        for folder, name, content in files():
            is_used = f"{folder}/{name}" in used
            if name.endswith("/") or (LEFT_OUT.match(name) and not is_used):
                continue
            is_starting = folder == str(LIBRARY) and re.split("[/.]", name)[0] in STARTING
            path = f"{LIBRARY if is_starting else PACKAGES}/{name}"
            packed, data = (f"{name}c", compiled(content, path)) if is_used else (name, content)
            if is_starting:
                library.writestr(ZipInfo(packed), data, ZIP_DEFLATED, 9)
            else:
                member = tarfile.TarInfo(packed)
                member.size = len(data)
                packages.addfile(member, io.BytesIO(data))
    (RUNTIME / "packages.tar").write_bytes(zstd.compress(archive.getvalue(), 19))


pack()
