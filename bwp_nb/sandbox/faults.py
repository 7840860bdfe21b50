"""Ways in which a request can fail, for the sandbox to simulate.

How the API itself fails is not documented beyond its error envelope. The responses below are what HTTP and GraphQL
servers commonly send; the classifications are those that the documentation of other operations names (inferred).
"""

import email.utils
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from itertools import chain, repeat
from typing import Any, NamedTuple

import httpx

from bwp_nb.displays.html import Listing, Shown
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.sandbox.responses import DENIED, JSON, error_response, html_response, json_response, labelled
from bwp_nb.wire.platform import Clock


class Rejection(NamedTuple):
    """The simulated rejection of the events that contain a value, or of all events."""

    text: str
    value: str | None


@dataclass(frozen=True)
class Fault(Shown):
    """A fault that `Sandbox.fail_next` can simulate.

    Attributes
    ----------
    name : str
        The name for `fail_next` and `fault_rates`.
    summary : str
        What happens.
    options : tuple of str
        The keyword arguments that it takes.
    """

    name: str
    summary: str
    options: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Fault({self.name!r}, {self.summary!r})"


@dataclass(frozen=True)
class FaultyRequest:
    """A request to which a fault happens: each method is a fault, and the docstring its summary.

    `answer()` lets the sandbox process the request, with a `Rejection` if it is to reject events. `wait()` lets time
    pass, and `patience` is the seconds that the caller waits for a response.
    """

    answer: Callable[..., httpx.Response]
    wait: Callable[[float], None]
    patience: float
    clock: Clock
    expire_tokens: Callable[[bool], None]

    def refused(self) -> httpx.Response:
        """The connection is refused; nothing arrives."""
        raise httpx.ConnectError("Connection refused")

    def reset_before(self) -> httpx.Response:
        """The connection is reset before the events are accepted."""
        raise httpx.ReadError("Connection reset by peer")

    def reset_after(self) -> httpx.Response:
        """The events are accepted, and the connection is reset before the response arrives."""
        self.answer()
        return self.reset_before()

    def timeout_before(self) -> httpx.Response:
        """No response arrives in time, and the events are not accepted."""
        self.wait(self.patience)
        raise httpx.ReadTimeout("The read operation timed out")

    def timeout_after(self) -> httpx.Response:
        """No response arrives in time, although the events are accepted."""
        self.answer()
        return self.timeout_before()

    def slow(self, seconds: float = 3.0) -> httpx.Response:
        """The response takes some seconds; if the caller's timeout is shorter, it never arrives."""
        if seconds >= self.patience:
            return self.timeout_after()
        self.wait(seconds)
        return self.answer()

    def http_429(self) -> httpx.Response:
        """HTTP 429 without Retry-After."""
        return html_response(429, "Too Many Requests")

    def http_429_seconds(self, seconds: float = 5) -> httpx.Response:
        """HTTP 429 with Retry-After in seconds."""
        return html_response(429, "Too Many Requests", {"Retry-After": str(round(seconds))})

    def http_429_date(self, seconds: int = 5) -> httpx.Response:
        """HTTP 429 with Retry-After as a date, some seconds from now."""
        date = email.utils.format_datetime(self.clock.now() + timedelta(seconds=seconds), usegmt=True)
        return html_response(429, "Too Many Requests", {"Retry-After": date})

    def http_500(self) -> httpx.Response:
        """HTTP 500 with an empty body."""
        return httpx.Response(500, content=b"")

    def http_502(self) -> httpx.Response:
        """HTTP 502 with a gateway's HTML page."""
        return html_response(502, "Bad Gateway")

    def http_502_after(self) -> httpx.Response:
        """The events are accepted, and a gateway responds with HTTP 502."""
        self.answer()
        return html_response(502, "Bad Gateway")

    def http_503(self) -> httpx.Response:
        """HTTP 503 with an HTML page."""
        return html_response(503, "Service Unavailable")

    def throttled(self) -> httpx.Response:
        """A GraphQL error with the classification ThrottlingError."""
        return error_response("Rate exceeded", "ThrottlingError", 429)

    def internal_error(self) -> httpx.Response:
        """A GraphQL error with the classification InternalServerError."""
        return error_response("Internal server error", "InternalServerError", 500)

    def access_denied(self) -> httpx.Response:
        """A GraphQL error with the classification AccessDeniedError, even with a valid token."""
        return error_response(DENIED, "AccessDeniedError", 403)

    def expired_token(self) -> httpx.Response:
        """Every token so far has expired: HTTP 401 until the client gets a new one."""
        self.expire_tokens(True)
        return self.answer()

    def expired_token_error(self) -> httpx.Response:
        """Every token so far has expired: a GraphQL error until the client gets a new one."""
        self.expire_tokens(False)
        return self.answer()

    def http_400(self) -> httpx.Response:
        """HTTP 400 with an HTML page."""
        return html_response(400, "Bad Request")

    def http_413(self) -> httpx.Response:
        """HTTP 413: the request body is too large."""
        return html_response(413, "Payload Too Large")

    def html(self) -> httpx.Response:
        """A sign-in page with HTTP 200, as a proxy may send it."""
        return html_response(200, "Sign in")

    def cut_off(self) -> httpx.Response:
        """The events are accepted, and the JSON of the response is truncated."""
        content = self.answer().content
        return json_response(200, content[: len(content) // 2])

    def invalid_utf8(self) -> httpx.Response:
        """The events are accepted, and the response is not valid UTF-8."""
        return json_response(200, self.answer().content + b"\xff\xfe")

    def wrong_content_type(self) -> httpx.Response:
        """The events are accepted, and the response is labelled as plain text."""
        return json_response(200, self.answer().content, "text/plain")

    def data_and_errors(self, status: str = "successful") -> httpx.Response:
        """The events are accepted, and the response contains both a status and an error."""
        error = {"message": "Something beside the point failed", "extensions": labelled("fault")}
        return self._accepted({"errors": [error], "data": {"sendUserEvents": {"status": status}}})

    def other_status(self, status: str = "accepted") -> httpx.Response:
        """The events are accepted, with a status that is not documented."""
        return self._accepted({"data": {"sendUserEvents": {"status": status}}, "extensions": labelled("fault")})

    def huge(self, mebibytes: int = 256) -> httpx.Response:
        """The events are accepted, and the response is 256 MiB long."""
        self.answer()
        pieces = chain([b'{"data": "'], repeat(b"x" * 65_536, 16 * mebibytes), [b'"}'])
        return httpx.Response(200, content=pieces, headers={"Content-Type": JSON})

    def redirect(self, location: str = "https://example.com/graphql") -> httpx.Response:
        """HTTP 307: use another host this time; the request is not processed."""
        return httpx.Response(307, headers=httpx.Headers({"Location": location}, "utf-8"))

    def http_303(self, location: str = "https://example.com/result") -> httpx.Response:
        """The events are accepted, and HTTP 303 redirects to another page."""
        self.answer()
        return httpx.Response(303, headers=httpx.Headers({"Location": location}, "utf-8"))

    def http_308(self, location: str = "https://example.com/graphql") -> httpx.Response:
        """HTTP 308: the address has moved to another host; the request is not processed."""
        return httpx.Response(308, headers=httpx.Headers({"Location": location}, "utf-8"))

    def duplicate(self) -> httpx.Response:
        """The request is delivered twice."""
        first, second = self.answer(), self.answer()
        return second if b'"successful"' in second.content else first  # a token may have expired in between

    def message(self, text: str = "Not today", value: str | None = None) -> httpx.Response:
        """Events that contain a given value, by default all, are rejected with a given text, unless accepted before."""
        return self.answer(Rejection(text, value))

    def _accepted(self, content: dict[str, Any]) -> httpx.Response:
        """Return a response to accepted events with other content than usual; a rejection is unchanged."""
        answer = self.answer()
        return json_response(200, content) if b'"successful"' in answer.content else answer


FAULTS = {
    name: Fault(name, str(play.__doc__).rstrip("."), tuple(inspect.signature(play).parameters)[1:])
    for name, play in vars(FaultyRequest).items()
    if inspect.isfunction(play) and not name.startswith("_")
}


def faults() -> Listing[Fault]:
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
    return Listing(FAULTS.values(), "fault")


def check_fault(name: str, options: Mapping[str, Any]) -> None:
    """Raise `InvalidArgument`, a `ValueError`, for a fault or an option that does not exist."""
    if name not in FAULTS:
        near = get_close_matches(str(name), FAULTS, 1)
        meant = f"did you mean {near[0]!r}?" if near else "see bwp.faults()"
        raise InvalidArgument(f"Unknown fault {name!r}; {meant}")
    if unknown := options.keys() - set(FAULTS[name].options):
        expected = ", ".join(FAULTS[name].options) or "no options"
        raise InvalidArgument(f"The fault {name!r} takes {expected}, got {', '.join(sorted(unknown))}")
    seconds = options.get("seconds", 0)
    if not isinstance(seconds, int | float) or not 0 <= seconds <= 1e9:  # nor is NaN; dates can represent 30 years
        raise InvalidArgument(f"The fault {name!r}: expected 0 to 1,000,000,000 seconds, got {seconds!r}")
