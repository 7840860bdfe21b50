"""A planted secret is searched for in all that is kept or shown: whole, and by its first and last six characters."""

import json
import logging
import pickle
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import keyring
import nbformat
import pytest
from ipywidgets import Widget
from nbclient import NotebookClient

import bwp_nb as bwp
from bwp_nb import settings
from bwp_nb.sandbox.server import Server
from bwp_nb.wire.auth import Credentials, Secret
from tests.servers import Connection, serving
from tests.test_settings import Kept

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
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(kept)


def test_no_log_shows_the_secret(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the level DEBUG of every logger, those of httpx and h11 included."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "h11", "bwp_nb"):
        caplog.set_level(logging.DEBUG, logger=name)
    with bwp.connect() as client:
        client.send(client.new_event("click"))
    assert {"bwp_nb.sandbox.server"} <= {record.name for record in caplog.records}
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


@pytest.mark.parametrize("name", ["01_first_event", "07_go_live"])
def test_no_notebook_that_ran_live_contains_the_secret(server: Server, name: str) -> None:
    """It is saved with all its outputs and the state of its widgets."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    saved = _executed(*(cell.source for cell in cells if cell.cell_type == "code"))
    assert server.sandbox.accepted
    assert [] == traces(saved)


#: Secrets with characters that URLs, JSON and HTML escape.
PLANTED = {
    "BWP_CLIENT_SECRET": "Zq7vX2+planted/for=this&test-K9pL4w",
    "BWP_ACCESS_KEY": "Hj5bN8<access>key'planted-W2rT6y",
}
TOKEN = "Dc4mQ9.token~planted/for+this_test=.U3sF7g"  # noqa: S105


def planted(text: str) -> list[str]:
    """Return the parts of the planted secrets, and of the token, that a text contains."""
    found = [part for secret in (*PLANTED.values(), TOKEN) for part in (secret, secret[:6], secret[-6:])]
    return [part for part in found if part in text]


def _everything(error: BaseException) -> str:
    """Return all that is shown of an error: its text, its tables, and a traceback with the variables of all frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    tables = [repr(error.rows()), error._repr_html_(), repr(vars(error))] if isinstance(error, bwp.BwpError) else []
    return "\n".join(["".join(shown.format()), str(error), repr(error), repr(error.args), *tables])


def _raised(call: Callable[[], Any]) -> BaseException:
    """Return what a call raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        call()
    return caught.value


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The planted secrets in the environment."""
    monkeypatch.chdir(tmp_path)
    given = {"BWP_MODE": "live", "BWP_CONFIRM": "no", "BWP_CLIENT_ID": "an-id", "BWP_TARGET_ID": "bp-1", **PLANTED}
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    return monkeypatch


def _secret_part(request: bytes) -> bytes:
    """Return the lines with secrets, and the body, of a request: what is cut from a long text is its end."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith((b"authorization", b"x-api-access-key"))]
    return b"\r\n".join([*lines, body[:200]])


def _html(request: bytes) -> tuple[str, str, str]:
    return "200 OK", "text/html", f"<pre>{request.decode()}</pre>"


def _json_error(request: bytes) -> tuple[str, str, str]:
    return "200 OK", "application/json", json.dumps({"errors": [{"message": request.decode()}], "data": None})


def _status(request: bytes) -> tuple[str, str, str]:
    given = {"data": {"sendUserEvents": {"status": request.decode()}}}
    return "200 OK", "application/json", json.dumps(given).replace("/", "\\/")


def _header(request: bytes) -> tuple[str, str, str]:
    return f"307 Temporary Redirect\r\nLocation: https://a.invalid/?{quote(request)}", "text/plain", ""


def _media_type(request: bytes) -> tuple[str, str, str]:
    return "502 Bad Gateway", request.decode().replace("\r\n", " "), "<p>"


def _status_line(request: bytes) -> tuple[str, str, str]:
    return f"2{request.decode().replace(chr(13) + chr(10), ' ')}", "text/html", ""


def _token(request: bytes) -> tuple[str, str, str]:
    return "200 OK", "application/json", json.dumps({"access_token": request.decode(), "expires_in": 900})


def _created(request: bytes) -> tuple[str, str, str]:
    return "201 Created", "application/json", json.dumps({"access_token": TOKEN, "body": request.decode()})


ECHOES = [_html, _json_error, _status, _header, _media_type, _status_line]


@pytest.mark.parametrize("status", [None, "400 Bad Request"])
@pytest.mark.parametrize("echo", [*ECHOES, _token, _created])
@pytest.mark.parametrize("path", ["/token", "/graphql"])
def test_a_server_that_repeats_the_request_shows_no_secret(
    live: pytest.MonkeyPatch, path: str, echo: Callable[[bytes], tuple[str, str, str]], status: str | None
) -> None:
    """Neither in an error nor in the history nor in a diagnosis, whatever it puts the request into."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            if f" {path} ".encode() not in request:
                connection.answer(json.dumps({"access_token": TOKEN} if b" /token " in request else {}).encode())
                continue
            first, media_type, body = echo(_secret_part(request))
            first = first.replace("200 OK", status) if status else first
            head = f"HTTP/1.1 {first}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.send((head + body).encode())

    with serving(answer) as server:
        live.setenv("BWP_ENDPOINT", server.endpoint)
        live.setenv("BWP_TOKEN_ENDPOINT", server.endpoint.replace("/graphql", "/token"))
        with bwp.connect(retries=bwp.Retries(attempts=1)) as client:
            error = _raised(lambda: client.send(client.new_event("click")))
            client.history.save("history.jsonl")
            kept = Path("history.jsonl").read_text("utf-8")
            drift = bwp.drift(client)
        shown = [_everything(error), kept, repr(list(client.history)), repr(bwp.doctor()), repr(drift)]
    assert [] == planted("\n".join(shown))
    assert isinstance(error, bwp.BwpError)


@pytest.mark.parametrize(
    "changed",
    [
        {"BWP_TARGET_ID": ""},
        {"BWP_CLIENT_SECRET": f"{PLANTED['BWP_CLIENT_SECRET']} "},
        {"BWP_ACCESS_KEY": f"{PLANTED['BWP_ACCESS_KEY']}\u00e4"},
        {"BWP_ENDPOINT": f"https://somebody:{PLANTED['BWP_CLIENT_SECRET']}@api.invalid/graphql"},
        {"BWP_MODE": "prod"},
        {"SSL_CERT_FILE": "/none/such.pem"},
    ],
    ids=lambda changed: next(iter(changed)),
)
@pytest.mark.parametrize("source", ["environment", "file", "keyring"])
def test_no_error_of_the_settings_shows_a_secret(
    live: pytest.MonkeyPatch, changed: dict[str, str], source: str
) -> None:
    """Wherever the secrets come from, and whichever setting is wrong."""
    given = {"BWP_MODE": "live", "BWP_CLIENT_ID": "an-id", "BWP_TARGET_ID": "bp-1", **PLANTED, **changed}
    if source == "environment":
        for name, text in given.items():
            live.setenv(name, text)
    else:
        for name in given.keys() - {"SSL_CERT_FILE"}:
            live.delenv(name, raising=False)
        live.setenv("BWP_MODE", given["BWP_MODE"])
        live.setenv("SSL_CERT_FILE", given.get("SSL_CERT_FILE", ""))
        if source == "file":
            lines = [f"{name}='{text.replace(chr(39), chr(92) + chr(39))}'\n" for name, text in given.items()]
            Path(".env").write_text("".join(lines), "utf-8")
    before = keyring.get_keyring()
    keyring.set_keyring(Kept(given if source == "keyring" else {}))
    try:
        errors = [_raised(bwp.connect)]
    finally:
        keyring.set_keyring(before)
    assert isinstance(errors[0], bwp.InvalidSettings)
    assert [] == planted(_everything(errors[0]))


def test_settings_as_arguments_and_unreadable_files_show_no_secret(live: pytest.MonkeyPatch) -> None:
    """A dict of settings is not kept in a frame, and neither are the bytes of a file."""
    error = _raised(lambda: settings.live({**PLANTED, "BWP_TARGET_ID": "bp 1"}))
    assert [] == planted(_everything(error))
    Path(".env").write_bytes(f"BWP_CLIENT_SECRET={PLANTED['BWP_CLIENT_SECRET']}\n\xff".encode("latin-1"))
    assert [] == planted(_everything(_raised(bwp.connect)))


def test_a_redirect_that_is_refused_shows_no_secret(live: pytest.MonkeyPatch) -> None:
    """Nor does the question."""
    asked: list[str] = []
    Path(".env").write_text("BWP_TOKEN_ENDPOINT=https://shop.invalid/token\n", "utf-8")
    error = _raised(lambda: bwp.connect(confirm=lambda text: bool(asked.append(text))))
    assert [] == planted(_everything(error) + repr(asked))
    assert 1 == len(asked)


def test_the_search_for_variables_finds_a_plain_one(live: pytest.MonkeyPatch) -> None:
    """The search works: a secret in a plain local variable is found."""

    def careless() -> None:
        secret = PLANTED["BWP_CLIENT_SECRET"]
        raise RuntimeError(str(len(secret)))

    assert 3 == len(planted(_everything(_raised(careless))))


@pytest.mark.parametrize(
    "escaped",
    [
        "a/b+c=d&e", "a%2Fb%2Bc%3Dd%26e", "a%2fb%2bc%3dd%26e", "a\\/b+c=d&e", "a/b\\u002Bc=d\\u0026e",
        "a/b+c=d&amp;e", "a&#x2F;b+c&#61;d&amp;e",
    ],
)  # fmt: skip
def test_a_secret_is_recognised_in_every_common_escape(escaped: str) -> None:
    """Those of URLs, JSON and HTML."""
    assert "<[redacted]>" == Secret("a/b+c=d&e").removed_from(f"<{escaped}>")


def test_a_short_secret_is_not_looked_for() -> None:
    """It would be found by chance, even in the proof that an event was accepted."""
    assert "successful" == Secret("success").removed_from("successful")


@pytest.mark.parametrize("path", ["/token", "/graphql"])
def test_an_interrupt_while_a_response_is_awaited_shows_no_secret(live: pytest.MonkeyPatch, path: str) -> None:
    """Ctrl-C is raised in the middle of the transport, whose variables are shown as well."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            if f" {path} ".encode() in request:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                connection.wait()
            else:
                connection.answer(json.dumps({"access_token": TOKEN}).encode())

    with serving(answer) as server:
        live.setenv("BWP_ENDPOINT", server.endpoint)
        live.setenv("BWP_TOKEN_ENDPOINT", server.endpoint.replace("/graphql", "/token"))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with bwp.connect() as client:
                error = _raised(lambda: client.send(client.new_event("click")))
        finally:
            signal.signal(signal.SIGINT, before)
    assert isinstance(error, KeyboardInterrupt)
    assert [] == planted(_everything(error))
