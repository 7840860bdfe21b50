"""What the package does without its extras, and what it says of each that is missing."""

import json
import subprocess
import sys

import pytest

#: What is missing without any extra, and the expression that needs an extra, by the extra's name.
MISSING = ("IPython", "filelock", "ipywidgets", "matplotlib", "nbclient", "nbformat", "numpy", "pandas", "pyarrow")
NEEDS = {
    "charts": ["bwp.plots"],
    "forms": ["bwp.forms"],
    "notebooks": ["bwp.notebooks.refresh('any.ipynb')", "bwp.notebooks.problems('any.ipynb')"],
    "server": ["bwp.serve()"],
    "tables": [
        *("bwp.send_table", "bwp.dry_run", "bwp.Report", "bwp.traffic", "client.history.frame()"),
        *("bwp.reference('fields').frame()", "bwp.checklist(client).frame()", "bwp.drift(client).frame()"),
    ],
}
BASE = """
import sys
sys.modules.update(dict.fromkeys({missing}))
import json, bwp_nb as bwp
client = bwp.connect()
receipt = client.send(bwp.Mutation.parse(bwp.documented.PAGE_LOAD.request).events)
def said(expression):
    try:
        return repr(eval(expression))
    except ImportError as error:
        return str(error)
shown = [f"{{item!r}} {{item._repr_html_()}}" for item in (receipt, client.history, client.sandbox, bwp.reference())]
answers = {{expression: said(expression) for expression in {expressions}}}
print(json.dumps([repr(receipt), len(shown), bwp.drift(client).ok, bwp.doctor().ok, answers]))
"""


def _printed(code: str) -> list[object]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_a_part_whose_extra_is_missing_says_how_to_install_it() -> None:
    """Events, the sandbox and doctor need none, drift needs its own; each other part names its extra in a sentence."""
    missing = (*MISSING, "tornado", "tqdm")
    code = BASE.format(missing=missing, expressions=[expression for needs in NEEDS.values() for expression in needs])
    receipt, shown, same, healthy, answers = _printed(code)
    assert ["Receipt(status='successful', events=1, attempts=1)", 4, True, True] == [receipt, shown, same, healthy]
    sentence = 'This part of bwp_nb needs its extra {0}; run: python -m pip install "bwp-nb[{0}]"'
    assert {expression: sentence.format(name) for name, needs in NEEDS.items() for expression in needs} == answers


def test_drift_needs_a_newer_graphql_core() -> None:
    """Everything else runs with graphql-core 3.2, which has no `find_schema_changes`."""
    code = (
        "import graphql, json, bwp_nb as bwp\n"
        "del graphql.find_schema_changes\n"
        "client = bwp.connect()\n"
        "client.send(client.new_event('click'))\n"
        "try:\n    bwp.drift\nexcept ImportError as error:\n    print(json.dumps([str(error)]))\n"
    )
    assert ['This part of bwp_nb needs its extra drift; run: python -m pip install "bwp-nb[drift]"'] == _printed(code)


def test_a_command_whose_extra_is_missing_is_misconfigured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 4, and standard error has the sentence instead of a traceback."""
    from bwp_nb.__main__ import main

    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert 4 == main(["refresh", __file__])
    assert 'its extra notebooks; run: python -m pip install "bwp-nb[notebooks]"\n' in capsys.readouterr().err
