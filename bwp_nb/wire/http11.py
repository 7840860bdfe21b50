"""One HTTP/1.1 connection: requests written in one piece, responses that belong to them, each within a time limit."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

import h11
import httpcore
import httpx

#: Seconds after which an idle connection is not used again.
IDLE_SECONDS = 30.0

_PIECE = 65_536
_LONGEST_HEAD = 102_400
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

#: Headers as h11 takes them.
Headers = list[tuple[bytes, bytes]]


class TimeLimit:
    """The time that a request may take: until its deadline, and for each wait at most httpx's timeout."""

    def __init__(self, extensions: Mapping[str, Any]) -> None:
        self._deadline: float | None = extensions.get("deadline")
        self._timeouts: Mapping[str, float | None] = extensions.get("timeout", {})

    def left(self, wait: Literal["connect", "write", "read"], shares: int = 1) -> float | None:
        """Return the seconds for a wait, one of `shares` of the rest, None for no limit; raise after the deadline."""
        timeout = self._timeouts.get(wait)
        if self._deadline is None:
            return timeout
        left = (self._deadline - time.monotonic()) / shares
        if left <= 0:
            raise getattr(httpcore, f"{wait.capitalize()}Timeout")("The deadline has passed")
        return left if timeout is None else min(left, timeout)


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
                if start and (early := self._head(limit, waits=False)):
                    break
                piece = data[start : start + _PIECE]
                self._stream.write(piece, limit.left("write"))  # type: ignore[arg-type]  # it takes any buffer
            else:
                self._is_written = True
        head = early or self._head(limit)
        assert head is not None  # noqa: S101  # it was waited for
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

    def _head(self, limit: TimeLimit, *, waits: bool = True) -> h11.Response | None:
        """Return the head of the response, after any interim ones; without waiting, None if it has not come."""
        while isinstance(event := self._event(limit, waits=waits), h11.InformationalResponse):
            continue
        head: h11.Response | None = event
        return head

    def _event(self, limit: TimeLimit, *, waits: bool = True) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if (data := self._read(limit, waits=waits)) is None:
                return None
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise httpcore.RemoteProtocolError("Server disconnected without sending a response")
            self._http.receive_data(data)
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
