"""`TokenAuth`: one token for many sends and threads, renewed in time; and a secret that nobody gets to see."""

import copy
import json
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, MutationRejected, OutcomeUnknown, RequestFailed, Sandbox
from bwp_nb.sandbox.api import SandboxClock
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import SUCCESS, Connection, once, serving
from tests.strategies import event

MARKER = "marker-of-a-secret"
TOKEN = "marker-of-a-token"  # noqa: S105  # to be looked for


class Meeting(httpx.BaseTransport):
    """The sandbox behind a wire on which, once it is told so, some answers to events wait for each other."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._left = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(1)

    def gather(self, count: int) -> None:
        """Let the next few answers wait for each other."""
        self._left = count
        self._barrier = threading.Barrier(count)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        response = self._sandbox.handle_request(request)
        with self._lock:
            self._left -= 1
            waits = self._left >= 0
        if waits:
            self._barrier.wait(20)
        return response


class SlowTokens(httpx.BaseTransport):
    """The sandbox, of which a token takes a moment, so that threads come to want one at once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        time.sleep(0.05)
        return self._sandbox.handle_request(request)


def _auth(sandbox: Sandbox, **changes: str) -> TokenAuth:
    given = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "target_id": sandbox.target_id}
    given |= changes
    credentials = Credentials(given["client_id"], Secret(given["client_secret"]), given["target_id"])
    return TokenAuth(credentials, sandbox.token_endpoint, SlowTokens(sandbox), sandbox.clock)


def _client(sandbox: Sandbox, transport: httpx.BaseTransport | None = None, **changes: str) -> Client:
    auth = _auth(sandbox, **changes)
    return Client(transport or sandbox, sandbox.endpoint, auth=auth, sandbox=sandbox, clock=sandbox.clock)


def _sandbox_client() -> tuple[Client, Sandbox]:
    sandbox = Sandbox()
    return _client(sandbox), sandbox


