"""What nbval does not check: each notebook ran from top to bottom, shows its errors, and stores nothing of its run.

nbval itself runs each notebook and compares its outputs; see `testpaths` and `addopts` in pyproject.toml.
"""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.refresh import NOTEBOOKS, WIDGET_VIEW, refresh

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
EVERY_NOTEBOOK = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
PRIVATE = re.compile(r"(?:/(?:home|root|tmp|Users)/|[A-Z]:\\\\|\bBearer \w|client_secret=\w|0x[0-9a-f]{6,})")


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    """Return a notebook's code cells."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@EVERY_NOTEBOOK
def test_every_code_cell_has_run_in_order(path: Path) -> None:
    """Each code cell has its number, from 1; nbval does not compare a cell that was never run."""
    cells = code_cells(path)
    assert list(range(1, len(cells) + 1)) == [cell.execution_count for cell in cells]


@EVERY_NOTEBOOK
def test_errors_are_shown_where_they_are_announced(path: Path) -> None:
    """A cell is tagged raises-exception if and only if it stores an error, and has no other tag."""
    for cell in code_cells(path):
        stored = [output.output_type for output in cell.outputs].count("error") == 1
        assert (["raises-exception"] if stored else []) == cell.metadata.get("tags", [])


@EVERY_NOTEBOOK
def test_an_error_is_shown_in_a_few_lines(path: Path) -> None:
    """What IPython shows, not a shortened version: at most eight lines, beginning with the line of the cell."""
    for cell in code_cells(path):
        for output in cell.outputs:
            if output.output_type == "error":
                lines = "\n".join(output.traceback).split("\n")
                assert len(lines) <= 8
                number, _, code = lines[0].removeprefix(f"Cell In[{cell.execution_count}], line ").partition(": ")
                assert cell.source.split("\n")[int(number) - 1].startswith(code.removesuffix("…"))


@EVERY_NOTEBOOK
def test_nothing_of_this_run_or_machine_is_stored(path: Path) -> None:
    """A notebook stores no widget state, timing, path, memory address or secret, and nothing from stderr."""
    notebook = nbformat.read(path, as_version=4)
    assert {"kernelspec", "language_info"} == set(notebook.metadata)
    assert set() == {key for cell in notebook.cells for key in cell.metadata} - {"tags"}
    assert [] == PRIVATE.findall(path.read_text("utf-8"))
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert [] == [
        output for output in outputs if WIDGET_VIEW in output.get("data", {}) or output.get("name") == "stderr"
    ]


@EVERY_NOTEBOOK
def test_cells_are_what_a_reader_can_take_in(path: Path) -> None:
    """No cell has a definition, a loop, exception handling, a magic, a final semicolon or a comment for nbval."""
    unwanted = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.AsyncFunctionDef)
    for cell in code_cells(path):
        assert [] == [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, unwanted)]
        assert not re.search(r"^\s*[%!]|;\s*$|NBVAL|PYTEST", cell.source, re.MULTILINE)


@EVERY_NOTEBOOK
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link in the prose leads to a file that exists."""
    prose = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in target]
    assert [] == [target for target in targets if not (path.parent / target).exists()]


@EVERY_NOTEBOOK
def test_a_refresh_changes_no_byte(path: Path, tmp_path: Path) -> None:
    """The committed file equals what the refresh command writes."""
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    refresh(copy)
    assert path.read_bytes() == copy.read_bytes()
