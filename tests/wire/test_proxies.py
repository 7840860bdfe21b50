"""Proxies that the environment names, as in httpx; one that fails is a failed connection, and nothing was sent."""

import _thread
import base64
import os
import socket
import ssl
import threading
import traceback
from collections.abc import Callable

import pytest
import trustme

from bwp_nb import Client, InvalidSettings, Receipt, RequestFailed
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import Connection, Server, once, serving, succeed_always
from tests.strategies import event

AUTHORITY = trustme.CA()
PASSWORD = "marker-of-a-password"  # noqa: S105  # to be looked for


def _context(*hosts: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*hosts).configure_cert(context)
    return context


def _client(endpoint: str, timeout: float = 10.0) -> Client:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return Client(DeadlineTransport(ssl_context=context), endpoint, retries=Retries(attempts=1), timeout=timeout)


def _tunnel_to(server: Server) -> Callable[[Connection], None]:
    """Return the script of a proxy that connects everybody to one server."""

    def script(connection: Connection) -> None:
        connection.request()
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            connection.pass_on(other)

    return script


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["", "http://", "https://"])
def test_https_goes_through_a_tunnel(monkeypatch: pytest.MonkeyPatch, name: str, scheme: str) -> None:
    """The proxy sees where it goes, and nothing else; the connection is used again."""
    with serving(succeed_always, _context("api.invalid")) as server:
        with serving(_tunnel_to(server), _context("127.0.0.1") if scheme == "https://" else None) as proxy:
            monkeypatch.setenv(name, f"{scheme}us%65r:{PASSWORD}@127.0.0.1:{proxy.port}")
            with _client("https://api.invalid/graphql") as client:
                assert {Receipt("successful", 1)} == {client.send(event()) for _ in range(3)}
        assert (1, 3) == (server.connections, len(server.requests))
        assert PASSWORD not in str(server.requests)
        ((head, body),) = proxy.requests
    assert ["CONNECT api.invalid:443 HTTP/1.1", b""] == [head.splitlines()[0], body]
    assert "Proxy-Authorization: Basic dXNlcjptYXJrZXItb2YtYS1wYXNzd29yZA==" in head.splitlines()


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.1", "*"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch, scheme: str, no_proxy: str) -> None:
    """Whatever the environment says."""
    context = _context("127.0.0.1", "localhost") if scheme == "https" else None
    with serving(succeed_always, context) as server, serving(Connection.wait) as proxy:
        monkeypatch.setenv("NO_PROXY", no_proxy)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for host in ("127.0.0.1", "localhost"):
            with _client(f"{scheme}://{host}:{server.port}/graphql") as client:
                assert Receipt("successful", 1) == client.send(event())
        assert 0 == proxy.connections


def test_a_host_in_no_proxy_is_reached_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not exist here, so that the connection fails."""
    with serving(succeed_always) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "example.com, invalid")
        with _client("https://api.invalid/graphql") as client, pytest.raises(RequestFailed, match="ConnectError"):
            client.send(event())
        assert 0 == proxy.connections


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda c: c.answer(b"", "407 Proxy Authentication Required"), "The proxy refused to connect: HTTP 407"),
        (lambda c: c.answer(b"", "502 Bad Gateway"), "The proxy refused to connect: HTTP 502"),
        (lambda c: c.answer(b"", "302 Found", "Location: https://evil.invalid/"), "HTTP 302"),
        (Connection.close, "The proxy failed: Server disconnected"),
        (Connection.reset, "The proxy failed"),
        (lambda c: c.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "The proxy failed"),
        (lambda c: c.send(b"HTTP/1.1 200 OK\r\n\r\nnot TLS"), "ConnectError"),
        (Connection.drain, "The proxy did not respond in time"),
        (lambda c: c.trickle(b"HTTP/1.1 200 OK\r\n" * 9, 0.1), "The proxy did not respond in time"),
    ],
)
def test_a_proxy_that_fails_is_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[Connection], None], words: str
) -> None:
    """The events were not sent, and the error does not show the proxy's password."""
    with serving(once(act)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
        with _client("https://api.invalid/graphql", 0.6) as client, pytest.raises(RequestFailed) as caught:
            client.send(event())
    assert ("failed", True, 1) == (caught.value.state, caught.value.retryable, caught.value.attempts)
    assert words in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_an_interrupt_does_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a traceback with variables, while the proxy is asked to connect."""
    with serving(once(Connection.wait)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
        interrupt = threading.Timer(0.3, _thread.interrupt_main)
        interrupt.start()
        with _client("https://api.invalid/graphql") as client, pytest.raises(KeyboardInterrupt) as caught:
            client.send(event())
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "_tunnel" in shown
    assert PASSWORD not in shown
    assert base64.b64encode(b"user").decode()[:5] not in shown


UNUSABLE = {
    "SOCKS": f"socks5://user:{PASSWORD}@127.0.0.1:1080",
    "another scheme": f"ftp://user:{PASSWORD}@127.0.0.1",
    "no address": f"http://user:{PASSWORD}@127.0.0.1:port",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_proxy_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The error names the variable, and nothing shows its value, which may contain a password."""
    monkeypatch.setenv("HTTPS_PROXY", UNUSABLE[name])
    client = _client("https://api.invalid/graphql")
    with client, pytest.raises(InvalidSettings, match="HTTPS_PROXY") as caught:
        client.send(event())
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert PASSWORD not in "".join(shown.format()) + str(caught.value)
