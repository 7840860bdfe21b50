"""A response is read only for the request that it answers: over real sockets whose other ends say too much."""

import json
import select
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpcore
import httpx
import pytest
import trustme

from bwp_nb import Client, Receipt, RequestFailed
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import SUCCESS, Connection, Server, serving
from tests.strategies import event

AUTHORITY = trustme.CA()
SUCCEEDED = json.dumps(SUCCESS).encode()


def _response(
    name: str, status: str = "200 OK", *headers: str, is_chunked: bool = False, body: bytes = SUCCEEDED
) -> bytes:
    """Return a response whose header `X-Name` says which one it is."""
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    if status.startswith("204"):
        length, body = "X-Length: none", b""
    head = [f"HTTP/1.1 {status}", f"X-Name: {name}", "Content-Type: application/json", length, *headers, "", ""]
    return "\r\n".join(head).encode() + body


STRAY = _response("stray")

#: What a server sends in one packet for a request, by the request's number.
TOO_MUCH: dict[str, Callable[[str], bytes]] = {
    "200 and 200": lambda name: _response(name) + STRAY,
    "429 and 200": lambda name: _response(name, "429 Too Many Requests") + STRAY,
    "204 and 200": lambda name: _response(name, "204 No Content") + STRAY,
    "a chunked one and 200": lambda name: _response(name, is_chunked=True) + STRAY,
    "200 and a chunked one": lambda name: _response(name) + _response("stray", is_chunked=True),
    "200 and close": lambda name: _response(name, "200 OK", "Connection: close") + STRAY,
    "200 and one that closes": lambda name: _response(name) + _response("stray", "200 OK", "Connection: close"),
    "three": lambda name: _response(name) + STRAY + STRAY,
    "200 and part of a head": lambda name: _response(name) + STRAY[:30],
    "200 and a response without its body": lambda name: _response(name) + STRAY[: -len(SUCCEEDED)],
    "200 and garbage": lambda name: _response(name) + b"\x00garbage",
    "200 and an empty line": lambda name: _response(name) + b"\r\n",
    "200 and an interim response": lambda name: _response(name) + b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "a body longer than it says": lambda name: _response(name) + SUCCEEDED,
}


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def _transport() -> DeadlineTransport:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return DeadlineTransport(ssl_context=context)


def _names(transport: DeadlineTransport, server: Server, count: int, *, before: Callable[[], Any] = bool) -> list[str]:
    """Send requests, one after the other, and return the names of the responses."""
    found = []
    with httpx.Client(transport=transport, timeout=5) as http:
        for _ in range(count):
            before()
            found.append(http.post(server.endpoint, content=b"{}").headers["X-Name"])
    return found


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_follows_a_response_is_never_read_as_the_next(name: str, scheme: str) -> None:
    """The connection is closed, and the next request gets its own response over another one."""

    def script(connection: Connection) -> None:
        while connection.request():
            connection.send(TOO_MUCH[name](str(connection.number)))

    with serving(script, _context() if scheme == "https" else None) as server:
        assert ["1", "2", "3"] == _names(_transport(), server, 3)
        assert 3 == server.connections


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_second_response_that_comes_late_is_never_read_as_the_next(scheme: str) -> None:
    """It is found before the next request is written."""
    sent = threading.Semaphore()

    def script(connection: Connection) -> None:
        while connection.request():
            connection.send(_response(str(connection.number)))
            connection.send(STRAY)
            sent.release()

    with serving(script, _context() if scheme == "https" else None) as server:
        assert ["1", "2", "3"] == _names(_transport(), server, 3, before=lambda: sent.acquire(timeout=5))


