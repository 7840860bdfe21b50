"""An HTTP transport in which every request ends by its deadline and reads only its own response.

httpx limits each read by itself, so it never gives up on a server that sends a byte now and then. Here a request
carries `extensions["deadline"]`, a moment of `time.monotonic()`: connecting, writing and reading end there. Only the
lookup of a host name cannot be cut short. A response is read whole, or until it is longer than `MAX_BYTES`.

httpcore's connection pool reads surplus data as the response to the next request, may stay locked after an interrupt,
and shares its connections with forked processes. Hence a pool without locks: a connection is either used by one
request, or idle with nothing left to read. Requests are written in one piece.
"""

import base64
import os
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import Any
from urllib.request import getproxies, proxy_bypass

import h11
import httpcore
import httpx

from bwp_nb.errors import InvalidSettings
from bwp_nb.wire.answer import MAX_BYTES, unread
from bwp_nb.wire.platform import THIS_MACHINE, refuse_in_browser

#: Seconds after which an idle connection is not used again.
IDLE_SECONDS = 30.0

#: Seconds that a request without a deadline may take.
LONGEST = 60.0

_PORTS = {"http": 80, "https": 443}
_PIECE = 65_536
_LONGEST_HEAD = 102_400
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class DeadlineTransport(httpx.BaseTransport):
    """Sends requests over HTTP/1.1, each with one deadline; threads may share it, and a fork has its own connections.

    As in httpx, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name the proxy for https, which is not used for this machine,
    and without an `ssl_context`, `SSL_CERT_FILE` or `SSL_CERT_DIR` the trusted certificates. Raises `InvalidSettings`
    if one of them cannot be used.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        refuse_in_browser("A live connection")
        self._ssl_context = ssl_context or trusting_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._idle: dict[object, deque[Connection]] = {}
        self._process = os.getpid()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response."""
        try:
            head, content = self._answered(request, request.extensions.get("deadline", time.monotonic() + LONGEST))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, h11.ProtocolError) as error:
            # Those of httpx have the same names.
            raise getattr(httpx, type(error).__name__)(str(error)) from error
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=httpx.ByteStream(content))

    def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _answered(self, request: httpx.Request, deadline: float) -> tuple[h11.Response, bytes]:
        url = request.url
        if url.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"Expected an http or https address, got {url.scheme!r}")
        if self._process != os.getpid():
            self._process = os.getpid()
            self.close()  # only this process's copies: the parent goes on using its connections
        idle = self._idle.setdefault((url.scheme, url.raw_host, url.port), deque())
        _left(deadline, "connect")
        connection = _usable(idle) or connect(url, self._ssl_context, deadline)
        try:
            head = connection.send(request, deadline)
            is_skipped = unread(head.status_code, httpx.Headers(head.headers.raw_items()))
            return head, b"" if is_skipped else connection.body(deadline)
        finally:
            if connection.start_next():
                idle.append(connection)
            else:
                connection.close()


def is_certificate_error(error: BaseException | None) -> bool:
    """Return whether an error, or one behind it, says that a server's certificate is not trusted."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _left(deadline: float, wait: str, shares: int = 1) -> float:
    """Return the seconds until a deadline, or one of `shares` of them; raise after it."""
    left = (deadline - time.monotonic()) / shares
    if left <= 0:
        raise getattr(httpcore, f"{wait.capitalize()}Timeout")("The deadline has passed")
    return left


def _usable(idle: "deque[Connection]") -> "Connection | None":
    while idle:
        with suppress(IndexError):  # another thread has taken the last one
            connection = idle.popleft()
            if connection.is_usable():
                return connection
            connection.close()
    return None


class Connection:
    """A connection to a server, which may go through a proxy."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._is_written = False
        self._expires_at = time.monotonic() + IDLE_SECONDS

    def close(self) -> None:
        """Close the socket; nothing is written to it, so that a process with a copy of it is not disturbed."""
        self._stream.close()

    def is_usable(self) -> bool:
        """Return whether nothing has come that no request asked for; TLS session tickets do not count."""
        try:
            return self._read(self._expires_at, waits=False) is None
        except (httpcore.ReadError, httpcore.ReadTimeout):
            return False

    def send(self, request: httpx.Request, deadline: float) -> h11.Response:
        """Write a request and return the head of its response."""
        data = memoryview(self._encoded(request))  # whose repr, after an interrupt, does not show the secrets in it
        self._is_written, early = False, None
        with suppress(httpcore.WriteError):  # a server may respond and close before it has read everything
            for start in range(0, len(data), _PIECE):
                if start and (early := self._event(deadline, waits=False)):
                    break
                piece = data[start : start + _PIECE]
                self._stream.write(piece, _left(deadline, "write"))  # type: ignore[arg-type]  # it takes any buffer
            else:
                self._is_written = True
        head: h11.Response = early or self._event(deadline)
        if head.status_code < 300 and not self._is_written:
            raise httpcore.RemoteProtocolError(f"HTTP {head.status_code} came before the request was written")
        return head

    def body(self, deadline: float) -> bytes:
        """Read the body of the response, or the beginning of one that is too long."""
        content = bytearray()
        while len(content) <= MAX_BYTES and isinstance(event := self._event(deadline), h11.Data):
            content += event.data
        return bytes(content)

    def start_next(self) -> bool:
        """Prepare for another request, and return whether that is possible: the response was read, and nothing else."""
        http = self._http
        found = (self._is_written, http.our_state, http.their_state, http.trailing_data)
        if found != (True, h11.DONE, h11.DONE, (b"", False)):
            return False
        http.start_next_cycle()
        self._expires_at = time.monotonic() + IDLE_SECONDS
        return True

    def _encoded(self, request: httpx.Request) -> bytes:
        target = request.extensions.get("target", request.url.raw_path)
        head = h11.Request(method=request.method, target=target, headers=request.headers.raw)
        parts = map(self._http.send, (head, h11.Data(request.read()), h11.EndOfMessage()))
        return b"".join(part for part in parts if part)

    def _event(self, deadline: float, *, waits: bool = True) -> Any:
        """Return what comes next of the response, without interim ones; None if it has not come, without waiting."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if (data := self._read(deadline, waits=waits)) is None:
                    return None
                if not data and self._http.their_state is h11.SEND_RESPONSE:
                    raise httpcore.RemoteProtocolError("Server disconnected without sending a response")
                self._http.receive_data(data)
            elif not isinstance(event, h11.InformationalResponse):
                return event

    def _read(self, deadline: float, *, waits: bool) -> bytes | None:
        """Return what comes next, b"" at the end of the connection; without waiting, None if nothing has come."""
        left = _left(deadline, "read")
        try:
            return self._stream.read(_PIECE, left if waits else 0)
        except httpcore.ReadError as error:
            if waits or not isinstance(error.__cause__, _NOTHING_YET):
                raise
            return None


def trusting_context() -> ssl.SSLContext:
    """Return the TLS settings of httpx; raise `InvalidSettings` if the environment names a file that is unusable."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        name = "SSLKEYLOGFILE" if error.filename else "SSL_CERT_FILE"
        if name not in os.environ:
            raise
        message = f"{name}={os.environ[name]!r} cannot be used: {error.strerror}. Correct or unset it."
        raise InvalidSettings([message]) from None


