"""A connection pool whose every wait ends at the request's deadline.

httpx limits each read by itself, so a server that sends a byte now and then is never given up on. Here a request
carries `extensions["deadline"]`, a moment of `time.monotonic()`; connecting, writing and reading end there. Only the
look-up of a host name cannot be cut short.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_PIECE = 65_536


class DeadlineTransport(httpx.BaseTransport):
    """Reaches servers over HTTP/1.1, as `httpx.HTTPTransport` does, with a deadline for the whole of a request."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, max_connections: int = 100) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=30.0,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its response, whose body is yet to be read in the same thread."""
        _now.deadline = request.extensions.get("deadline")
        with _errors_of_httpx(request):
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, request),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def is_certificate_error(error: BaseException | None) -> bool:
    """Tell whether an error, or one behind it, is that a server's certificate is wrong."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx(self._request):
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Now(threading.local):
    """The deadline of the request that this thread is busy with."""

    deadline: float | None = None

    def left(self, timeout: float | None, error: Callable[[str], Exception]) -> float | None:
        """Return the shorter of a timeout and what is left, or raise the error if nothing is."""
        if self.deadline is None:
            return timeout
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("The deadline has passed")
        return left if timeout is None else min(left, timeout)


_now = _Now()


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _now.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, left, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._head: bytes | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._head = None
        return self._stream.read(max_bytes, _now.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write what httpcore gives; but hold a request's head back until the body, or its end, follows."""
        if self._head is None:
            self._head = buffer
            return
        buffer, self._head = self._head + buffer, b""
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _now.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _now.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _errors_of_httpx(request: httpx.Request) -> Iterator[None]:
    """Raise httpcore's errors as the errors of httpx, which have the same names."""
    try:
        yield
    except (
        httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.UnsupportedProtocol,
    ) as error:  # fmt: skip
        raise getattr(httpx, type(error).__name__)(str(error), request=request) from error
