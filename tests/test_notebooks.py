"""What nbval does not check: each notebook ran from top to bottom, shows its errors, and stores nothing of its run.

nbval itself runs each notebook and compares its outputs, and `nbval_bytes` its bytes; see pyproject.toml.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from bwp_nb.notebooks import problems
from tests.refresh import NOTEBOOKS

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
EVERY_NOTEBOOK = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    """Return a notebook's code cells."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@EVERY_NOTEBOOK
def test_a_notebook_has_no_problems(path: Path) -> None:
    """What `bwp-nb refresh` checks of any notebook; see test_refresh.py."""
    assert [] == [str(problem) for problem in problems(path)]


@EVERY_NOTEBOOK
def test_a_notebook_has_no_metadata_but_the_necessary(path: Path) -> None:
    """The kernel, the language and, of cells, one tag; the language has the suffix of a script, and no version."""
    notebook = nbformat.read(path, as_version=4)
    language = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert {"kernelspec": kernel, "language_info": language} == notebook.metadata
    assert [] == [cell.metadata for cell in notebook.cells if cell.metadata not in ({}, {"tags": ["raises-exception"]})]


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
def test_cells_are_what_a_reader_can_take_in(path: Path) -> None:
    """No cell has a definition, a loop, exception handling, a magic, a final semicolon or a comment for nbval."""
    unwanted = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.AsyncFunctionDef)
    for cell in code_cells(path):
        assert [] == [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, unwanted)]
        assert not re.search(r"^\s*[%!]|;\s*$|PYTEST", cell.source, re.MULTILINE)


@EVERY_NOTEBOOK
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link in the prose leads to a file that exists."""
    prose = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in target]
    assert [] == [target for target in targets if not (path.parent / target).exists()]
