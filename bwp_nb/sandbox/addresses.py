"""The addresses of a served sandbox: `/graphql` and `/token` as live, and `/control` for its owner.

Web pages and other programs on this machine can reach them. So each request must be for the right host and not from
another site, only the sandbox's own credentials are accepted, and `/control` requires a token.
"""

import hmac
import json
import re
from collections.abc import Callable
from dataclasses import asdict

import httpx

from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.sandbox import graphql_over_http as over_http
from bwp_nb.sandbox.connections import MAX_BODY, Handler
from bwp_nb.sandbox.faults import faults
from bwp_nb.sandbox.graphql_over_http import Refused
from bwp_nb.sandbox.log import KINDS
from bwp_nb.sandbox.responses import JSON, json_response

_ALTAIR = "electron://altair"  # sent by Altair's desktop program; no web page can have this origin

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.IGNORECASE)

#: By these headers and its own origin a browser lets a page use the API (https://fetch.spec.whatwg.org/#http-cors-protocol).
_SHARED = {
    "Vary": "Origin",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Expose-Headers": "Retry-After",
}


def check_origin(origin: str) -> None:
    """Raise `ValueError` for what no browser sends as the origin of a page, such as an address with a path."""
    if not _ORIGIN.fullmatch(origin):
        raise InvalidArgument(f"expected an origin such as http://localhost:3000, without a path, got {origin!r}")


class AddressHandler(Handler):
    """A request to one of the addresses."""

    def respond(self) -> httpx.Response:
        """Return the response, also if the request is refused."""
        try:
            self._check_sender()
            response = self._respond()
        except Refused as refused:
            response = refused.response
        if self._is_shared():
            response.headers.update(_SHARED | {"Access-Control-Allow-Origin": self.request.headers["Origin"]})
        return response

    def _respond(self) -> httpx.Response:
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
        kind = over_http.media_type(self.request.headers.get("Accept", ""))
        body = bytes(self.body)
        try:
            if self.method == "POST":
                over_http.check_body(self.request.headers, JSON)
            else:
                body = over_http.body_of_get(self.request.query)
            response = self._ask_sandbox(self.site.sandbox.endpoint, body)
        except Refused as refused:
            response = refused.response
            if self.method == "POST":
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
_ADDRESSES: dict[str, tuple[tuple[str, ...], Callable[[AddressHandler], httpx.Response]]] = {
    "/graphql": (("GET", "HEAD", "POST"), AddressHandler._graphql),
    "/token": (("POST",), AddressHandler._token),
    "/control": (("GET", "HEAD"), AddressHandler._counts),
    **{f"/control/{name}": (("GET", "HEAD"), AddressHandler._arrived) for name in KINDS},
    "/control/faults": (("GET", "HEAD", "POST"), AddressHandler._faults),
    "/control/reset": (("POST",), AddressHandler._reset),
}
