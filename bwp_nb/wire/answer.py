"""The response to a request: read up to a limit, and judged by what it proves."""

import email.utils
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from bwp_nb.contract.classifications import ACCESS_DENIED, classification, inner
from bwp_nb.displays.html import card, chip, html_table
from bwp_nb.displays.sources import facts
from bwp_nb.errors import MutationRejected, OutcomeUnknown, RejectedValue, RequestFailed
from bwp_nb.event import rule
from bwp_nb.text import quoted, readable

#: The largest number of bytes that is read of a response.
MAX_BYTES = 1_048_576

#: The only documented status (“sendUserEvents”).
SUCCESSFUL = "successful"

#: HTTP statuses after which the events were not processed, by HTTP's own meaning (RFC 9110, 6585); no page says so.
NOT_PROCESSED = (307, 308, 400, 401, 403, 404, 405, 411, 413, 414, 415, 422, 429, 431)

_CHECK = "Check the endpoint, and any proxy or sign-in page in front of it."

# The form in which the validation library that the API seems to use (inferred) names a value.
_PATH = r"\bevents\[(?P<index>[0-9]{1,9})\][/.](?P<field>\w+)"


@dataclass(frozen=True)
class Receipt:
    """Proof that the API accepted the events of a request: it returned the documented status, and no error.

    Attributes
    ----------
    status : str
        The status that was returned: `successful` (documented in “sendUserEvents”).
    events : int
        The number of events.
    attempts : int
        The number of requests.
    elapsed : float
        The seconds that the call took by the client's clock, with all attempts and waits.
    copies : int
        The number of requests that may have been accepted, this one included: more than 1 if an earlier response was
        lost.
    notes : tuple of str
        What the sandbox says about its own response: what in it is inferred or unknown.
    """

    state = "sent"

    status: str
    events: int
    attempts: int = 1
    elapsed: float = field(default=0.0, repr=False, compare=False)
    copies: int = field(default=1, repr=False, compare=False)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        notes = f", notes={readable(repr(self.notes), 1000)}" if self.notes else ""
        return f"Receipt(status={self.status!r}, events={self.events}, attempts={self.attempts}{notes})"

    def _repr_html_(self) -> str:
        """Return the state, the numbers and the notes."""
        counts = {"events": self.events, "status": self.status, "attempts": self.attempts}
        counts |= {"seconds": f"{self.elapsed:.2f}"} | ({"possible copies": self.copies} if self.copies > 1 else {})
        return card(html_table([[chip(self.state), *counts.values()]], ["state", *counts]), *self.notes)


