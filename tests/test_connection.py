"""`connect`: the sandbox, unless the environment says otherwise in full."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, RequestFailed, Sandbox
from tests.servers import Connection, Server, serving
from tests.strategies import event

NEEDED = {"BWP_CLIENT_ID": "id", "BWP_CLIENT_SECRET": "marker-of-a-secret", "BWP_TARGET_ID": "bp-1"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin with no settings at all, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BWP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BWP_CONFIRM", "no")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


def _set(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, text in settings.items():
        monkeypatch.setenv(name, text)


def _live(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    _set(monkeypatch, BWP_MODE="live", **NEEDED | settings)


def test_without_settings_it_is_a_new_sandbox() -> None:
    """Nothing is needed to begin."""
    first, second = bwp.connect(), bwp.connect()
    assert "Client(sandbox)" == repr(first)
    assert isinstance(first.sandbox, Sandbox)
    assert first.sandbox is not second.sandbox


def test_a_sandbox_that_is_given_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An explicit sandbox wins over the mode live."""
    sandbox = Sandbox()
    assert sandbox is bwp.connect(sandbox).sandbox
    _set(monkeypatch, BWP_MODE="live")
    assert sandbox is bwp.connect(sandbox).sandbox


def test_the_mode_can_name_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live credentials beside it change nothing."""
    _set(monkeypatch, BWP_MODE="sandbox", **NEEDED)
    assert "Client(sandbox)" == repr(bwp.connect())


@pytest.mark.parametrize("mode", ["LIVE", "Live", "live ", "production", "1", "sand box"])
def test_any_other_mode_is_refused(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """It is not guessed to be live, nor taken for the sandbox."""
    _set(monkeypatch, BWP_MODE=mode)
    with pytest.raises(BwpError, match="BWP_MODE") as caught:
        bwp.connect()
    assert repr(mode) in str(caught.value)


@pytest.mark.parametrize("left_out", [list(NEEDED), ["BWP_CLIENT_SECRET"], ["BWP_CLIENT_ID", "BWP_TARGET_ID"]])
@pytest.mark.parametrize("blank", [True, False], ids=["blank", "absent"])
def test_all_that_is_missing_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, left_out: list[str], blank: bool
) -> None:
    """The message does not name what is set, and shows no value."""
    _live(monkeypatch)
    for name in left_out:
        if blank:
            monkeypatch.setenv(name, "")
        else:
            monkeypatch.delenv(name)
    with pytest.raises(BwpError) as caught:
        bwp.connect()
    assert left_out == [name for name in NEEDED if f"{name} is required" in str(caught.value)]
    assert "marker" not in str(caught.value)


def test_what_is_wrong_and_what_is_missing_is_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error is enough to fix everything."""
    _live(monkeypatch, BWP_ENDPOINT="http://shop.invalid/graphql")
    monkeypatch.delenv("BWP_TARGET_ID")
    with pytest.raises(BwpError) as caught:
        bwp.connect()
    assert "BWP_TARGET_ID is required" in str(caught.value)
    assert "http://shop.invalid/graphql" in str(caught.value)


