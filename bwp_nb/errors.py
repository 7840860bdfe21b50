"""What can go wrong with a send.

    BwpError
    ├── InvalidEvent       an event or a request breaks a rule that is checked here; nothing was sent
    ├── InvalidSettings    settings are missing or malformed; nothing was sent
    ├── InvalidTable       a table cannot be read, or its columns do not fit; nothing was sent
    ├── LedgerError        a run cannot begin, resume or continue with this ledger
    ├── RequestFailed      no GraphQL response came back
    ├── MutationRejected   the API answered with errors
    └── OutcomeUnknown     the API answered, and the answer proves neither success nor failure

A message is one paragraph, the same for the same error. Text of a server or a user is escaped and cut in it. IPython
shows an error in at most eight lines: the line of your cell, what is wrong, each event and field, and what to do. For
the whole traceback use `%xmode Verbose`, or set `BWP_TRACEBACK=full` in the environment (`%env BWP_TRACEBACK=full`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bwp_nb.contract import classifications as known
from bwp_nb.displays.frames import frame
from bwp_nb.displays.html import Listing, Shown, card, html_table
from bwp_nb.displays.short_errors import InvalidArgument, ShortError
from bwp_nb.displays.sources import pages
from bwp_nb.text import counted, quoted, readable, typed

if TYPE_CHECKING:
    import pandas as pd

_BY_STATUS = {401: known.ACCESS_DENIED, 403: known.ACCESS_DENIED, 429: known.THROTTLING}
_MOST_ROWS = 100
_MOST_SHOWN = 5
_RESEND = "resend them with the same ids"
_SETTINGS = "Not sent: settings in the environment or the file .env are missing or malformed"
_FIX = "Fix the value and send again, or pass check=False to see the API's answer."


@dataclass(frozen=True)
class Problem(Shown):
    """One rule that an event breaks, found before anything is sent.

    Attributes
    ----------
    field : str
        The API's name of the field, such as `eventTime`.
    value : object
        The value that breaks the rule.
    rule : str
        The rule, with its source.
    message : str
        What is wrong, and what to do.
    index : int or None
        The position of the event in its batch, from 0; None for an event by itself.
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
class RejectedValue(Shown):
    """One sent value that the API's error names.

    Attributes
    ----------
    index : int
        The position of the event in its batch, from 0.
    event_id : str
        The id of the event.
    field : str
        The API's name of the field.
    value : str
        The value, as it was sent.
    rule : str
        What is known to be required of the field, with its source; empty if nothing is.
    message : str
        The API's text.
    """

    index: int
    event_id: str
    field: str
    value: str
    rule: str = dataclass_field(default="", repr=False, compare=False)
    message: str = dataclass_field(default="", repr=False, compare=False)

    def __str__(self) -> str:
        return self.place + (f"; required: {self.rule}" if self.rule else "")

    @property
    def place(self) -> str:
        """The event, the field and the value."""
        return f"event {self.index} (id {readable(self.event_id, 40)}), {self.field} {quoted(self.value)}"


class BwpError(ShortError):
    """The base class of this package's errors.

    `state` is the state of the events: `invalid`, `rejected`, `failed` or `unknown`. `attempts` is the number of times
    they were sent, `copies` how many of these requests may have been accepted, `status_code` the last HTTP status, if
    there was one. `retryable` is true if the same call may succeed later, `may_have_arrived` if the events may have
    been accepted. `stop_reason` is why the client stopped retrying, `retry_after` the seconds that the server asked to
    wait.
    """

    attempts = 0
    copies = 0
    status_code: int | None = None
    retryable = False
    retry_after: float | None = None
    may_have_arrived = False
    stop_reason = ""
    _is_invalid = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def state(self) -> str:
        """The state of the events."""
        return "invalid" if self._is_invalid else "unknown" if self.may_have_arrived else "failed"

    def rows(self) -> list[dict[str, Any]]:
        """Return what went wrong as rows for a table: one for each event and field, where these are known."""
        return [_row(str(self))]

    def _repr_html_(self) -> str:
        """Return the rows as an HTML table; the rules link to their pages."""
        rows = [{name: cell for name, cell in row.items() if name != "source"} for row in self.rows()]
        return card(f"{type(self).__name__}: the events are {self.state}", html_table(map(dict.values, rows), rows[0]))

    def follow_lost_attempt(self) -> None:
        """Take into account that an earlier attempt with the same events may have been accepted."""
        self.may_have_arrived = True

    def _ending(self) -> str:
        """Return why the client stopped, and whether the events may have been accepted."""
        if self.may_have_arrived:
            return f"{self.stop_reason}The events may have been accepted; {_RESEND}."
        return f"{self.stop_reason}The events were not accepted."


