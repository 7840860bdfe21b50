"""The public names, and what importing them costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bwp_nb

PUBLIC = [
    "BwpError",
    "CLASSIFICATIONS",
    "Client",
    "Diagnosis",
    "Difference",
    "Drift",
    "DryRun",
    "EVENT_TYPES",
    "Exchange",
    "Fault",
    "History",
    "InvalidEvent",
    "InvalidSettings",
    "InvalidTable",
    "LedgerError",
    "Mutation",
    "MutationRejected",
    "OutcomeUnknown",
    "Problem",
    "Receipt",
    "RejectedValue",
    "Report",
    "RequestFailed",
    "Retries",
    "Sandbox",
    "UserEvent",
    "compare",
    "connect",
    "doctor",
    "documented",
    "drift",
    "dry_run",
    "explain",
    "faults",
    "forms",
    "plots",
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
