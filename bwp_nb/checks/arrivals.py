"""What arrives at a sandbox, with what is wrong in it: for a shop's own tests."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bwp_nb.contract.classifications import message_of
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.responses import labelled
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import errors_of, is_denied

#: The most arrivals with something wrong that are kept; further ones are only counted.
MOST = 1_000


@dataclass(frozen=True)
class Arrival:
    """One event that arrived, or a request that was refused and in which no event can be read (`event` is None).

    The `state` is `accepted`, `duplicate`, `rejected` for what the event contains, or `refused` with its request;
    `reason` is the sandbox's, `problems` and `hints` are this package's. It is `simulated` if a fault was ordered.
    """

    state: str
    event: dict[str, Any] | None
    reason: str = ""
    problems: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def event_type(self) -> str:
        """The type of the event; empty without one."""
        return str((self.event or {}).get("eventType", ""))

    @property
    def event_id(self) -> str:
        """The id of the event; empty without one."""
        return str((self.event or {}).get("eventId", ""))

    @property
    def findings(self) -> list[str]:
        """Why it was not accepted, and the hints."""
        reasons = self.problems or (self.reason,) if self.state == "rejected" else (self.reason,)
        return [*(reasons if self.reason and not self.simulated else ()), *(f"hint: {hint}" for hint in self.hints)]

    def __str__(self) -> str:
        name = f"{readable(self.event_type, 64)} {readable(self.event_id, 64)}".strip()
        return f"{name or 'a request'}, {self.state}: {'; '.join(self.findings)}"


class Arrivals:
    """The events that arrive at a sandbox from now on.

    Parameters
    ----------
    sandbox : Sandbox
        The sandbox, served or not.
    listener : callable of Arrival to None, optional
        Called with each arrival.
    ignore_hints : collection of str, optional
        The fields for which no hints are given, such as `clientType`.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        listener: Callable[[Arrival], None] = lambda _: None,
        ignore_hints: Collection[str] = (),
    ) -> None:
        self.ignore_hints = ignore_hints
        self._sandbox = sandbox
        self._listener = listener
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._counts: Counter[tuple[str, bool]] = Counter()  # by event type, and whether something is wrong
        self._wrong: list[Arrival] = []
        self._denied: dict[str, Arrival] = {}
        sandbox.listen(self._hear)

    @property
    def wrong(self) -> list[Arrival]:
        """The first arrivals that were not accepted or have hints, without those that were denied, then accepted."""
        return [*self._wrong, *self._denied.values()]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for each event type the number of events, and of those that were not accepted or have hints."""
        found = self._counts + Counter((arrival.event_type, True) for arrival in self._denied.values())
        names = sorted({name for name, _ in found})
        return {name: (found[name, False] + found[name, True], found[name, True]) for name in names}

    def summary(self) -> str:
        """Return a line with the numbers, and one for each of `wrong`."""
        events, wrong = (sum(pair[place] for pair in self.counts().values()) for place in (0, 1))
        if not events:
            return "No event arrived at the sandbox."
        head = f"{counted(events, 'event')} arrived, {wrong} of them not accepted or with hints"
        return "\n  ".join([head, *map(str, self.wrong)])

    def assert_valid(self) -> None:
        """Fail unless events arrived, all were accepted, and none has hints.

        Raises
        ------
        AssertionError
            With a line for each event that was not accepted or has hints, or if no event arrived.
        """
        __tracebackhide__ = True  # pytest shows the test's line
        if self.wrong or not self._counts:
            raise AssertionError(self.summary())

    def _hear(self, kind: str, entry: bytes) -> None:
        """Collect the events of a request until it ends; a request without any was refused as a whole."""
        given = json.loads(entry)
        if kind != "requests":
            self._events.append((kind, given))
            return
        events, self._events = self._events, []
        was_denied = given["status_code"] == 401 or is_denied(given["answer"])
        for arrival in self._processed(events, given["answer"]) if events else self._refused(given):
            self._listener(arrival)
            if was_denied:  # it may be sent again with a new token
                if len(self._denied) < MOST:
                    self._denied[arrival.event_id] = arrival
                continue
            self._denied.pop(arrival.event_id, None)
            self._counts[arrival.event_type, bool(arrival.findings)] += 1
            if arrival.findings and len(self._wrong) < MOST:
                self._wrong.append(arrival)

    def _processed(self, events: list[tuple[str, dict[str, Any]]], answer: dict[str, Any]) -> Iterator[Arrival]:
        is_simulated = labelled("fault")["sandbox"][0] in json.dumps(answer)
        for kind, given in events:
            event, reason = (given["event"], readable(given["reason"])) if kind == "rejected" else (given, "")
            yield self._judged(kind.removesuffix("s"), event, reason, is_simulated and kind == "rejected")

    def _refused(self, request: dict[str, Any]) -> Iterator[Arrival]:
        """Yield the events of a request of which none was processed."""
        errors = errors_of(request["answer"])
        if request["status_code"] == 200 and not errors:
            return  # a query
        said = "; ".join(map(message_of, errors[:3])) or f"HTTP {request['status_code']}"
        try:
            events = Mutation.parse(request["body"]).events
        except InvalidEvent:
            yield Arrival("refused", None, said)
        else:
            yield from (self._judged("refused", event.input, said) for event in events)

    def _judged(self, state: str, given: dict[str, Any], reason: str, simulated: bool = False) -> Arrival:
        pairs = (given.get("additionalProperties") or {}).get("additionalProperties") or ()
        properties = {pair["property"]: pair["value"] for pair in pairs}
        fields = {name: given.get(api_name) for name, api_name in TEXT_FIELDS.items()}
        event = UserEvent(**fields, additional_properties=properties)  # type: ignore[arg-type]  # all are str
        now = max(self._sandbox.clock.now(), datetime.now(UTC))  # the sandbox's time may be simulated
        hints = tuple(str(hint) for hint in event.hints(now) if hint.field not in self.ignore_hints)
        return Arrival(state, given, reason, tuple(map(str, event.problems())), hints, simulated)
