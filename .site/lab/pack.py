"""Pack Python's library and the packages of the lab, so that they are small and the form is soon there.

It runs in Pyodide, by pack.mjs. What the form imports becomes bytecode, which starts in a third of the time; all else
stays source, which is half the size. What Python needs before it can unpack anything stays in its own archive. The rest
is in another, compressed as a whole; most of it is two files from which Python imports, as is quicker than unpacking.
"""

import _imp
import io
import re
import sys
import tarfile
from collections.abc import Iterator
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from compression import zstd

STARTING = {name.partition(".")[0] for name in sys.modules}

RUNTIME = Path("/runtime")
LIBRARY = Path("/lib/python314.zip")
PACKAGES = Path("/lib/python3.14/site-packages")

#: The archives from which Python imports the rest of its library, and the packages that read no files of their own.
REST = PACKAGES / "library.zip"
IMPORTED = PACKAGES / "packages.zip"

#: What a first visitor does; the kernel imports `piplite` and `pyodide_kernel` before.
VISIT = """
import bwp_nb as bwp
client = bwp.connect()
client.send(client.new_event("page-load", current_url="https://example.com"))
bwp.forms.EventForm(client)
"""

#: What is left out unless the form imports it: what a browser cannot run, since it has no sockets, processes and
#: terminals, and is not Windows; what is in C as well; tests and documentation; and the lexers of other languages.
LEFT_OUT = re.compile(
    r"multiprocessing/|asyncio/(proactor|windows)|(ftp|imap|pop|smtp)lib|(wsgiref|xmlrpc|_pyrepl)/|.*win32"
    r"|httpcore/_a?sync/(http2|socks)|prompt_toolkit/contrib/|IPython/(terminal|testing|sphinxext)/|certifi/cacert"
    r"|_py(datetime|io)\.|.*/tests?/|.*\.dist-info/(sboms/|RECORD|INSTALLER|REQUESTED|direct_url)|.*__pycache__|bin/"
    r"|pygments/(sphinxext|formatters/(?!_|html|other|terminal))"
    r"|pygments/lexers/(?!__|_mapping|data|graphql|javascript|python|shell)"
)

#: The bytes from which on an encoding has a table, and is smaller as bytecode.
TABLE = 5_000


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


def is_left_out(name: str) -> bool:
    """Return whether a file is not needed, as are the sources of what is in the interpreter itself."""
    module = name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return bool(LEFT_OUT.match(name)) or name.endswith("/") or _imp.is_frozen(module)


def compiled(source: bytes, path: str) -> bytes:
    """Return the bytecode of a module, which is not compared with its source, since that is not there."""
    code = compile(source, path, "exec", dont_inherit=True)
    return bytes(_code_to_hash_pyc(code, source_hash(source), False))


def place(folder: str, name: str) -> Path:
    """Return where a file will be: what is read from a path is a file, or known as a package by one."""
    if folder == str(LIBRARY):
        return LIBRARY if re.split("[/.]", name)[0] in STARTING else REST
    return PACKAGES if re.match(r"bwp_nb/|[^/]*\.dist-info/", name) else IMPORTED


def pack() -> None:
    """Write both archives."""
    used = visit()
    packed: dict[Path, dict[str, bytes]] = {LIBRARY: {}, REST: {}, IMPORTED: {}, PACKAGES: {}}
    for folder, name, content in files():
        target = place(folder, name)
        is_table = name.startswith("encodings/") and len(content) > TABLE
        if f"{folder}/{name}" in used or is_table:
            packed[target][f"{name}c"] = compiled(content, f"{target}/{name}")
        elif not is_left_out(name):
            is_metadata = name.endswith(".dist-info/METADATA")  # which end with the project's README
            packed[target][name] = content.partition(b"\n\n")[0] if is_metadata else content
    (RUNTIME / "python_stdlib.zip").write_bytes(zipped(packed[LIBRARY], ZIP_DEFLATED))
    packed[PACKAGES] |= {path.name: zipped(packed[path], ZIP_STORED) for path in (REST, IMPORTED)}
    (RUNTIME / "packages.tar").write_bytes(zstd.compress(tarred(packed[PACKAGES]), 19))


def zipped(members: dict[str, bytes], compression: int) -> bytes:
    """Return a zip archive."""
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(ZipInfo(name), content, compression, 9)
    return archive.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    """Return a tar archive."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return archive.getvalue()


pack()
