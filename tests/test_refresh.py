"""Any notebook is refreshed to the same bytes, and what it stores is checked; the guide is written to a folder."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.exporters import ScriptExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import bwp_nb as bwp
from bwp_nb.__main__ import main
from tests.refresh import NOTEBOOKS

ERROR = new_output("error", ename="KeyError", evalue="'x'", traceback=["KeyError: 'x'"])
CHART = (
    "import bwp_nb as bwp; client = bwp.connect(); client.send(client.new_event('click'))",
    "bwp.plots.outcomes(client.history)",
)


def _saved(path: Path, *cells: Any, **metadata: Any) -> Path:
    """Save a notebook of sources and cells."""
    made = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, cell in enumerate(made, 1):
        cell.id = f"own-{number}"
    nbformat.write(new_notebook(cells=made, metadata=metadata), path)
    return path


def _ran(source: str = "1", count: int | None = 1, *outputs: NotebookNode, **metadata: Any) -> NotebookNode:
    return new_code_cell(source, execution_count=count, outputs=[*outputs], metadata=metadata)


def _printed(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text)


def test_two_refreshes_write_the_same_bytes(tmp_path: Path) -> None:
    """What differs from run to run is left out, and what belongs to the notebook is kept."""
    raising = new_code_cell("import json; json.loads('{')", metadata={"tags": ["raises-exception", "mine"]})
    timed = new_code_cell("print('a'); print('b')", metadata={"execution": {"shell.execute_reply": "12:00"}})
    cells = (new_markdown_cell("# Title"), "import ipywidgets; ipywidgets.IntText()", raising, "", timed)
    own = {"title": "Mine", "widgets": {"state": 1}, "kernelspec": {"name": "mine", "display_name": "Mine"}}
    path = _saved(tmp_path / "any.ipynb", *cells, **own)
    assert ["cell 2", "cell 3", "cell 5", "notebook"] == sorted(
        str(found).partition(",")[0].partition(":")[0] for found in bwp.notebooks.refresh(path)
    )
    first = path.read_bytes()
    assert [] == bwp.notebooks.refresh(path)
    assert first == path.read_bytes()
    assert [] == bwp.notebooks.problems(path)
    notebook = nbformat.read(path, as_version=4)
    assert [f"own-{number}" for number in range(1, 6)] == [cell.id for cell in notebook.cells]
    assert {"title", "kernelspec", "language_info"} == set(notebook.metadata)
    assert ["JSONDecodeError"] == [output.ename for output in notebook.cells[2].outputs]
    assert 1 == len(notebook.cells[2].outputs[0].traceback)
    assert [_printed("a\nb\n")] == notebook.cells[4].outputs
    assert ".py" == ScriptExporter().from_filename(str(path))[1]["output_extension"]


def test_a_cell_that_fails_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    """The message has the notebook, the cell and the error."""
    path = _saved(tmp_path / "any.ipynb", "1", "undefined + 1", "2")
    before = path.read_bytes()
    said = r"any\.ipynb, cell 2, 'undefined \+ 1': NameError: name 'undefined' is not defined\. Fix it, or tag it"
    with pytest.raises(ValueError, match=said):
        bwp.notebooks.refresh(path)
    assert before == path.read_bytes()


def test_cells_without_an_id_get_one_without_a_word(tmp_path: Path) -> None:
    """Older programs write such notebooks; with warnings as errors they are refreshed too."""
    path = tmp_path / "any.ipynb"
    given = json.loads(nbformat.writes(new_notebook(cells=[new_code_cell("1"), new_code_cell("2")])))
    for cell in given["cells"]:
        del cell["id"]
    path.write_text(json.dumps(given))
    command = [sys.executable, "-W", "error", "-m", "bwp_nb", "refresh", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert all(cell.id for cell in nbformat.read(path, as_version=4).cells)


def test_a_cell_may_take_as_long_as_is_said(tmp_path: Path) -> None:
    """A cell that takes longer is named like one that fails."""
    path = _saved(tmp_path / "any.ipynb", "import time; time.sleep(60)")
    with pytest.raises(ValueError, match=r"cell 1, 'import time; time\.sleep\(60\)': CellTimeoutError"):
        bwp.notebooks.refresh(path, timeout=1)


CELL = '{"cells": [{"cell_type": "code", "source": "1"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}'
KERNEL = '{"cells": [], "metadata": {"kernelspec": {}}, "nbformat": 4, "nbformat_minor": 4}'


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nothing", '{"cells": 1, "nbformat": 4, "nbformat_minor": 5}', CELL, KERNEL]
)
def test_what_is_not_a_notebook_is_refused(text: str, tmp_path: Path) -> None:
    """In a sentence with its path."""
    path = tmp_path / "any.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"any\.ipynb is not a notebook: "):
        bwp.notebooks.problems(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("cell", "messages"),
    [
        (_ran(), []),
        (_ran("", None), []),
        (_ran("1", None), ["expected In [1], got In [ ]; run all cells from the top"]),
        (_ran("1", 7), ["expected In [1], got In [7]; run all cells from the top"]),
        (_ran("x", 1, ERROR), ["has an error without the tag raises-exception"]),
        (_ran("x", 1, ERROR, tags=["raises-exception"]), []),
        (_ran(tags=["raises-exception"]), ["has the tag raises-exception without an error"]),
        (_ran("# NBVAL_IGNORE_OUTPUT\n1"), ["has outputs that nbval does not compare"]),
        (_ran("#nbval_skip"), ["has outputs that nbval does not compare"]),
        (_ran(tags=["nbval-ignore-output"]), ["has outputs that nbval does not compare"]),
        (new_markdown_cell("nbval reads NBVAL_SKIP"), []),
        (_ran(execution={"iopub.execute_input": "12:00"}), ["stores metadata of a run"]),
        (
            _ran("1", 1, new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})),
            ["stores the view of a widget, which differs in each run"],
        ),
        (_ran("1", 1, new_output("stream", name="stderr", text="!")), ["stores what was printed to stderr"]),
        (_ran("1", 1, _printed("/home/me/x.csv")), ["contains a path of one machine"]),
        (_ran("1", 1, _printed(r"C:\me\x.csv")), ["contains a path of one machine"]),
        (_ran("1", 1, _printed("<object at 0x7f3a5c>")), ["contains a memory address"]),
        (new_markdown_cell("Authorization: Bearer abcdefgh"), ["contains a bearer token"]),
        (new_markdown_cell("Authorization: Bearer <token>"), []),
        (_ran("data = 'client_secret=x'"), ["contains a client secret"]),
        (_ran("1", 1, _printed('a planted "secret')), []),
        (_ran("1", 1, _printed('a planted-"secret')), ["contains the value of BWP_CLIENT_SECRET"]),
    ],
)
def test_each_problem_is_found(
    cell: NotebookNode, messages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the number of its cell and its first line; secrets are those of the settings, and are not shown."""
    monkeypatch.setenv("BWP_CLIENT_SECRET", 'planted-"secret')
    path = _saved(tmp_path / "any.ipynb", new_markdown_cell("# Title"), cell)
    line = cell.source.partition("\n")[0]
    assert [(2, line, message) for message in messages] == bwp.notebooks.problems(path)


