"""The addresses of a served sandbox: `/graphql` and `/token` as live, and `/control` for its owner.

Web pages and other programs on this machine can reach them. So each request must be for the right host and not from
another site, only the sandbox's own credentials are accepted, and `/control` requires a token.
"""

import hmac
import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import httpx

from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.sandbox import graphql_over_http as over_http
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.faults import faults
from bwp_nb.sandbox.graphql_over_http import Refused
from bwp_nb.sandbox.log import KINDS
from bwp_nb.sandbox.responses import JSON, json_response

#: The most bytes of a body, and the most requests that one order of a fault may affect.
MAX_BODY = 1_048_576
MAX_TIMES = 1_000

#: The refusal of a body that is longer.
TOO_LONG = (413, f"A body may have at most {MAX_BODY} bytes")

_ALTAIR = "electron://altair"  # sent by Altair's desktop program; no web page can have this origin

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_NAMES = re.compile(r"[\w!#$%&'*+.^`|~, -]{1,1000}", re.ASCII)

_log = logging.getLogger("bwp_nb.sandbox.server")


@dataclass(frozen=True)
class Site:
    """What the addresses of one server share; `deadline` is the seconds that a client may take.

    `origins` are those of web pages that may use `/graphql` and `/token`.
    """

    sandbox: Sandbox
    scheme: str
    hosts: list[str]
    control_token: str
    deadline: float
    origins: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Request:
    """A request to a site; `wait` notes the seconds after which its response is due."""

    site: Site
    method: str
    path: str
    query: str
    headers: httpx.Headers
    body: bytes
    wait: Callable[[float], None]


def respond(request: Request) -> httpx.Response:
    """Return the response to a request, also if it is refused."""
    try:
        _check_sender(request)
        response = _respond(request)
    except Refused as refused:
        response = refused.response
    if _is_allowed(request):
        response.headers.update(_sharing(request))
    return response


def _respond(request: Request) -> httpx.Response:
    if request.path not in _ADDRESSES:
        raise Refused(404, f"Expected {' or '.join(_ADDRESSES)}")
    methods, answer = _ADDRESSES[request.path]
    allow = {"Allow": ", ".join(["OPTIONS", *methods])}
    if request.method == "OPTIONS":
        return httpx.Response(204, headers=allow)
    if request.method not in methods:
        raise Refused(405, f"The method must be {' or '.join(methods)}", allow)
    return answer(request)


def check_origin(origin: str) -> None:
    """Raise `ValueError` for what no browser sends as the origin of a page, such as an address with a path."""
    if not _ORIGIN.fullmatch(origin):
        raise InvalidArgument(f"expected an origin such as http://localhost:3000, without a path, got {origin!r}")


def _is_allowed(request: Request) -> bool:
    """Whether a request is from a web page that may use this address."""
    is_api = request.path in ("/graphql", "/token")
    return is_api and request.headers.get("Origin", "").lower() in request.site.origins


def _sharing(request: Request) -> dict[str, str]:
    """Return the headers by which a browser lets a page read the response (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
    shared = {"Vary": "Origin", "Access-Control-Allow-Origin": request.headers["Origin"]}
    if request.method != "OPTIONS":
        return shared | {"Access-Control-Expose-Headers": "Retry-After"}
    asked = request.headers.get("Access-Control-Request-Headers", "")
    shared |= {"Access-Control-Allow-Methods": ", ".join(_ADDRESSES[request.path][0])}
    return shared | ({"Access-Control-Allow-Headers": asked} if _NAMES.fullmatch(asked) else {})


def _check_sender(request: Request) -> None:
    """Raise `Refused` for a request from a web page, one that is too long, and one for `/control` without its token."""
    site, origin = request.site, request.headers.get("Origin", "").lower()
    if request.headers.get("Host", "").lower() not in site.hosts:
        raise Refused(421, f"The host must be {' or '.join(site.hosts)}")
    is_foreign = bool(origin) or request.headers.get("Sec-Fetch-Site", "").lower() not in ("", "none", "same-origin")
    own = {_ALTAIR, *(f"{site.scheme}://{host}" for host in site.hosts)}
    if is_foreign and origin not in own and not _is_allowed(request):
        raise Refused(403, "Requests from web pages are refused; use a program, or serve with --allow-origin")
    if len(request.body) > MAX_BODY:
        raise Refused(*TOO_LONG)
    expected, given = f"Bearer {site.control_token}", request.headers.get("Authorization", "")
    is_control = request.path == "/control" or request.path.startswith("/control/")
    if is_control and not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Refused(401, "The control token is missing or wrong", {"WWW-Authenticate": "Bearer"})


def _graphql(request: Request) -> httpx.Response:
    kind = over_http.media_type(request.headers.get("Accept", ""))
    body = request.body
    try:
        if request.method == "POST":
            over_http.check_body(request.headers, JSON)
        else:
            body = over_http.body_of_get(request.query)
        response = _ask_sandbox(request, request.site.sandbox.endpoint, body)
    except Refused as refused:
        response = refused.response
        if request.method == "POST":
            request.site.sandbox._note_refusal(body, response)
    return over_http.in_form(kind, response)


def _token(request: Request) -> httpx.Response:
    over_http.check_body(request.headers, "application/x-www-form-urlencoded")
    return _ask_sandbox(request, request.site.sandbox.token_endpoint, request.body)


def _ask_sandbox(request: Request, endpoint: str, body: bytes) -> httpx.Response:
    sandbox, before = request.site.sandbox, request.site.sandbox.dropped
    extensions = {"timeout": {"read": request.site.deadline}, "wait": request.wait}
    try:
        return sandbox.handle_request(
            httpx.Request("POST", endpoint, content=body, headers=request.headers, extensions=extensions)
        )
    finally:
        if not before and sandbox.dropped:
            _log.warning("The sandbox keeps the last %d of each kind; from now on it drops older ones", sandbox.keep)


def _counts(request: Request) -> httpx.Response:
    sandbox = request.site.sandbox
    return json_response(200, {**sandbox.counts, "keep": sandbox.keep, "keep_tokens": sandbox.keep_tokens})


def _arrived(request: Request) -> httpx.Response:
    return json_response(200, getattr(request.site.sandbox, request.path.rpartition("/")[2]))


def _reset(request: Request) -> httpx.Response:
    request.site.sandbox.reset()
    return json_response(200, {})


def _faults(request: Request) -> httpx.Response:
    if request.method != "POST":
        return json_response(200, [asdict(fault) for fault in faults()])
    over_http.check_body(request.headers, JSON)
    try:
        order = json.loads(request.body)
        name, times, options = order["name"], order.get("times", 1), order.get("options", {})
        if type(times) is not int or not 1 <= times <= MAX_TIMES:
            raise ValueError(f"times must be from 1 to {MAX_TIMES}, got {times!r}")
        request.site.sandbox.fail_next(name, times, **options)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(400, f"Expected {{name, times, options}}: {error}") from None
    return json_response(200, {"name": name, "times": times, "options": options})


#: For each address its methods, and what responds.
_ADDRESSES: dict[str, tuple[tuple[str, ...], Callable[[Request], httpx.Response]]] = {
    "/graphql": (("GET", "HEAD", "POST"), _graphql),
    "/token": (("POST",), _token),
    "/control": (("GET", "HEAD"), _counts),
    **{f"/control/{name}": (("GET", "HEAD"), _arrived) for name in KINDS},
    "/control/faults": (("GET", "HEAD", "POST"), _faults),
    "/control/reset": (("POST",), _reset),
}
