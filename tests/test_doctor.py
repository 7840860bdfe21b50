"""The doctor: it names what is wrong and the next step, and sends no event."""

import importlib
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb.sandbox.server import Server
from bwp_nb.settings import SETTINGS
from tests.servers import Connection, serving
from tests.strategies import PROPERTY

LIVE = {"BWP_MODE": "live", "BWP_CLIENT_ID": "an-id", "BWP_CLIENT_SECRET": "a-secret", "BWP_TARGET_ID": "bp-1"}


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


def test_the_sandbox_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing fails, and the steps that need a network are skipped with the reason."""
    _set(monkeypatch, tmp_path, {})
    diagnosis = bwp.doctor()
    assert diagnosis.ok
    assert ["network", "token", "clock"] == [step.name for step in diagnosis.steps if step.outcome == "skipped"]


def test_a_good_live_setup_passes_and_no_event_is_sent(server: Server) -> None:
    """Every step passes."""
    diagnosis = bwp.doctor()
    assert {"passed"} == {step.outcome for step in diagnosis.steps}, diagnosis
    assert [] == server.sandbox.accepted + server.sandbox.rejected


def test_no_settings_fail_with_all_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each is named with the place where to find it, and what builds on the settings is skipped."""
    _set(monkeypatch, tmp_path, {"BWP_MODE": "live"})
    assert ["settings"] == _failed()
    found = _found("settings")
    assert [] == [name for name in ("BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID") if name not in found]
    assert "merchant console" in found
    steps = [step.name for step in bwp.doctor().steps if step.outcome == "skipped"]
    assert ["network", "token", "clock", "schema"] == steps


def test_a_wrong_secret_fails_the_token_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step says what to copy again, and does not show the secret."""
    monkeypatch.setenv("BWP_CLIENT_SECRET", "mistyped-by-hand")
    assert ["token"] == _failed()
    assert "BWP_CLIENT_SECRET" in _found("token")
    assert "mistyped" not in repr(bwp.doctor())


def test_a_wrong_target_fails_the_schema_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token was accepted, so the target or a permission must be wrong."""
    monkeypatch.setenv("BWP_TARGET_ID", "bp-somebody-else")
    assert ["schema"] == _failed()
    assert "BWP_TARGET_ID" in _found("schema")


