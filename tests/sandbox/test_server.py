"""The sandbox on a socket: how it starts and stops, its limits and deadlines, and simulated faults."""

import asyncio
import contextlib
import email.utils
import gc
import json
import logging
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme

import bwp_nb as bwp
from bwp_nb.sandbox.server import MAX_CONNECTIONS, MAX_HEAD, Server
from tests.served import ACCEPTED, DOCUMENTED, ask, connected, control, headers, needs, post, request, rest, until
from tests.strategies import event

EVENT = json.dumps(DOCUMENTED).encode()

#: Seconds after which everything that should end has ended, even on a slow machine.
SOON = 20.0


def test_it_serves_until_its_block_ends() -> None:
    """Afterwards connections to its address are refused."""
    with bwp.serve() as server:
        assert ACCEPTED == post(server).json()
    with pytest.raises(httpx.ConnectError):
        ask("GET", server.address)


def test_it_serves_until_it_is_closed() -> None:
    """Closing twice is harmless."""
    server = bwp.serve()
    assert ACCEPTED == post(server).json()
    server.close()
    server.close()
    with pytest.raises(httpx.ConnectError):
        ask("GET", server.address)


def test_it_serves_beside_a_running_event_loop() -> None:
    """A notebook has one."""

    async def in_a_notebook() -> object:
        with bwp.serve() as server:
            return post(server).json()

    assert ACCEPTED == asyncio.run(in_a_notebook())


def test_a_closed_server_leaves_nothing_behind() -> None:
    """No thread is left, and no open socket, which would cause a warning."""
    before = threading.active_count()
    with bwp.serve() as server:
        post(server)
    del server
    gc.collect()
    assert before == threading.active_count()


def test_closing_does_not_wait_for_slow_responses() -> None:
    """A client that is waiting sees the connection end."""
    with bwp.serve() as server, connected(server) as waiting:
        server.sandbox.fail_next("timeout_after")
        waiting.sendall(request(server, EVENT))
        until(lambda: len(server.sandbox.accepted) == 1)
        started = time.monotonic()
        server.close()
        assert b"" == rest(waiting)
        assert time.monotonic() - started < SOON


def test_a_script_that_does_not_close_it_ends_silently() -> None:
    """It does not keep the interpreter running."""
    code = "import bwp_nb as bwp; server = bwp.serve(); print(server.sandbox)"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ("Sandbox(accepted=0, rejected=0, requests=0)\n", "") == (ended.stdout, ended.stderr)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.1", "localhost", "example.com", "127.0.0.1 "])  # noqa: S104
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    """Only loopback addresses are allowed."""
    with pytest.raises(ValueError, match=re.escape(repr(host))):
        bwp.serve(host=host)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Only Linux lists its sockets there")
def test_it_listens_on_loopback_only() -> None:
    """The machine's other addresses refuse the connection."""
    with bwp.serve() as server:
        listening = re.findall(rf"^ *\d+: (\w+):{server.port:04X} 0+:0000 0A", Path("/proc/net/tcp").read_text(), re.M)
        assert ["0100007F"] == listening  # 127.0.0.1, as Linux writes it


def test_it_serves_on_ipv6_loopback_too() -> None:
    """It needs a machine with IPv6."""
    try:
        server = bwp.serve(host="::1")
    except OSError:
        pytest.skip("This machine has no IPv6")
    with server:
        assert f"http://[::1]:{server.port}" == server.address
        assert ACCEPTED == post(server).json()


def test_a_port_may_be_chosen_and_is_not_shared() -> None:
    """A second server on the same port is an error."""
    with bwp.serve() as server:
        port = server.port
        with pytest.raises(OSError, match="in use"):
            bwp.serve(port=port)
    with bwp.serve(port=port) as server:
        assert f"http://127.0.0.1:{port}" == server.address


def test_a_given_sandbox_is_served_as_it_is() -> None:
    """Events that arrive at the socket appear in it, and its settings apply to the socket."""
    sandbox = bwp.Sandbox(latency=0)
    with bwp.serve(sandbox) as server:
        post(server)
        sandbox.refuse("page-load")
        assert "errors" in post(server).json()
    assert (1, 1) == (len(sandbox.accepted), len(sandbox.rejected))


