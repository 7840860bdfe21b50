"""The switch works: every notebook also runs live, against a served sandbox that plays the live host."""

from pathlib import Path

import pytest

import bwp_nb as bwp
from tests.test_notebooks import EVERY_NOTEBOOK


@EVERY_NOTEBOOK
def test_a_notebook_runs_live(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell fails unless it is meant to; outputs are not compared, since ids and times differ."""
    with bwp.serve() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bwp.notebooks.refresh(path, dry_run=True)
        stays = "bwp.Sandbox(" in path.read_text("utf-8")
        assert stays == (server.sandbox.accepted == [])
