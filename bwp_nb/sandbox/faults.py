"""Ways in which a request can go wrong, for the sandbox to play.

How the API itself fails is not documented beyond its error envelope. The shapes below are what HTTP and GraphQL servers
do, and the classifications are those that its pages name for other operations (inferred).
"""

import email.utils
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from bwp_nb.wire.clock import Clock

_LABEL = "inferred: an ordered fault; no page shows this answer to sendUserEvents"


@dataclass(frozen=True)
class Play:
    """One request that a fault befalls: `answer()` lets the sandbox answer it in earnest, `wait()` lets time pass."""

    request: httpx.Request
    answer: Callable[[], httpx.Response]
    clock: Clock
    wait: Callable[[float], None]
    expire_tokens: Callable[[bool], None]

    @property
    def patience(self) -> float:
        """The seconds that the caller waits for an answer."""
        timeouts: dict[str, float | None] = self.request.extensions.get("timeout", {})
        return timeouts.get("read") or 10.0


@dataclass(frozen=True)
class Fault:
    """A fault that a sandbox can be told to play, by its name; `options` are keywords that it takes."""

    name: str
    summary: str
    play: Callable[..., httpx.Response]
    options: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Fault({self.name!r}, {self.summary!r})"


FAULTS: dict[str, Fault] = {}


def faults() -> list[Fault]:
    """Return the faults that a sandbox can play."""
    return list(FAULTS.values())


def _fault(play: Callable[..., httpx.Response]) -> Callable[..., httpx.Response]:
    code = play.__code__
    options = code.co_varnames[1 : code.co_argcount]
    name = play.__name__.removeprefix("_")
    FAULTS[name] = Fault(name, str(play.__doc__).rstrip("."), play, options)
    return play


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
    """The events are accepted, and the connection is reset before the answer arrives."""
    play.answer()
    raise httpx.ReadError("Connection reset by peer", request=play.request)


@_fault
def timeout_before(play: Play) -> httpx.Response:
    """No answer comes in time, and the events are not accepted."""
    play.wait(play.patience)
    raise httpx.ReadTimeout("The read operation timed out", request=play.request)


@_fault
def timeout_after(play: Play) -> httpx.Response:
    """No answer comes in time, although the events are accepted."""
    play.answer()
    play.wait(play.patience)
    raise httpx.ReadTimeout("The read operation timed out", request=play.request)


@_fault
def slow(play: Play, seconds: float = 3.0) -> httpx.Response:
    """The answer takes some seconds; too many, and the caller has gone when it comes."""
    if seconds >= play.patience:
        return timeout_after(play)
    play.wait(seconds)
    return play.answer()


@_fault
def http_429(play: Play) -> httpx.Response:
    """HTTP 429 without a word on when to come back."""
    return _html(429, "Too Many Requests")


@_fault
def http_429_seconds(play: Play, seconds: int = 5) -> httpx.Response:
    """HTTP 429 with Retry-After in seconds."""
    return _html(429, "Too Many Requests", {"Retry-After": str(seconds)})


@_fault
def http_429_date(play: Play, seconds: int = 5) -> httpx.Response:
    """HTTP 429 with Retry-After as a date, some seconds from now."""
    moment = play.clock.now() + timedelta(seconds=seconds)
    return _html(429, "Too Many Requests", {"Retry-After": email.utils.format_datetime(moment, usegmt=True)})


@_fault
def http_500(play: Play) -> httpx.Response:
    """HTTP 500 with an empty body."""
    return httpx.Response(500, content=b"")


@_fault
def http_502(play: Play) -> httpx.Response:
    """HTTP 502 with a gateway's HTML page."""
    return _html(502, "Bad Gateway")


@_fault
def http_503(play: Play) -> httpx.Response:
    """HTTP 503 with an HTML page."""
    return _html(503, "Service Unavailable")


@_fault
def throttled(play: Play) -> httpx.Response:
    """A GraphQL error with the classification ThrottlingError."""
    return _refusal("Rate exceeded", "ThrottlingError", "ThrottlingException", 429)


@_fault
def internal_error(play: Play) -> httpx.Response:
    """A GraphQL error with the classification InternalServerError."""
    return _refusal("Internal server error", "InternalServerError", "InternalServerException", 500)


@_fault
def access_denied(play: Play) -> httpx.Response:
    """A GraphQL error with the classification AccessDeniedError, whatever the token."""
    message = "You do not have sufficient access to perform this action."
    return _refusal(message, "AccessDeniedError", "AccessDeniedException", 403)


