"""Notebooks that use this package: its own as files, and the outputs that any of them stores, which are its tests.

`write` copies the notebooks of this package to a folder. `refresh` runs a notebook and stores its outputs as the same
bytes each time, so that a difference is a change of what it shows. `problems` lists what a stored notebook hides from
such a comparison, or must not contain. All but `write` need the extra `notebooks`. On the command line they are
`bwp-nb notebooks` and `bwp-nb refresh`.
"""

import copy
import difflib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bwp_nb.displays.short_errors import InvalidArgument, extra
from bwp_nb.settings import secrets
from bwp_nb.text import quoted, readable, shortened
from bwp_nb.wire.auth import cleaned

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
#: Without the version of Python; with the suffix and the converter of a script that `jupyter nbconvert` makes.
_LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python"}
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
#: The metadata that a run leaves in a notebook or a cell.
_OF_A_RUN = ("widgets", "papermill", "execution", "ExecuteTime")
_RAISES = "raises-exception"

#: What a notebook must not contain, and how it is found in the JSON of a cell or of the notebook's metadata.
_UNWANTED = {
    "has outputs that nbval does not compare": r"(?i)# *nbval_(?:ignore_output|skip)|\"nbval-(?:ignore-output|skip)\"",
    "stores metadata of a run": rf'"(?:{"|".join(_OF_A_RUN)})": {{',
    "stores the view of a widget, which differs in each run": re.escape(_WIDGET_VIEW),
    "stores what was printed to stderr": r'"name": "stderr"',
    "contains a path of one machine": r"/(?:home|root|tmp|Users)/[\w.-]|\b[A-Z]:\\\\[\w.-]",
    "contains a memory address": r"\b0x[0-9a-f]{6,}",
    "contains a bearer token": r"\bBearer [\w.~+/|-]{8,}",
    "contains a client secret": r"\bclient_secret=\w",
}
_MOST_LINES, _WIDTH = 12, 120


class Finding(NamedTuple):
    """What is wrong with a notebook, or different in it.

    Attributes
    ----------
    cell : int or None
        The position of the cell among all cells, from 1; None for the notebook itself.
    code : str
        The first line of the cell.
    message : str
        What is wrong, or the lines that differ.
    """

    cell: int | None
    code: str
    message: str

    def __str__(self) -> str:
        return f"cell {self.cell}, {quoted(self.code)}: {self.message}" if self.cell else f"notebook: {self.message}"


