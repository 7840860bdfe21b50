"""What nbval's run of a notebook adds to its cells: a test that the file has the bytes that a refresh would write.

Each notebook runs once: the outputs that nbval compared are put into a copy, which is compared as a whole. That
includes what nbval leaves out, which are pictures, tracebacks, counts and metadata.
"""

import copy
from typing import Any

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

from bwp_nb.notebooks import as_stored, differences


def _execute(kernel: RunningKernel, source: str, allow_stdin: bool | None = None) -> str:
    """Run a cell as Jupyter does, so that cells are counted and an error names its cell; nbval keeps no history."""
    message: str = kernel.kc.execute(source, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)
    return message


RunningKernel.execute_cell_input = _execute


class RefreshedFile(pytest.Item):
    """The test that a notebook is as a refresh would write it."""

    cells: list[IPyNbCell]

    def runtest(self) -> None:
        """Compare the file with what its cells showed."""
        if any(cell.test_outputs is None for cell in self.cells):
            pytest.skip("some cells of this notebook did not run")
        notebook = copy.deepcopy(self.parent.nb)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for count, (cell, ran) in enumerate(zip(code, self.cells, strict=True), 1):
            cell.outputs, cell.execution_count = ran.test_outputs, count
        if as_stored(notebook) != self.path.read_text("utf-8"):
            found = differences(self.parent.nb, notebook) or ["the same content, formatted in another way"]
            pytest.fail("\n".join([f"{self.path.name} differs from its refresh:", *map(str, found)]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """Add the test to the cells of a notebook."""
    report = yield
    if isinstance(collector, IPyNbFile) and report.passed and collector.compare_outputs:
        refreshed = RefreshedFile.from_parent(collector, name="refreshed")
        refreshed.cells = [item for item in report.result if isinstance(item, IPyNbCell)]
        report.result.append(refreshed)
    return report
