"""What can go wrong with a send.

    BwpError
    ├── InvalidEvent       our own checks said no; nothing was sent
    ├── RequestFailed      no GraphQL answer came back
    └── MutationRejected   the API answered no

Their messages are one paragraph of deterministic text. What a server or a user wrote is escaped and cut in them.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any

from bwp_nb.contract.classifications import (
    CLASSIFICATIONS,
    INTERNAL,
    RETRYABLE,
    VALIDATION,
    Classification,
    classification,
)
from bwp_nb.contract.sources import pages
from bwp_nb.text import quoted, readable

if TYPE_CHECKING:
    import pandas as pd


_MOST_ROWS = 100


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
class RejectedValue:
    """One sent value that a refusal names: which event (from 0), its id, the API's name of the field, the value.

    `rule` says what is known to be asked of the field, and who says so; `message` is the text that names it.
    """

    index: int
    event_id: str
    field: str
    value: str
    rule: str = dataclass_field(default="", repr=False, compare=False)
    message: str = dataclass_field(default="", repr=False, compare=False)


class BwpError(Exception):
    """The root of this package's errors.

    `state` is what became of the events: `invalid`, `rejected`, `failed` or `unknown`. `attempts` is how often they
    were sent, `status_code` the last HTTP status, if one came. `retryable` says whether the same call may fare better
    later, `may_have_arrived` whether the events may have been accepted all the same, `stop_reason` why it was not tried
    again.
    """

    attempts = 0
    status_code: int | None = None
    retryable = False
    retry_after: float | None = None
    may_have_arrived = False
    stop_reason = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def state(self) -> str:
        """One of the five states in which an event can end."""
        return "unknown" if self.may_have_arrived else "failed"

    def rows(self) -> list[dict[str, Any]]:
        """Return what went wrong as rows of text for a table: one for each event and field, where they are known."""
        return [_row(what=str(self), advice="")]

    def _repr_html_(self) -> str:
        """Return the rows as an HTML table in which nobody's text is more than text."""
        rows = self.rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row.values()) + "</tr>" for row in rows
        )
        caption = f"{type(self).__name__}: the events are {self.state}"
        table = f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return f'<table class="tex2jax_ignore mathjax_ignore">{table}</table>'

    def _what_became(self, otherwise: str) -> str:
        """Return why it ended and what became of the events."""
        if self.may_have_arrived:
            return f"{self.stop_reason}The events may have arrived all the same: send them again with the same ids."
        return f"{self.stop_reason}{otherwise}."


class InvalidEvent(BwpError):
    """Our own checks said no. Nothing was sent. `problems` holds all they found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(self.problems)

    @property
    def state(self) -> str:
        """Always `invalid`."""
        return "invalid"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each problem."""
        advice = "Mend it and send again, or pass check=False to see what the API says."
        return [
            _row(
                what=problem.message, advice=advice, rule=problem.rule,
                event=problem.index, field=problem.field, value=quoted(problem.value),
            )
            for problem in self.problems
        ]  # fmt: skip

    def __str__(self) -> str:
        count = len(self.problems)
        shown = "; ".join(str(problem) for problem in self.problems[:5])
        more = f"; and {count - 5} more, all in .problems" if count > 5 else ""
        return f"Nothing was sent, for {count} problem{'s' if count > 1 else ''}: {shown}{more}."


class RequestFailed(BwpError):
    """No GraphQL answer came back; the state is `unknown` if `may_have_arrived`, else `failed`."""

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

    def rows(self) -> list[dict[str, Any]]:
        """Return one row: no event can be told from the others."""
        if self.may_have_arrived:
            advice = "Send them again with the same ids."
        elif self.retryable:
            advice = "Send them again later."
        else:
            advice = "Look at where the client points and what stands between it and the API."
        return [_row(what=f"{self.args[0]} {self.stop_reason}".strip(), advice=advice)]

    def __str__(self) -> str:
        return f"{self.args[0]} {self._what_became('The events were not accepted')}"


