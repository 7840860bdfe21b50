"""The README's own claims: its commands, its example, its tables."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from inspect import isclass
from pathlib import Path

import httpx
import pytest

from bwp_nb import errors

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CI = (ROOT / ".ci" / "run").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading, without its header."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_two_commands_set_everything_up() -> None:
    """The quick start holds two one-line commands, each with its Windows variant."""
    quick_start = README.split("\n## Quick start\n")[1].split("\n## ")[0]
    lines = [len(text.splitlines()) for text in re.findall(r"^```(?:sh|bat)\n(.*?)^```", quick_start, re.M | re.S)]
    assert [1, 1, 1, 1] == lines
    assert 2 == len(blocks("bat"))


def test_ci_runs_the_test_command_as_it_is_printed() -> None:
    """The command in the README is the one that .ci/run calls, letter for letter."""
    assert blocks("sh")[1] in CI


@pytest.mark.parametrize("number", range(len(blocks("pycon"))))
def test_examples_print_what_the_readme_says(number: int) -> None:
    """Each Python block is executed and its printed results compared."""
    block = blocks("pycon")[number]
    test = doctest.DocTestParser().get_doctest(block, {}, f"README block {number}", None, None)
    assert 0 == doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed


def test_every_notebook_is_in_the_table() -> None:
    """The notebooks' table lists the notebooks, in their order, and nothing else."""
    listed = [re.findall(r"\((notebooks/.*?\.ipynb)\)", row[0])[0] for row in table("The notebooks")]
    assert sorted(f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")) == listed


def test_the_error_table_names_every_error() -> None:
    """The errors' table has a row for each class of the error tree below its root."""
    classes = {name for name, item in vars(errors).items() if isclass(item) and issubclass(item, errors.BwpError)}
    assert classes - {"BwpError"} == {name for row in table("Outcomes") for name in re.findall(r"`(\w+)`", row[0])}


def test_it_is_a_front_page() -> None:
    """The README has at most 1,300 words; everything else is in docstrings, the reference and the notebooks."""
    assert len(README.split()) <= 1300


def test_the_first_command_opens_the_first_notebook(tmp_path: Path) -> None:
    """Its last part, run as printed but without a browser, serves the notebooks and leads to the first one."""
    launch = shlex.split(blocks("sh")[0].split("&&")[-1])[1:]
    folders = {name: str(tmp_path) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", *launch, "--no-browser", "--ServerApp.port=0"],
        cwd=ROOT,
        env=os.environ | folders,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = _address(server)
        listing = httpx.get(address.replace("/lab?", "/api/contents?"), timeout=30).json()
        served = [item["name"] for item in listing["content"] if item["name"].endswith(".ipynb")]
        assert sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted(served)
        (page,) = tmp_path.glob("jpserver-file-to-run-*-open.html")  # what the browser is started with
        assert "/lab/tree/01_first_event.ipynb" in page.read_text("utf-8")
    finally:
        server.terminate()
        server.communicate(timeout=30)


def _address(server: subprocess.Popen[str]) -> str:
    """Return the address, with its token, that a starting JupyterLab prints."""
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://localhost:\S+token=\w+", line):
            return found[0]
    pytest.fail("JupyterLab ended without serving")
