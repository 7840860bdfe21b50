"""Events as they are typed, which may be invalid: one of them, and the list of a form."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bwp_nb.client import Client
from bwp_nb.contract.hints import property_place
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import UNICODE_RULE, UserEvent
from bwp_nb.mutation import COUNT_RULE, MAX_EVENTS, Mutation
from bwp_nb.text import quoted

#: More than a request may have, so that its refusal can be seen, and few enough to show.
MAX_SHOWN = MAX_EVENTS + 10

_ONCE_RULE = "one value for each name (our own rule: whether the API accepts a repeated name is unknown)"
_NAME_RULE = "a property has a name (our own rule: whether the API accepts an empty one is unknown)"

#: The rules with whose problems nothing can be sent, not even unchecked.
UNSENDABLE = (COUNT_RULE, UNICODE_RULE, _ONCE_RULE)


@dataclass(eq=False)
class Draft:
    """One event as it is typed, with the names and values of its properties, of which a name may occur twice.

    `outcome` is the state that a send of exactly this event led to, or empty. An edited draft is still the same one.
    """

    event: UserEvent
    properties: tuple[tuple[str, str], ...]
    outcome: str = ""

    @classmethod
    def of(cls, event: UserEvent) -> "Draft":
        """Return an event as a draft."""
        return cls(event, tuple(event.additional_properties.items()))

    def edit(self, event: UserEvent, properties: tuple[tuple[str, str], ...]) -> None:
        """Take what is typed now."""
        self.event, self.properties, self.outcome = event, properties, ""

    def problems(self, *, with_empty: bool = False) -> list[Problem]:
        """Return the problems of the properties' names; a property without name and value is one `with_empty`."""
        names = [name for name, value in self.properties if name or value]
        repeated = [name for name, times in Counter(names).items() if times > 1]
        message = "duplicate property name {}; rename or remove one of them"
        found = [Problem(property_place(name), name, _ONCE_RULE, message.format(quoted(name))) for name in repeated]
        if "" in names or (with_empty and len(names) < len(self.properties)):
            message = "the property name is required; enter one, or remove the property"
            found.append(Problem(property_place(""), "", _NAME_RULE, message))
        return found


def mutation(drafts: Sequence[Draft]) -> Mutation:
    """Return the request of some events; raises `InvalidEvent` if one of them repeats a property name."""
    if repeated := [problem for draft in drafts for problem in draft.problems() if problem.rule == _ONCE_RULE]:
        raise InvalidEvent(repeated)
    return Mutation([draft.event for draft in drafts])


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

    def states(self) -> list[str]:
        """Return the state of each event."""
        return [it.outcome or ("invalid" if self._problems_of(it) else "valid") for it in self.items]

    def problems(self) -> list[Problem]:
        """Return the problems of the request as typed, each with the index of its event."""
        found = [one for one in Mutation([draft.event for draft in self.items]).problems() if one.index is None]
        for index, draft in enumerate(self.items):
            found += [replace(problem, index=index) for problem in self._problems_of(draft)]
        return found

    def _problems_of(self, draft: Draft) -> list[Problem]:
        return [*draft.event.problems(), *draft.problems(with_empty=self.is_pressed)]

    def replace(self, items: list[Draft], index: int, note: str) -> str:
        """Take other events, of which one is selected."""
        if len(items) > MAX_SHOWN:
            return f"A form shows at most {MAX_SHOWN} events."
        if items == self.items:
            return "There is nothing to change."
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
        if one := self.selected:
            items.insert(after, Draft(replace(one.event, event_id=self._client.new_id()), one.properties))
        return self.replace(items, after, f"Event {after + 1} is a copy of event {after}.")

    def remove(self) -> str:
        """Remove the selected event."""
        items = [draft for draft in self.items if draft is not self.selected]
        return self.replace(items, self.index, f"Event {self.index + 1} was removed.")

    def move(self, by: int) -> str:
        """Move the selected event up or down."""
        items, place = [*self.items], max(0, self.index + by)
        if items:
            items.insert(place, items.pop(self.index))
        return self.replace(items, place, f"Event {self.index + 1} is now event {place + 1}.")

    def undo(self) -> str:
        """Return to the events before the last fill or change of the list; those that are left keep their edits."""
        if not self._before:
            return "There is nothing to undo."
        self.items, self.index = self._before.pop()
        return "Undone."


def place(problem: Problem) -> str:
    """Return the place of a problem; a form counts its events from 1."""
    return problem.field if problem.index is None else f"event {problem.index + 1}, {problem.field}"