def test_a_new_sandbox_uses_the_system_clock() -> None:
    """Dates in its responses are meaningful to other programs."""
    with bwp.serve() as server:
        assert abs(server.sandbox.clock.now().timestamp() - time.time()) < SOON
        server.sandbox.reset()
        assert ACCEPTED == post(server).json()


def test_two_servers_share_nothing() -> None:
    """Neither requests nor tokens are shared."""
    with bwp.serve() as one, bwp.serve() as other:
        given = headers(one)
        assert ACCEPTED == ask("POST", one.endpoint, headers=given, json=DOCUMENTED).json()
        assert "errors" in ask("POST", other.endpoint, headers=given, json=DOCUMENTED).json()
        assert (1, 0) == (len(one.sandbox.accepted), len(other.sandbox.accepted))


def test_every_request_is_one_log_line_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """The line has method, path and status; no query string, token or body, and no line breaks."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    with bwp.serve() as server:
        wanted = headers(server)
        ask("GET", server.endpoint, params={"query": "{nothing}", "x": "a-secret"}, headers=wanted)
        server.sandbox.fail_next("reset_before")
        with pytest.raises(httpx.ReadError):
            ask("POST", server.endpoint, headers=wanted, json=DOCUMENTED)
        ask("HEAD", f"{server.address}/%1b%5b31m\u2028")
        with connected(server) as connection:
            connection.sendall(f"GET /\u2028\x1b[31m HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
            rest(connection)
    lines = [record.getMessage() for record in caplog.records if record.name == "bwp_nb.sandbox.server"]
    said = [re.sub(r"port \d+: (.*), \d+ ms", r"\1", line) for line in lines]
    assert ["POST /token -> 200", "GET /graphql -> 200", "POST /graphql -> reset"] == said[:3]
    assert all(line.isprintable() for line in lines)
    hidden = ("a-secret", server.sandbox.client_secret, wanted["Authorization"], server.control_token)
    assert [] == [text for text in hidden if text in caplog.text]


def test_pipelined_requests_are_answered_in_order() -> None:
    """They share one connection."""
    with bwp.serve() as server, connected(server) as connection:
        ids = [str(uuid.UUID(int=number, version=4)) for number in range(5)]
        bodies = [json.dumps(bwp.Mutation(event(event_id=item)).payload).encode() for item in ids]
        connection.sendall(b"".join(request(server, body) for body in bodies[:4]))
        connection.sendall(request(server, bodies[4], close=True))
        assert 5 == rest(connection).count(b"HTTP/1.1 200 OK")
        assert ids == [item["eventId"] for item in server.sandbox.accepted]


def test_a_chunked_body_is_joined() -> None:
    """The chunks may be cut anywhere."""
    with bwp.serve() as server:
        body = EVENT
        pieces = (body[place : place + 7] for place in range(0, len(body), 7))
        wanted = {**headers(server), "Content-Type": "application/json"}
        response = ask("POST", server.endpoint, headers=wanted, content=pieces)
        assert (ACCEPTED, "chunked") == (response.json(), response.request.headers["Transfer-Encoding"])


def test_a_sender_that_expects_100_continue_gets_it() -> None:
    """Tools like cURL ask before they send a long body."""
    with bwp.serve() as server, connected(server) as connection:
        connection.sendall(request(server, extra="Expect: 100-continue\r\nContent-Length: 2"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert b"400 Bad Request" in connection.recv(1000)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_http_1_0_gets_a_response_and_the_connection_closes(method: str) -> None:
    """Old tools expect this."""
    with bwp.serve() as server, connected(server) as connection:
        connection.sendall(f"{method} /nothing HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        head, _, body = rest(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found")
        assert (method == "GET") == bool(body)


GARBAGE = {
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"GET /graphql HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n",
    "two lengths": b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "no length": b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "asking, no length": b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: \xb2\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "long head": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAX_HEAD + 1) + b"\r\n\r\n",
    "endless head": b"x" * 200_000,
    "many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_malformed_http_ends_only_its_connection(garbage: bytes) -> None:
    """It is refused at once, and the next valid request is answered."""
    with bwp.serve() as server, connected(server) as connection:
        with contextlib.suppress(OSError):  # the server has hung up already
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
        answer = rest(connection).removeprefix(b"HTTP/1.1 100 (Continue)\r\n\r\n")
        assert answer[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 421")
        assert ACCEPTED == post(server).json()


def test_a_head_that_is_too_long_is_not_read() -> None:
    """A header of half the limit passes, one of twice the limit ends the connection."""
    with bwp.serve() as server:
        assert ACCEPTED == post(server, **{"X-Long": "x" * (MAX_HEAD // 2)}).json()
        with pytest.raises(httpx.TransportError):
            post(server, **{"X-Long": "x" * (MAX_HEAD * 2)})


@pytest.mark.parametrize("sized", [True, False], ids=["with its length", "in chunks"])
def test_a_body_of_100_mebibytes_gets_http_413(sized: bool) -> None:
    """It is not stored, and the next valid request is answered."""
    size = 100 * 2**20
    pieces = (bytes(2**20) for _ in range(100))
    with bwp.serve() as server:
        wanted = {**headers(server), "Content-Type": "application/json"}
        length = {"Content-Length": str(size)} if sized else {}
        tracemalloc.start()
        response = ask("POST", server.endpoint, headers={**wanted, **length}, content=pieces)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < size / 4
        assert (413, ["errors"]) == (response.status_code, list(response.json()))
        assert ACCEPTED == post(server).json()


HALVES = {
    "nothing": "",
    "half a line": "POST /gra",
    "half a head": "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Le",
    "half a body": "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 100\r\n\r\n{{",
    "half a chunk": "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{{",
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_an_incomplete_request_ends_at_the_deadline(half: str) -> None:
    """It does not end earlier, and other requests are answered meanwhile."""
    with bwp.serve(deadline=0.5) as server, connected(server) as connection:
        started = time.monotonic()
        connection.sendall(half.format(port=server.port).encode())
        assert ACCEPTED == post(server).json()
        assert b"" == rest(connection)
        assert 0.3 < time.monotonic() - started < SOON


@pytest.mark.parametrize("start", ["", "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n"])
def test_a_request_that_trickles_in_ends_at_the_deadline(start: str) -> None:
    """Single bytes do not extend the deadline."""
    with bwp.serve(deadline=0.5) as server, connected(server) as connection:
        started = time.monotonic()
        connection.sendall(start.encode())
        assert not all(_can_send(connection) for _ in range(500))
        assert time.monotonic() - started < SOON
        assert ACCEPTED == post(server).json()


def _can_send(connection: socket.socket) -> bool:
    """Send a byte, a moment after the last one."""
    time.sleep(0.02)
    try:
        connection.sendall(b"G")
    except ConnectionError:
        return False
    return True


def test_a_client_that_does_not_read_its_response_is_disconnected() -> None:
    """The server does not wait forever."""
    with bwp.serve(deadline=0.5) as server, connected(server) as connection:
        server.sandbox.fail_next("huge")
        connection.sendall(request(server))
        until(lambda: control(server, "").json()["requests"] == 1)
        time.sleep(1.5)
        connection.settimeout(SOON)
        assert len(rest(connection)) < 100 * 2**20
        assert ACCEPTED == post(server).json()


def test_an_idle_connection_is_closed_at_the_deadline() -> None:
    """It also applies between two requests."""
    with bwp.serve(deadline=0.5) as server, connected(server) as connection:
        connection.sendall(request(server))
        assert connection.recv(10_000).startswith(b"HTTP/1.1 400")
        assert b"" == rest(connection)


def test_more_connections_than_the_limit_are_closed_until_others_end(caplog: pytest.LogCaptureFixture) -> None:
    """A client that occupies all connections blocks others only until the deadline; the log has each of them."""
    with bwp.serve() as server, contextlib.ExitStack() as opened:
        wanted = {**headers(server), "Content-Type": "application/json"}
        connections = [opened.enter_context(connected(server)) for _ in range(MAX_CONNECTIONS + 5)]
        until(lambda: len(_ended(connections)) >= 5)  # not always the last five: the system may change their order
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        said = "port 0: closed, because 256 connections are open, the limit"
        assert [said] * 5 == [re.sub(r"port \d+", "port 0", warning) for warning in warnings]
        next(connection for connection in connections if connection not in _ended(connections)).close()
        until(lambda: _is_accepted(server, wanted))


RESET = struct.pack("ii", 1, 0)


def _reset(server: Server, sent: bytes, has_arrived: Callable[[], bool] = lambda: True) -> None:
    """Connect, send some bytes, and close so that the server sees a reset."""
    with connected(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.sendall(sent)
        until(has_arrived)


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_client_that_resets_leaves_no_traceback_in_the_log(is_secure: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Before TLS begins, in the middle of a request, and while it waits for the response."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    caplog.set_level(logging.INFO)
    with bwp.serve(ssl_context=context if is_secure else None) as server:
        for sent in [b"", b"\x16\x03\x01junk", b"POST /graphql HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"] * 10:
            _reset(server, sent)
        if not is_secure:
            server.sandbox.fail_next("slow", seconds=20)
            whole = request(server, EVENT)
            _reset(server, whole, lambda: bool(server.sandbox.accepted))
            until(lambda: "-> left" in caplog.text)
        asyncio.run(asyncio.sleep(0.2))
    assert [] == [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


def _ended(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0)[0]


def _is_accepted(server: Server, wanted: dict[str, str]) -> bool:
    try:
        return ACCEPTED == ask("POST", server.endpoint, headers=wanted, json=DOCUMENTED).json()
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("name", ["refused", "reset_before", "reset_after"])
def test_a_simulated_reset_is_a_tcp_reset(name: str) -> None:
    """It is not an orderly end; the events are accepted or not, depending on the fault."""
    with bwp.serve() as server, connected(server) as connection:
        server.sandbox.fail_next(name)
        connection.sendall(request(server, EVENT))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert (name == "reset_after") == bool(server.sandbox.accepted)


@pytest.mark.parametrize(("name", "accepted"), [("timeout_before", 0), ("timeout_after", 1)])
def test_a_simulated_timeout_is_silence(name: str, accepted: int) -> None:
    """The client gives up; other requests are answered meanwhile."""
    with bwp.serve() as server:
        server.sandbox.fail_next(name)
        with connected(server) as connection:
            connection.sendall(request(server, EVENT))
            connection.settimeout(0.3)
            assert 200 == post(server).status_code
            with pytest.raises(TimeoutError):
                connection.recv(1)
        assert accepted + 1 == len(server.sandbox.accepted)


def test_a_simulated_timeout_ends_at_the_deadline() -> None:
    """The client would wait longer."""
    with bwp.serve(deadline=0.5) as server, connected(server) as connection:
        server.sandbox.fail_next("timeout_before")
        started = time.monotonic()
        connection.sendall(request(server))
        assert b"" == rest(connection)
        assert 0.3 < time.monotonic() - started < SOON


@pytest.mark.parametrize("played", [False, True])
def test_a_simulated_delay_takes_real_time(played: bool) -> None:
    """It is independent of the sandbox's clock, and other requests do not wait."""
    with bwp.serve(bwp.Sandbox(latency=0) if played else None) as server, connected(server) as connection:
        server.sandbox.fail_next("slow", seconds=0.6)
        started = time.monotonic()
        connection.sendall(request(server, EVENT))
        until(lambda: len(server.sandbox.accepted) == 1)
        assert 200 == post(server).status_code
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
        assert 0.5 < time.monotonic() - started < SOON


