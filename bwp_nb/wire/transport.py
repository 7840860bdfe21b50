"""An HTTP transport in which every request ends by its deadline and reads only its own response.

httpx limits each read by itself, so it never gives up on a server that sends a byte now and then. Here a request
carries `extensions["deadline"]`, a moment of `time.monotonic()`: connecting, writing and reading end there. Only the
lookup of a host name cannot be cut short.

httpcore's connection pool reads surplus data as the response to the next request, may stay locked after an interrupt,
and shares its connections with forked processes. Hence a pool without locks: a connection is either used by one
request, or idle with nothing left to read.
"""

import os
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import h11
import httpcore
import httpx

from bwp_nb.wire import http11
from bwp_nb.wire.http11 import Connection, TimeLimit
from bwp_nb.wire.platform import refuse_in_browser

_Origin = tuple[str, bytes, int | None]


class DeadlineTransport(httpx.BaseTransport):
    """Sends requests over HTTP/1.1, each with one deadline; threads may share it, and a fork has its own connections.

    As in httpx, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name the proxies, which are not used for
    this machine, and without an `ssl_context`, `SSL_CERT_FILE` or `SSL_CERT_DIR` the trusted certificates. Raises
    `InvalidSettings` if one of them cannot be used.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        refuse_in_browser("A live connection")
        self._ssl_context = ssl_context or http11.ssl_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._idle: dict[_Origin, deque[Connection]] = {}
        self._process = os.getpid()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is not yet read."""
        url, limit = request.url, TimeLimit(request.extensions)
        origin = (url.scheme, url.raw_host, url.port)
        with _errors_of_httpx():
            limit.left("connect")
            connection = self._idle_connection(origin) or http11.connect(url, self._ssl_context, limit)
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

    def _idle_connection(self, origin: _Origin) -> Connection | None:
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

    def _give_back(self, origin: _Origin, connection: Connection) -> None:
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