def test_a_difference_is_a_few_lines_of_its_cell(tmp_path: Path) -> None:
    """Each tag of HTML and each line of a text is a line; the lines are marked, cut and capped."""
    before = new_output("display_data", {"text/html": "<table><tr><td>1</td><td>2</td></tr></table>"})
    after = new_output("display_data", {"text/html": "<table><tr><td>1</td><td>3</td></tr></table>"})
    many = [_printed("".join(f"{kind}{line}\n" for line in range(20))) for kind in "ab"]
    old, new = (
        new_notebook(cells=[_ran("table", 1, one), _ran("many", 2, two)])
        for one, two in zip([before, after], many, strict=True)
    )
    for number, cell in enumerate([*old.cells, *new.cells]):
        cell.id = f"own-{number % 2}"
    short, long = bwp.notebooks.differences(old, new)
    assert "cell 1, 'table': different\n  -<td>2</td>\n  +<td>3</td>" == str(short)
    assert 14 == len(str(long).split("\n"))
    assert str(long).endswith("\n  and 28 more lines")


def test_neither_a_read_only_home_nor_a_new_cache_changes_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chart is the same where matplotlib cannot write its settings, and has to make its cache."""
    path = _saved(tmp_path / "any.ipynb", *CHART)
    bwp.notebooks.refresh(path)
    (tmp_path / "file").touch()
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file" / "home"))  # no one, not even root, can make a folder there
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    assert [] == [str(difference) for difference in bwp.notebooks.refresh(path, dry_run=True)]
    assert [] == bwp.notebooks.problems(path)


def test_the_guide_is_written_and_never_overwrites_a_file_silently(tmp_path: Path) -> None:
    """The files are those of the repository; another file of such a name is named, and then nothing is written."""
    folder = tmp_path / "new" / "guide"
    own = sorted(NOTEBOOKS.glob("*.ipynb"))
    for _ in range(2):  # the same files may be there
        written = bwp.notebooks.write(folder)
        assert [(path.name, path.read_bytes()) for path in own] == [(path.name, path.read_bytes()) for path in written]
    written[0].unlink()
    written[1].write_text("mine")
    with pytest.raises(FileExistsError, match=r"other files with these names: 02_replay.*\.ipynb\. Not written"):
        bwp.notebooks.write(folder)
    assert ["mine", False] == [written[1].read_text(), written[0].exists()]
    bwp.notebooks.write(folder, overwrite=True)
    assert [path.read_bytes() for path in own] == [path.read_bytes() for path in written]


def test_the_command_writes_the_guide_and_says_how_to_open_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names each file; a file that is there is an error with the way out, and `--overwrite` replaces it."""
    folder = str(tmp_path / "guide")
    assert 0 == main(["notebooks", folder])
    lines = capsys.readouterr().out.splitlines()
    paths = [str(tmp_path / "guide" / path.name) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    install = 'python -m pip install "bwp-nb[lab]"'
    opening = ["To open the first one:", install, f'jupyter lab "{paths[0]}"']
    assert [f"{folder} has these notebooks:", *paths, *opening] == lines
    Path(paths[0]).write_text("mine")
    assert 1 == main(["notebooks", folder])
    assert "Not written; overwrite replaces them." in capsys.readouterr().err
    assert 0 == main(["notebooks", folder, "--overwrite", "--json"])
    assert {"notebooks": paths} == json.loads(capsys.readouterr().out)


def test_the_command_refreshes_and_checks_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--check` it writes nothing; hidden folders, such as those with checkpoints, are left out."""
    for folder in ("a", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir()
    path = _saved(tmp_path / "a" / "any.ipynb", "1 + 1")
    hidden = _saved(tmp_path / ".ipynb_checkpoints" / "any.ipynb", "1 + 1")
    before = path.read_bytes()
    assert 1 == main(["refresh", "--check", str(tmp_path)])
    assert capsys.readouterr().out.startswith(f"{path}: 2 differences, 1 problem\nnotebook: different\n  -")
    assert [before, before] == [path.read_bytes(), hidden.read_bytes()]
    assert 0 == main(["refresh", str(path)])
    assert f"{path}: 2 differences, 0 problems\n" in capsys.readouterr().out
    assert 0 == main(["refresh", "--check", "--json", str(tmp_path)])
    same = {"outcome": "passed", "message": "0 differences, 0 problems", "details": ""}
    shown = {"ok": True, "notebooks": [{"name": str(path), "file": str(path), **same}]}
    assert shown == json.loads(capsys.readouterr().out)


def test_the_command_says_what_it_cannot_refresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a notebook ends it; a cell that fails, and a file that cannot be read, do not hide others."""
    assert 2 == main(["refresh", str(tmp_path)])
    assert f"{tmp_path} has no notebook.\n" == capsys.readouterr().err
    wrong, right = _saved(tmp_path / "a.ipynb", "undefined"), _saved(tmp_path / "b.ipynb", "1")
    missing, latin = tmp_path / "missing.ipynb", tmp_path / "latin.ipynb"
    latin.write_bytes("{'ü'}".encode("latin-1"))
    capsys.readouterr()
    assert 1 == main(["refresh", *map(str, (missing, latin, wrong, right))])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(str(tmp_path))]
    assert [
        f"{missing}: No such file or directory: '{missing}'.",
        f"{latin}: {latin} is not a notebook: 'utf-8' codec can't decode byte 0xfc in position 2: invalid start byte.",
        f"{wrong}: a.ipynb, cell 1, 'undefined': NameError: name 'undefined' is not defined.",
        f"{right}: ",
    ] == [line.partition(" Fix")[0].partition("2 diff")[0] for line in lines]


def test_a_difference_does_not_show_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be printed in the log of a CI job; that the notebook contains the secret is a problem of its own."""
    monkeypatch.setenv("BWP_CLIENT_SECRET", "planted-secret")
    fails = new_code_cell("raise ValueError(secret)", metadata={"tags": []})
    for cells in (
        ["import os", "secret = os.environ['BWP_CLIENT_SECRET']", "secret"],
        ["secret = 'planted-secret'", fails],
    ):
        path = _saved(tmp_path / "any.ipynb", *cells)
        assert 1 == main(["refresh", "--junit", str(tmp_path / "junit.xml"), "--annotations", str(path)])
        out, err = capsys.readouterr()
        assert "[redacted]" in out
        assert "planted-secret" not in out + err + (tmp_path / "junit.xml").read_text("utf-8")
