"""`DeadlineTransport`: real sockets whose other ends misbehave, and calls that end anyway."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpcore
import httpx
import pytest

from bwp_nb import Client, Receipt, RequestFailed
from bwp_nb.wire import transport
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import SUCCESS, Connection, once, serving, succeed_always
from tests.strategies import event

#: What an attempt takes if it ends by it, and what it may take if it does not.
TIMEOUT = 0.6
PATIENCE = 5.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = json.dumps(SUCCESS).encode()
MEBIBYTE = 2**20
BOMB = gzip.compress(bytes(32 * MEBIBYTE), 1)


def _client(endpoint: str, attempts: int = 1, deadline: float = 10.0, timeout: float = PATIENCE) -> Client:
    retries = Retries(attempts=attempts, deadline=deadline, first_wait=0.01)
    return Client(DeadlineTransport(), endpoint, retries=retries, timeout=timeout)


def _reset_in_body(connection: Connection) -> None:
    connection.send(HEAD + b"Content-Length: 1000\r\n\r\n" + BODY[:10])
    time.sleep(0.1)  # or the reset overtakes what was sent
    connection.reset()


def _endless_answer(connection: Connection) -> None:
    connection.send(HEAD + b"Content-Length: %d\r\n\r\n" % (256 * MEBIBYTE))
    for _ in range(256):
        connection.send(b"x" * MEBIBYTE)


def _endless_chunks(connection: Connection) -> None:
    connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


def _endless_head(connection: Connection) -> None:
    connection.send(HEAD)
    while True:
        connection.send(b"X-More: " + b"x" * 1000 + b"\r\n")


def _endless_interim_answers(connection: Connection) -> None:
    while not connection.is_stopped:
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.05)


def _gzip(connection: Connection) -> None:
    connection.answer(gzip.compress(BODY), "200 OK", "Content-Encoding: gzip")


def _bomb(connection: Connection) -> None:
    connection.answer(BOMB, "200 OK", "Content-Encoding: gzip")


#: What a server does once it has read the request; the HTTP status of the error; words in it.
MISBEHAVIOUR: dict[str, tuple[Callable[[Connection], None], int | None, str]] = {
    "silence": (lambda c: c.drain(), None, "ReadTimeout"),
    "reset before an answer": (lambda c: c.reset(), None, "ReadError"),
    "reset in mid-body": (_reset_in_body, None, "ReadError"),
    "close without an answer": (lambda c: c.close(), None, "RemoteProtocolError"),
    "close in the head": (lambda c: c.send(HEAD), None, "RemoteProtocolError"),
    "close in mid-body": (lambda c: c.send(HEAD + b"Content-Length: 1000\r\n\r\n{"), None, "RemoteProtocolError"),
    "a byte now and then in the head": (lambda c: c.trickle(HEAD), None, "ReadTimeout"),
    "a byte now and then in the body": (
        lambda c: [c.send(HEAD + b"Content-Length: 1000\r\n\r\n"), c.trickle(BODY)],
        None,
        "ReadTimeout",
    ),
    "a chunk now and then": (
        lambda c: [c.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), c.trickle(b"1\r\nx\r\n" * 20)],
        None,
        "ReadTimeout",
    ),
    "an answer of 256 MiB": (_endless_answer, 200, "longer than 1048576 bytes"),
    "chunks without end": (_endless_chunks, 200, "longer than 1048576 bytes"),
    "a head without end": (_endless_head, None, "RemoteProtocolError"),
    "interim answers without end": (_endless_interim_answers, None, "ReadTimeout"),
    "a compressed answer": (_gzip, 200, "compressed"),
    "a compressed answer of 32 MiB": (_bomb, 200, "compressed"),
    "no HTTP": (lambda c: c.send(b"SSH-2.0-OpenSSH_9.6\r\n"), None, "RemoteProtocolError"),
    "a chunk of no length": (
        lambda c: c.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        None,
        "RemoteProtocolError",
    ),
}


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_a_call_ends_in_time_and_is_called_unknown(name: str) -> None:
    """The request was written, so it may have arrived; nothing hangs, whatever the server does."""
    act, status_code, words = MISBEHAVIOUR[name]
    timeout = TIMEOUT if words == "ReadTimeout" else PATIENCE
    with serving(once(act)) as server, _client(server.endpoint, timeout=timeout) as client:
        started = time.monotonic()
        with pytest.raises(RequestFailed) as caught:
            client.send(event())
        assert time.monotonic() - started < timeout + 1
    error = caught.value
    assert (status_code, "unknown", True, 1) == (error.status_code, error.state, error.may_have_arrived, error.attempts)
    assert words in str(error)
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    "name", ["silence", "reset in mid-body", "close without an answer", "a byte now and then in the body"]
)
def test_retries_end_with_the_deadline_of_the_call(name: str) -> None:
    """All attempts together, plus a second; every attempt has the same body."""
    act, _, _ = MISBEHAVIOUR[name]
    with serving(once(act)) as server, _client(server.endpoint, 3, deadline=1.1, timeout=TIMEOUT) as client:
        started = time.monotonic()
        with pytest.raises(RequestFailed) as caught:
            client.send(event())
        assert time.monotonic() - started < 1.1 + 1
    assert 1 < caught.value.attempts == len(server.requests)
    assert 1 == len({body for _, body in server.requests})


@pytest.mark.parametrize("name", ["reset before an answer", "reset in mid-body", "close without an answer", "silence"])
def test_an_answer_that_was_lost_is_got_by_a_second_attempt(name: str) -> None:
    """With the same bytes, on a new connection."""
    acts = iter([MISBEHAVIOUR[name][0]])

    def act(connection: Connection) -> None:
        next(acts, Connection.succeed)(connection)

    with serving(once(act)) as server, _client(server.endpoint, 2, timeout=TIMEOUT) as client:
        assert Receipt("successful", 1, attempts=2) == client.send(event())
    assert 2 == len(server.requests)
    assert 1 == len({body for _, body in server.requests})


def test_a_server_that_falls_silent_late_gets_no_more_time() -> None:
    """A byte shortly before the deadline does not begin another timeout."""

    def act(connection: Connection) -> None:
        time.sleep(1.4)
        connection.send(HEAD)
        connection.wait()

    with serving(once(act)) as server, _client(server.endpoint, timeout=1.7) as client:
        started = time.monotonic()
        with pytest.raises(RequestFailed, match="ReadTimeout"):
            client.send(event())
        assert time.monotonic() - started < 1.7 + 1


def test_a_huge_answer_is_not_kept_in_memory() -> None:
    """Of 256 MiB no more than a few are ever held."""
    with serving(once(_endless_answer)) as server, _client(server.endpoint) as client:
        tracemalloc.start()
        try:
            with pytest.raises(RequestFailed):
                client.send(event())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * MEBIBYTE


def test_a_server_that_does_not_read_is_given_up_on() -> None:
    """A body that nobody takes ends at the deadline; part of it may have been read."""
    big = [event(additional_properties={"page": "x" * MEBIBYTE}) for _ in range(24)]
    with serving(Connection.wait) as server, _client(server.endpoint, timeout=TIMEOUT) as client:
        started = time.monotonic()
        with pytest.raises(RequestFailed, match="WriteTimeout") as caught:
            client.send(big)
        assert time.monotonic() - started < TIMEOUT + 1 + 1  # the body is written as JSON first
    assert ("unknown", True) == (caught.value.state, caught.value.retryable)


def test_a_refused_connection_is_known_not_to_have_arrived() -> None:
    """Nobody listens there any more."""
    with serving(succeed_always) as server:
        pass
    with pytest.raises(RequestFailed, match="ConnectError") as caught:
        _client(server.endpoint, attempts=2).send(event())
    assert ("failed", True, 2) == (caught.value.state, caught.value.retryable, caught.value.attempts)


def test_a_host_that_does_not_exist_is_known_not_to_have_arrived() -> None:
    """No name, no connection."""
    with pytest.raises(RequestFailed, match="ConnectError") as caught:
        _client("http://no-such-host.invalid/graphql").send(event())
    assert ("failed", True) == (caught.value.state, caught.value.retryable)


def test_each_address_of_a_host_gets_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer leaves time for the next."""
    addresses = ["192.0.2.1", "192.0.2.2", "127.0.0.1"]
    look_up, connect, tried = socket.getaddrinfo, httpcore.SyncBackend.connect_tcp, []

    def getaddrinfo(host: bytes | str, *given: Any, **more: Any) -> list[Any]:
        is_ours = host == b"shop.invalid"
        return [(0, 0, 0, "", (address, 0)) for address in addresses] if is_ours else look_up(host, *given, **more)

    def connect_tcp(backend: Any, address: str, port: int, seconds: float) -> httpcore.NetworkStream:
        tried.append((address, seconds <= 10 / (3 - len(tried))))
        if address != "127.0.0.1":
            raise httpcore.ConnectTimeout
        return connect(backend, address, port, seconds)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    with serving(succeed_always) as server, _client(f"http://shop.invalid:{server.port}/graphql", timeout=10) as client:
        assert 1 == client.send(event()).attempts
    assert [(address, True) for address in addresses] == tried


