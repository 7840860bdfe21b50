"""The addresses of a served sandbox: `/graphql` and `/token` as live, and `/control` for its owner.

Web pages and other programs on this machine can reach them. So each request must be for the right host and not from
another site, only the sandbox's own credentials are accepted, and `/control` requires a token. What a client may send
is limited, and how long it may take.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import httpx
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.sandbox import graphql_over_http as over_http
from bwp_nb.sandbox.api import KINDS, Sandbox
from bwp_nb.sandbox.faults import faults
from bwp_nb.sandbox.graphql_over_http import Refused
from bwp_nb.sandbox.responses import JSON, json_response
from bwp_nb.text import readable

#: The most bytes of a body.
MAX_BODY = 1_048_576

_ALTAIR = "electron://altair"  # sent by Altair's desktop program; no web page can have this origin

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.IGNORECASE)

#: By these headers and its own origin a browser lets a page use the API (https://fetch.spec.whatwg.org/#http-cors-protocol).
_SHARED = {
    "Vary": "Origin",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Expose-Headers": "Retry-After",
}

_RESET = struct.pack("ii", 1, 0)

_log = logging.getLogger("bwp_nb.sandbox.server")


def check_origin(origin: str) -> None:
    """Raise `ValueError` for what no browser sends as the origin of a page, such as an address with a path."""
    if not _ORIGIN.fullmatch(origin):
        raise InvalidArgument(f"expected an origin such as http://localhost:3000, without a path, got {origin!r}")


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

    `get` responds to all methods: Tornado would refuse one that it does not know before the body is read.
    """

    def initialize(self, site: Site) -> None:
        """Prepare to read the body."""
        self.site = site
        self.connection = cast(HTTP1Connection, self.request.connection)
        self.method = self.request.method or ""
        self.request.method = "GET"
        self.body = bytearray()
        self.waits: list[float] = []
        self.gone = asyncio.Event()
        self.is_reset = False

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
            response = self._respond()
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

    def log_line(self) -> None:
        """Log the request in one line."""
        outcome = "left" if self.gone.is_set() else "reset" if self.is_reset else self.get_status()
        line = f"{readable(self.method, 10)} {readable(self.request.path, 60)}"
        port = cast(Any, self.connection.context).address[1]
        _log.info("port %s: %s -> %s, %.0f ms", port, line, outcome, 1000 * self.request.request_time())

    def _respond(self) -> httpx.Response:
        """Return the response, also if the request is refused."""
        try:
            self._check_sender()
            response = self._answer()
        except Refused as refused:
            response = refused.response
        if self._is_shared():
            response.headers.update(_SHARED | {"Access-Control-Allow-Origin": self.request.headers["Origin"]})
        return response

    def _answer(self) -> httpx.Response:
        if self.request.path not in _ADDRESSES:
            raise Refused(404, f"Expected {' or '.join(_ADDRESSES)}")
        methods, answer = _ADDRESSES[self.request.path]
        allow = {"Allow": ", ".join(["OPTIONS", *methods])}
        if self.method == "OPTIONS":
            return httpx.Response(204, headers=allow)
        if self.method not in methods:
            raise Refused(405, f"The method must be {' or '.join(methods)}", allow)
        return answer(self)

    def _is_shared(self) -> bool:
        """Whether the request is from a web page that may use this address."""
        is_api = self.request.path in ("/graphql", "/token")
        return is_api and self.request.headers.get("Origin", "").lower() in self.site.origins

    def _check_sender(self) -> None:
        """Raise `Refused` for a web page, a body that is too long, and a request for `/control` without its token."""
        site, headers = self.site, self.request.headers
        if headers.get("Host", "").lower() not in site.hosts:
            raise Refused(421, f"The host must be {' or '.join(site.hosts)}")
        origin = headers.get("Origin", "").lower()
        is_foreign = bool(origin) or headers.get("Sec-Fetch-Site", "").lower() not in ("", "none", "same-origin")
        own = {_ALTAIR, *(f"{site.scheme}://{host}" for host in site.hosts)}
        if is_foreign and origin not in own and not self._is_shared():
            raise Refused(403, "Requests from web pages are refused; use a program, or serve with --allow-origin")
        if len(self.body) > MAX_BODY:
            raise Refused(413, f"A body may have at most {MAX_BODY} bytes")
        expected, given = f"Bearer {site.control_token}", headers.get("Authorization", "")
        is_control = f"{self.request.path}/".startswith("/control/")
        if is_control and not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            raise Refused(401, "The control token is missing or wrong", {"WWW-Authenticate": "Bearer"})

    def _graphql(self) -> httpx.Response:
        kind, body = JSON, bytes(self.body)
        try:
            kind = over_http.media_type(self.request.headers.get("Accept", ""))
            if self.method == "POST":
                over_http.check_body(self.request.headers, JSON)
            else:
                body = over_http.body_of_get(self.request.query)
            response = self._ask_sandbox(self.site.sandbox.endpoint, body)
        except Refused as refused:
            response = refused.response
            self.site.sandbox._record_request(body, response)
        return over_http.in_form(kind, response)

    def _token(self) -> httpx.Response:
        over_http.check_body(self.request.headers, "application/x-www-form-urlencoded")
        return self._ask_sandbox(self.site.sandbox.token_endpoint, bytes(self.body))

    def _ask_sandbox(self, endpoint: str, body: bytes) -> httpx.Response:
        headers = httpx.Headers(list(self.request.headers.get_all()), encoding="latin-1")
        extensions = {"timeout": {"read": self.site.deadline}, "wait": self.waits.append}
        request = httpx.Request("POST", endpoint, content=body, headers=headers, extensions=extensions)
        return self.site.sandbox.handle_request(request)

    def _counts(self) -> httpx.Response:
        sandbox = self.site.sandbox
        return json_response(200, {**sandbox.counts, "keep": sandbox.keep, "keep_tokens": sandbox.keep_tokens})

    def _arrived(self) -> httpx.Response:
        return json_response(200, getattr(self.site.sandbox, self.request.path.rpartition("/")[2]))

    def _reset(self) -> httpx.Response:
        self.site.sandbox.reset()
        return json_response(200, {})

    def _faults(self) -> httpx.Response:
        if self.method != "POST":
            return json_response(200, [asdict(fault) for fault in faults()])
        over_http.check_body(self.request.headers, JSON)
        try:
            order = json.loads(self.body)
            name, times, options = order["name"], order.get("times", 1), order.get("options", {})
            self.site.sandbox.fail_next(name, times, **options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Refused(400, f"Expected {{name, times, options}}: {error}") from None
        return json_response(200, {"name": name, "times": times, "options": options})


#: For each address its methods, and what responds.
_ADDRESSES: dict[str, tuple[tuple[str, ...], Callable[[Handler], httpx.Response]]] = {
    "/graphql": (("GET", "HEAD", "POST"), Handler._graphql),
    "/token": (("POST",), Handler._token),
    "/control": (("GET", "HEAD"), Handler._counts),
    **{f"/control/{name}": (("GET", "HEAD"), Handler._arrived) for name in KINDS},
    "/control/faults": (("GET", "HEAD", "POST"), Handler._faults),
    "/control/reset": (("POST",), Handler._reset),
}