@pytest.mark.parametrize("name", ["BWP_ENDPOINT", "BWP_TOKEN_ENDPOINT"])
@pytest.mark.parametrize(
    "address",
    [
        "http://api.buywithprime.amazon.com/graphql",
        "http://127.0.0.1@shop.invalid/",
        "http://127.0.0.1.shop.invalid/",
        "http://localhost.shop.invalid/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1:8080/graphql",
        "api.buywithprime.amazon.com/graphql",
        "https://xn--zz/",
        "https://shop.invalid:99999/",
        "https://b\u00fccher.invalid/",
        "https://shop.invalid/ graphql",
        "https:///graphql",
    ],
)
def test_neither_events_nor_credentials_go_out_in_the_open(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    """Only https is accepted, or this machine; the address is shown, unless it may contain a password."""
    _live(monkeypatch, **{name: address})
    with pytest.raises(BwpError, match="https") as caught:
        bwp.connect()
    assert ("@" not in address) == (address in str(caught.value))


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.invalid/graphql",
        "HTTPS://shop.invalid/graphql",
        "http://127.0.0.1:1/a",
        "http://localhost:1/a",
        "http://[::1]:1/a",
    ],
)
def test_https_and_this_machine_are_taken(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The client shows where it points."""
    _live(monkeypatch, BWP_ENDPOINT=address, BWP_TOKEN_ENDPOINT=address)
    assert f"Client(live, {address})" == repr(bwp.connect())


def test_the_live_address_is_the_documented_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to do with the sandbox."""
    _live(monkeypatch)
    client = bwp.connect()
    assert "Client(live, https://api.buywithprime.amazon.com/graphql)" == repr(client)
    assert client.sandbox is None


def test_connecting_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only sending does."""
    with _serving_api() as server:
        _point_at(monkeypatch, server)
        bwp.connect().close()
        assert 0 == server.connections


class _Api:
    """A live API in miniature: it answers as the sandbox does, on a real socket."""

    def __init__(self) -> None:
        self.sandbox = Sandbox()

    def __call__(self, connection: Connection) -> None:
        while request := connection.request():
            head, _, body = request.partition(b"\r\n\r\n")
            if head.startswith(b"POST /token "):
                connection.answer(json.dumps({"access_token": "a-token", "expires_in": 900}).encode())
            else:
                answer = bwp.connect(self.sandbox).execute(**json.loads(body))
                connection.answer(json.dumps(answer).encode())


def _serving_api() -> Any:
    return serving(_Api())


def _point_at(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    root = f"http://127.0.0.1:{server.port}"
    _live(monkeypatch, BWP_ENDPOINT=f"{root}/graphql", BWP_TOKEN_ENDPOINT=f"{root}/token")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run an API on this machine, to which the settings point."""
    with _serving_api() as server:
        _point_at(monkeypatch, server)
        yield server


def test_a_live_client_gets_a_token_and_sends(api: Server) -> None:
    """One token request, then the events, all on one connection."""
    with bwp.connect() as client:
        assert 3 == client.send([event(), event(), event()]).events
        assert 1 == client.send(event()).attempts
    paths = [head.splitlines()[0] for head, _ in api.requests]
    assert ["POST /token HTTP/1.1", "POST /graphql HTTP/1.1", "POST /graphql HTTP/1.1"] == paths
    assert 1 == api.connections
    head = api.requests[1][0].lower()
    assert [] == [
        line
        for line in ("authorization: bearer a-token", "x-api-target-id: bp-1", "x-api-version: 2024-11-01")
        if line not in head
    ]


def test_a_live_client_is_refused_as_the_sandbox_refuses(api: Server) -> None:
    """The same errors by the same names."""
    bad = event(event_time="2023")
    with bwp.connect() as client, pytest.raises(bwp.MutationRejected) as live:
        client.send(bad, check=False)
    with pytest.raises(bwp.MutationRejected) as played:
        bwp.connect(Sandbox()).send(bad, check=False)
    assert str(played.value) == str(live.value)
    assert 2 == len(api.requests)


def test_a_live_client_has_times_and_ids_of_its_own(api: Server) -> None:
    """Not those of the sandbox."""
    with bwp.connect() as client:
        first, second = client.new_event("click"), client.new_event("click")
        assert first.event_id != second.event_id
        assert not first.event_id.startswith("00000000-")
        assert "successful" == client.send([first, second]).status
    assert 2 == len(api.requests)


def test_the_sandbox_takes_no_live_credential() -> None:
    """Its own credentials are accepted nowhere else."""
    sandbox = Sandbox()
    client = bwp.connect(sandbox)
    client.send(event())
    assert sandbox.client_id.startswith("sandbox-")
    assert ".invalid/" in sandbox.endpoint + "/"
    assert ".invalid" in sandbox.token_endpoint


def test_live_credentials_that_are_refused_stop_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent, and no secret is shown."""

    def refuse(connection: Connection) -> None:
        connection.request()
        connection.answer(b'{"error": "invalid_client"}', "401 Unauthorized")

    with serving(refuse) as server:
        _point_at(monkeypatch, server)
        with bwp.connect() as client, pytest.raises(RequestFailed, match="refused the credentials") as caught:
            client.send(event())
        assert 1 == len(server.requests)
    assert ("failed", False) == (caught.value.state, caught.value.retryable)
    assert "marker" not in str(caught.value)


def test_timeout_and_retries_reach_a_live_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never responds is given up after two short attempts."""

    def keep_silent(connection: Connection) -> None:
        connection.request()
        connection.wait()

    with serving(keep_silent) as server:
        _point_at(monkeypatch, server)
        retries = bwp.Retries(attempts=2, first_wait=0.01, longest_wait=0.01)
        with bwp.connect(timeout=0.2, retries=retries) as client, pytest.raises(RequestFailed) as caught:
            client.send(event())
    assert (0.2, retries) == (client.timeout, client.retries)
    assert 2 == caught.value.attempts


def test_timeout_and_retries_reach_a_client_of_the_sandbox() -> None:
    """The waits are drawn by the sandbox's seeded generator, so that every run is the same."""
    sandbox = Sandbox()
    sandbox.fail_next("http_503", times=9)
    client = bwp.connect(sandbox, timeout=3.0, retries=bwp.Retries(attempts=3))
    with pytest.raises(RequestFailed) as caught:
        client.send(event())
    assert (3, 3.0) == (caught.value.attempts, client.timeout)
    assert sandbox.uniform == client.retries.uniform


def test_a_given_generator_is_kept() -> None:
    """Waits of one's own choice are drawn in the sandbox too."""
    client = bwp.connect(retries=bwp.Retries(uniform=max))
    assert max is client.retries.uniform


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), "10"])
@pytest.mark.parametrize("name", ["timeout", "attempts", "deadline", "first_wait", "longest_wait"])
def test_a_number_that_is_not_positive_is_an_error(name: str, value: Any) -> None:
    """The message has the name and the value."""
    given = {"timeout": value} if name == "timeout" else {"retries": bwp.Retries(**{name: value})}
    with pytest.raises(ValueError, match=f"^{name}: expected a finite number above 0, got {value!r}$"):
        bwp.connect(**given)
