"""What arrives at a sandbox, with what is wrong in it: for a shop's own tests."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bwp_nb.contract.classifications import message_of
from bwp_nb.contract.hints import Hint
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.faults import LABEL
from bwp_nb.text import counted, quoted, readable
from bwp_nb.wire.answer import errors_of, is_denied

#: The most arrivals with findings that are kept; further ones are only counted.
MOST = 10_000

_STATES = {"accepted": "accepted", "duplicates": "duplicate", "rejected": "rejected"}


@dataclass(frozen=True)
class Arrival:
    """One event that arrived, or a request that was refused and contains no event that can be read.

    Attributes
    ----------
    request : int
        The number of its request, counted from 1.
    state : str
        `accepted`, `duplicate`, `rejected` for what it contains, or `refused` with its request.
    event : dict or None
        The event by the API's names.
    reason : str
        What the sandbox responded to an event that it did not accept.
    problems : list of str
        The rules that it breaks.
    hints : list of Hint
        What is probably a mistake although it is not refused.
    is_simulated : bool
        Whether a fault that somebody ordered is the reason.
    is_denied : bool
        Whether the token or the target id is the reason.
    """

    request: int
    state: str
    event: dict[str, Any] | None
    reason: str = ""
    problems: list[str] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    is_simulated: bool = False
    is_denied: bool = False

    @property
    def event_type(self) -> str:
        """The type of the event; empty without one."""
        return str((self.event or {}).get("eventType", ""))

    def findings(self, ignore_hints: Collection[str] = ()) -> list[str]:
        """Return why it was not accepted, and the hints, without those on some fields."""
        reasons = self.problems or [self.reason] if self.state in ("rejected", "refused") else []
        hints = [f"hint: {hint}" for hint in self.hints if hint.field not in ignore_hints]
        return [*([] if self.is_simulated else reasons), *hints]

    def line(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        known = {name: getattr(self, name) for name in ("request", "state", "event", "reason", "problems")}
        return known | {"hints": list(map(str, self.hints)), "simulated": self.is_simulated}

    def shown(self, ignore_hints: Collection[str] = ()) -> str:
        """Return it as a line for people."""
        event = self.event or {}
        what = f"{quoted(self.event_type)} {readable(str(event.get('eventId')), 80)}" if self.event else "a request"
        return f"{what}: {self.state}; {'; '.join(self.findings(ignore_hints))}"


class Arrivals:
    """The events that arrive at a sandbox from now on.

    Parameters
    ----------
    sandbox : Sandbox
        The sandbox; served or not.
    listener : callable of Arrival to None, optional
        Called with each arrival.
    ignore_hints : collection of str, optional
        The fields on which hints do not count, as `Hint.field` names them.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        listener: Callable[[Arrival], None] | None = None,
        ignore_hints: Collection[str] = (),
    ) -> None:
        self._sandbox = sandbox
        self._listener = listener
        self._ignore_hints = ignore_hints
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._requests = 0
        self._found: list[Arrival] = []
        self._denied: dict[str, Arrival] = {}
        self._counts: Counter[str] = Counter()
        self._wrong_counts: Counter[str] = Counter()
        sandbox.listen(self._hear)

    @property
    def wrong(self) -> list[Arrival]:
        """The arrivals that were not accepted or have hints; a denied event that was accepted later is not one."""
        return [*self._found, *self._denied.values()]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for each event type the number of events, and of those that were not accepted or have hints."""
        denied = Counter(arrival.event_type for arrival in self._denied.values())
        totals, wrong = self._counts + denied, self._wrong_counts + denied
        return {name: (totals[name], wrong[name]) for name in sorted(totals)}

    def assert_valid(self, *, ignore_hints: Collection[str] = ()) -> None:
        """Fail unless events arrived, all were accepted, and none has hints.

        Parameters
        ----------
        ignore_hints : collection of str, optional
            The fields on which hints do not count, such as `clientType`.

        Raises
        ------
        AssertionError
            With a line for each event that was not accepted or has hints, or if no event arrived.
        """
        found = [arrival.shown(ignore_hints) for arrival in self.wrong if arrival.findings(ignore_hints)]
        if found:
            raise AssertionError("\n  ".join([f"{counted(len(found), 'event')} not accepted, or with hints:", *found]))
        if not self._counts:
            raise AssertionError("No event arrived at the sandbox.")

    def _hear(self, kind: str, entry: bytes) -> None:
        """Collect the events of a request until it ends; a request without any was refused as a whole."""
        given = json.loads(entry)
        if kind != "requests":
            self._events.append((kind, given))
            return
        self._requests += 1
        events, self._events = self._events, []
        for arrival in self._arrived(events, given["answer"]) if events else self._refused(given):
            self._add(arrival)

    def _arrived(self, events: list[tuple[str, dict[str, Any]]], answer: dict[str, Any]) -> Iterator[Arrival]:
        is_simulated = LABEL in json.dumps(answer)
        for kind, given in events:
            event, reason = (given["event"], given["reason"]) if kind == "rejected" else (given, "")
            yield self._judged(_STATES[kind], event, readable(reason), is_simulated=is_simulated and bool(reason))

    def _refused(self, request: dict[str, Any]) -> Iterator[Arrival]:
        """Yield the events of a request of which none was processed."""
        errors = errors_of(request["answer"])
        if request["status_code"] == 200 and not errors:
            return  # a query
        said = "; ".join(map(message_of, errors[:3])) or f"HTTP {request['status_code']}"
        denied = request["status_code"] == 401 or is_denied(request["answer"])
        try:
            events = [event.input for event in Mutation.parse(request["body"]).events]
        except InvalidEvent as error:
            problems = [] if denied else list(map(str, error.problems))
            yield Arrival(self._requests, "refused", None, said, problems, is_denied=denied)
        else:
            yield from (self._judged("refused", event, said, is_denied=denied) for event in events)

    def _judged(self, state: str, given: dict[str, Any], reason: str, **why: bool) -> Arrival:
        pairs = (given.get("additionalProperties") or {}).get("additionalProperties") or ()
        properties = {pair["property"]: pair["value"] for pair in pairs}
        fields = {name: given.get(api_name) for name, api_name in TEXT_FIELDS.items()}
        event = UserEvent(**fields, additional_properties=properties)  # type: ignore[arg-type]  # all are str
        hints = list(event.hints(max(self._sandbox.clock.now(), datetime.now(UTC))))  # its time may be simulated
        return Arrival(self._requests, state, given, reason, list(map(str, event.problems())), hints, **why)

    def _add(self, arrival: Arrival) -> None:
        event_id = (arrival.event or {}).get("eventId", "")
        self._denied.pop(event_id, None)
        if arrival.is_denied and len(self._denied) < MOST:
            self._denied[event_id] = arrival  # until it is sent again, with another token
        else:
            self._counts[arrival.event_type] += 1
            if arrival.findings(self._ignore_hints):
                self._wrong_counts[arrival.event_type] += 1
                self._found += [arrival] if len(self._found) < MOST else []
        if self._listener:
            self._listener(arrival)
