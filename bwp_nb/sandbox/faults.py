"""Ways in which a request can fail, for the sandbox to simulate.

How the API itself fails is not documented beyond its error envelope. The responses below are what HTTP and GraphQL
servers commonly send; the classifications are those that the documentation of other operations names (inferred).
"""

import email.utils
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from bwp_nb.sandbox.responses import DENIED, error_response, html_response, json_response
from bwp_nb.wire.clock import Clock

LABEL = "inferred: a simulated fault; no page shows this response to sendUserEvents"


@dataclass(frozen=True)
class Play:
    """One request with a fault: `answer()` lets the sandbox process it normally, `wait()` lets time pass.

    `reject(text, value)` lets it process the request, but reject the events that contain a value.
    """

    request: httpx.Request
    answer: Callable[[], httpx.Response]
    reject: Callable[[str, str | None], httpx.Response]
    clock: Clock
    wait: Callable[[float], None]
    expire_tokens: Callable[[bool], None]

    @property
    def patience(self) -> float:
        """The seconds that the caller waits for a response."""
        timeouts: dict[str, float | None] = self.request.extensions.get("timeout", {})
        return timeouts.get("read") or 10.0


@dataclass(frozen=True)
class Fault:
    """A fault that `Sandbox.fail_next` can simulate.

    Attributes
    ----------
    name : str
        The name for `fail_next` and `fault_rates`.
    summary : str
        What happens.
    play : callable
        Makes the response.
    options : tuple of str
        The keyword arguments that it takes.
    """

    name: str
    summary: str
    play: Callable[..., httpx.Response]
    options: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Fault({self.name!r}, {self.summary!r})"


FAULTS: dict[str, Fault] = {}


def faults() -> list[Fault]:
    """Return the faults that a sandbox can simulate.

    How the API fails is not documented beyond the form of its errors; these are the ways in which HTTP and GraphQL
    servers fail (inferred).

    Returns
    -------
    list of Fault
        In the order of `bwp.reference("faults")`.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.faults()[0]
    Fault('refused', 'The connection is refused; nothing arrives')
    """
    return list(FAULTS.values())


def check_fault(name: str, options: Mapping[str, Any]) -> None:
    """Raise `ValueError`, listing what exists, for a fault or an option that does not exist."""
    if name not in FAULTS:
        raise ValueError(f"Unknown fault {name!r}; expected one of {', '.join(FAULTS)}")
    if unknown := options.keys() - set(FAULTS[name].options):
        expected = ", ".join(FAULTS[name].options) or "no options"
        raise ValueError(f"The fault {name!r} takes {expected}, got {', '.join(sorted(unknown))}")


def _fault(play: Callable[..., httpx.Response]) -> Callable[..., httpx.Response]:
    code = play.__code__
    options = code.co_varnames[1 : code.co_argcount]
    FAULTS[play.__name__] = Fault(play.__name__, str(play.__doc__).rstrip("."), play, options)
    return play


def _page(status_code: int, title: str, summary: str) -> None:
    name = f"http_{status_code}"
    FAULTS[name] = Fault(name, summary, lambda _play: html_response(status_code, title))


def _error(name: str, text: str, kind: str, code: int, note: str = "") -> None:
    summary = f"A GraphQL error with the classification {kind}{note}"
    FAULTS[name] = Fault(name, summary, lambda _play: error_response(text, kind, code, LABEL))


@_fault
def refused(play: Play) -> httpx.Response:
    """The connection is refused; nothing arrives."""
    raise httpx.ConnectError("Connection refused", request=play.request)


@_fault
def reset_before(play: Play) -> httpx.Response:
    """The connection is reset before the events are accepted."""
    raise httpx.ReadError("Connection reset by peer", request=play.request)


@_fault
def reset_after(play: Play) -> httpx.Response:
    """The events are accepted, and the connection is reset before the response arrives."""
    play.answer()
    raise httpx.ReadError("Connection reset by peer", request=play.request)


@_fault
def timeout_before(play: Play) -> httpx.Response:
    """No response arrives in time, and the events are not accepted."""
    play.wait(play.patience)
    raise httpx.ReadTimeout("The read operation timed out", request=play.request)


@_fault
def timeout_after(play: Play) -> httpx.Response:
    """No response arrives in time, although the events are accepted."""
    play.answer()
    return timeout_before(play)


@_fault
def slow(play: Play, seconds: float = 3.0) -> httpx.Response:
    """The response takes some seconds; if the caller's timeout is shorter, it never arrives."""
    if seconds >= play.patience:
        return timeout_after(play)
    play.wait(seconds)
    return play.answer()


_page(429, "Too Many Requests", "HTTP 429 without Retry-After")


@_fault
def http_429_seconds(play: Play, seconds: int = 5) -> httpx.Response:
    """HTTP 429 with Retry-After in seconds."""
    return html_response(429, "Too Many Requests", {"Retry-After": str(seconds)})


