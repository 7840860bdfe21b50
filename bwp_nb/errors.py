"""What can go wrong with a send.

    BwpError
    ├── InvalidEvent       our own checks said no; nothing was sent
    ├── RequestFailed      no GraphQL answer came back
    └── MutationRejected   the API answered no

Their messages are one paragraph of deterministic text. What a server or a user wrote is escaped and cut in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def quoted(value: object) -> str:
    """Return a value's repr, on one line, cut to some 80 characters."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def readable(text: str, limit: int = 400) -> str:
    """Return somebody else's text on one line: what cannot be printed is escaped, what is long is cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters)"


@dataclass(frozen=True)
class Problem:
    """One thing that our own checks hold against an event.

    `field` is the API's name for it (`eventTime`), `rule` says what is asked and who says so, `index` is the event's
    place in its batch, from 0, where there is a batch.
    """

    field: str
    value: Any
    rule: str
    message: str
    index: int | None = None

    def __str__(self) -> str:
        place = "" if self.index is None else f"event {self.index}, "
        return f"{place}{self.field}: {self.message}"


@dataclass(frozen=True)
class Blame:
    """One sent value that a refusal names: which event (from 0), its id, the API's name of the field, the value."""

    index: int
    event_id: str
    field: str
    value: str


class BwpError(Exception):
    """The root of this package's errors. `state` is what became of the events: invalid, rejected, failed or unknown."""

    state: str = "failed"


class InvalidEvent(BwpError):
    """Our own checks said no. Nothing was sent. `problems` holds all they found, not only the first."""

    state = "invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        shown = "; ".join(str(problem) for problem in self.problems[:5])
        more = f"; and {count - 5} more, all in .problems" if count > 5 else ""
        return f"Nothing was sent, for {count} problem{'s' if count > 1 else ''}: {shown}{more}."


class RequestFailed(BwpError):
    """No GraphQL answer came back.

    `status_code` is the HTTP status, where one came; `retryable` says whether the same call may fare better later;
    `may_have_arrived` says whether the API may have accepted the events all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        retryable: bool = False,
        may_have_arrived: bool = False,
    ) -> None:
        self.status_code = status_code
        self.retryable = retryable
        self.may_have_arrived = may_have_arrived
        super().__init__(message)

    @property
    def state(self) -> str:  # type: ignore[override]
        """`unknown` if the events may have been accepted, else `failed`."""
        return "unknown" if self.may_have_arrived else "failed"

    def __str__(self) -> str:
        if self.may_have_arrived:
            return f"{self.args[0]} The events may have arrived all the same: send them again with the same ids."
        return f"{self.args[0]} The events were not accepted."


class MutationRejected(BwpError):
    """The API answered no.

    `errors` are the answer's errors as it gave them. `blame` lists the sent values that they name; it is empty where
    the text does not tell which event it means.
    """

    state = "rejected"

    def __init__(self, errors: Sequence[dict[str, Any]], blame: Sequence[Blame] = ()) -> None:
        self.errors = list(errors)
        self.blame = list(blame)
        super().__init__(self.errors, self.blame)

    @property
    def classification(self) -> str:
        """The first error's type, such as `ValidationError`; the API gives it as an object or as plain text."""
        return classification(self.errors[0])

    def __str__(self) -> str:
        said = "; ".join(readable(str(error.get("message", error))) for error in self.errors[:3])
        return f"The API refused the request ({readable(self.classification, 40)}): {said} {self._blamed()}"

    def _blamed(self) -> str:
        if not self.blame:
            return "The text does not tell which event it means."
        named = "; ".join(
            f"event {b.index} ({readable(b.event_id, 40)}), {b.field} {quoted(b.value)}" for b in self.blame[:5]
        )
        more = f"; and {len(self.blame) - 5} more, all in .blame" if len(self.blame) > 5 else ""
        return f"It names {named}{more}."


def classification(error: dict[str, Any]) -> str:
    """Return the type of one GraphQL error, "unclassified" where it has none (`api-facts.md` §6.1, §6.4)."""
    extensions = error.get("extensions")
    found = extensions.get("classification") if isinstance(extensions, dict) else None
    if isinstance(found, dict):
        found = found.get("type")
    return found if isinstance(found, str) else "unclassified"