@dataclass(frozen=True)
class Answer:
    """An HTTP response: at most a little over `MAX_BYTES` of its body, and whether it ends there."""

    status_code: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(default=b"", repr=False)
    is_whole: bool = True

    @classmethod
    def read(cls, response: httpx.Response) -> "Answer":
        """Read a streamed response up to the limit, and close it; a compressed body or a redirect's is not read."""
        content = bytearray()
        is_read = not unread(response.status_code, response.headers)
        try:
            for chunk in response.stream if is_read else ():  # type: ignore[union-attr]  # nothing is to be decoded
                content += chunk
                if len(content) > MAX_BYTES:
                    break
        finally:
            response.close()
        return cls(response.status_code, response.headers, bytes(content), is_whole=len(content) <= MAX_BYTES)

    @property
    def unread(self) -> str:
        """Why the body was not read, or not all of it; an empty text if it was."""
        too_long = "" if self.is_whole else f"returned a body that is longer than {MAX_BYTES} bytes"
        return unread(self.status_code, self.headers) or too_long

    @property
    def media_type(self) -> str:
        """The media type that its header gives."""
        return readable(self.headers.get("content-type", "no content type").partition(";")[0], 60)

    @property
    def is_denied(self) -> bool:
        """Whether it refuses the token: by the HTTP status, or by the classification of an error."""
        if self.status_code == 401:
            return True
        try:
            return b"AccessDenied" in self.content and is_denied(self.json())
        except RequestFailed:
            return False

    def json(self) -> dict[str, Any]:
        """Return the GraphQL response, or raise `RequestFailed` saying what came instead."""
        if self.unread:
            raise self.failure(self.unread, _CHECK)
        try:
            given = json.loads(self.content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict) or not ("data" in given or "errors" in given):
            text = readable(self.content.decode("utf-8", "replace").strip(), 120)
            what = f"{self.media_type} instead of a GraphQL response"
            if self.media_type == "application/json":
                what = "a body that is not valid JSON" if given is None else "application/json without data and errors"
            advice = _CHECK if self.status_code == 200 else ""
            raise self.failure(f"returned {what}: '{text}'" if text else "returned no body", advice)
        if not isinstance(given.get("errors"), list | None):
            raise self.failure(f"returned errors that are not a list: {quoted(given['errors'])}")
        return given

    def failure(self, what: str, advice: str = "") -> RequestFailed:
        """Return the error for a response that is not a GraphQL response."""
        code = self.status_code
        message = f"HTTP {code} {what.rstrip('.')}. {advice or facts()['http_advice'].get(str(code), '')}".strip()
        is_lost = code not in NOT_PROCESSED
        return RequestFailed(message, status_code=code, retryable=is_temporary(code), may_have_arrived=is_lost)

    def retry_after(self, now: datetime) -> float | None:
        """Return the seconds of a `Retry-After` header, a number or a date (RFC 9110); None without one."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        asked = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        return min(max(0.0, asked), 999_999_999.0)


def unread(status_code: int, headers: httpx.Headers) -> str:
    """Return why the body of a response is not read; an empty text if it is."""
    if 300 <= status_code < 400:
        return f"redirects to {readable(headers.get('location', 'nowhere'), 200)}; redirects are not followed"
    coding = headers.get("content-encoding", "identity")
    return (
        "" if coding == "identity" else f"returned a compressed body ({readable(coding, 40)}), which was not asked for"
    )


def receipt(answer: Answer, events: int, inputs: Callable[[], Sequence[dict[str, Any]]]) -> Receipt:
    """Return the receipt if a response proves that the events were accepted; raise the error that it is otherwise.

    `inputs` returns the events as they were sent; it is called only if the response has errors.
    """
    given = answer.json()
    errors = errors_of(given)
    status = status_of(given)
    if errors and status is None:
        named = rejected_values(_messages(errors), inputs())
        raise MutationRejected(errors, named, answer.status_code, events)
    if status == SUCCESSFUL and not errors and 200 <= answer.status_code < 300:
        return Receipt(status, events, notes=_notes(given))
    found = f"the status {quoted(status)}" if status is not None else "neither a status nor errors"
    beside = f" and errors ({readable('; '.join(_messages(errors)))})" if errors else ""
    message = f"HTTP {answer.status_code} returned {found}{beside}, which proves neither success nor failure."
    raise OutcomeUnknown(message, status_code=answer.status_code, retryable=answer.status_code >= 500)


def is_temporary(status_code: int) -> bool:
    """Return whether the same request may succeed later, by the meaning of an HTTP status."""
    return status_code == 429 or status_code >= 500


def errors_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the errors of a response as objects."""
    return [item if isinstance(item, dict) else {"message": str(item)} for item in given.get("errors") or ()]


def is_denied(given: dict[str, Any]) -> bool:
    """Return whether a response refuses access: by the classification of an error, and without a status."""
    return status_of(given) is None and ACCESS_DENIED in {classification(error).name for error in errors_of(given)}


def status_of(given: dict[str, Any]) -> str | None:
    """Return `data.sendUserEvents.status` if it is a string."""
    status = inner(given, "data", "sendUserEvents", "status")
    return status if isinstance(status, str) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, or raise `ValueError` for a repeated name: what that means is undefined (RFC 8259)."""
    given = dict(pairs)
    if len(given) < len(pairs):
        raise ValueError("a name is repeated")
    return given


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _messages(errors: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(error.get("message", error)) for error in errors)


def _notes(given: dict[str, Any]) -> tuple[str, ...]:
    notes = inner(given, "extensions", "sandbox")
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


def rejected_values(messages: Sequence[str], events: Sequence[dict[str, Any]]) -> list[RejectedValue]:
    """Return the sent values that the messages name, in the order of the events; none if they identify no event.

    An error has no event id, but its text quotes field and value (“sendUserEvents”: `eventTime 2023 is invalid …`), or
    gives the path, as in `…/events[0]/eventType size …`.

    `events` are `UserEvent` inputs, by the API's names. Two events with the same rejected value are both named.
    """
    named: dict[tuple[int, str], str] = {}
    for message in messages:
        for place in _named(message, events):
            named.setdefault(place, message)
    return [
        RejectedValue(index, str(event.get("eventId")), name, str(event[name]), rule(name), named[index, name])
        for index, event in enumerate(events)
        for name in event
        if (index, name) in named
    ]


def _named(message: str, events: Sequence[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yield the event and field of each value in the text, from the left; where several values fit, the longest."""
    places: dict[str, list[tuple[int, str]]] = {}
    for index, event in enumerate(events):
        for name, value in event.items():
            if isinstance(value, str) and f"{name} {value}" in message:
                places.setdefault(f"{name} {value}", []).append((index, name))
    quotes = "|".join(map(re.escape, sorted(places, key=len, reverse=True))) or "(?!)"  # which matches nothing
    for match in re.finditer(rf"(?<![\w/.-])(?P<quote>{quotes})(?=$| is | must |, |\])|{_PATH}", message):
        if match["quote"]:
            yield from places[match["quote"]]
        elif int(match["index"]) < len(events):
            yield int(match["index"]), match["field"]