@_fault
def http_429_date(play: Play, seconds: int = 5) -> httpx.Response:
    """HTTP 429 with Retry-After as a date, some seconds from now."""
    moment = play.clock.now() + timedelta(seconds=seconds)
    return html_response(429, "Too Many Requests", {"Retry-After": email.utils.format_datetime(moment, usegmt=True)})


@_fault
def http_500(play: Play) -> httpx.Response:
    """HTTP 500 with an empty body."""
    return httpx.Response(500, content=b"")


_page(502, "Bad Gateway", "HTTP 502 with a gateway's HTML page")


@_fault
def http_502_after(play: Play) -> httpx.Response:
    """The events are accepted, and a gateway responds with HTTP 502."""
    play.answer()
    return html_response(502, "Bad Gateway")


_page(503, "Service Unavailable", "HTTP 503 with an HTML page")


_error("throttled", "Rate exceeded", "ThrottlingError", 429)
_error("internal_error", "Internal server error", "InternalServerError", 500)
_error("access_denied", DENIED, "AccessDeniedError", 403, ", even with a valid token")


@_fault
def expired_token(play: Play) -> httpx.Response:
    """Every token so far has expired: HTTP 401 until the client gets a new one."""
    play.expire_tokens(True)
    return play.answer()


@_fault
def expired_token_error(play: Play) -> httpx.Response:
    """Every token so far has expired: a GraphQL error until the client gets a new one."""
    play.expire_tokens(False)
    return play.answer()


_page(400, "Bad Request", "HTTP 400 with an HTML page")
_page(413, "Payload Too Large", "HTTP 413: the request body is too large")


@_fault
def html(play: Play) -> httpx.Response:
    """A sign-in page with HTTP 200, as a proxy may send it."""
    return html_response(200, "Sign in")


@_fault
def cut_off(play: Play) -> httpx.Response:
    """The events are accepted, and the JSON of the response is truncated."""
    content = play.answer().content
    return json_response(200, content[: len(content) // 2])


@_fault
def invalid_utf8(play: Play) -> httpx.Response:
    """The events are accepted, and the response is not valid UTF-8."""
    return json_response(200, play.answer().content + b"\xff\xfe")


@_fault
def wrong_content_type(play: Play) -> httpx.Response:
    """The events are accepted, and the response is labelled as plain text."""
    return json_response(200, play.answer().content, "text/plain")


@_fault
def data_and_errors(play: Play, status: str = "successful") -> httpx.Response:
    """The events are accepted, and the response contains both a status and an error."""
    answer = play.answer()
    if not _accepts(answer):
        return answer
    error = {"message": "Something beside the point failed", "extensions": {"sandbox": [LABEL]}}
    return json_response(200, {"errors": [error], "data": {"sendUserEvents": {"status": status}}})


@_fault
def other_status(play: Play, status: str = "accepted") -> httpx.Response:
    """The events are accepted, with a status that is not documented."""
    answer = play.answer()
    if not _accepts(answer):
        return answer
    return json_response(200, {"data": {"sendUserEvents": {"status": status}}, "extensions": {"sandbox": [LABEL]}})


@_fault
def huge(play: Play, mebibytes: int = 256) -> httpx.Response:
    """The events are accepted, and the response is 256 MiB long."""
    play.answer()
    return httpx.Response(200, stream=_Huge(mebibytes), headers={"Content-Type": "application/json"})


@_fault
def redirect(play: Play, location: str = "https://example.com/graphql") -> httpx.Response:
    """HTTP 307: use another host this time; the request is not processed."""
    return httpx.Response(307, headers={"Location": location})


@_fault
def http_303(play: Play, location: str = "https://example.com/result") -> httpx.Response:
    """The events are accepted, and HTTP 303 redirects to another page."""
    play.answer()
    return httpx.Response(303, headers={"Location": location})


@_fault
def http_308(play: Play, location: str = "https://example.com/graphql") -> httpx.Response:
    """HTTP 308: the address has moved to another host; the request is not processed."""
    return httpx.Response(308, headers={"Location": location})


@_fault
def duplicate(play: Play) -> httpx.Response:
    """The request is delivered twice."""
    play.answer()
    return play.answer()


@_fault
def message(play: Play, text: str = "Not today", value: str | None = None) -> httpx.Response:
    """Events that contain `value`, by default all, are rejected with the message `text`, unless accepted before."""
    return play.reject(text, value)


def _accepts(answer: httpx.Response) -> bool:
    return bool((answer.json().get("data") or {}).get("sendUserEvents"))


class _Huge(httpx.SyncByteStream):
    def __init__(self, mebibytes: int) -> None:
        self._mebibytes = mebibytes

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"data": "'
        for _ in range(self._mebibytes * 16):
            yield b"x" * 65_536
        yield b'"}'
