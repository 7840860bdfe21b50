"""The addresses of a served sandbox: `/graphql` and `/token` as live, and `/control` for its owner.

Web pages and other programs on this machine can reach them. So each request must be for the right host and not from
another site, only the sandbox's own credentials are accepted, and `/control` requires a token.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs

import httpx
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from bwp_nb.sandbox import graphql_over_http as over_http
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.faults import faults
from bwp_nb.sandbox.graphql_over_http import Refused
from bwp_nb.sandbox.responses import JSON, json_response
from bwp_nb.text import readable

#: The most bytes of a body, and the most requests that one order of a fault may affect.
MAX_BODY = 1_048_576
MAX_TIMES = 1_000

_FORM = "application/x-www-form-urlencoded"
_ALTAIR = "electron://altair"  # sent by Altair's desktop program; no web page can have this origin
_RESET = struct.pack("ii", 1, 0)

_log = logging.getLogger("bwp_nb.sandbox.server")


@dataclass(frozen=True)
class Site:
    """What the addresses of one server share; `deadline` is the seconds that a client may take."""

    sandbox: Sandbox
    scheme: str
    hosts: list[str]
    control_token: str
    deadline: float


def application(site: Site) -> Application:
    """Return the addresses for a Tornado server."""
    routes = [
        ("/graphql", _GraphQL),
        ("/token", _Token),
        ("/control(?:/(accepted|duplicates|rejected|requests))?", _Arrived),
        ("/control/faults", _Faults),
        ("/control/reset", _Reset),
        ("/control/.*", _Control),
    ]
    return Application(routes, site=site, default_handler_class=_Handler, log_function=_log_request)


@stream_request_body
class _Handler(RequestHandler):
    """What all addresses share, and the response at an address that does not exist.

    It reads bodies itself, because Tornado closes the connection of a sender whose body is too long.
    """

    methods: tuple[str, ...] = ()
    unknown = "Expected /graphql, /token or /control"

    def initialize(self) -> None:
        self.site: Site = self.settings["site"]
        self.sandbox: Sandbox = self.site.sandbox
        self.connection = cast(HTTP1Connection, self.request.connection)
        self.method = self.request.method or ""
        if self.method not in self.SUPPORTED_METHODS:
            self.request.method = "GET"  # Tornado would refuse it, and close the connection, before the body is read
        self.media_type = JSON
        self.body = bytearray()
        self.waits: list[float] = []
        self.gone = asyncio.Event()
        self.is_reset = False

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.clear_header("Content-Type")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def compute_etag(self) -> None:
        return None

    def header(self, name: str) -> str:
        return self.request.headers.get(name, "")

    def prepare(self) -> None:
        length = self.header("Content-Length")
        if self.header("Expect") and length.isdecimal() and int(length) > MAX_BODY:
            raise _too_long({"Connection": "close"})  # the sender waits for this before it sends the body

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk[: MAX_BODY + 1 - len(self.body)]

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.gone.set()

    async def handle(self, *_path: str | None) -> None:
        self.guard()
        if not self.methods:
            raise Refused(404, self.unknown)
        try:
            response = self.dispatch()
        except httpx.TransportError:
            response = None
        if sum(self.waits):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), sum(self.waits))
        if response is None or self.gone.is_set():
            self.reset()
        else:
            await self.send(response)

    get = head = post = put = patch = delete = options = handle

    def guard(self) -> None:
        """Raise `Refused` for a request from a web page, and for one that is too long."""
        hosts, origin = self.site.hosts, self.header("Origin").lower()
        if self.header("Host").lower() not in hosts:
            raise Refused(421, f"The host must be {' or '.join(hosts)}")
        is_foreign = bool(origin) or self.header("Sec-Fetch-Site").lower() not in ("", "none", "same-origin")
        if is_foreign and origin not in {_ALTAIR, *(f"{self.site.scheme}://{host}" for host in hosts)}:
            raise Refused(403, "Requests from web pages are refused; use a program")
        if len(self.body) > MAX_BODY:
            raise _too_long()

    def dispatch(self) -> httpx.Response:
        allow = {"Allow": ", ".join(["OPTIONS", *self.methods])}
        if self.method == "OPTIONS":
            return httpx.Response(204, headers=allow)
        if self.method not in self.methods:
            raise Refused(405, f"The method must be {' or '.join(self.methods)}", allow)
        return self.respond()

    def respond(self) -> httpx.Response:
        raise NotImplementedError

    def ask_sandbox(self, endpoint: str, body: bytes) -> httpx.Response:
        """Pass a body to the sandbox, as httpx would; its waits are collected and waited for later."""
        headers = httpx.Headers(list(self.request.headers.get_all()), encoding="latin-1")
        extensions = {"timeout": {"read": self.site.deadline}, "wait": self.waits.append}
        before = self.sandbox.dropped
        request = httpx.Request("POST", endpoint, content=body, headers=headers, extensions=extensions)
        try:
            return self.sandbox.handle_request(request)
        finally:
            if not before and self.sandbox.dropped:
                _log.warning(
                    "The sandbox keeps the last %d of each kind; from now on it drops older events and requests",
                    self.sandbox.keep,
                )

    async def send(self, response: httpx.Response) -> None:
        """Send a response; the client has its deadline for each piece."""
        self.set_status(response.status_code)
        for name, text in response.headers.items():
            if name != "transfer-encoding":  # Tornado's own business
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

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        message = "The sandbox failed; see its log" if status_code == 500 else HTTPStatus(status_code).phrase
        if isinstance(error, Refused):
            message = error.message
            for name, text in error.headers.items():
                self.set_header(name, text)
        response = json_response(status_code, {"errors": [{"message": message}]}, self.media_type)
        self.set_header("Content-Type", response.headers["Content-Type"])
        self.write(response.content)

    def log_exception(self, *error: Any) -> None:
        if not isinstance(error[1], HTTPError):
            _log.error("A request could not be answered", exc_info=error[1])


class _GraphQL(_Handler):
    methods = ("GET", "HEAD", "POST")

    def respond(self) -> httpx.Response:
        self.media_type = over_http.media_type(self.header("Accept"))
        if self.method == "POST":
            body = bytes(self.body)
            over_http.check_post(self.header("Content-Type"), self.header("Content-Encoding"), body)
        else:
            body = over_http.body_of_get(self.request.query)
        return over_http.in_form(self.media_type, self.ask_sandbox(self.sandbox.endpoint, body))


class _Token(_Handler):
    methods = ("POST",)

    def respond(self) -> httpx.Response:
        if not over_http.is_utf_8(self.header("Content-Type"), _FORM):
            raise Refused(415, f"Expected credentials as {_FORM} in the body")
        form = parse_qs(self.body.decode("utf-8", "replace"))
        if form.get("client_id") != [self.sandbox.client_id]:
            description = (
                f"This is a sandbox, and its only client id is {self.sandbox.client_id}. Live credentials do not "
                "belong here; nothing of these was kept."
            )
            return json_response(401, {"error": "invalid_client", "error_description": description})
        return self.ask_sandbox(self.sandbox.token_endpoint, bytes(self.body))


class _Control(_Handler):
    unknown = "Expected /control/accepted, duplicates, rejected, requests, faults or reset"

    def guard(self) -> None:
        super().guard()
        expected, given = f"Bearer {self.site.control_token}", self.header("Authorization")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            raise Refused(401, "The control token is missing or wrong", {"WWW-Authenticate": "Bearer"})


class _Arrived(_Control):
    methods = ("GET", "HEAD")

    def respond(self) -> httpx.Response:
        name = self.path_args[0]
        kept = {"keep": self.sandbox.keep, "keep_tokens": self.sandbox.keep_tokens}
        return json_response(200, getattr(self.sandbox, name) if name else {**self.sandbox.counts, **kept})


class _Reset(_Control):
    methods = ("POST",)

    def respond(self) -> httpx.Response:
        self.sandbox.reset()
        return json_response(200, {})


class _Faults(_Control):
    methods = ("GET", "HEAD", "POST")

    def respond(self) -> httpx.Response:
        if self.method != "POST":
            return json_response(
                200, [{"name": fault.name, "summary": fault.summary, "options": fault.options} for fault in faults()]
            )
        if not over_http.is_utf_8(self.header("Content-Type"), JSON):
            raise Refused(415, f"Expected {JSON}")
        try:
            order = json.loads(self.body)
            name, times, options = order["name"], order.get("times", 1), order.get("options", {})
            if type(times) is not int or not 1 <= times <= MAX_TIMES:
                raise ValueError(f"times must be from 1 to {MAX_TIMES}, got {times!r}")
            self.sandbox.fail_next(name, times, **options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Refused(400, f"Expected {{name, times, options}}: {error}") from None
        return json_response(200, {"name": name, "times": times, "options": options})


def _too_long(headers: dict[str, str] | None = None) -> Refused:
    return Refused(413, f"A body may have at most {MAX_BODY} bytes", headers)


def _log_request(handler: RequestHandler) -> None:
    asked = cast(_Handler, handler)
    outcome = "left" if asked.gone.is_set() else "reset" if asked.is_reset else asked.get_status()
    line = f"{readable(asked.method, 10)} {readable(asked.request.path, 60)}"
    port = cast(Any, asked.connection.context).address[1]
    _log.info("port %s: %s -> %s, %.0f ms", port, line, outcome, 1000 * asked.request.request_time())
