"""The connections of a served sandbox: what a client may send and how long it may take, and how a response is sent."""

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import dataclass
from typing import Any, cast

import httpx
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from bwp_nb.sandbox.api import Sandbox
from bwp_nb.text import readable

#: The most connections at a time.
MAX_CONNECTIONS = 256

#: The most bytes of a body.
MAX_BODY = 1_048_576

_RESET = struct.pack("ii", 1, 0)

_log = logging.getLogger("bwp_nb.sandbox.server")


class Listener(HTTPServer):
    """An HTTP server with a limit on its connections."""

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        """Begin with a connection, unless its client has reset it already: TLS would raise, and leave it open."""
        try:
            connection.getpeername()
            super()._handle_connection(connection, address)
        except OSError:
            _log.info("port %s: left before it sent a request", address[1])
            connection.close()

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a connection, or close it at once if there are too many."""
        if len(self._connections) < MAX_CONNECTIONS:
            super().handle_stream(stream, address)
        else:
            _log.warning("port %s: closed, because %s connections are open, the limit", address[1], MAX_CONNECTIONS)
            stream.close()


@dataclass(frozen=True)
class Site:
    """What all requests to one server share; `deadline` is the seconds that a client may take.

    `origins` are those of web pages that may use `/graphql` and `/token`.
    """

    sandbox: Sandbox
    scheme: str
    hosts: list[str]
    control_token: str
    deadline: float
    origins: frozenset[str]


@stream_request_body
class Handler(RequestHandler):
    """One request on a connection. It reads the body itself: Tornado would close a connection when one is too long.

    Of what Tornado does for each method nothing is used, so that a method that it does not know is like any other.
    """

    def initialize(self, site: Site) -> None:
        """Prepare to read the body."""
        self.site = site
        self.connection = cast(HTTP1Connection, self.request.connection)
        self.method, self.request.method = self.request.method or "", "GET"
        self.body = bytearray()
        self.waits: list[float] = []
        self.gone = asyncio.Event()
        self.is_reset = False

    def respond(self) -> httpx.Response:
        """Return the response, due after the seconds in `waits`; raise `httpx.TransportError` for a reset instead."""
        raise NotImplementedError

    def set_default_headers(self) -> None:
        """Set what all responses have; the others are those of a sandbox's response."""
        self.clear_header("Server")
        self.clear_header("Content-Type")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def compute_etag(self) -> None:
        """Return nothing: no response is cached."""

    def data_received(self, chunk: bytes) -> None:
        """Keep the body, but not more than a byte over the limit."""
        self.body += chunk[: MAX_BODY + 1 - len(self.body)]

    def on_connection_close(self) -> None:
        """Note that the client has hung up."""
        super().on_connection_close()
        self.gone.set()

    async def get(self) -> None:
        """Send the response when it is due, or reset the connection if a fault wants that."""
        try:
            response = self.respond()
        except httpx.TransportError:
            response = None
        if sum(self.waits):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), sum(self.waits))
        if response is None or self.gone.is_set():
            self.reset()
        else:
            await self.send(response)

    async def send(self, response: httpx.Response) -> None:
        """Send a response; the client has its deadline for each piece."""
        self.set_status(response.status_code)
        for name, text in response.headers.items():
            if name != "transfer-encoding":  # Tornado adds it for clients that know it
                self.set_header(name, text)
        try:
            for piece in response.iter_bytes() if self.method != "HEAD" else ():
                self.write(piece)
                await asyncio.wait_for(self.flush(), self.site.deadline)
            await asyncio.wait_for(self.finish(), self.site.deadline)
        except StreamClosedError:
            self.gone.set()
        except TimeoutError:
            self.reset()

    def reset(self) -> None:
        """Close the connection so that its client sees a reset, not an orderly end."""
        self.is_reset = True
        stream = self.connection.stream
        if not stream.closed():
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            stream.close()

    def write_error(self, status_code: int, **_: Any) -> None:
        """Write the response to a request that raised something."""
        self.write({"errors": [{"message": f"HTTP {status_code}: the sandbox failed; see its log"}]})

    def log_exception(self, *error: Any) -> None:
        """Log what was raised, and not the request, which may contain a secret."""
        _log.error("A request could not be answered", exc_info=error[1])


def log_request(handler: RequestHandler) -> None:
    """Log a request in one line."""
    asked = cast(Handler, handler)
    outcome = "left" if asked.gone.is_set() else "reset" if asked.is_reset else asked.get_status()
    line = f"{readable(asked.method, 10)} {readable(asked.request.path, 60)}"
    port = cast(Any, asked.connection.context).address[1]
    _log.info("port %s: %s -> %s, %.0f ms", port, line, outcome, 1000 * asked.request.request_time())