def connect(url: httpx.URL, context: ssl.SSLContext, deadline: float) -> Connection:
    """Open a connection; if that fails, the request was not sent, and the error is one of connecting."""
    proxy = _proxy(url)
    stream = _open(proxy.url if proxy else url, deadline)
    try:
        if proxy:
            if proxy.url.scheme == "https":
                stream = stream.start_tls(context, proxy.url.raw_host.decode("ascii"), _left(deadline, "connect"))
            _tunnel(stream, url, proxy, deadline)
        if url.scheme == "https":
            stream = stream.start_tls(context, url.raw_host.decode("ascii"), _left(deadline, "connect"))
        connection = Connection(stream)
        if not connection.is_usable():
            raise httpcore.ConnectError("The server sent data or closed the connection before it got a request")
    except BaseException:
        stream.close()
        raise
    return connection


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that the environment names for an address; this machine and http are reached without one."""
    is_direct = url.scheme == "http" or url.host in THIS_MACHINE or proxy_bypass(url.netloc.decode("ascii"))
    name = None if is_direct else next((name for name in ("https", "all") if getproxies().get(name)), None)
    if name is None:
        return None
    with suppress(ValueError, httpx.InvalidURL):
        proxy = _named(name)
        if proxy.url.scheme in _PORTS:
            return proxy
    # Without the value, which may contain a password.
    raise InvalidSettings([f"{name.upper()}_PROXY: expected the http or https address of a proxy."])


def _named(name: str) -> httpx.Proxy:
    address = getproxies()[name]
    return httpx.Proxy(address if "://" in address else f"http://{address}")


def _open(url: httpx.URL, deadline: float) -> httpcore.NetworkStream:
    """Connect to the first address of a host that accepts; each is given its share of the time that is left."""
    port = url.port or _PORTS[url.scheme]
    try:
        found = socket.getaddrinfo(url.raw_host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    *others, last = [str(address[0]) for *_, address in found]
    backend = httpcore.SyncBackend()
    for place, address in enumerate(others):
        with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
            return backend.connect_tcp(address, port, _left(deadline, "connect", len(found) - place))
    return backend.connect_tcp(last, port, _left(deadline, "connect"))


def _tunnel(stream: httpcore.NetworkStream, url: httpx.URL, proxy: httpx.Proxy, deadline: float) -> None:
    """Make a proxy connect to the server."""
    target = url.netloc if url.port else url.netloc + b":443"
    headers = httpx.Headers([(b"Host", target), *proxy.headers.raw])  # whose repr does not show the password
    if proxy.raw_auth is not None:
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(b':'.join(proxy.raw_auth)).decode()}"
    request = httpx.Request("CONNECT", url, headers=headers, extensions={"target": target})
    try:
        status_code = Connection(stream).send(request, deadline).status_code
    except httpcore.TimeoutException as error:
        raise httpcore.ConnectTimeout("The proxy did not respond in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, h11.ProtocolError) as error:
        raise httpcore.ConnectError(f"The proxy failed: {error}") from error
    if status_code >= 300:
        raise httpcore.ConnectError(f"The proxy refused to connect: HTTP {status_code}")