class InvalidEvent(BwpError):
    """An event or a request breaks a rule that is checked before sending. The state is `invalid`.

    Parameters
    ----------
    problems : sequence of Problem
        All rules that are broken.
    """

    is_unsent = False  # whether something was to be sent
    _is_invalid = True

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = Listing(problems, "problem")
        super().__init__(self.problems)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each problem."""
        return [_row(problem.message, _FIX, problem) for problem in self.problems]

    def __str__(self) -> str:
        return f"{self._head}: {_joined(self.problems, '.problems').rstrip('.')}."

    @property
    def _head(self) -> str:
        return f"{'Not sent, ' if self.is_unsent else ''}{counted(len(self.problems), 'problem')}"

    def _said(self) -> tuple[str, list[tuple[str, str]], str]:
        if len(self.problems) == 1 and not self.is_unsent:
            return str(self.problems[0]), [], ""
        details = [(str(problem), f"Rule: {problem.rule}." if pages(problem.rule) else "") for problem in self.problems]
        return self._head, details, _FIX if self.is_unsent else ""


class InvalidSettings(BwpError):
    """Settings are missing or malformed. Nothing was sent.

    Parameters
    ----------
    problems : sequence of str
        A sentence for each setting.
    """

    _is_invalid = True

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return f"{_SETTINGS}. {' '.join(self.problems)}"

    def _said(self) -> tuple[str, list[tuple[str, str]], str]:
        details = [(what, more) for what, _, more in (problem.partition(". ") for problem in self.problems)]
        return _SETTINGS, details, ""


class InvalidTable(BwpError):
    """A table cannot be read, or its columns do not fit an event. Nothing was sent."""

    _is_invalid = True


class LedgerError(BwpError):
    """A run cannot begin, resume or continue with this ledger; the message says what was sent."""


class RequestFailed(BwpError):
    """No GraphQL response came back; the state is `unknown` if `may_have_arrived`, else `failed`.

    Parameters
    ----------
    message : str
        What went wrong.
    status_code : int, optional
        The HTTP status, if there was one.
    retryable : bool, default False
        Whether the same call may succeed later.
    may_have_arrived : bool, default False
        Whether the events may have been accepted.
    """

    def __init__(
        self, message: str, *, status_code: int | None = None, retryable: bool = False, may_have_arrived: bool = False
    ) -> None:
        self.status_code = status_code
        self.retryable = retryable
        self.may_have_arrived = may_have_arrived
        super().__init__(message)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row, about all the events."""
        if self.may_have_arrived:
            advice = "Resend the events with the same ids."
        elif self.retryable:
            advice = "Send the events again later."
        else:
            advice = "Check where the client points, and what is between it and the API."
        return [_row(f"{self.args[0]} {self.stop_reason}".strip(), advice)]

    def __str__(self) -> str:
        return " ".join([self.args[0], self._ending()])

    def _said(self) -> tuple[str, list[tuple[str, str]], str]:
        return self.args[0], [], self._ending()


