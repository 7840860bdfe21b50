"""The public names, and what importing them costs."""

import ast
import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bwp_nb

PUBLIC = [
    "BwpError",
    "CLASSIFICATIONS",
    "Checklist",
    "Client",
    "Diagnosis",
    "Difference",
    "Drift",
    "DryRun",
    "EVENT_TYPES",
    "Exchange",
    "Fault",
    "Hint",
    "History",
    "InvalidEvent",
    "InvalidSettings",
    "InvalidTable",
    "LedgerError",
    "Mutation",
    "MutationRejected",
    "OutcomeUnknown",
    "PartsReport",
    "Problem",
    "Receipt",
    "Reference",
    "RejectedValue",
    "Report",
    "RequestFailed",
    "Retries",
    "Sandbox",
    "UserEvent",
    "checklist",
    "compare",
    "connect",
    "doctor",
    "documented",
    "drift",
    "dry_run",
    "explain",
    "faults",
    "forms",
    "notebooks",
    "plots",
    "reference",
    "send_parts",
    "send_table",
    "serve",
    "snippets",
    "traffic",
]
HEAVY = [
    "pandas",
    "numpy",
    "matplotlib",
    "ipywidgets",
    "IPython",
    "graphql",
    "httpx",
    "tornado",
    "tqdm",
    "pyarrow",
    "filelock",
]


def _printed(code: str) -> str:
    """Return what a fresh interpreter prints, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_public_names_are_exactly_these() -> None:
    """A new name is a promise, made here."""
    tree = ast.parse(Path(bwp_nb.__file__).with_suffix(".pyi").read_text("utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert len(tree.body) == len(imports)
    assert PUBLIC == sorted(alias.asname or alias.name for node in imports for alias in node.names)
    assert PUBLIC == sorted(bwp_nb.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    """Each resolves, and is listed."""
    assert getattr(bwp_nb, name) is not None
    assert name in dir(bwp_nb)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Who sends one event from a script does not wait for pandas."""
    assert "[]" == _printed(f"import sys, bwp_nb; print([name for name in {HEAVY} if name in sys.modules])")


def test_building_an_event_loads_neither_pandas_nor_a_widget() -> None:
    """Nor does connecting and sending to the sandbox."""
    code = (
        "import sys, bwp_nb as bwp\n"
        "client = bwp.connect()\n"
        "client.send(client.new_event('click'))\n"
        f"print([name for name in {HEAVY[:5]} if name in sys.modules])"
    )
    assert "[]" == _printed(code)


def test_the_help_of_the_package_lists_every_public_name() -> None:
    """`help(bwp_nb)` has a line for each name that the package exports, and for no other."""
    names = str(bwp_nb.__doc__).split("The public names;")[1].split("How the package is laid out.")[0]
    assert PUBLIC == sorted(re.findall(r"^    (\w+)  ", names, re.MULTILINE))


def test_the_help_of_the_package_shows_every_entry() -> None:
    """The picture in `help(bwp_nb)` names each file and folder of the package, and no other."""
    drawn = set(re.findall(r"^      (\w+(?:\.py|/)) ", str(bwp_nb.__doc__), re.MULTILINE))
    entries = {f"{path.name}/" if path.is_dir() else path.name for path in Path(bwp_nb.__file__).parent.iterdir()}
    assert entries - {"__init__.pyi", "py.typed", "__pycache__/"} == drawn


def test_the_example_in_the_help_of_the_package_runs() -> None:
    """The first send prints what the docstring says."""
    test = doctest.DocTestParser().get_doctest(str(bwp_nb.__doc__), {}, "bwp_nb", None, None)
    assert (0, 3) == tuple(doctest.DocTestRunner().run(test))[:2]