@_fault
def expired_token(play: Play) -> httpx.Response:
    """Every token so far has expired: HTTP 401 until a new one is got."""
    play.expire_tokens(True)
    return play.answer()


@_fault
def expired_token_error(play: Play) -> httpx.Response:
    """Every token so far has expired: a GraphQL error until a new one is got."""
    play.expire_tokens(False)
    return play.answer()


@_fault
def http_413(play: Play) -> httpx.Response:
    """HTTP 413: the body is too large."""
    return _html(413, "Payload Too Large")


@_fault
def html(play: Play) -> httpx.Response:
    """A sign-in page on HTTP 200, as a proxy may send it."""
    return _html(200, "Sign in")


@_fault
def cut_off(play: Play) -> httpx.Response:
    """The events are accepted, and the JSON of the answer ends in the middle."""
    content = play.answer().content
    return _json_text(200, content[: len(content) // 2])


@_fault
def invalid_utf8(play: Play) -> httpx.Response:
    """The events are accepted, and the answer is no UTF-8."""
    return _json_text(200, play.answer().content + b"\xff\xfe")


@_fault
def wrong_content_type(play: Play) -> httpx.Response:
    """A good answer that says it is plain text."""
    return httpx.Response(200, content=play.answer().content, headers={"Content-Type": "text/plain"})


@_fault
def data_and_errors(play: Play, status: str = "successful") -> httpx.Response:
    """The events are accepted, and the answer holds a status and an error."""
    answer = play.answer()
    if not _accepts(answer):
        return answer
    error = {"message": "Something beside the point failed", "extensions": {"sandbox": [_LABEL]}}
    return _json(200, {"errors": [error], "data": {"sendUserEvents": {"status": status}}})


@_fault
def other_status(play: Play, status: str = "accepted") -> httpx.Response:
    """The events are accepted, with a status that is not documented."""
    answer = play.answer()
    if not _accepts(answer):
        return answer
    return _json(200, {"data": {"sendUserEvents": {"status": status}}, "extensions": {"sandbox": [_LABEL]}})


@_fault
def huge(play: Play, mebibytes: int = 256) -> httpx.Response:
    """The events are accepted, and the answer goes on for 256 MiB."""
    play.answer()
    return httpx.Response(200, stream=_Endless(mebibytes), headers={"Content-Type": "application/json"})


@_fault
def redirect(play: Play, location: str = "https://example.com/graphql") -> httpx.Response:
    """HTTP 307 to another host."""
    return httpx.Response(307, headers={"Location": location})


@_fault
def duplicate(play: Play) -> httpx.Response:
    """The request is delivered twice."""
    play.answer()
    return play.answer()


@_fault
def message(play: Play, text: str = "Not today") -> httpx.Response:
    """The API refuses with a message of your choice: `text`."""
    return _refusal(text, "ValidationError", "ValidationException", 400)


def _accepts(answer: httpx.Response) -> bool:
    return bool((answer.json().get("data") or {}).get("sendUserEvents"))


class _Endless(httpx.SyncByteStream):
    def __init__(self, mebibytes: int) -> None:
        self._mebibytes = mebibytes

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"data": "'
        for _ in range(self._mebibytes * 16):
            yield b"x" * 65_536
        yield b'"}'


def _html(status_code: int, title: str, headers: dict[str, str] | None = None) -> httpx.Response:
    page = f"<!doctype html><title>{title}</title><h1>{title}</h1>"
    return httpx.Response(status_code, content=page, headers={"Content-Type": "text/html", **(headers or {})})


def _json(status_code: int, answer: dict[str, Any]) -> httpx.Response:
    return _json_text(status_code, json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def _json_text(status_code: int, content: bytes) -> httpx.Response:
    return httpx.Response(status_code, content=content, headers={"Content-Type": "application/json"})


def _refusal(text: str, kind: str, error_type: str, code: int) -> httpx.Response:
    """Return a refusal in the documented envelope, labelled as inferred."""
    classification = {"type": kind, "errorType": error_type, "errorCode": code}
    error = {
        "message": text,
        "path": ["sendUserEvents"],
        "extensions": {"classification": classification, "sandbox": [_LABEL]},
    }
    return _json(200, {"errors": [error], "data": {"sendUserEvents": None}})
