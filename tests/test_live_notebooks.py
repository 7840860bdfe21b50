"""The switch works: every notebook also runs live, against a served sandbox that plays the live host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bwp_nb as bwp

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_live(path: Path) -> None:
    """No cell fails unless it is meant to; outputs are not compared, since ids and times differ."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--override-ini", "addopts="]
    lax = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", str(path)]
    with bwp.serve() as server:
        environment = os.environ | server.environment
        done = subprocess.run([*command, *lax], env=environment, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stdout[-2000:]
        stays = "bwp.Sandbox(" in path.read_text("utf-8")
        assert stays == (server.sandbox.accepted == [])