def test_latency_takes_real_time() -> None:
    """It applies to each response."""
    with bwp.serve(bwp.Sandbox(latency=0.3)) as server:
        started = time.monotonic()
        assert ACCEPTED == post(server).json()
        assert 0.25 < time.monotonic() - started < SOON


def test_a_simulated_truncation_cuts_the_json() -> None:
    """Status and length do not reveal it."""
    with bwp.serve() as server:
        server.sandbox.fail_next("cut_off")
        response = post(server)
        assert (200, b'{"data": {"sendUserEvents":') == (response.status_code, response.content)


def test_a_huge_response_is_streamed() -> None:
    """It has the requested size, is chunked, and is never in memory as a whole."""
    with bwp.serve() as server:
        server.sandbox.fail_next("huge", mebibytes=8)
        response = post(server)
        assert (8 * 2**20 + 12, "chunked") == (len(response.content), response.headers["Transfer-Encoding"])


def test_a_huge_response_to_http_1_0_is_not_chunked() -> None:
    """It ends with the connection."""
    with bwp.serve() as server, connected(server) as connection:
        server.sandbox.fail_next("huge", mebibytes=1)
        connection.sendall(request(server).replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, body = rest(connection).partition(b"\r\n\r\n")
        assert (2**20 + 12, False) == (len(body), b"transfer-encoding" in head.lower())


def test_a_simulated_redirect_has_a_location_and_no_body() -> None:
    """The server sends it as it is."""
    with bwp.serve() as server:
        server.sandbox.fail_next("redirect")
        response = post(server)
        assert (307, "https://example.com/graphql") == (response.status_code, response.headers["Location"])


def test_a_simulated_response_that_http_cannot_carry_is_an_error_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says why, and the server goes on."""
    with bwp.serve() as server:
        server.sandbox.fail_next("redirect", location="a\r\nb")
        assert 500 == post(server).status_code
        assert "Unsafe header value" in caplog.text
        assert ACCEPTED == post(server).json()


def test_retry_after_as_a_date_uses_the_system_clock() -> None:
    """A live client needs that."""
    with bwp.serve() as server:
        server.sandbox.fail_next("http_429_date", seconds=100)
        moment = email.utils.parsedate_to_datetime(post(server).headers["Retry-After"])
        assert 0 < moment.timestamp() - time.time() < 200


@contextlib.contextmanager
def _started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give `python -m bwp_nb serve` and what it prints when it is ready."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "bwp_nb", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        said = ""
        while "/control/accepted" not in said:
            said += started.stdout.readline()
            assert started.poll() is None, said
        try:
            yield started, said
        finally:
            started.kill()


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_the_command_stops_cleanly(signal_name: str) -> None:
    """After a signal the status is 0, and only requests were logged."""
    with _started() as (started, said):
        address = said.split()[0]
        with pytest.raises(httpx.HTTPStatusError):
            ask("GET", address).raise_for_status()
        started.send_signal(getattr(signal, signal_name))
        _, errors = started.communicate(timeout=SOON)
        assert 0 == started.returncode
        assert ["GET / -> 404"] == re.findall(r"port \d+: (.*),", errors)
        assert 1 == len([line for line in errors.splitlines() if " Executing <" not in line])  # as asyncio logs delays


def test_the_command_prints_what_to_paste() -> None:
    """The lines work as printed: a token, the documented event, and what arrived."""
    needs("curl")
    with _started("--port", "0") as (_, said):
        assert all(name in said for name in ("sandbox-client", "sandbox-secret", bwp.Sandbox.target_id))
        lines = said[said.index("export ") :].replace("\nSee what arrived", "\necho\n: ").replace("; POST", "")
        shown = re.sub(r"^(?:Get|See|: ).*$", "", lines, flags=re.M)
        ran = subprocess.run(["sh", "-euc", shown], capture_output=True, text=True, timeout=60, check=True)
        first, second = ran.stdout.splitlines()
        assert ACCEPTED == json.loads(first)
        (accepted,) = json.loads(second)
        assert bwp.Mutation.parse(bwp.documented.PAGE_LOAD.request).events[0].input == accepted


@pytest.mark.parametrize("options", [["--host", "0.0.0.0"], ["--port", "x"], ["extra"]])  # noqa: S104
def test_the_command_refuses_other_addresses(options: list[str]) -> None:
    """The exit status is 2, with a usage message."""
    command = [sys.executable, "-m", "bwp_nb", "serve", *options]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (2, b"") == (ended.returncode, ended.stdout)
