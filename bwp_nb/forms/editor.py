"""One event in a form."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import UserEvent
from bwp_nb.forms import page, style
from bwp_nb.forms.controls import SUGGESTED, Choice, Control, Guard, Moment, Omittable, Property, help_of
from bwp_nb.forms.fields import Field, fields
from bwp_nb.problems import Problem
from bwp_nb.text import quoted

_ONCE_RULE = "one value for each name (our own rule: whether the API accepts a repeated name is unknown)"
_NAME_RULE = "a property has a name (our own rule: whether the API accepts an empty one is unknown)"


class EventEditor:
    """The controls of one event; the input of each field is an attribute with the field's name, such as `event_time`.

    The buttons are `new_id`, `duplicate`, `up`, `down`, `remove` and `add_property`; `properties` lists the rows of
    properties, each with `name`, `value` and `remove`.
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
        client: Client,
        guard: Guard,
        edited: Callable[[], object],
        focus: Callable[[Any], object],
    ) -> None:
        self._client, self._guard, self._edited, self._focus = client, guard, edited, focus
        self.new_id = page.button("New id", guard(self._take_new_id), tooltip="Replace the id by a new one")
        *texts, self._properties_field = fields()
        self.controls = {field.api_name: self._control(field, values[field.name]) for field in texts}
        for control in self.controls.values():
            setattr(self, control.field.name, control.input)
            control.watch(guard, edited)
        self._actions = [page.button(name) for name in ("Duplicate", "Up", "Down", "Remove")]
        self.duplicate, self.up, self.down, self.remove = self._actions
        self.add_property = page.button("Add a property", guard(self._add_property))
        self.properties = [self._property(*pair) for pair in properties]
        self._property_rows = page.make(widgets.VBox, [row.view for row in self.properties], classes=("bwp-stack",))
        self._heading = page.make(widgets.HTML, classes=("bwp-grow",))
        self._other_problems = page.make(widgets.HTML, classes=("bwp-problems",))
        self.view = page.make(widgets.VBox, self._parts(), classes=("bwp-card",))

    @property
    def values(self) -> dict[str, str | None]:
        """The text of each field, or None if it is left out."""
        return {control.field.name: control.text for control in self.controls.values()}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The additional properties as typed, with repeated names."""
        return [(row.name.value, row.value.value) for row in self.properties]

    @property
    def event(self) -> UserEvent:
        """The event to send; raises `InvalidEvent` for a repeated property name."""
        if repeated := self._repeated():
            raise InvalidEvent(repeated)
        return self._event()

    def problems(self) -> list[Problem]:
        """Return the problems of the event as typed."""
        nameless = [_nameless(row) for row in self.properties if not row.name.value]
        return self._event().problems() + self._repeated() + nameless

    def _event(self) -> UserEvent:
        return UserEvent(**self.values, additional_properties=dict(self.pairs))  # type: ignore[arg-type]

    def _repeated(self) -> list[Problem]:
        """Return a problem for each repeated property name."""
        names = [name for name, _ in self.pairs]
        found = {row.field: _repeats(row) for row in self.properties if names.count(row.name.value) > 1}
        return list(found.values())

    def place(self, field: str) -> Any:
        """Return the control of a field by the API's name of the field, or None."""
        rows = {row.field: row for row in self.properties}
        return self.controls.get(field) or rows.get(field)

    def show(self, problems: list[Problem]) -> None:
        """Show each problem beside its field, and those without a field above the fields."""
        for api_name, control in self.controls.items():
            control.show([problem for problem in problems if problem.field == api_name])
        for row in self.properties:
            row.show([problem for problem in problems if problem.field == row.field])
        others = [problem for problem in problems if self.place(problem.field) is None]
        self._other_problems.value = style.problems(others)

    def number(self, index: int, count: int, outcome: str) -> None:
        """Show the event's number and its outcome."""
        suffix = f' <span class="bwp-rule">{escape(outcome)}</span>' if outcome else ""
        self._heading.value = f"<h4>Event {index + 1} of {count}{suffix}</h4>"
        self.up.disabled, self.down.disabled = index == 0, index == count - 1
        for button in self._actions:
            button.tooltip = f"{button.description}: event {index + 1}"

    def _control(self, field: Field, text: str | None) -> Control:
        if field.name == "event_time":
            return Moment(field, text, self._client.clock.now)
        if not field.required:
            return Omittable(field, text)
        if field.choices or field.name in SUGGESTED:
            return Choice(field, text)
        return Control(field, text, [self.new_id] if field.name == "event_id" else ())

    def _parts(self) -> list[Any]:
        buttons = page.make(widgets.HBox, self._actions, classes=("bwp-row",))
        head = page.make(widgets.HBox, [self._heading, buttons], classes=("bwp-row", "bwp-head"))
        name = f"<p>{self._properties_field.api_name}</p>"
        title = page.shared(widgets.HTML, value=name, _dom_classes=("bwp-indent",))
        parts = [title, self.add_property, help_of(self._properties_field)]
        properties_head = page.make(widgets.HBox, parts, classes=("bwp-row",))
        controls = [control.view for control in self.controls.values()]
        return [head, self._other_problems, *controls, properties_head, self._property_rows]

    def _property(self, name: str = "", value: str = "") -> Property:
        row = Property(name, value)
        row.name.observe(self._guard(self._edited), "value")
        row.value.observe(self._guard(self._edited), "value")
        row.remove.on_click(self._guard(lambda: self._remove_property(row)))
        return row

    def _add_property(self) -> None:
        self.properties.append(self._property())
        self._lay_out_properties()
        self._edited()

    def _remove_property(self, row: Property) -> None:
        if row not in self.properties:  # a late click
            return
        index = self.properties.index(row)
        self.properties.remove(row)
        self._lay_out_properties()
        self._edited()
        page.close(row.view)
        left = self.properties[index : index + 1] or self.properties[-1:]
        self._focus(left[0].remove if left else self.add_property)

    def _lay_out_properties(self) -> None:
        self._property_rows.children = [row.view for row in self.properties]

    def _take_new_id(self) -> None:
        self.event_id.value = self._client.new_id()


def _repeats(row: Property) -> Problem:
    message = f"duplicate property name {quoted(row.name.value)}; rename or remove one of them"
    return Problem(row.field, row.name.value, _ONCE_RULE, message)


def _nameless(row: Property) -> Problem:
    return Problem(row.field, "", _NAME_RULE, "the property name is required; enter one, or remove the property")
