"""An HTTP transport in which every request ends by its deadline and reads only its own response.

httpx limits each read by itself, so it never gives up on a server that sends a byte now and then. Here a request
carries `extensions["deadline"]`, a moment of `time.monotonic()`: connecting, writing and reading end there. Only the
lookup of a host name cannot be cut short.

httpcore's connection pool reads surplus data as the response to the next request, may stay locked after an interrupt,
and shares its connections with forked processes. Hence a pool without locks: a connection is either used by one
request, or idle with nothing left to read. Requests are written in one piece.
"""

import base64
import os
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.request import getproxies, proxy_bypass

import h11
import httpcore
import httpx

from bwp_nb.errors import InvalidSettings
from bwp_nb.wire.platform import refuse_in_browser

#: Seconds after which an idle connection is not used again.
IDLE_SECONDS = 30.0

_PORTS = {"http": 80, "https": 443}
_THIS_MACHINE = re.compile(r"localhost|127(\.[0-9]+){3}|::1")
_PIECE = 65_536
_LONGEST_HEAD = 102_400
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

#: Headers as h11 takes them.
Headers = list[tuple[bytes, bytes]]

_Origin = tuple[str, bytes, int | None]


class DeadlineTransport(httpx.BaseTransport):
    """Sends requests over HTTP/1.1, each with one deadline; threads may share it, and a fork has its own connections.

    As in httpx, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name the proxies, which are not used for
    this machine, and without an `ssl_context`, `SSL_CERT_FILE` or `SSL_CERT_DIR` the trusted certificates. Raises
    `InvalidSettings` if one of them cannot be used.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        refuse_in_browser("A live connection")
        self._ssl_context = ssl_context or trusting_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._idle: dict[_Origin, deque[Connection]] = {}
        self._process = os.getpid()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is not yet read."""
        url, limit = request.url, TimeLimit(request.extensions)
        origin = (url.scheme, url.raw_host, url.port)
        with _errors_of_httpx():
            limit.left("connect")
            connection = self._idle_connection(origin) or connect(url, self._ssl_context, limit)
            try:
                head = connection.send(request, limit)
            except BaseException:
                connection.close()
                raise
        body = _Body(connection.body(limit), lambda: self._give_back(origin, connection))
        extensions = {"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason}
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body, extensions=extensions)

    def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _idle_connection(self, origin: _Origin) -> "Connection | None":
        if self._process != os.getpid():
            self._process = os.getpid()
            self.close()  # only this process's copies: the parent goes on using its connections
        connections = self._idle.get(origin, deque())
        while connections:
            with suppress(IndexError):  # another thread has taken the last one
                connection = connections.popleft()
                if connection.is_usable():
                    return connection
                connection.close()
        return None

    def _give_back(self, origin: _Origin, connection: "Connection") -> None:
        if connection.start_next():
            self._idle.setdefault(origin, deque()).append(connection)
        else:
            connection.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Iterator[bytes], done: Callable[[], None]) -> None:
        self._parts = parts
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._parts

    def close(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done()


def is_certificate_error(error: BaseException | None) -> bool:
    """Return whether an error, or one behind it, says that a server's certificate is not trusted."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raise the errors of httpcore and h11 as those of httpx, which have the same names."""
    try:
        yield
    except (
        httpcore.NetworkError, httpcore.TimeoutException, httpcore.UnsupportedProtocol, h11.ProtocolError,
        httpcore.ProtocolError,
    ) as error:  # fmt: skip
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class TimeLimit:
    """The time that a request may take: until its deadline, or for each wait httpx's timeout."""

    def __init__(self, extensions: Mapping[str, Any]) -> None:
        self._deadline: float | None = extensions.get("deadline")
        self._timeouts: Mapping[str, float | None] = extensions.get("timeout", {})

    def left(self, wait: str, shares: int = 1) -> float | None:
        """Return the seconds for a wait, one of `shares` of the rest, None for no limit; raise after the deadline."""
        if self._deadline is None:
            return self._timeouts.get(wait)
        left = (self._deadline - time.monotonic()) / shares
        if left <= 0:
            raise getattr(httpcore, f"{wait.capitalize()}Timeout")("The deadline has passed")
        return left


class Connection:
    """A connection to a server or, with `proxy_headers`, to a proxy that forwards requests which have them."""

    def __init__(self, stream: httpcore.NetworkStream, proxy_headers: Headers | None = None) -> None:
        self._stream = stream
        self._proxy_headers = proxy_headers
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._is_written = False
        self._expires_at = time.monotonic() + IDLE_SECONDS

    def close(self) -> None:
        """Close the socket; nothing is written to it, so that a process with a copy of it is not disturbed."""
        self._stream.close()

    def is_usable(self) -> bool:
        """Return whether nothing has come that no request asked for; TLS session tickets do not count."""
        try:
            return time.monotonic() < self._expires_at and self._read(TimeLimit({}), waits=False) is None
        except httpcore.ReadError:
            return False

    def send(self, request: httpx.Request, limit: TimeLimit) -> h11.Response:
        """Write a request and return the head of its response."""
        data = memoryview(self._encoded(request))  # whose repr, after an interrupt, does not show the secrets in it
        self._is_written, early = False, None
        with suppress(httpcore.WriteError):  # a server may respond and close before it has read everything
            for start in range(0, len(data), _PIECE):
                if start and (early := self._event(limit, waits=False)):
                    break
                piece = data[start : start + _PIECE]
                self._stream.write(piece, limit.left("write"))  # type: ignore[arg-type]  # it takes any buffer
            else:
                self._is_written = True
        head: h11.Response = early or self._event(limit)
        if head.status_code < 300 and not self._is_written:
            raise httpcore.RemoteProtocolError(f"HTTP {head.status_code} came before the request was written")
        return head

    def body(self, limit: TimeLimit) -> Iterator[bytes]:
        """Yield the body of the response."""
        while isinstance(event := self._event(limit), h11.Data):
            yield bytes(event.data)

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
        headers: Headers = request.headers.raw
        if self._proxy_headers is not None:
            target = b"%b://%b%b" % (request.url.raw_scheme, request.url.netloc, target)
            headers = headers + self._proxy_headers
        head = self._http.send(h11.Request(method=request.method, target=target, headers=headers))
        rest = [self._http.send(event) for event in (h11.Data(request.read()), h11.EndOfMessage())]
        return b"".join(part for part in (head, *rest) if part)

    def _event(self, limit: TimeLimit, *, waits: bool = True) -> Any:
        """Return what comes next of the response, without interim ones; None if it has not come, without waiting."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if (data := self._read(limit, waits=waits)) is None:
                    return None
                if not data and self._http.their_state is h11.SEND_RESPONSE:
                    raise httpcore.RemoteProtocolError("Server disconnected without sending a response")
                self._http.receive_data(data)
            elif not isinstance(event, h11.InformationalResponse):
                return event

    def _read(self, limit: TimeLimit, *, waits: bool) -> bytes | None:
        """Return what comes next, b"" at the end of the connection; without waiting, None if nothing has come."""
        left = limit.left("read")
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


def connect(url: httpx.URL, context: ssl.SSLContext, limit: TimeLimit) -> Connection:
    """Open a connection; if that fails, the request was not sent, and the error is one of connecting."""
    proxy = _proxy(url)
    stream = _open(proxy.url if proxy else url, limit)
    try:
        if proxy and proxy.url.scheme == "https":
            stream = stream.start_tls(context, proxy.url.raw_host.decode("ascii"), limit.left("connect"))
        if proxy and url.scheme == "https":
            _tunnel(stream, url, proxy, limit)
        if url.scheme == "https":
            stream = stream.start_tls(context, url.raw_host.decode("ascii"), limit.left("connect"))
        connection = Connection(stream, _authorization(proxy) if proxy and url.scheme == "http" else None)
        if not connection.is_usable():
            raise httpcore.ConnectError("The server sent data or closed the connection before it got a request")
    except BaseException:
        stream.close()
        raise
    return connection


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that the environment names for an address; this machine is reached without one."""
    if _THIS_MACHINE.fullmatch(url.host):
        return None
    name = next((name for name in (url.scheme, "all") if getproxies().get(name)), None)
    if name is None or proxy_bypass(url.netloc.decode("ascii")):
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


def _open(url: httpx.URL, limit: TimeLimit) -> httpcore.NetworkStream:
    """Connect to the first address of a host that accepts; each is given its share of the time that is left."""
    if url.scheme not in _PORTS:
        raise httpcore.UnsupportedProtocol(f"Expected an http or https address, got {url.scheme!r}")
    port = url.port or _PORTS[url.scheme]
    try:
        found = socket.getaddrinfo(url.raw_host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    addresses = [str(address[0]) for *_, address in found]
    backend = httpcore.SyncBackend()
    for shares, address in zip(range(len(addresses), 1, -1), addresses, strict=False):
        with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
            return backend.connect_tcp(address, port, limit.left("connect", shares))
    return backend.connect_tcp(addresses[-1], port, limit.left("connect"))


def _tunnel(stream: httpcore.NetworkStream, url: httpx.URL, proxy: httpx.Proxy, limit: TimeLimit) -> None:
    """Make a proxy connect to the server."""
    host = f"[{url.host}]" if ":" in url.host else url.raw_host.decode("ascii")
    target = f"{host}:{url.port or _PORTS[url.scheme]}".encode()
    headers = [(b"Host", target), *_authorization(proxy)]
    request = httpx.Request("CONNECT", url, headers=headers, extensions={"target": target})
    try:
        status_code = Connection(stream).send(request, limit).status_code
    except httpcore.TimeoutException as error:
        raise httpcore.ConnectTimeout("The proxy did not respond in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, h11.ProtocolError) as error:
        raise httpcore.ConnectError(f"The proxy failed: {error}") from error
    if status_code >= 300:
        raise httpcore.ConnectError(f"The proxy refused to connect: HTTP {status_code}")


def _authorization(proxy: httpx.Proxy) -> Headers:
    """Return the headers that a proxy wants."""
    if proxy.raw_auth is None:
        return proxy.headers.raw
    return [*proxy.headers.raw, (b"Proxy-Authorization", b"Basic " + base64.b64encode(b":".join(proxy.raw_auth)))]