class OutcomeUnknown(RequestFailed):
    """The API answered, and the answer proves neither success nor failure; the state is `unknown`.

    Parameters
    ----------
    message : str
        What came back.
    status_code : int, optional
        The HTTP status.
    retryable : bool, default False
        Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, status_code: int | None = None, retryable: bool = False) -> None:
        super().__init__(message, status_code=status_code, retryable=retryable, may_have_arrived=True)


class MutationRejected(BwpError):
    """The API answered with errors.

    `states` has the state of each event of the request:

    - `rejected`: a ValidationError names a value of the event, or the event was the only one of the request (that
      validation depends on the content only is inferred);
    - `failed`: every error is one of access or throttling, so nothing was processed;
    - `unknown`: anything else, and the other events of a request with a rejected one. “User Event Schema” says that the
      event is dropped; no page says what happens to the others.

    `state` is the gravest of them, in the order `unknown`, `rejected`, `failed`. `is_denied` is true if the caller has
    no access, so that other requests will fail as well, and `is_validation` if every error is a ValidationError:
    events are refused for what they contain.

    Parameters
    ----------
    errors : sequence of dict
        The errors as they came.
    rejected_values : sequence of RejectedValue, optional
        The sent values that they name; none if they identify no event.
    status_code : int, optional
        The HTTP status.
    events : int, default 1
        The number of events in the request.
    """

    def __init__(
        self,
        errors: Sequence[dict[str, Any]],
        rejected_values: Sequence[RejectedValue] = (),
        status_code: int | None = None,
        events: int = 1,
    ) -> None:
        self.errors = list(errors)
        self.rejected_values = Listing(rejected_values, "rejected value")
        self.status_code = status_code
        self.events = events
        self._is_after_lost = False
        code, names = status_code or 0, {kind.name for kind in self.classifications}
        if names.isdisjoint(known.CLASSIFICATIONS):  # then the HTTP status decides
            names = {_BY_STATUS.get(code, known.INTERNAL if code >= 500 else "unknown")}
        is_certain = code < 500 and not any(map(known.is_internal, self.errors))  # nothing failed inside the API
        self.retryable = not names.isdisjoint(known.RETRYABLE)
        self.is_denied = names == {known.ACCESS_DENIED}
        self.is_validation = is_certain and names == {known.VALIDATION}
        self._is_unprocessed = is_certain and names <= {known.ACCESS_DENIED, known.THROTTLING}
        super().__init__(self.errors, self.rejected_values, status_code, events)

    @cached_property
    def classifications(self) -> list[known.Classification]:
        """The classification of each error, with its meaning and advice."""
        return [known.classification(error) for error in self.errors]

    @property
    def states(self) -> tuple[str, ...]:
        """The state of each event of the request, in its order."""
        if not self.is_validation:
            return ("failed" if self._is_unprocessed and not self._is_after_lost else "unknown",) * self.events
        named = {value.index for value in self.rejected_values}
        if self._is_after_lost:  # which may be why an id is refused: what the API does with a repeated id is unknown
            named = {value.index for value in self.rejected_values if value.field != "eventId"}
        elif self.events == 1:
            named = {0}
        return tuple("rejected" if index in named else "unknown" for index in range(self.events))

    @property
    def state(self) -> str:
        """The gravest of the `states`."""
        return next(state for state in ("unknown", "rejected", "failed") if state in self.states)

    @property
    def may_have_arrived(self) -> bool:  # type: ignore[override]  # follows from the states
        """Whether some of the events may have been accepted."""
        return "unknown" in self.states

    def follow_lost_attempt(self) -> None:
        """Take into account that an earlier attempt with the same events may have been accepted."""
        self._is_after_lost = True

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each rejected value; one for each error if none is named."""
        if not self.rejected_values:
            found = zip(self.errors[:_MOST_ROWS], self.classifications, strict=False)
            rows = [_row(known.message_of(error), kind.advice, rule=kind.certainty) for error, kind in found]
            more = len(self.errors) - _MOST_ROWS
            return rows + [_row(f"and {more} more, all in .errors")] * (more > 0)
        what, advice = known.message_of(self.errors[0]), self.classifications[0].advice
        return [
            _row(readable(value.message) or what, advice, value, event_id=readable(value.event_id, 80))
            for value in self.rejected_values
        ]

    def __str__(self) -> str:
        what, details, advice = self._said()
        named = _joined(self.rejected_values, ".rejected_values")
        return f"{what}. {f'This matches {named}' if named else details[0][0]}. {advice}"

    def _said(self) -> tuple[str, list[tuple[str, str]], str]:
        kind = self.classifications[0]
        messages = "; ".join(map(known.message_of, self.errors[:3])).rstrip(". ")
        details = [(value.place, f"Required: {value.rule}." if value.rule else "") for value in self.rejected_values]
        details = details or [("The error does not identify an event", "")]
        did = "answered with an error" if self.may_have_arrived else "rejected the request"
        what = f"The API {did} ({readable(kind.name, 40)}): {messages}"
        return what, details, f"{kind.advice} {self._ending()}"

    def _ending(self) -> str:
        unknown = self.states.count("unknown")
        if not 0 < unknown < self.events:
            return super()._ending()
        others, resend = ("event", "resend it with the same id") if unknown == 1 else (f"{unknown} events", _RESEND)
        return f"{self.stop_reason}The other {others} may have been accepted; {resend}."


def explain(error: BwpError) -> "pd.DataFrame":
    """Return what went wrong as a table.

    Parameters
    ----------
    error : BwpError
        An error of this package, such as `client.last_error`.

    Returns
    -------
    pandas.DataFrame
        A row for each event and field, where these are known: event, field, value, what was said, the rule with its
        pages, and what to do.
    """
    if not isinstance(error, BwpError):
        advice = "; last_error is None until a call fails" if error is None else ""
        raise InvalidArgument(f"explain: expected an exception raised by bwp_nb, got {typed(error)}{advice}")
    return frame(error.rows())


def _joined(found: Sequence[object], where: str) -> str:
    """Return the first few of some things, and how many more there are."""
    more = f"; and {len(found) - _MOST_SHOWN} more, all in {where}" if len(found) > _MOST_SHOWN else ""
    return "; ".join(map(str, found[:_MOST_SHOWN])) + more


_ROW = dict.fromkeys(("event", "event_id", "field", "value", "what", "rule", "source", "advice"), "")


def _row(what: str, advice: str = "", place: Problem | RejectedValue | None = None, **cells: str) -> dict[str, Any]:
    """Return a row, with its place in the events and the addresses of the pages that its rule cites."""
    row: dict[str, Any] = {**_ROW, "what": what, "advice": advice, **cells}
    if place is not None:
        event = "" if place.index is None else place.index
        row |= {"event": event, "field": place.field, "value": quoted(place.value), "rule": place.rule}
    return row | {"source": " ".join(pages(str(row["rule"])))}