def _in_threads(act: Callable[[int], object], count: int = 16) -> None:
    threads = [threading.Thread(target=act, args=(name,)) for name in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_many_sends_take_one_token() -> None:
    """It is kept, not got for each."""
    client, sandbox = _sandbox_client()
    for _ in range(20):
        client.send(event())
    assert 1 == sandbox.token_requests


@pytest.mark.parametrize(("seconds", "expected"), [(0, 1), (800, 1), (850, 2), (899, 2), (10_000, 2)])
def test_a_token_is_renewed_ahead_of_its_fifteen_minutes(seconds: float, expected: int) -> None:
    """So that none is refused for its age."""
    client, sandbox = _sandbox_client()
    client.send(event())
    sandbox.clock.sleep(seconds)
    assert 1 == client.send(event()).attempts
    assert (expected, 2) == (sandbox.token_requests, len(sandbox.requests))


def test_hours_of_sends_meet_no_refused_token() -> None:
    """One token for each quarter of an hour, or a little less."""
    client, sandbox = _sandbox_client()
    for _ in range(60):
        client.send(event())
        sandbox.clock.sleep(300)
    assert 60 == len(sandbox.requests)
    assert 20 <= sandbox.token_requests <= 30


@pytest.mark.parametrize("by_status", [True, False], ids=["HTTP 401", "GraphQL error"])
def test_a_refused_token_costs_one_renewal_and_one_resend(by_status: bool) -> None:
    """Within the same attempt."""
    client, sandbox = _sandbox_client()
    client.send(event())
    sandbox.expire_tokens(by_status)
    assert 1 == client.send(event(event_id="second")).attempts
    assert (2, 3) == (sandbox.token_requests, len(sandbox.requests))
    assert [event().event_id, "second"] == [kept["eventId"] for kept in sandbox.accepted]


@pytest.mark.parametrize("by_status", [True, False], ids=["HTTP 401", "GraphQL error"])
def test_sixteen_threads_that_meet_an_expired_token_renew_it_once(by_status: bool) -> None:
    """All are refused before any of them has a new one; each event arrives once."""
    sandbox = Sandbox()
    meeting = Meeting(sandbox)
    client = _client(sandbox, meeting)
    client.send(event(event_id="first"))
    sandbox.expire_tokens(by_status)
    meeting.gather(16)
    _in_threads(lambda name: client.send(event(event_id=str(name))))
    assert 2 == sandbox.token_requests
    assert sorted(["first", *map(str, range(16))]) == sorted(kept["eventId"] for kept in sandbox.accepted)


def test_sixteen_threads_that_begin_at_once_get_one_token() -> None:
    """Whoever comes first gets it for all."""
    client, sandbox = _sandbox_client()
    barrier = threading.Barrier(16)

    def send(name: int) -> None:
        barrier.wait(20)
        client.send(event(event_id=str(name)))

    _in_threads(send)
    assert (1, 16) == (sandbox.token_requests, len(sandbox.accepted))


def test_access_denied_for_ever_is_a_rejection_after_one_renewal_and_one_resend() -> None:
    """A token that lacks a permission is not got again and again."""
    sandbox = Sandbox()
    client = _client(sandbox, target_id="bp-somebody-else")
    with pytest.raises(MutationRejected, match="AccessDeniedError") as caught:
        client.send(event())
    assert ("failed", False, 1) == (caught.value.state, caught.value.retryable, caught.value.attempts)
    assert (2, 2, []) == (sandbox.token_requests, len(sandbox.requests), sandbox.accepted)


@pytest.mark.parametrize(
    "changes", [{"client_secret": "wrong"}, {"client_id": "wrong"}, {"client_secret": ""}, {"client_id": "ü&a=b\n"}]
)
def test_bad_credentials_stop_clearly_and_nothing_is_sent(changes: dict[str, str]) -> None:
    """Not tried again, and the error says what to check."""
    sandbox = Sandbox()
    client = _client(sandbox, **changes)
    with pytest.raises(RequestFailed, match="refused the credentials") as caught:
        client.send(event())
    error = caught.value
    assert ("failed", False, False, 1) == (error.state, error.retryable, error.may_have_arrived, error.attempts)
    assert 401 == error.status_code
    assert (1, []) == (sandbox.token_requests, sandbox.requests)


Act = Callable[[httpx.Request], httpx.Response]


def _raises(error: Exception) -> Act:
    def act(_: httpx.Request) -> httpx.Response:
        raise error

    return act


def _given(text: Any, **more: Any) -> Act:
    return lambda _: httpx.Response(200, json={"access_token": text, **more})


def _status(status_code: int, text: str = "<p>No</p>", **headers: str) -> Act:
    return lambda _: httpx.Response(status_code, text=text, headers=headers)


def _token_client(*acts: Act, attempts: int = 3, answer: Any = SUCCESS) -> tuple[Client, list[str]]:
    """Return a client whose token endpoint does one thing after the other, and the tokens that the API then sees."""
    todo = list(acts)
    seen: list[str] = []

    def token(request: httpx.Request) -> httpx.Response:
        return (todo.pop(0) if len(todo) > 1 else todo[0])(request)

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json=answer)

    clock = SandboxClock()
    credentials = Credentials("id", Secret(MARKER), "bp-1")
    auth = TokenAuth(credentials, "https://api.invalid/token", httpx.MockTransport(token), clock)
    transport = httpx.MockTransport(api)
    retries = Retries(attempts=attempts)
    return Client(transport, "https://api.invalid/graphql", auth=auth, clock=clock, retries=retries), seen


GOOD = _given("good", expires_in=900)