class MutationRejected(BwpError):
    """The API answered no.

    `errors` are the answer's errors as it gave them. `rejected_values` lists the sent values that they name; it is empty where
    the text does not tell which event it means. The state is `rejected`, but `failed` if the API was only too busy, and
    `unknown` if something broke in it: no page says that nothing was accepted then. Errors of no known classification
    are told apart by the HTTP status, as what is no GraphQL answer is.
    """

    def __init__(
        self,
        errors: Sequence[dict[str, Any]],
        rejected_values: Sequence[RejectedValue] = (),
        status_code: int | None = None,
    ) -> None:
        self.errors = list(errors)
        self.rejected_values = list(rejected_values)
        self.status_code = status_code
        names = {found.name for found in self.classifications}
        status = 0 if names & set(CLASSIFICATIONS) else status_code or 0  # all there is, where no page knows the errors
        self.retryable = bool(names & set(RETRYABLE)) or status == 429 or status >= 500
        self.may_have_arrived = INTERNAL in names or status >= 500
        super().__init__(self.errors, self.rejected_values, status_code)

    @property
    def classifications(self) -> list[Classification]:
        """What each error is classified as, with its meaning and advice."""
        return [classification(error) for error in self.errors]

    @property
    def names_content(self) -> bool:
        """Whether it names what is wrong in the events, so that the same body cannot have been accepted before.

        What it says of an id may come from an earlier attempt: how the API meets an id that it has seen is unknown.
        """
        is_validation = self.classifications[0].name == VALIDATION
        return (
            is_validation
            and bool(self.rejected_values)
            and all(found.field != "eventId" for found in self.rejected_values)
        )

    @property
    def state(self) -> str:
        """One of `rejected`, `failed` and, if this answer or a lost one leaves it open, `unknown`."""
        return super().state if self.retryable or self.may_have_arrived else "rejected"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each value that the text names; one for each error if it names none."""
        if not self.rejected_values:
            found = zip(self.errors[:_MOST_ROWS], self.classifications, strict=False)
            rows = [_row(what=_said(error), advice=kind.advice, rule=kind.certainty) for error, kind in found]
            more = len(self.errors) - _MOST_ROWS
            return rows + [_row(what=f"and {more} more, all in .errors", advice="")] * (more > 0)
        return [
            _row(
                what=readable(found.message) or _said(self.errors[0]), advice=self.classifications[0].advice,
                rule=found.rule,
                event=found.index, event_id=readable(found.event_id, 80), field=found.field, value=quoted(found.value),
            )
            for found in self.rejected_values
        ]  # fmt: skip

    def __str__(self) -> str:
        said = "; ".join(_said(error) for error in self.errors[:3])
        kind = self.classifications[0]
        refused = (
            f"The API refused the request ({readable(kind.name, 40)}): {said.rstrip('. ')}. {self._values_named()}"
        )
        return f"{refused} {kind.advice} {self._what_became('None of the events was accepted')}"

    def _values_named(self) -> str:
        if not self.rejected_values:
            return "The text does not tell which event it means."
        named = "; ".join(_named(found) for found in self.rejected_values[:5])
        more = (
            f"; and {len(self.rejected_values) - 5} more, all in .rejected_values"
            if len(self.rejected_values) > 5
            else ""
        )
        return f"It names {named}{more}."


def explain(error: BwpError) -> "pd.DataFrame":
    """Return what went wrong as a table: event, field, value, what was said, the rule, its pages, the advice."""
    import pandas as pd

    return pd.DataFrame(error.rows())


def _named(found: RejectedValue) -> str:
    rule = f", which must be {found.rule}" if found.rule else ""
    return f"event {found.index} ({readable(found.event_id, 40)}), {found.field} {quoted(found.value)}{rule}"


def _said(error: dict[str, Any]) -> str:
    return readable(str(error.get("message", error)))


def _row(what: str, advice: str, rule: str = "", **place: Any) -> dict[str, Any]:
    return {
        "event": place.get("event", "") if place.get("event") is not None else "",
        "event_id": place.get("event_id", ""),
        "field": place.get("field", ""),
        "value": place.get("value", ""),
        "what": what,
        "rule": rule,
        "source": " ".join(pages(rule)),
        "advice": advice,
    }
