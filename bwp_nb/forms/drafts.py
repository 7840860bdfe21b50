"""Events as they are typed: values that keep what is invalid."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

from bwp_nb.errors import InvalidEvent
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.problems import Problem
from bwp_nb.text import quoted

_ONCE_RULE = "one value for each name (our own rule: whether the API accepts a repeated name is unknown)"
_NAME_RULE = "a property has a name (our own rule: whether the API accepts an empty one is unknown)"


class Property(NamedTuple):
    """An additional property as typed; a new one is left out until it is edited."""

    name: str = ""
    value: str = ""
    is_new: bool = False

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
        values = {name: getattr(event, name) for name in TEXT_FIELDS}
        return cls(values, tuple(Property(*pair) for pair in event.additional_properties.items()))

    def typed(self, name: str, text: str) -> "Draft":
        """Return the draft with another text in a field; an optional field without text is left out."""
        value = None if not text and name.startswith("schema") else text
        return replace(self, values={**self.values, name: value}, outcome="")

    def with_properties(self, *properties: Property) -> "Draft":
        """Return the draft with other properties."""
        return replace(self, properties=properties, outcome="")

    def copy(self, event_id: str) -> "Draft":
        """Return the same event under another id."""
        return Draft({**self.values, "event_id": event_id}, self.properties)

    def to_send(self) -> "Draft":
        """Return the draft with every property as one to be sent."""
        kept = tuple(item._replace(is_new=False) for item in self.properties)
        return self if kept == self.properties else replace(self, properties=kept)

    @property
    def event(self) -> UserEvent:
        """The event to send; raises `InvalidEvent` for a repeated property name."""
        if repeated := self._repeated():
            raise InvalidEvent(repeated)
        return self._event()

    def problems(self) -> list[Problem]:
        """Return the problems of the event as typed."""
        nameless = [_nameless(item) for item in self._properties if not item.name]
        return self._event().problems() + self._repeated() + nameless

    @property
    def _properties(self) -> list[Property]:
        return [item for item in self.properties if not item.is_new]

    def _event(self) -> UserEvent:
        values: dict[str, Any] = dict(self.values)
        return UserEvent(**values, additional_properties={item.name: item.value for item in self._properties})

    def _repeated(self) -> list[Problem]:
        """Return a problem for each repeated property name."""
        names = [item.name for item in self._properties]
        return [_repeats(name) for name in dict.fromkeys(names) if names.count(name) > 1]


def place(problem: Problem) -> str:
    """Return the place of a problem; a form counts its events from 1."""
    return problem.field if problem.index is None else f"event {problem.index + 1}, {problem.field}"


def _repeats(name: str) -> Problem:
    message = f"duplicate property name {quoted(name)}; rename or remove one of them"
    return Problem(Property(name).field, name, _ONCE_RULE, message)


def _nameless(item: Property) -> Problem:
    return Problem(item.field, "", _NAME_RULE, "the property name is required; enter one, or remove the property")