def test_many_sends_take_one_connection() -> None:
    """It is kept open from one to the next."""
    with serving(succeed_always) as server, _client(server.endpoint) as client:
        assert {"successful"} == {client.send(event()).status for _ in range(20)}
        assert (1, 20) == (server.connections, len(server.requests))


def test_threads_share_no_more_connections_than_they_are() -> None:
    """Each waits for its own answer, and leaves the connection to the next."""
    barrier = threading.Barrier(4)
    with serving(succeed_always) as server, _client(server.endpoint) as client:

        def send_some() -> None:
            barrier.wait()
            for _ in range(10):
                client.send(event())

        threads = [threading.Thread(target=send_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 40 == len(server.requests)
        assert server.connections <= 4


def test_a_connection_that_was_closed_while_idle_costs_no_attempt() -> None:
    """The next send opens another."""
    closed = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.request()
        connection.succeed()
        connection.close()
        closed.release()

    with serving(script) as server, _client(server.endpoint) as client:
        for _ in range(3):
            assert Receipt("successful", 1, attempts=1) == client.send(event())
            closed.acquire()
            time.sleep(0.05)
        assert 3 == server.connections


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall in between may have forgotten it."""
    with serving(succeed_always) as server, _client(server.endpoint) as client:
        client.send(event())
        monkeypatch.setattr(transport, "IDLE_SECONDS", -1)
        client.send(event())
        assert 1 == server.connections
        monkeypatch.undo()
        client.send(event())
        assert 2 == server.connections


def test_a_connection_that_is_closed_on_the_next_request_is_tried_again() -> None:
    """It was written, so it may have arrived: with the same ids, and counted."""
    first = threading.Event()

    def script(connection: Connection) -> None:
        connection.request()
        connection.succeed()
        if not first.is_set():
            first.set()
            connection.request()

    with serving(script) as server, _client(server.endpoint, attempts=2) as client:
        assert 1 == client.send(event()).attempts
        assert 2 == client.send(event(event_id="second")).attempts
        assert 3 == len(server.requests)
        assert server.requests[1][1] == server.requests[2][1]


@pytest.mark.parametrize("name", ["an answer of 256 MiB", "a compressed answer", "silence"])
def test_a_connection_that_went_wrong_is_closed(name: str) -> None:
    """The server sees its end while the client is still in use, before a read or write of its own times out."""
    ended = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.request()
        with suppress(OSError):
            MISBEHAVIOUR[name][0](connection)
            connection.drain()
        ended.release()

    with serving(script) as server, _client(server.endpoint, timeout=TIMEOUT) as client:
        for _ in range(2):
            with pytest.raises(RequestFailed):
                client.send(event())
            assert ended.acquire(timeout=3)


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
def test_a_redirect_takes_no_byte_elsewhere(status: str) -> None:
    """The other server sees no connection, and the error names it."""
    with serving(succeed_always) as other:

        def act(connection: Connection) -> None:
            connection.answer(b"", status, f"Location: {other.endpoint}")

        with serving(once(act)) as server, _client(server.endpoint, attempts=2) as client:
            with pytest.raises(RequestFailed) as caught:
                client.send(event())
            assert other.endpoint in str(caught.value)
            expected = "failed" if status[:3] in ("307", "308") else "unknown"
            assert (expected, False, 1) == (caught.value.state, caught.value.retryable, caught.value.attempts)
        assert 0 == other.connections


def test_the_body_of_a_redirect_is_not_waited_for() -> None:
    """HTTP 307 says by itself that the request was not processed."""

    def act(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 9\r\n\r\n")
        connection.drain()

    with serving(once(act)) as server, _client(server.endpoint) as client, pytest.raises(RequestFailed) as caught:
        client.send(event())
    assert ("failed", 307, 1) == (caught.value.state, caught.value.status_code, caught.value.attempts)


@pytest.mark.parametrize("cookie", ["session=1; Path=/", "session=\x80; Domain=.invalid; Max-Age=nan"])
def test_a_cookie_does_no_harm(cookie: str) -> None:
    """Whatever it is worth."""

    def act(connection: Connection) -> None:
        while True:
            connection.answer(BODY, "200 OK", f"Set-Cookie: {cookie}")
            connection.request()

    with serving(once(act)) as server, _client(server.endpoint) as client:
        assert {"successful"} == {client.send(event()).status for _ in range(2)}


def test_a_request_without_a_deadline_ends_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport serves any httpx client."""
    monkeypatch.setattr(transport, "LONGEST", 0.2)
    with (
        serving(once(Connection.wait)) as server,
        httpx.Client(transport=DeadlineTransport()) as http,
        pytest.raises(httpx.ReadTimeout),
    ):
        http.get(server.endpoint)


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    """No connection is opened for it."""
    with serving(succeed_always) as server, httpx.Client(transport=DeadlineTransport()) as http:
        with pytest.raises(httpx.ConnectTimeout):
            http.get(server.endpoint, extensions={"deadline": time.monotonic() - 1})
        assert [] == server.requests


def _exchange(transport: DeadlineTransport, endpoint: str, content: bytes, method: str = "POST") -> int:
    response = transport.handle_request(httpx.Request(method, endpoint, content=content))
    try:
        return len(response.read())
    finally:
        response.close()


def test_head_and_body_of_a_request_go_out_together() -> None:
    """The server's first look finds all of it, on a new connection and on a kept one."""
    looks: list[bytes] = []

    def look(connection: Connection) -> None:
        for _ in range(2):
            looks.append(connection.look())
            connection.succeed()

    with serving(look) as server:
        transport = DeadlineTransport()
        for content in (b"first", b"second"):
            _exchange(transport, server.endpoint, content)
        transport.close()
    assert [b"first", b"second"] == [found.partition(b"\r\n\r\n")[2] for found in looks]
    assert 1 == server.connections


@pytest.mark.parametrize("content", [b"", b"POST / HTTP/1.1\r\n\r\n", b"x" * 200_000])
def test_any_body_arrives_as_it_is(content: bytes) -> None:
    """None, one that looks like a head, one of several pieces; and the next request after it."""
    with serving(succeed_always) as server:
        transport = DeadlineTransport()
        for method in ("POST", "GET", "POST"):
            _exchange(transport, server.endpoint, content, method)
        transport.close()
    assert [content] * 3 == [body for _, body in server.requests]
    assert ["POST", "GET", "POST"] == [head.split()[0] for head, _ in server.requests]