@pytest.mark.parametrize("text", [STRAY, b"SSH-2.0-OpenSSH_9.6\r\n", b""], ids=["response", "no HTTP", "end"])
def test_a_server_that_speaks_first_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    """Nothing is written to it, so the events are known not to be accepted."""
    connect = httpcore.SyncBackend.connect_tcp

    def connect_and_hear(*given: Any) -> httpcore.NetworkStream:
        stream = connect(*given)
        select.select([stream.get_extra_info("socket")], [], [], 5)
        return stream

    def script(connection: Connection) -> None:
        connection.send(text)
        if text:
            connection.drain()

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_and_hear)
    with serving(script) as server:
        client = Client(_transport(), server.endpoint, retries=Retries(attempts=1))
        with client, pytest.raises(RequestFailed, match="before it got a request") as caught:
            client.send(event())
        assert ("failed", True) == (caught.value.state, caught.value.retryable)
        assert 0 == len(server.requests)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_interim_responses_before_a_response_are_legitimate(count: int) -> None:
    """They are skipped, and the connection is used again."""

    def script(connection: Connection) -> None:
        while connection.request():
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * count)
            connection.send(_response(str(connection.number)))

    with serving(script) as server:
        assert ["1", "2", "3"] == _names(_transport(), server, 3)
        assert 1 == server.connections


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refusal_followed_by_a_success_is_not_a_success(scheme: str) -> None:
    """Every request is throttled, and nothing is accepted, whatever else the server sends."""

    def script(connection: Connection) -> None:
        while connection.request():
            connection.send(_response("real", "429 Too Many Requests", body=b"{}") + STRAY)

    with serving(script, _context() if scheme == "https" else None) as server:
        retries = Retries(attempts=4, first_wait=0.01)
        with Client(_transport(), server.endpoint, retries=retries) as client, pytest.raises(RequestFailed) as caught:
            client.send(event())
        assert (429, "failed", 4) == (caught.value.status_code, caught.value.state, caught.value.attempts)


def _early(*answers: bytes, then: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Return the script that answers once it has read the head, and part of the body."""

    def script(connection: Connection) -> None:
        connection.look()
        for answer in answers:
            connection.send(answer)
        then(connection)

    return script


#: What a server does after it has responded early.
AFTERWARDS: dict[str, Callable[[Connection], None]] = {
    "closes": Connection.close,
    "resets": Connection.reset,
    "reads on": Connection.drain,
    "waits": Connection.wait,
}


def _big() -> list[Any]:
    """Return events whose request takes a while to write."""
    return [event(event_id=str(number), additional_properties={"page": "x" * 2**20}) for number in range(6)]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", AFTERWARDS)
def test_a_success_before_the_request_was_written_is_not_proof(name: str, scheme: str) -> None:
    """The server cannot know what it says it has accepted."""
    with serving(_early(STRAY, then=AFTERWARDS[name]), _context() if scheme == "https" else None) as server:
        client = Client(_transport(), server.endpoint, retries=Retries(attempts=1), timeout=3.0)
        with client, pytest.raises(RequestFailed) as caught:
            client.send(_big())
    assert ("unknown", True) == (caught.value.state, caught.value.retryable)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", ["closes", "reads on", "waits"])
def test_a_refusal_before_the_request_was_written_is_heard(name: str, scheme: str) -> None:
    """The rest is not written, and the status is reported; a server that closes at once may take it back (a reset)."""
    refusal = _response("early", "413 Content Too Large", body=b"")
    with serving(_early(refusal, then=AFTERWARDS[name]), _context() if scheme == "https" else None) as server:
        client = Client(_transport(), server.endpoint, retries=Retries(attempts=1), timeout=3.0)
        with client, pytest.raises(RequestFailed) as caught:
            client.send(_big())
    lost = {(None, "unknown")} if name == "closes" else set()
    assert (caught.value.status_code, caught.value.state) in {(413, "failed")} | lost


def test_an_interim_response_before_the_request_was_written_is_legitimate() -> None:
    """The rest of the request is written, and the response read."""

    def script(connection: Connection) -> None:
        connection.request(lambda: connection.send(b"HTTP/1.1 100 Continue\r\n\r\n"))
        connection.succeed()

    with serving(script) as server, Client(_transport(), server.endpoint, retries=Retries(attempts=1)) as client:
        assert Receipt("successful", 6) == client.send(_big())


def test_a_server_that_closes_after_each_response_fails_no_send() -> None:
    """Session tickets of TLS 1.3 and the end of a connection are not data that nobody asked for."""

    def script(connection: Connection) -> None:
        connection.request()
        connection.succeed()

    with serving(script, _context()) as server:
        retries = Retries(first_wait=0.001)
        with Client(_transport(), server.endpoint, retries=retries) as client:
            assert {"successful"} == {client.send(event()).status for _ in range(1000)}
            assert {"sent"} == {exchange.outcome for exchange in client.history}


def test_session_tickets_do_not_cost_a_connection() -> None:
    """They arrive after the first response, unasked, and the connection is used again."""

    def script(connection: Connection) -> None:
        while connection.request():
            connection.succeed()

    with serving(script, _context()) as server, Client(_transport(), server.endpoint) as client:
        assert {1} == {client.send(event()).attempts for _ in range(100)}
        assert 1 == server.connections