@pytest.mark.parametrize(
    ("act", "status_code", "attempts", "words"),
    [
        (_status(500), 500, 3, "HTTP 500"),
        (_status(503, ""), 503, 3, "HTTP 503"),
        (_status(429), 429, 3, "HTTP 429"),
        (_raises(httpx.ReadTimeout("late")), None, 3, "ReadTimeout"),
        (_raises(httpx.ConnectError("refused\x1b")), None, 3, r"refused\x1b"),
        (_raises(httpx.RemoteProtocolError("closed")), None, 3, "RemoteProtocolError"),
        (_status(400), 400, 1, "refused the credentials"),
        (_status(401), 401, 1, "refused the credentials"),
        (_status(403), 403, 1, "refused the credentials"),
        (_status(404), 404, 1, "HTTP 404"),
        (_status(302, "", Location="https://evil.invalid/"), 302, 1, "HTTP 302"),
        (_status(200), 200, 1, "without an access token"),
        (_status(200, "", **{"Content-Type": "text/html\x1b[31m"}), 200, 1, r"text/html\x1b[31m"),
        (_status(200, "[]"), 200, 1, "without an access token"),
        (_status(200, "null"), 200, 1, "without an access token"),
        (_status(200, '{"access_token": "a'), 200, 1, "without an access token"),
        (_status(200, "{}"), 200, 1, "without an access token"),
        (_given(None), 200, 1, "without an access token"),
        (_given(["a"]), 200, 1, "without an access token"),
        (_given("a\r\nX-Evil: 1"), 200, 1, "without an access token"),
        (_given("a\n"), 200, 1, "without an access token"),
        (_given("ü"), 200, 1, "without an access token"),
        *[(_given(text), 200, 1, "without an access token") for text in ("", " ", "a ", " a", "a b", "a\x7f")],
        (_status(200, f'{{"access_token": "a", "expires_in": {"9" * 4000}}}'), 200, 1, "without an access token"),
        (_status(200, "[" * 100_000), 200, 1, "without an access token"),
        (_status(200, f'{{"access_token": "a", "a": "{"x" * 2**21}"}}'), 200, 1, "without an access token"),
        (_given("a", expires_in="soon"), 200, 1, "without an access token"),
        (_given("a", expires_in=None), 200, 1, "without an access token"),
        (_given("a", expires_in=[900]), 200, 1, "without an access token"),
    ],
)
def test_a_token_endpoint_that_gives_no_token_is_a_failure_to_send(
    act: Act, status_code: int | None, attempts: int, words: str
) -> None:
    """The events were not sent, the error says what came, and what may pass is tried again."""
    client, seen = _token_client(act)
    with pytest.raises(RequestFailed) as caught:
        client.send(event())
    error = caught.value
    assert ("failed", False, attempts) == (error.state, error.may_have_arrived, error.attempts)
    assert (status_code, attempts > 1) == (error.status_code, error.retryable)
    assert words in str(error)
    assert str(error).isprintable()
    assert [] == seen


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (_raises(httpx.ReadTimeout("late")), "No response from https://api.invalid/token: ReadTimeout: late."),
        (
            _raises(httpx.ConnectError(f"refused {MARKER}")),
            "Cannot connect to https://api.invalid/token: ConnectError: refused [redacted]. "
            "Check the address and the network.",
        ),
    ],
)
def test_a_token_endpoint_that_does_not_answer_is_named(act: Act, expected: str) -> None:
    """The message says that it was asked for a token, and what happened instead."""
    client, _ = _token_client(act, attempts=1)
    with pytest.raises(RequestFailed) as caught:
        client.send(event())
    ending = "Stopped after 1 attempt. The events were not accepted."
    assert f"Cannot get a token: {expected} {ending}" == str(caught.value)


@pytest.mark.parametrize("act", [_status(500), _status(429), _raises(httpx.ReadTimeout("late"))])
def test_a_token_endpoint_that_recovers_is_asked_again(act: Act) -> None:
    """And the events are sent."""
    client, seen = _token_client(act, GOOD)
    assert 2 == client.send(event()).attempts
    assert ["Bearer good"] == seen


@pytest.mark.parametrize("asked", ["30", "Fri, 22 Nov 2024 09:00:30 GMT"])
def test_a_token_endpoint_that_asks_to_wait_is_waited_for(asked: str) -> None:
    """In seconds or until a date, as the API itself."""
    client, seen = _token_client(_status(429, **{"Retry-After": asked}), GOOD)
    assert 30 == client.send(event()).elapsed
    assert ["Bearer good"] == seen


def test_a_token_endpoint_that_asks_to_wait_is_left_alone_by_all_threads() -> None:
    """Sixteen sends that need a token meanwhile do not ask for one; after the time, one does."""
    asked: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429, headers={"Retry-After": "30"})

    client, seen = _token_client(refuse, GOOD, attempts=1)
    found: list[float | None] = []

    def send(_: int) -> None:
        with pytest.raises(RequestFailed) as caught:
            client.send(event())
        found.append(caught.value.retry_after)

    _in_threads(send)
    assert ([30.0] * 16, 1, []) == (found, len(asked), seen)
    client.clock.sleep(30)
    assert "successful" == client.send(event()).status
    assert ["Bearer good"] == seen


def test_a_thread_waits_for_the_token_of_another_only_until_its_own_deadline() -> None:
    """The other one is still waiting then, and nothing was sent."""
    begun, done = threading.Event(), threading.Event()

    def hang(_: httpx.Request) -> httpx.Response:
        begun.set()
        done.wait(60)
        return httpx.Response(200, json={"access_token": "good"})

    client, seen = _token_client(hang, attempts=1)
    first = threading.Thread(target=client.send, args=(event(),))
    first.start()
    assert begun.wait(60)
    client.timeout = 0.1
    with pytest.raises(RequestFailed, match="another thread") as caught:
        client.send(event())
    assert ("failed", True, True, []) == (caught.value.state, caught.value.retryable, first.is_alive(), seen)
    done.set()
    first.join()
    assert ["Bearer good"] == seen


