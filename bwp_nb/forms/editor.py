"""One event in a form."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.errors import InvalidEvent
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.forms import style
from bwp_nb.forms.controls import SUGGESTED, Choice, Control, Moment, Omittable, Property, Shown, help_of
from bwp_nb.forms.fields import Field, fields
from bwp_nb.problems import Problem
from bwp_nb.text import quoted

_ONCE_RULE = "one value for each name (our own rule: whether the API takes a name twice is unknown)"
_NAME_RULE = "a property has a name (our own rule: whether the API takes an empty one is unknown)"


class EventEditor:
    """The controls of one event. Each field's input has the field's name, such as `event_time`; so do the buttons.

    `edited` is called at every edit, `new_id` and `now` give ids and times, `focus` moves the keyboard's focus.
    """

    event_type: Any
    event_id: Any
    event_time: Any
    client_type: Any
    client_version: Any
    schema_name: Any
    schema_version: Any

    def __init__(
        self,
        values: Mapping[str, str | None],
        properties: Iterable[tuple[str, str]],
        *,
        shown: Shown,
        edited: Callable[[], object],
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        focus: Callable[[Any], object],
    ) -> None:
        self._shown, self._edited, self._new_id, self._focus = shown, edited, new_id, focus
        self.new_id = style.made(widgets.Button, description="New id", tooltip="Put a new id in place of this one")
        self.new_id.on_click(shown(self._take_new_id))
        self.controls = {
            field.api_name: self._control(field, values[field.name], now)
            for field in fields()
            if field.name in TEXT_FIELDS
        }
        for control in self.controls.values():
            setattr(self, control.field.name, control.input)
            control.watch(shown, edited)
        self.duplicate, self.up, self.down, self.remove = (
            style.made(widgets.Button, description=name) for name in ("Duplicate", "Up", "Down", "Remove")
        )
        self.add_property = style.made(widgets.Button, description="Add a property")
        self.add_property.on_click(shown(self._add_property))
        self.properties = [self._property(*pair) for pair in properties]
        self._property_rows = style.made(widgets.VBox, [row.view for row in self.properties], classes=("bwp-stack",))
        self._heading = style.made(widgets.HTML, classes=("bwp-grow",))
        self._other_problems = style.made(widgets.HTML, classes=("bwp-problems",))
        self.view = style.made(widgets.VBox, self._parts(), classes=("bwp-card",))

    @property
    def values(self) -> dict[str, str | None]:
        """The text of each field, None where it is left out."""
        return {control.field.name: control.text for control in self.controls.values()}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The additional properties as they stand, names that stand twice included."""
        return [(row.name.value, row.value.value) for row in self.properties]

    @property
    def event(self) -> UserEvent:
        """The event as it will be sent; raises `InvalidEvent` where a property's name stands twice."""
        if twice := self._twice():
            raise InvalidEvent(twice)
        return self._event()

    def found(self) -> list[Problem]:
        """Return what is wrong with the event as it stands."""
        nameless = [_nameless(row) for row in self.properties if not row.name.value]
        return self._event().problems() + self._twice() + nameless

    def _event(self) -> UserEvent:
        return UserEvent(**self.values, additional_properties=dict(self.pairs))  # type: ignore[arg-type]

    def _twice(self) -> list[Problem]:
        """Return a problem for each name of a property that stands twice."""
        names = [name for name, _ in self.pairs]
        return list(
            {row.field: _stands_twice(row) for row in self.properties if names.count(row.name.value) > 1}.values()
        )

    def place(self, field: str) -> Any:
        """Return the control of a field, by the API's name for it; None if it has none."""
        rows = {row.field: row for row in self.properties}
        return self.controls.get(field) or rows.get(field)

    def show(self, problems: list[Problem]) -> None:
        """Show each problem beside its field, and those without a field above all fields."""
        for api_name, control in self.controls.items():
            control.show([problem for problem in problems if problem.field == api_name])
        for row in self.properties:
            row.show([problem for problem in problems if problem.field == row.field])
        others = [problem for problem in problems if self.place(problem.field) is None]
        self._other_problems.value = style.problems(others)

    def number(self, index: int, count: int, outcome: str) -> None:
        """Say which event of how many this is, and what became of it."""
        said = f' <span class="bwp-rule">{escape(outcome)}</span>' if outcome else ""
        self._heading.value = f"<h4>Event {index + 1} of {count}{said}</h4>"
        self.up.disabled, self.down.disabled = index == 0, index == count - 1
        for button in (self.duplicate, self.up, self.down, self.remove):
            button.tooltip = f"{button.description}: event {index + 1}"

    def _control(self, field: Field, text: str | None, now: Callable[[], datetime]) -> Control:
        if field.name == "event_time":
            return Moment(field, text, now)
        if not field.required:
            return Omittable(field, text)
        if field.choices or field.name in SUGGESTED:
            return Choice(field, text)
        return Control(field, text, [self.new_id] if field.name == "event_id" else ())

    def _parts(self) -> list[Any]:
        actions = [self.duplicate, self.up, self.down, self.remove]
        buttons = style.made(widgets.HBox, actions, classes=("bwp-row",))
        head = style.made(widgets.HBox, [self._heading, buttons], classes=("bwp-row", "bwp-head"))
        (properties,) = (field for field in fields() if field.name == "additional_properties")
        title = style.shared(widgets.HTML, value=f"<p>{properties.api_name}</p>", _dom_classes=("bwp-indent",))
        parts = [title, self.add_property, help_of(properties)]
        properties_head = style.made(widgets.HBox, parts, classes=("bwp-row",))
        controls = [control.view for control in self.controls.values()]
        return [head, self._other_problems, *controls, properties_head, self._property_rows]

    def _property(self, name: str = "", value: str = "") -> Property:
        row = Property(name, value)
        row.name.observe(self._shown(self._edited), "value")
        row.value.observe(self._shown(self._edited), "value")
        row.remove.on_click(self._shown(lambda: self._remove_property(row)))
        return row

    def _add_property(self) -> None:
        self.properties.append(self._property())
        self._lay_out_properties()
        self._edited()

    def _remove_property(self, row: Property) -> None:
        if row not in self.properties:  # a click that came late
            return
        index = self.properties.index(row)
        self.properties.remove(row)
        self._lay_out_properties()
        self._edited()
        style.close(row.view)
        left = self.properties[index : index + 1] or self.properties[-1:]
        self._focus(left[0].remove if left else self.add_property)

    def _lay_out_properties(self) -> None:
        self._property_rows.children = [row.view for row in self.properties]

    def _take_new_id(self) -> None:
        self.event_id.value = self._new_id()


def _stands_twice(row: Property) -> Problem:
    message = f"{quoted(row.name.value)} stands twice, and a UserEvent holds a name once: change one, or remove it"
    return Problem(row.field, row.name.value, _ONCE_RULE, message)


def _nameless(row: Property) -> Problem:
    return Problem(row.field, "", _NAME_RULE, "the property has no name: give it one, or remove it")
