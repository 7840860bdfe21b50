"""What came back: read to a limit, and told for what it is.

A table in the README gives the decisions in words.
"""

import email.utils
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from bwp_nb.errors import MutationRejected, RequestFailed
from bwp_nb.text import quoted, readable
from bwp_nb.wire.rejected_values import rejected_values

#: The most bytes that are read of an answer.
MAX_BYTES = 1_048_576

#: The only status that is documented (MUT).
SUCCESSFUL = "successful"


@dataclass(frozen=True)
class Receipt:
    """Proof that a mutation was accepted: the answer held a status and no error.

    `events` is their number, `elapsed` is in seconds. `warnings` are messages of errors that came beside a status.
    `notes` is what the sandbox says of its own answer: what is inferred in it, what unknown.
    """

    state = "sent"

    status: str
    events: int
    attempts: int = 1
    elapsed: float = field(default=0.0, repr=False, compare=False)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown: dict[str, Any] = {"status": self.status, "events": self.events, "attempts": self.attempts}
        shown |= {name: value for name in ("warnings", "notes") if (value := getattr(self, name))}
        return f"Receipt({', '.join(f'{name}={readable(repr(value), 1000)}' for name, value in shown.items())})"


@dataclass(frozen=True)
class Answer:
    """An HTTP response, read: at most a little over `MAX_BYTES` of its body, and whether that was all."""

    status_code: int
    headers: httpx.Headers
    content: bytes
    is_whole: bool = True

    @classmethod
    def read(cls, response: httpx.Response) -> "Answer":
        """Read a streamed response until it ends or passes the limit, and close it.

        Nothing is read of what is compressed, or of a redirect.
        """
        content = bytearray()
        is_whole = response.headers.get("content-encoding", "identity") == "identity" and not _redirects(response)
        chunks = response.iter_bytes() if is_whole else iter(())
        try:
            while is_whole and (chunk := next(chunks, None)) is not None:
                content += chunk
                is_whole = len(content) <= MAX_BYTES
        finally:
            response.close()
        return cls(response.status_code, response.headers, bytes(content), is_whole)

    @property
    def media_type(self) -> str:
        """The kind of body that it says it has."""
        return readable(self.headers.get("content-type", "no content type").partition(";")[0], 60)

    def json(self) -> dict[str, Any]:
        """Return the GraphQL answer, or raise `RequestFailed` saying what came instead."""
        if _redirects(self):
            target = readable(self.headers.get("location", "nowhere"), 200)
            message = f"HTTP {self.status_code} wants to redirect to {target}, which is not followed."
            raise RequestFailed(message, status_code=self.status_code)
        if not self.is_whole:
            raise self.failure(f"but with a body that was not read: it is compressed or longer than {MAX_BYTES} bytes")
        try:
            answer = json.loads(self.content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
            text = readable(self.content.decode("utf-8", "replace").strip(), 120)
            raise self.failure(f"but with {self.media_type}: {text}" if text else "and with no body")
        if not isinstance(answer.get("errors") or [], list):
            raise self.failure(f"but with errors that are no list: {quoted(answer['errors'])}")
        return answer

    def failure(self, what: str) -> RequestFailed:
        """Return the error for what is no GraphQL answer; only a status from 400 to 499 tells of a refusal."""
        return RequestFailed(
            f"HTTP {self.status_code} came with no GraphQL answer, {what}.",
            status_code=self.status_code,
            retryable=self.status_code == 429 or self.status_code >= 500,
            may_have_arrived=not 400 <= self.status_code < 500,
        )

    def retry_after(self, now: datetime) -> float | None:
        """Return the seconds that a `Retry-After` asks for, as a number or a date (RFC 9110); None without one."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        asked = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        return min(max(0.0, asked), 999_999_999.0)


def _redirects(answer: Answer | httpx.Response) -> bool:
    """Tell whether an answer points elsewhere, where neither bodies nor tokens go."""
    return 300 <= answer.status_code < 400


def receipt(answer: Answer, events: int, inputs: Callable[[], Sequence[dict[str, Any]]]) -> Receipt:
    """Return the receipt that an answer to so many events is, or raise what it is instead.

    `inputs` gives the events as they were sent; it is called only for a refusal.
    """
    given = answer.json()
    errors = errors_of(given)
    status = status_of(given)
    if status is not None and (not errors or status == SUCCESSFUL):
        return Receipt(status, events, warnings=_messages(errors), notes=_notes(given))
    if status is not None:
        message = f"The answer holds the status {quoted(status)} and errors: {readable('; '.join(_messages(errors)))}."
        raise RequestFailed(message, status_code=answer.status_code, may_have_arrived=True)
    if errors:
        raise MutationRejected(errors, rejected_values(_messages(errors), inputs()), status_code=answer.status_code)
    raise answer.failure("but with JSON that holds neither data.sendUserEvents.status nor errors")


def errors_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an answer's errors as objects."""
    return [item if isinstance(item, dict) else {"message": str(item)} for item in given.get("errors") or ()]


def status_of(given: dict[str, Any]) -> str | None:
    """Return the status that an answer holds, the proof that the events were accepted; None if it holds none."""
    data = given.get("data")
    output = data.get("sendUserEvents") if isinstance(data, dict) else None
    status = output.get("status") if isinstance(output, dict) else None
    return status if isinstance(status, str) else None


def _messages(errors: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(error.get("message", error)) for error in errors)


def _notes(given: dict[str, Any]) -> tuple[str, ...]:
    extensions = given.get("extensions")
    notes = extensions.get("sandbox") if isinstance(extensions, dict) else None
    return tuple(map(str, notes)) if isinstance(notes, list) else ()