def test_a_hanging_token_endpoint_is_asked_once_for_sixteen_threads() -> None:
    """With one deadline for all, they end with it, not one after the other."""
    with serving(once(Connection.drain)) as server:
        credentials = Credentials("id", Secret(MARKER), "bp-1")
        auth = TokenAuth(credentials, server.endpoint, DeadlineTransport(), Clock())
        deadline, found = time.monotonic() + 1.0, []

        def sign(_: int) -> None:
            with pytest.raises(RequestFailed) as caught:
                auth.sign(httpx.Request("POST", server.endpoint, extensions={"deadline": deadline}))
            found.append(caught.value.state)

        _in_threads(sign)
        assert (["failed"] * 16, 1) == (found, len(server.requests))


@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(900, 840), ("900", 840), (3600.0, 3540), (100, 50), (60, 30), (10, 5)]
)
def test_a_token_lives_as_long_as_its_answer_says(expires_in: Any, seconds: float) -> None:
    """But for a minute, or for half of a life that is short."""
    client, seen = _token_client(_given("first", expires_in=expires_in), GOOD)
    for wait in (0, seconds - 1, 1):
        client.clock.sleep(wait)
        client.send(event())
    assert ["Bearer first", "Bearer first", "Bearer good"] == seen


@pytest.mark.parametrize("expires_in", [0, -5, "0"])
def test_a_token_that_is_over_at_once_serves_one_send(expires_in: Any) -> None:
    """It was given for that."""
    client, seen = _token_client(_given("first", expires_in=expires_in), GOOD)
    client.send(event())
    client.send(event())
    assert ["Bearer first", "Bearer good"] == seen


@pytest.mark.parametrize("expires_in", ["NaN", "Infinity", "1e999", "1e30"])
def test_no_token_lives_for_ever(expires_in: str) -> None:
    """Whatever its answer says, it is renewed within a day."""
    client, seen = _token_client(_status(200, f'{{"access_token": "first", "expires_in": {expires_in}}}'), GOOD)
    client.send(event())
    client.clock.sleep(86_400)
    client.send(event())
    assert ["Bearer first", "Bearer good"] == seen


def test_denied_access_beside_a_status_is_not_sent_again() -> None:
    """The events may have been accepted: the status is the documented one."""
    error = {"message": "Not that", "extensions": {"classification": {"type": "AccessDeniedError"}}}
    client, seen = _token_client(GOOD, answer=SUCCESS | {"errors": [error]})
    with pytest.raises(OutcomeUnknown, match="Not that"):
        client.send(event())
    assert 1 == len(seen)


def test_a_token_without_a_lifetime_lives_the_documented_fifteen_minutes() -> None:
    """As “Authenticate to the Buy with Prime API” says."""
    client, seen = _token_client(_given("first"), GOOD)
    for seconds in (0, 839, 2):
        client.clock.sleep(seconds)
        client.send(event())
    assert ["Bearer first", "Bearer first", "Bearer good"] == seen


