"""The sandbox on a socket of this machine, for cURL, Postman and every other client: `python -m bwp_nb serve`.

It listens on loopback only, and limits what a connection may send and how long it may take.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import shlex
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, cast

import httpx
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import IOStream, StreamClosedError

from bwp_nb.contract import documented
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.site import MAX_BODY, Asked, Site
from bwp_nb.text import readable
from bwp_nb.wire.clock import SystemClock

#: The most bytes of a request's head, and the most connections at a time.
MAX_HEAD = 16_384
MAX_CONNECTIONS = 256

_NAMES = {"127.0.0.1": ("127.0.0.1", "localhost"), "::1": ("[::1]", "localhost")}
_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_BREAK_OFF = struct.pack("ii", 1, 0)

_log = logging.getLogger("bwp_nb.sandbox.server")


def serve(
    sandbox: Sandbox | None = None,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    deadline: float = 60.0,
    ssl_context: ssl.SSLContext | None = None,
) -> "Server":
    """Serve a sandbox on a port of this machine until the server that is returned is closed.

    Without a sandbox it serves a new one, which keeps to the computer's clock and has no latency. Port 0 is any free
    one. A client has `deadline` seconds to send a request and to take its answer; an ordered timeout lasts as long.
    Raises `ValueError` for a host that other machines can reach.
    """
    return Server(sandbox or Sandbox(clock=SystemClock(), latency=0.0), port, host, deadline, ssl_context)


class Server:
    """A sandbox that is being served; close it, or use it in a `with` statement.

    `endpoint` and `token_endpoint` are as the live API's. `control` is the address that tells what arrived, to who
    sends `control_token` as its bearer token. `environment` holds the settings of a live client that is to talk to it.
    """

    def __init__(
        self, sandbox: Sandbox, port: int, host: str, deadline: float, ssl_context: ssl.SSLContext | None
    ) -> None:
        listening = _listening(host, port)
        self.sandbox = sandbox
        self.port: int = listening.getsockname()[1]
        scheme = "https" if ssl_context else "http"
        hosts = [f"{name}:{self.port}" for name in _NAMES[host]]
        self.address = f"{scheme}://{hosts[0]}"
        self.endpoint = f"{self.address}/graphql"
        self.token_endpoint = f"{self.address}/token"
        self.control = f"{self.address}/control"
        self.control_token = secrets.token_urlsafe(24)
        site = Site(sandbox, scheme, set(hosts), self.control_token)
        self._running = threading.Event()
        serving = self._serve(listening, _Requests(site, deadline), deadline, ssl_context)
        self._thread = threading.Thread(target=asyncio.run, args=(serving,), name=repr(self), daemon=True)
        self._thread.start()
        self._running.wait()

    def __repr__(self) -> str:
        return f"Server({self.address})"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """The settings that make `connect`, in any process of this machine, a client of this server."""
        return {
            "BWP_MODE": "live",
            "BWP_CONFIRM": "no",
            "BWP_ENDPOINT": self.endpoint,
            "BWP_TOKEN_ENDPOINT": self.token_endpoint,
            "BWP_CLIENT_ID": self.sandbox.client_id,
            "BWP_CLIENT_SECRET": self.sandbox.client_secret,
            "BWP_TARGET_ID": self.sandbox.target_id,
        }

    def close(self) -> None:
        """Stop listening, and close every connection."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closed.set)
            self._thread.join()

    async def _serve(
        self, listening: socket.socket, requests: "_Requests", deadline: float, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        listener = _Listener(
            requests,
            ssl_options=ssl_context,
            max_header_size=MAX_HEAD,
            max_body_size=2**63,  # a longer body than MAX_BODY is read and dropped, so that its sender gets an answer
            idle_connection_timeout=deadline,
            body_timeout=deadline,
        )
        listener.add_socket(listening)
        self._running.set()
        await self._closed.wait()
        listener.stop()
        await listener.close_all_connections()


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on loopback, or raise `ValueError`."""
    if host not in _NAMES:
        raise ValueError(
            f"A sandbox is served on {' or '.join(_NAMES)}, which no other machine can reach, not {host!r}"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    listening.setblocking(False)
    return listening


def _welcome(server: Server) -> str:
    """Return what a person needs to begin: the address, the credentials, and lines to paste into a shell."""
    sandbox = server.sandbox
    form = f"-d grant_type=client_credentials -d client_id={sandbox.client_id} -d client_secret={sandbox.client_secret}"
    body = shlex.quote(json.dumps({"query": documented.PAGE_LOAD.request}))
    return f"""\
{server.address} is a sandbox of the Buy with Prime API. Ctrl-C stops it.

It takes these credentials only; live ones do not belong here.

  client id      {sandbox.client_id}
  client secret  {sandbox.client_secret}
  target id      {sandbox.target_id}

Get a token, which lasts 15 minutes, and send the documented event:

export BWP_TARGET_ID={sandbox.target_id}
export BWP_ACCESS_TOKEN=$(curl -s {server.token_endpoint} {form} | cut -d '"' -f 4)
curl {server.endpoint} -H "Authorization: Bearer $BWP_ACCESS_TOKEN" -H "x-api-target-id: $BWP_TARGET_ID" \
  -H 'Content-Type: application/json' --data-raw {body}

See what arrived (also rejected, duplicates, requests; POST to reset or faults):

curl {server.control}/accepted -H 'Authorization: Bearer {server.control_token}'
"""


def run(port: int, host: str, as_json: bool = False) -> None:
    """Serve a sandbox until Ctrl-C, after printing what a client needs, as text or as one JSON object."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    with serve(port=port, host=host) as server:
        sys.stdout.write(_described(server) if as_json else _welcome(server))
        sys.stdout.flush()
        while not stopped.wait(0.5):  # on Windows no signal would end a longer wait
            pass


def _described(server: Server) -> str:
    sandbox = server.sandbox
    credentials = {name: getattr(sandbox, name) for name in ("client_id", "client_secret", "target_id")}
    addresses = {name: getattr(server, name) for name in ("endpoint", "token_endpoint", "control", "control_token")}
    return json.dumps({**addresses, "credentials": credentials}) + "\n"


class _Listener(HTTPServer):
    """A server with a limit on its connections."""

    _connected = 0

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        if self._connected >= MAX_CONNECTIONS:
            stream.close()
            return
        self._connected += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._connected -= 1
        super().on_close(server_conn)


class _Requests(HTTPServerConnectionDelegate):
    """Makes a reader for each request."""

    def __init__(self, site: Site, deadline: float) -> None:
        self._site = site
        self._deadline = deadline

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:  # noqa: ARG002
        return _Exchange(self._site, cast(HTTP1Connection, request_conn), self._deadline)


class _Exchange(HTTPMessageDelegate):
    """One request as it comes in, and its answer as it goes out."""

    def __init__(self, site: Site, connection: HTTP1Connection, deadline: float) -> None:
        self._site = site
        self._connection = connection
        self._deadline = deadline
        self._body = bytearray()
        self._gone = asyncio.Event()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._line = cast(RequestStartLine, start_line)
        self._headers = headers
        self._started = time.monotonic()
        self._client = self._connection.stream.socket.getpeername()[1]
        if "Expect" in headers and _length(headers) > MAX_BODY:
            self._body = bytearray(MAX_BODY + 1)
            return self._exchange()  # its sender waits to hear whether to go on, and shall not
        return None

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk[: MAX_BODY + 1 - len(self._body)]

    def finish(self) -> None:
        self._connection.set_close_callback(self._gone.set)
        self._answering = asyncio.get_running_loop().create_task(self._exchange())

    def on_connection_close(self) -> None:
        self._gone.set()

    async def _exchange(self) -> None:
        try:
            await self._answer()
        except StreamClosedError:
            return
        except TimeoutError:
            self._break_off()
        except Exception:
            _log.exception("An answer could not be written")
            self._break_off()

    async def _answer(self) -> None:
        waits: list[float] = []
        method, target = self._line.method, self._line.path
        asked = Asked(method, target, self._headers, bytes(self._body), waits.append, self._deadline)
        response = self._site.answer(asked)
        await self._pause(sum(waits))
        said = "left" if self._gone.is_set() else response.status_code if response else "reset"
        took = 1000 * (time.monotonic() - self._started)
        asked_for = f"{readable(method, 10)} {readable(asked.path, 60)}"
        _log.info("port %s: %s -> %s, %.0f ms", self._client, asked_for, said, took)
        if response is None or self._gone.is_set():
            self._break_off()
        else:
            await self._write(response)

    async def _pause(self, seconds: float) -> None:
        """Let some seconds pass, or fewer if the client leaves."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), seconds)

    async def _write(self, response: httpx.Response) -> None:
        """Write a response, giving the client its time for each piece."""
        line = ResponseStartLine("HTTP/1.1", response.status_code, HTTPStatus(response.status_code).phrase)
        headers = HTTPHeaders({"Date": format_timestamp(time.time()), **_ALWAYS, **response.headers})
        has_body = self._line.method != "HEAD"
        if response.is_stream_consumed and response.status_code != 204:
            headers["Content-Length"] = str(len(response.content))
        whole = response.content if response.is_stream_consumed and has_body else None
        await asyncio.wait_for(self._connection.write_headers(line, headers, whole), self._deadline)
        if has_body and not response.is_stream_consumed:
            for piece in response.iter_raw():
                await asyncio.wait_for(self._connection.write(piece), self._deadline)
        self._connection.finish()

    def _break_off(self) -> None:
        """Close the connection so that its client hears of a reset, not of an end."""
        stream = self._connection.stream
        if not stream.closed():
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BREAK_OFF)
            stream.close()


def _length(headers: HTTPHeaders) -> int:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdigit() else 0