def write(folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write the notebooks of this package to a folder.

    Parameters
    ----------
    folder : str or Path
        The folder, which is made if it does not exist.
    overwrite : bool, default False
        Whether files of the same names that have other content are overwritten.

    Returns
    -------
    list of Path
        The notebooks in the folder, in the order in which to read them.

    Raises
    ------
    FileExistsError
        If there is another file of such a name and `overwrite` is False; nothing was written.
    OSError
        If a file cannot be written.
    """
    here = Path(__file__).parent
    source = here / "guide" if (here / "guide").is_dir() else here.parent / "notebooks"  # in a wheel, in the repository
    content = {Path(folder) / path.name: path.read_bytes() for path in sorted(source.glob("*.ipynb"))}
    other = [path.name for path, data in content.items() if path.exists() and path.read_bytes() != data]
    if other and not overwrite:
        advice = "Not written; overwrite replaces them."
        raise FileExistsError(f"{folder} has other files with these names: {', '.join(other)}. {advice}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, data in content.items():
        path.write_bytes(data)
    return list(content)


def refresh(path: str | Path, *, dry_run: bool = False, timeout: int = 120) -> list[Finding]:
    """Run a notebook from top to bottom, in the Python that calls this, and store its outputs.

    What differs from run to run is left out: the state of widgets, times, the version of Python, and the frames of a
    traceback outside the notebook. Two refreshes write the same bytes if the cells show the same.

    Parameters
    ----------
    path : str or Path
        The notebook; it runs in its own folder.
    dry_run : bool, default False
        Whether to write nothing.
    timeout : int, default 120
        The most seconds for one cell.

    Returns
    -------
    list of Finding
        A difference between the stored and the new notebook for each cell that has one; empty for the same bytes.

    Raises
    ------
    ValueError
        If the file is not a notebook, or a cell fails without the tag `raises-exception` or takes too long; nothing
        was written.
    ImportError
        If the extra `notebooks` is not installed.
    OSError
        If the file cannot be read or written.
    """
    path = Path(path)
    before = _read(path)
    after = copy.deepcopy(before)
    _run(after, path, timeout)
    fresh = as_stored(after)
    if fresh == path.read_text("utf-8"):
        return []
    if not dry_run:
        path.write_text(fresh, "utf-8", newline="\n")
    return differences(before, after) or [Finding(None, "", "the same content, formatted in another way")]


def _read(path: Path) -> Any:
    with extra("notebooks"):
        import nbformat
    content = path.read_bytes()
    try:
        with warnings.catch_warnings(action="ignore"):  # cells without an id of their own get one
            notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises anything for a malformed notebook
        raise InvalidArgument(f"{path} is not a notebook: {readable(str(error), 80)}.") from None
    return notebook


def _run(notebook: Any, path: Path, timeout: int) -> None:
    """Run a notebook in this Python, not in the one of another kernel that is called python3."""
    with extra("notebooks"):
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
    reached = [0]
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), kernel_name="python3"),
        timeout=timeout,
        extra_arguments=["--log-level=50"],  # what a kernel says of its ports, or when it is stopped, helps nobody
        resources={"metadata": {"path": str(path.parent.resolve())}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        on_cell_start=lambda cell_index, **_: reached.append(cell_index + 1),
    )
    try:
        client.execute(cleanup_kc=True)
    except (CellControlSignal, DeadKernelError) as error:
        said = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else type(error).__name__
        failed = _finding(notebook, reached[-1], readable(said.rstrip(".: ")))
        raise InvalidArgument(f"{path.name}, {failed}. Fix it, or tag it {_RAISES}. It was not written.") from None


def _parts(notebook: Any) -> list[Any]:
    """Return the notebook itself, which is number 0, and its cells."""
    return [{**notebook, "cells": []}, *notebook.cells]


def _finding(notebook: Any, number: int, message: str) -> Finding:
    code = _parts(notebook)[number].get("source", "").strip().partition("\n")[0]
    return Finding(number or None, _shown(code), _shown(message))


def _shown(text: str) -> str:
    """Return a text of a notebook without the secrets of the settings: it may be shown in the log of a CI job."""
    return cleaned(text, [*secrets().values()])


def as_stored(notebook: Any) -> str:
    """Return a notebook that has run as the text of its file, without what differs from run to run.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The notebook, which is changed to what the text says.

    Returns
    -------
    str
        The text of the file.
    """
    import nbformat

    is_default = notebook.metadata.get("kernelspec", _KERNEL)["name"] == _KERNEL["name"]
    notebook.metadata |= {"language_info": _LANGUAGE} | ({"kernelspec": _KERNEL} if is_default else {})
    for part in [notebook, *notebook.cells]:
        for name in _OF_A_RUN:
            part.metadata.pop(name, None)
        for output in part.get("outputs", ()):
            output.get("data", {}).pop(_WIDGET_VIEW, None)
            if any("File " in frame for frame in output.get("traceback", ())):
                output["traceback"] = output["traceback"][-1:]
    return f"{nbformat.writes(notebook)}\n"


def differences(before: Any, after: Any) -> list[Finding]:
    """Return what differs between two runs of a notebook, as the lines of each cell that do.

    Parameters
    ----------
    before, after : nbformat.NotebookNode
        The notebooks, with the same cells.

    Returns
    -------
    list of Finding
        One for each cell that differs; a line is marked with - as it was before, and with + as it is after.
    """
    parts = enumerate(zip(_parts(before), _parts(after), strict=True))
    changed = ((number, _changed(old, new)) for number, (old, new) in parts if old != new)
    return [_finding(after, number, lines) for number, lines in changed]


def _changed(old: Any, new: Any) -> str:
    """Return the first lines that differ."""
    compared = difflib.unified_diff(_lines(old), _lines(new), n=0, lineterm="")
    lines = [line for line in compared if not line.startswith(("---", "+++", "@@"))]
    return "\n  ".join(["different", *shortened(lines, _MOST_LINES)])


def _lines(part: Any) -> list[str]:
    """Return the JSON of a part in lines that can be read: one for each line of a text, and for each tag of HTML."""
    text = _shown(json.dumps(part, indent=1, ensure_ascii=False, sort_keys=True))
    lines = re.sub(r"(?<=>)(?=<)|\\n", "\n", text).split("\n")
    return [readable(line[start : start + _WIDTH]) for line in lines for start in range(0, len(line), _WIDTH)]


def problems(path: str | Path) -> list[Finding]:
    """Return what a stored notebook hides from a comparison of its outputs, or must not contain.

    These are cells that have not run or not in order, errors without the tag `raises-exception` and the tag without
    one, outputs that nbval ignores, widgets and metadata of a run, output on stderr, paths of this machine,
    memory addresses, tokens, and the secrets of the settings, wherever they are set.

    Parameters
    ----------
    path : str or Path
        The notebook, which is not run.

    Returns
    -------
    list of Finding
        The problems, in the order of the cells; empty without problems.

    Raises
    ------
    ValueError
        If the file is not a notebook.
    ImportError
        If the extra `notebooks` is not installed.
    OSError
        If the file cannot be read.
    """
    notebook = _read(Path(path))
    known = secrets()
    found, count = [], 0
    for number, part in enumerate(_parts(notebook)):
        text = json.dumps(part, ensure_ascii=False)
        messages = [message for message, sign in _UNWANTED.items() if re.search(sign, text)]
        messages += [f"contains the value of {name}" for name in known if known[name].removed_from(text) != text]
        if part.get("cell_type") == "code" and part.source.strip():
            count += 1
            messages += _unproven(part, count)
        found += [_finding(notebook, number, message) for message in messages]
    return found


def _unproven(cell: Any, count: int) -> Iterator[str]:
    """Yield why a comparison of the outputs of a code cell proves less than it seems to."""
    if cell.execution_count != count:
        yield f"expected In [{count}], got In [{cell.execution_count or ' '}]; run all cells from the top"
    is_tagged = _RAISES in cell.metadata.get("tags", ())
    if is_tagged != ("error" in [output.output_type for output in cell.outputs]):
        yield f"has the tag {_RAISES} without an error" if is_tagged else f"has an error without the tag {_RAISES}"