def test_the_credentials_go_to_the_token_endpoint_as_a_form() -> None:
    """And the token and the target id to the API, with nothing else of them."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"access_token": TOKEN} if request.url.path == "/token" else SUCCESS)

    transport, clock = httpx.MockTransport(answer), SandboxClock()
    auth = TokenAuth(Credentials("id", Secret(MARKER), "bp-1"), "https://api.invalid/token", transport, clock)
    Client(transport, "https://api.invalid/graphql", auth=auth, clock=clock).send(event())
    token, send = seen
    assert "POST" == token.method
    assert "application/x-www-form-urlencoded" == token.headers["Content-Type"]
    assert f"grant_type=client_credentials&client_id=id&client_secret={MARKER}" == token.content.decode()
    assert "Authorization" not in token.headers
    assert (f"Bearer {TOKEN}", "bp-1") == (send.headers["Authorization"], send.headers["x-api-target-id"])
    assert MARKER not in f"{send.url} {send.headers} {send.content!r}"
    assert "marker" not in f"{token.url} {send.url}"


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{0!r} {0!s}".format, lambda secret: f"{[secret]}"])
def test_a_secret_shows_itself_to_nobody(shown: Callable[[Any], str]) -> None:
    """Not even its first letters."""
    credentials = Credentials("id", Secret(MARKER), "bp-1")
    for holder in (Secret(MARKER), credentials, {"a": credentials}, vars(credentials)):
        assert "mark" not in shown(holder)
    assert MARKER == credentials.client_secret.reveal()


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(copied: Callable[[Any], Any]) -> None:
    """It stays where it is, and the refusal does not show it."""
    for holder in (Secret(MARKER), [Secret(MARKER)], Credentials("id", Secret(MARKER), "bp-1")):
        if copied is copy.copy and not isinstance(holder, Secret):
            continue  # which copies no more than what holds it
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            copied(holder)
        assert "mark" not in str(caught.value)


def test_a_token_endpoint_that_repeats_the_secret_does_not_get_it_shown() -> None:
    """Its media type is part of the message."""
    client, _ = _token_client(_status(200, "{}", **{"Content-Type": f"text/{MARKER}"}))
    with pytest.raises(RequestFailed, match="without an access token") as caught:
        client.send(event())
    assert MARKER not in str(caught.value)


def test_a_client_is_not_pickled() -> None:
    """It holds a secret and connections."""
    with pytest.raises(TypeError):
        pickle.dumps(_token_client(GOOD)[0])


def _script(connection: Connection) -> None:
    """Answer as a token endpoint, then as an API that refuses, fails and hangs up, and echoes what it was sent."""
    tokens = 0
    while request := connection.request():
        if request.startswith(b"POST /token"):
            tokens += 1
            connection.answer(json.dumps({"access_token": TOKEN, "expires_in": 900}).encode())
        elif b"denied" in request:
            error = {"message": "No access", "extensions": {"classification": {"type": "AccessDeniedError"}}}
            connection.answer(json.dumps({"errors": [error]}).encode())
        elif b"lost" in request:
            return
        else:
            connection.succeed()


def _no_token(connection: Connection) -> None:
    while connection.request():
        connection.answer(b"<p>No</p>", "503 Service Unavailable")


def test_neither_secret_nor_token_shows_anywhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """In no repr, exception, traceback, history, file or log, though all that logs does so in full."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "h11", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    shown: list[str] = []
    monkeypatch.chdir(tmp_path)
    for script in (_script, _no_token):
        with serving(script) as server:
            _live(monkeypatch, server.port)
            with bwp.connect() as client:
                client.retries = Retries(attempts=2, first_wait=0.01)
                for name in ("good", "denied", "lost"):
                    try:
                        shown.append(repr(client.send(event(event_id=name))))
                    except BwpError as error:
                        shown += [repr(error), str(error), *traceback.format_exception(error), repr(vars(error))]
                        told = traceback.TracebackException.from_exception(error, capture_locals=True)
                        shown += [*told.format(), repr(pickle.dumps(error))]
                shown += [repr(client), repr(vars(client)), repr(client.history), repr(list(client.history))]
                shown += [client.history.frame().to_string(), repr(vars(client._auth))]
                for suffix in ("jsonl", "csv"):
                    client.history.save(tmp_path / f"history.{suffix}")
                    shown.append((tmp_path / f"history.{suffix}").read_text("utf-8"))
    assert "sent" in " ".join(shown)
    shown += [record.getMessage() for record in caplog.records] + [repr(vars(record)) for record in caplog.records]
    assert [] == [text for text in shown if "marker" in text]


def _live(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Set the environment to a live API on this machine."""
    settings = {
        "BWP_MODE": "live",
        "BWP_CLIENT_ID": "id",
        "BWP_CLIENT_SECRET": MARKER,
        "BWP_TARGET_ID": "bp-1",
        "BWP_ENDPOINT": f"http://127.0.0.1:{port}/graphql",
        "BWP_TOKEN_ENDPOINT": f"http://127.0.0.1:{port}/token",
        "BWP_CONFIRM": "no",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    for name, text in settings.items():
        monkeypatch.setenv(name, text)


@pytest.mark.parametrize("path", ["/token", "/graphql"])
def test_a_traceback_with_local_variables_shows_neither_secret_nor_token(path: str) -> None:
    """Whatever the transport had in its hands when it failed."""

    def answer(request: httpx.Request) -> httpx.Response:
        held = f"{request.content!r} {request.headers.raw!r}"
        if request.url.path == path:
            raise httpx.WriteError("reset", request=request)
        assert held
        return httpx.Response(200, json={"access_token": TOKEN})

    transport, clock = httpx.MockTransport(answer), SandboxClock()
    auth = TokenAuth(Credentials("id", Secret(MARKER), "bp-1"), "https://api.invalid/token", transport, clock)
    client = Client(transport, "https://api.invalid/graphql", auth=auth, clock=clock, retries=Retries(attempts=1))
    with pytest.raises(RequestFailed, match="WriteError") as caught:
        client.send(event())
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "marker" not in "".join(told.format())


def test_a_new_token_that_contains_the_old_one_is_used_unchanged() -> None:
    """What is taken out of messages is not taken out of the token."""
    client, seen = _token_client(_given("token-0001"), _given("token-0001-renewed"))
    client.send(event())
    client.clock.sleep(1_000)
    client.send(event())
    assert ["Bearer token-0001", "Bearer token-0001-renewed"] == seen
