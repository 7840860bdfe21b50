"""What a served sandbox answers at each address, before any socket: a request comes in, a response goes out.

Any page in a browser, and any program on the machine, may send it something. So it looks at where a request claims to
come from, takes no credentials but the sandbox's own, and lets only who holds the control token see what arrived.
"""

import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx

from bwp_nb.sandbox import protocol
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.faults import faults
from bwp_nb.sandbox.protocol import Refused

#: The most bytes of a body, and the most requests that one order of a fault may befall.
MAX_BODY = 1_048_576
MAX_TIMES = 1_000

_FORM = "application/x-www-form-urlencoded"
_LISTS = ("accepted", "duplicates", "rejected", "requests")
_PASSED_ON = ("Authorization", "x-api-target-id", "X-Omni-TargetId")
_ALTAIR = "electron://altair"  # its desktop program sends this, and no web page can have it
_NOT_HERE = (
    "This is a sandbox, and its only client id is {}. Live credentials do not belong here; nothing of these was kept."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """One HTTP request, read. `wait` lets seconds pass before it is answered, `patience` is the most that it waits."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    wait: Callable[[float], None]
    patience: float

    @property
    def path(self) -> str:
        """The address without its query part."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query part of the address."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """Return a header's value, or nothing."""
        return self.headers.get(name, "")


class Site:
    """The addresses of one served sandbox: `/graphql` and `/token` as live, and `/control` for who holds its token."""

    def __init__(self, sandbox: Sandbox, scheme: str, hosts: set[str], control_token: str) -> None:
        self._sandbox = sandbox
        self._hosts = hosts
        self._origins = {f"{scheme}://{host}" for host in hosts} | {_ALTAIR}
        self._control_token = control_token

    def answer(self, asked: Asked) -> httpx.Response | None:
        """Return the response to a request; None where the connection shall break off instead."""
        try:
            self._guard(asked)
            return self._found(asked)
        except Refused as refused:
            kind = _kind(asked)
            return _response(refused.status_code, {"errors": [{"message": refused.reason}]}, kind, refused.headers)
        except httpx.TransportError:
            return None
        except Exception:
            _log.exception("A request could not be answered")
            return _response(500, {"errors": [{"message": "The sandbox failed; its log says why"}]})

    def _guard(self, asked: Asked) -> None:
        """Raise `Refused` for what a foreign web page sent, and for what is too long."""
        if asked.header("Host").lower() not in self._hosts:
            raise Refused(421, f"The sandbox is {' or '.join(sorted(self._hosts))}, and no other host")
        if asked.header("Origin") and asked.header("Origin").lower() not in self._origins:
            raise Refused(403, "The sandbox takes nothing that a web page sends; use a program")
        if len(asked.body) > MAX_BODY:
            raise Refused(413, f"A body has at most {MAX_BODY} bytes here")

    def _found(self, asked: Asked) -> httpx.Response:
        if asked.path == "/graphql":
            return self._graphql(asked)
        if asked.path == "/token":
            return self._token(asked)
        if asked.path == "/control" or asked.path.startswith("/control/"):
            return self._control(asked)
        raise Refused(404, "There are /graphql, /token and /control here")

    def _graphql(self, asked: Asked) -> httpx.Response:
        if (options := _allow(asked, "GET", "HEAD", "POST")) is not None:
            return options
        kind = protocol.media_type(asked.header("Accept"))
        if asked.method == "POST":
            body = protocol.posted(asked.header("Content-Type"), asked.header("Content-Encoding"), asked.body)
        else:
            body = protocol.got(asked.query)
        response = self._api(asked, self._sandbox.endpoint, body)
        return protocol.in_form(kind, response)

    def _token(self, asked: Asked) -> httpx.Response:
        if (options := _allow(asked, "POST")) is not None:
            return options
        if not protocol.is_utf_8(asked.header("Content-Type"), _FORM):
            raise Refused(415, f"Credentials come as {_FORM}, in the body")
        form = parse_qs(asked.body.decode("utf-8", "replace"))
        if form.get("client_id") != [self._sandbox.client_id]:
            description = _NOT_HERE.format(self._sandbox.client_id)
            return _response(401, {"error": "invalid_client", "error_description": description})
        return self._api(asked, self._sandbox.token_endpoint, asked.body)

    def _api(self, asked: Asked, endpoint: str, body: bytes) -> httpx.Response:
        """Hand a body to the sandbox, as httpx would."""
        given = [(name, asked.header(name)) for name in _PASSED_ON]
        headers = [(name.encode(), text.encode("latin-1")) for name, text in given if text]
        extensions = {"timeout": {"read": asked.patience}, "wait": asked.wait}
        return self._sandbox.handle_request(
            httpx.Request("POST", endpoint, content=body, headers=headers, extensions=extensions)
        )

    def _control(self, asked: Asked) -> httpx.Response:
        """Tell what arrived, or order what shall happen."""
        given = asked.header("Authorization").encode("utf-8", "replace")
        if not hmac.compare_digest(given, f"Bearer {self._control_token}".encode()):
            raise Refused(401, "The control token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        name = asked.path.removeprefix("/control").removeprefix("/")
        methods = {"faults": ("GET", "HEAD", "POST"), "reset": ("POST",)}.get(name, ("GET", "HEAD"))
        if (options := _allow(asked, *methods)) is not None:
            return options
        if name == "":
            return _response(200, {kept: len(getattr(self._sandbox, kept)) for kept in _LISTS})
        if name in _LISTS:
            return _response(200, getattr(self._sandbox, name))
        if name == "faults":
            return self._order(asked) if asked.method == "POST" else _response(200, _fault_list())
        if name == "reset":
            self._sandbox.reset()
            return _response(200, {})
        raise Refused(404, f"There are /control/{', '.join(_LISTS)}, reset and faults")

    def _order(self, asked: Asked) -> httpx.Response:
        """Order a fault by its `name`, with `times` and `options` if they are given."""
        if not protocol.is_utf_8(asked.header("Content-Type"), protocol.JSON):
            raise Refused(415, f"An order is {protocol.JSON}")
        try:
            order = json.loads(asked.body)
            name, times, options = order["name"], order.get("times", 1), order.get("options", {})
            if type(times) is not int or not 1 <= times <= MAX_TIMES:
                raise ValueError(f"times is a number from 1 to {MAX_TIMES}")
            self._sandbox.fail_next(name, times, **options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Refused(400, f"No such order, which is {{name, times, options}}: {error}") from None
        return _response(200, {"name": name, "times": times, "options": options})


def _allow(asked: Asked, *methods: str) -> httpx.Response | None:
    """Return the answer to OPTIONS, None for one of the methods, or raise `Refused`."""
    allow = {"Allow": ", ".join(["OPTIONS", *methods])}
    if asked.method == "OPTIONS":
        return httpx.Response(204, headers=allow)
    if asked.method not in methods:
        raise Refused(405, f"Use {' or '.join(methods)}", allow)
    return None


def _kind(asked: Asked) -> str:
    """Return the media type for a refusal: one that the client takes, if there is one."""
    try:
        return protocol.media_type(asked.header("Accept")) if asked.path == "/graphql" else protocol.JSON
    except Refused:
        return protocol.JSON


def _fault_list() -> list[dict[str, Any]]:
    return [{"name": fault.name, "summary": fault.summary, "options": fault.options} for fault in faults()]


def _response(
    status_code: int, answer: Any, kind: str = protocol.JSON, headers: dict[str, str] | None = None
) -> httpx.Response:
    content = json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return httpx.Response(status_code, content=content, headers={"Content-Type": kind, **(headers or {})})
