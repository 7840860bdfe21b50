"""Events as they are typed, which may be invalid: one of them, and the list of a form."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

from bwp_nb.client import Client
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import COUNT_RULE, MAX_EVENTS, Mutation
from bwp_nb.text import quoted

#: More than a request may have, so that its refusal can be seen, and few enough to show.
MAX_SHOWN = MAX_EVENTS + 10

_ONCE_RULE = "one value for each name (our own rule: whether the API accepts a repeated name is unknown)"
_NAME_RULE = "a property has a name (our own rule: whether the API accepts an empty one is unknown)"


class Property(NamedTuple):
    """An additional property as typed; an empty one is left out of the request."""

    name: str = ""
    value: str = ""

    @property
    def field(self) -> str:
        """The field of its problems."""
        return f"additionalProperties[{self.name!a:.80}]"


@dataclass(frozen=True, eq=False)
class Draft:
    """One event as typed: the text of each field, None if it is left out, and the properties, also repeated ones.

    `outcome` is the state that a send of exactly this event proved, or empty. `key` stays the same when it is edited.
    """

    values: Mapping[str, str | None]
    properties: tuple[Property, ...] = ()
    outcome: str = ""
    key: int = field(default_factory=count().__next__)

    @classmethod
    def of(cls, event: UserEvent) -> "Draft":
        """Return an event as a draft."""
        properties = tuple(Property(*pair) for pair in event.additional_properties.items())
        return cls({name: getattr(event, name) for name in TEXT_FIELDS}, properties)

    @property
    def event(self) -> UserEvent:
        """The event to send; raises `InvalidEvent` for a repeated property name."""
        if repeated := self._repeated():
            raise InvalidEvent(repeated)
        return self._event()

    def problems(self, *, with_empty: bool = True) -> list[Problem]:
        """Return the problems of the event as typed; an empty property is one `with_empty`."""
        message = "the property name is required; enter one, or remove the property"
        is_nameless = any(not item.name and (item.value or with_empty) for item in self.properties)
        nameless = [Problem(Property().field, "", _NAME_RULE, message)] * is_nameless
        return self._event().problems() + [problem for problem in self._repeated() if problem.value] + nameless

    def hints(self) -> list[Any]:
        """Return what is probably a mistake in the event, which keeps it from nothing."""
        return list(getattr(self._event(), "hints", list)())

    def _event(self) -> UserEvent:
        values: dict[str, Any] = dict(self.values)
        properties = {item.name: item.value for item in self.properties if item != Property()}
        return UserEvent(**values, additional_properties=properties)

    def _repeated(self) -> list[Problem]:
        """Return a problem for each repeated property name."""
        names = [item.name for item in self.properties if item != Property()]
        message = "duplicate property name {}; rename or remove one of them"
        repeated = dict.fromkeys(name for name in names if names.count(name) > 1)
        return [Problem(Property(name).field, name, _ONCE_RULE, message.format(quoted(name))) for name in repeated]


class Drafts:
    """The events of a form, the `index` of the selected one, and what `undo` returns to.

    What changes the list returns a note on what was done. An empty property is a problem from the first press of Send
    on, when `is_pressed` is set.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.items: list[Draft] = []
        self.index, self.is_pressed = 0, False
        self._before: list[tuple[list[Draft], int]] = []

    @property
    def selected(self) -> Draft | None:
        """The selected event, if there is one."""
        return self.items[self.index] if self.items else None

    @property
    def mutation(self) -> Mutation:
        """The request as typed; raises `InvalidEvent` if an event repeats a property name."""
        return Mutation([draft.event for draft in self.items])

    def states(self) -> list[str]:
        """Return the state of each event."""
        found = [(draft.outcome, draft.problems(with_empty=self.is_pressed)) for draft in self.items]
        return [outcome or ("invalid" if problems else "valid") for outcome, problems in found]

    def problems(self) -> list[Problem]:
        """Return the problems of the request as typed, each with the index of its event."""
        count = len(self.items)
        if not 1 <= count <= MAX_EVENTS:
            return [Problem("events", count, COUNT_RULE, f"expected 1 to {MAX_EVENTS} events, got {count}")]
        found = enumerate(draft.problems(with_empty=self.is_pressed) for draft in self.items)
        return [replace(problem, index=index) for index, problems in found for problem in problems]

    def replace(self, items: list[Draft], index: int, note: str) -> str:
        """Take other events, of which one is selected."""
        if items == self.items or len(items) > MAX_SHOWN:
            return (
                f"A form shows at most {MAX_SHOWN} events." if len(items) > MAX_SHOWN else "There is nothing to change."
            )
        self._before = [*self._before[-99:], (self.items, self.index)]
        self.items, self.index = items, max(0, min(index, len(items) - 1))
        return note

    def add(self) -> str:
        """Add a new event at the end."""
        added = Draft.of(self._client.new_event("page-load"))
        return self.replace([*self.items, added], len(self.items), f"Event {len(self.items) + 1} was added.")

    def duplicate(self) -> str:
        """Add a copy of the selected event, with a new id, after it."""
        after, items = self.index + 1, [*self.items]
        for one in items[self.index : after]:
            items.insert(after, Draft({**one.values, "event_id": self._client.new_id()}, one.properties))
        return self.replace(items, after, f"Event {after + 1} is a copy of event {after}.")

    def remove(self) -> str:
        """Remove the selected event."""
        items = [*self.items[: self.index], *self.items[self.index + 1 :]]
        return self.replace(items, self.index, f"Event {self.index + 1} was removed.")

    def move(self, by: int) -> str:
        """Move the selected event up or down."""
        items = [*self.items]
        moved, place = items[self.index : self.index + 1], max(0, self.index + by)
        items[self.index : self.index + 1] = []
        items[place:place] = moved
        return self.replace(items, place, f"Event {self.index + 1} is now event {place + 1}.")

    def undo(self) -> str:
        """Return to the events before the last fill or change of the list; those that are left keep their edits."""
        if not self._before:
            return "There is nothing to undo."
        items, self.index = self._before.pop()
        now = {draft.key: draft for draft in self.items}
        self.items = [now.get(draft.key, draft) for draft in items]
        return "Undone."

    def edit(self, edited: Draft) -> None:
        """Replace the event with the key of another, unless it was removed before a late key arrived."""
        self.items = [edited if draft.key == edited.key else draft for draft in self.items]


def place(problem: Problem) -> str:
    """Return the place of a problem; a form counts its events from 1."""
    return problem.field if problem.index is None else f"event {problem.index + 1}, {problem.field}"
