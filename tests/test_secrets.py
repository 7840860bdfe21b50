"""A planted secret is searched for in all that is kept or shown: whole, and by its first and last six characters."""

import json
import logging
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from ipywidgets import Widget
from nbclient import NotebookClient

import bwp_nb as bwp
from bwp_nb import settings
from bwp_nb.sandbox.server import Server
from bwp_nb.wire.auth import Credentials, Secret

MARKER = "Zq7vX2-planted-for-this-test-K9pL4w"
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def traces(text: str) -> list[str]:
    """Return the parts of the secret that a text contains."""
    return [part for part in (MARKER, MARKER[:6], MARKER[-6:]) if part in text]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A served sandbox whose client secret is the planted one, and this process its live client."""
    with bwp.serve() as server:
        server.sandbox.client_secret = MARKER
        monkeypatch.chdir(tmp_path)
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        yield server


def _dead_endpoint() -> str:
    """Return an address of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def _executed(*sources: str) -> str:
    """Run cells in a real kernel, errors and all, and return the saved notebook with its widgets, as decoded text."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    return _decoded(json.loads(nbformat.writes(notebook)))


def _decoded(value: object) -> str:
    """Return all texts of a JSON value, unescaped."""
    if isinstance(value, dict):
        return "\n".join(_decoded(part) for pair in value.items() for part in pair)
    return "\n".join(map(_decoded, value)) if isinstance(value, list) else str(value)


def test_the_search_finds_a_planted_print(server: Server) -> None:
    """The search works: it finds a print of the secret, and of a part of it."""
    assert [MARKER, MARKER[:6], MARKER[-6:]] == traces(_executed("import os; print(os.environ['BWP_CLIENT_SECRET'])"))
    assert [MARKER[:6]] == traces(_executed("import os; print(os.environ['BWP_CLIENT_SECRET'][:6])"))


def test_no_object_with_the_secret_shows_it(server: Server) -> None:
    """Neither repr nor str nor format shows it."""
    given = settings.live()
    with bwp.connect() as client:
        client.send(client.new_event("click"))
        shown = [given, given.credentials, given.credentials.client_secret, client, client.history, client._auth]
        assert [] == traces(" ".join(f"{item!r} {item!s}" for item in shown))
        assert [] == traces(f"{given.credentials.client_secret}")


@pytest.mark.parametrize(
    "kept", [Secret(MARKER), Credentials("an-id", Secret(MARKER), "a-target")], ids=["secret", "both"]
)
def test_a_secret_is_not_pickled(kept: object) -> None:
    """It goes neither to a file nor to another process."""
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(kept)


def test_no_log_shows_the_secret(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the level DEBUG of every logger, those of httpx and httpcore included."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "bwp_nb"):
        caplog.set_level(logging.DEBUG, logger=name)
    with bwp.connect() as client:
        client.send(client.new_event("click"))
    assert {"httpcore.http11"} <= {record.name for record in caplog.records}
    assert [] == traces(caplog.text)


def test_a_saved_history_does_not_contain_the_secret(server: Server, tmp_path: Path) -> None:
    """In neither of its two file formats."""
    with bwp.connect() as client:
        client.send(client.new_event("click"))
        for name in ("history.jsonl", "history.csv"):
            client.history.save(tmp_path / name)
            assert [] == traces((tmp_path / name).read_text("utf-8"))


def test_neither_a_ledger_nor_a_report_contains_the_secret(server: Server, tmp_path: Path) -> None:
    """The report of a live run says where the events went."""
    with bwp.connect() as client:
        report = bwp.send_table(client, bwp.traffic.shop_day(60), ledger=tmp_path / "a.ledger", progress=False)
    left = [(tmp_path / "a.ledger").read_text("utf-8"), repr(report), report._repr_html_(), report.frame().to_string()]
    assert [] == traces("".join(left))
    assert f"60 rows to the live API, {server.endpoint} for the store {server.sandbox.target_id}:" in repr(report)
    assert (
        f"60 rows to the live API, {server.endpoint} for the store {server.sandbox.target_id}</p>"
        in report._repr_html_()
    )


def test_no_widget_contains_the_secret(server: Server) -> None:
    """A notebook may be saved with the state of its widgets."""
    with bwp.connect() as client:
        form = bwp.forms.EventForm(client)
        form.check.click()
        form.confirm.value = True
        form.send.click()
        assert "sent" == form.state
        assert [] == traces(_decoded(json.loads(json.dumps(Widget.get_manager_state(), default=str))))


@pytest.mark.parametrize("mode", ["Verbose", "Context"])
@pytest.mark.parametrize("broken", ["BWP_TOKEN_ENDPOINT", "BWP_ENDPOINT", "BWP_CLIENT_SECRET"])
def test_no_traceback_shows_the_secret(server: Server, monkeypatch: pytest.MonkeyPatch, mode: str, broken: str) -> None:
    """Not even one that prints the variables of every frame, wherever the call breaks."""
    if broken == "BWP_CLIENT_SECRET":
        server.sandbox.client_secret = "another"  # noqa: S105  # so that the planted one is refused
    monkeypatch.setenv("BWP_CLIENT_SECRET", MARKER)
    if broken != "BWP_CLIENT_SECRET":
        monkeypatch.setenv(broken, _dead_endpoint())
    retries = "import dataclasses; client.retries = dataclasses.replace(client.retries, attempts=1)"
    saved = _executed(
        f"%xmode {mode}",
        f"import bwp_nb as bwp; client = bwp.connect(); {retries}",
        "client.send(client.new_event('click'))",
        "client.last_error, bwp.doctor()",
    )
    assert "RequestFailed" in saved
    assert [] == traces(saved)


@pytest.mark.parametrize("name", ["01_first_event", "07_going_live"])
def test_no_notebook_that_ran_live_contains_the_secret(server: Server, name: str) -> None:
    """It is saved with all its outputs and the state of its widgets."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    saved = _executed(*(cell.source for cell in cells if cell.cell_type == "code"))
    assert server.sandbox.accepted
    assert [] == traces(saved)
