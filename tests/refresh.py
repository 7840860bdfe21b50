"""Run the notebooks and write their outputs, the same bytes each time: python tests/refresh.py [NOTEBOOK ...].

Without a name it runs all of them, and where Chromium is, it makes the pictures as well.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def refresh(path: Path) -> None:
    """Run a notebook from top to bottom and write it back, less all that differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
    ).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        for output in cell.get("outputs", ()):
            _settle(output)
    nbformat.write(notebook, path)


def _settle(output: nbformat.NotebookNode) -> None:
    """Take from an output what is bound to this run: widget views."""
    output.get("data", {}).pop(WIDGET_VIEW, None)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(name)
        refresh(Path(name).resolve())
    if not sys.argv[1:] and any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        subprocess.run([sys.executable, "-m", "tests.pictures"], cwd=NOTEBOOKS.parent, check=True)