@pytest.mark.parametrize("name", ["BWP_ENDPOINT", "BWP_TOKEN_ENDPOINT"])
def test_a_name_that_cannot_be_resolved_fails_the_network_step(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The steps after it are skipped, and the secret is not sent."""
    monkeypatch.setenv(name, "https://no-such-host.invalid/graphql")
    assert ["network"] == _failed()
    assert _found("network").startswith("Cannot resolve no-such-host.invalid: ")
    assert "VPN" in _found("network")
    assert 0 == server.sandbox.token_requests


def test_a_proxy_that_cannot_be_used_fails_the_settings_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, and what builds on the settings is skipped."""
    monkeypatch.setenv("BWP_ENDPOINT", "https://api.invalid/graphql")
    monkeypatch.setenv("HTTPS_PROXY", "ftp://somewhere.invalid")
    assert ["settings"] == _failed()
    assert "HTTPS_PROXY" in _found("settings")
    assert _found("network").startswith("Not checked: the settings step failed.")


def test_a_port_that_nobody_listens_on_fails_the_network_step(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name resolves, so this is another problem than a wrong name."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("BWP_ENDPOINT", f"http://{address}/graphql")
    assert ["network"] == _failed()
    assert _found("network").startswith(f"No connection to {address}: ConnectError")
    assert "firewall" in _found("network")


@pytest.mark.parametrize(("minutes", "words"), [(20, "behind"), (-20, "ahead of")])
def test_a_wrong_clock_fails_the_clock_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, minutes: int, words: str
) -> None:
    """The step says by how much, and in which direction."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    token = json.dumps({"access_token": "a-token", "expires_in": 900}).encode()

    def answer(connection: Connection) -> None:
        while connection.request():
            connection.answer(token, "200 OK", f"Date: {date}")

    with serving(answer) as other:
        monkeypatch.setenv("BWP_TOKEN_ENDPOINT", other.endpoint.replace("/graphql", "/token"))
        found = _found("clock")
    assert f"20 minutes {words}" in found


def test_a_web_page_instead_of_a_token_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy or a sign-in page is the likely cause."""

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
    """A trusted authority signed it for another name: the network step fails, and nothing is sent."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another-host.invalid").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with bwp.serve(ssl_context=context) as server:
        _set(monkeypatch, tmp_path, server.environment)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert ["network"] == _failed()
        assert _found("network").startswith(f"The certificate is not valid for 127.0.0.1:{server.port}: ")
        assert "Do not continue" in _found("network")
        assert 0 == server.sandbox.token_requests


def test_a_good_certificate_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same authority signed it for the right address."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with bwp.serve(ssl_context=context) as server:
        _set(monkeypatch, tmp_path, server.environment)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert [] == _failed()


def test_a_diagnosis_shows_as_a_table_and_as_text(server: Server) -> None:
    """A notebook and a terminal show the same steps."""
    diagnosis = bwp.doctor()
    assert [step.name for step in diagnosis.steps] == list(diagnosis.frame()["name"])
    assert len(diagnosis.steps) + 1 == diagnosis._repr_html_().count("<tr>")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_DATES = st.sampled_from(
    [
        "Sun, 06 Nov 1994 08:49:37 -0000", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 +2359", "Mon, 01 Jan 0001 00:00:00 +9999", "99999999", "", "-1", "06 Nov 94",
        "Sun, 06 Nov 99999999999999999999 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +99999999999999999",
        "Sun, 31 Feb 2024 25:61:61 GMT", "Wed, 21 Oct 2015 07:28:00 GMT, Wed, 21 Oct 2015 07:28:00 GMT",
    ]
)  # fmt: skip


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@settings(PROPERTY, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    date=_DATES | st.text(max_size=40),
    token=_JSON | st.fixed_dictionaries({"access_token": st.just("a-token") | _JSON, "expires_in": _JSON}),
    schema=_JSON | st.fixed_dictionaries({"data": _JSON}) | st.fixed_dictionaries({"errors": _JSON})
    | st.fixed_dictionaries({"data": st.fixed_dictionaries({"__schema": _JSON})})
    | st.builds(lambda item: {"data": {"__schema": {"mutationType": {"fields": item}}}}, _JSON | st.lists(_JSON)),
    status_code=st.sampled_from([200, 200, 200, 204, 302, 400, 401, 429, 503]),
)  # fmt: skip
def test_no_response_makes_the_doctor_raise(
    monkeypatch: pytest.MonkeyPatch, date: str, token: Any, schema: Any, status_code: int
) -> None:
    """Odd headers, tokens and schemas are steps that fail or are skipped, with a reason in printable text."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/graphql":
            return httpx.Response(200, content=_bytes(schema))
        headers = [(b"date", date.encode("utf-8", "surrogateescape"))]
        return httpx.Response(status_code, content=_bytes(token), headers=headers)

    for module in ("connection", "checks.doctor"):
        module_itself = importlib.import_module(f"bwp_nb.{module}")
        monkeypatch.setattr(module_itself, "DeadlineTransport", lambda: httpx.MockTransport(answer))
    for name, text in LIVE.items():
        monkeypatch.setenv(name, text)
    diagnosis = bwp.doctor()
    names = ["environment", "settings", "network", "token", "clock", "schema"]
    assert names == [step.name for step in diagnosis.steps]
    assert all(step.found for step in diagnosis.steps)
    assert all(line.isprintable() and len(line) < 2000 for line in repr(diagnosis).split("\n"))


@pytest.mark.parametrize("date", ["Sun, 06 Nov 2044 08:49:37 -0000", "Sun, 06 Nov 2044 08:49:37"])
def test_a_date_without_a_zone_is_taken_for_utc(server: Server, monkeypatch: pytest.MonkeyPatch, date: str) -> None:
    """The clock is compared with it as with any other."""

    def answer(connection: Connection) -> None:
        while connection.request():
            connection.answer(b'{"access_token": "a-token"}', "200 OK", f"Date: {date}")

    with serving(answer) as other:
        monkeypatch.setenv("BWP_TOKEN_ENDPOINT", other.endpoint.replace("/graphql", "/token"))
        assert "minutes behind the server's." in _found("clock")


@pytest.mark.parametrize("name", ["sendUserEventsV2", "sendUserEvent", "SendUserEvents", "resendUserEvents"])
def test_a_mutation_of_a_similar_name_is_not_the_mutation(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The name must be exact."""

    def answer(connection: Connection) -> None:
        while connection.request():
            connection.answer(_bytes({"data": {"__schema": {"mutationType": {"fields": [{"name": name}]}}}}))

    with serving(answer) as other:
        monkeypatch.setenv("BWP_ENDPOINT", other.endpoint)
        assert ["schema"] == _failed()
        assert "The schema has no sendUserEvents." in _found("schema")
