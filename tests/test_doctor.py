"""The doctor: whatever is wrong, it names that, and sends no event."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

import bwp_nb as bwp
from bwp_nb.sandbox.server import Server
from bwp_nb.settings import SETTINGS
from tests.servers import Connection, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A served sandbox that plays the live host, with this process set up as its live client."""
    with bwp.serve() as server:
        _set(monkeypatch, tmp_path, server.environment)
        yield server


def _set(monkeypatch: pytest.MonkeyPatch, folder: Path, given: dict[str, str]) -> None:
    """Give this process these settings and no others, from a folder without a `.env` file."""
    monkeypatch.chdir(folder)
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    for name, text in given.items():
        monkeypatch.setenv(name, text)


def _failed() -> list[str]:
    return [step.name for step in bwp.doctor().steps if step.outcome == "failed"]


def _found(name: str) -> str:
    (step,) = [step for step in bwp.doctor().steps if step.name == name]
    return f"{step.found} {step.next_step}"


def test_the_sandbox_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing fails, and what needs a network is skipped with the reason."""
    _set(monkeypatch, tmp_path, {})
    checkup = bwp.doctor()
    assert checkup.ok
    assert {"name", "TLS", "clock"} == {step.name for step in checkup.steps if step.outcome == "skipped"}


def test_a_good_live_set_up_is_well_and_no_event_was_sent(server: Server) -> None:
    """Every step passes but TLS, which a server on this machine does without."""
    checkup = bwp.doctor()
    assert checkup.ok, checkup
    assert ["TLS"] == [step.name for step in checkup.steps if step.outcome == "skipped"]
    assert [] == server.sandbox.accepted + server.sandbox.rejected


def test_no_settings_fail_with_all_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each is named with the place where it is found."""
    _set(monkeypatch, tmp_path, {"BWP_MODE": "live"})
    assert ["settings"] == _failed()
    found = _found("settings")
    assert [] == [name for name in ("BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID") if name not in found]
    assert "merchant console" in found


def test_a_wrong_secret_fails_the_token_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to copy again, but not the secret."""
    monkeypatch.setenv("BWP_CLIENT_SECRET", "mistyped-by-hand")
    assert ["token"] == _failed()
    assert "BWP_CLIENT_SECRET" in _found("token")
    assert "mistyped" not in repr(bwp.doctor())


def test_a_wrong_target_fails_the_schema_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is good, so it must be the target or a permission."""
    monkeypatch.setenv("BWP_TARGET_ID", "bp-somebody-else")
    assert ["schema"] == _failed()
    assert "BWP_TARGET_ID" in _found("schema")


def test_an_unknown_name_fails_the_name_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What builds on it is skipped, not failed."""
    monkeypatch.setenv("BWP_ENDPOINT", "https://no-such-host.invalid/graphql")
    assert ["name"] == _failed()
    assert "no-such-host.invalid" in _found("name")


@pytest.mark.parametrize(("minutes", "words"), [(20, "behind"), (-20, "ahead of")])
def test_a_clock_that_is_off_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, minutes: int, words: str
) -> None:
    """By how much, and in which direction."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    token = json.dumps({"access_token": "a-token", "expires_in": 900}).encode()

    def answer(connection: Connection) -> None:
        while connection.request():
            connection.answer(token, "200 OK", f"Date: {date}")

    with serving(answer) as other:
        monkeypatch.setenv("BWP_TOKEN_ENDPOINT", other.endpoint.replace("/graphql", "/token"))
        found = _found("clock")
    assert f"20 minutes {words}" in found


def test_a_proxy_that_answers_html_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web page came instead of a token."""

    def answer(connection: Connection) -> None:
        while connection.request():
            page = b"<h1>Sign in</h1>"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
            connection.send(head.encode() + page)

    with serving(answer) as proxy:
        monkeypatch.setenv("BWP_TOKEN_ENDPOINT", proxy.endpoint.replace("/graphql", "/token"))
        assert ["token"] == _failed()
        assert "proxy" in _found("token")


def test_a_certificate_of_another_host_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody who is trusted vouches for another name: the TLS step fails, and nothing is sent."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another-host.invalid").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with bwp.serve(ssl_context=context) as server:
        _set(monkeypatch, tmp_path, server.environment)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert ["TLS"] == _failed()
        assert "certificate is not that of 127.0.0.1" in _found("TLS")
        assert 0 == server.sandbox.token_requests


def test_a_good_certificate_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same authority, vouching for the right address."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with bwp.serve(ssl_context=context) as server:
        _set(monkeypatch, tmp_path, server.environment)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert [] == _failed()


def test_the_command_ends_with_a_status_for_ci(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 where all is well, 1 where a step failed; it prints a line for each step."""
    command = [sys.executable, "-W", "error", "-m", "bwp_nb.doctor"]
    well = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (well.returncode, well.stderr)
    assert len(bwp.doctor().steps) == len(well.stdout.splitlines())
    monkeypatch.setenv("BWP_CLIENT_SECRET", "mistyped")
    assert 1 == subprocess.run(command, capture_output=True, check=False).returncode


def test_a_checkup_shows_as_a_table_and_as_text(server: Server) -> None:
    """In a notebook and in a terminal, the same steps."""
    checkup = bwp.doctor()
    assert [step.name for step in checkup.steps] == list(checkup.frame()["name"])
    assert len(checkup.steps) + 1 == checkup._repr_html_().count("<tr>")
