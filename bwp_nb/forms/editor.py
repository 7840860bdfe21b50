"""The controls of one event: the field's input, its help, and its problems below it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.event import EVENT_TYPES, PROPERTY_NAMES
from bwp_nb.forms import style
from bwp_nb.forms.drafts import Draft, Property
from bwp_nb.forms.fields import Field, fields
from bwp_nb.forms.page import Page, set_visible
from bwp_nb.problems import Problem
from bwp_nb.wire.clock import SystemClock

#: Documented values of fields that accept any text (“User Event Schema”, “Send User Events”, “UserEvent”).
SUGGESTED = {
    "event_type": EVENT_TYPES,
    "schema_name": (
        "sfcc-schema",
        "clickstream-common-attributes-schema",
        "clickstream-all-events-all-attributes-schema",
    ),
}
_ANOTHER = "another text …"
_EXAMPLES = {
    "event_time": "UTC, for example 2023-12-03T10:15:30Z",
    "event_id": "for example a UUID version 4",
    "schema_name": "left out while it is empty",
    "schema_version": "left out while it is empty",
}
_FIELD = ("bwp-field",)

#: Changes one event, which is named by its key.
Edited = Callable[[int, Callable[[Draft], Draft]], object]


class Choice:
    """A field with known values that also accepts any other text."""

    def __init__(self, page: Page, label: str, known: Iterable[str], changed: Callable[[], object]) -> None:
        self._known, self._changed = tuple(known), changed
        options = [*self._known, _ANOTHER]
        self.choice = page.make(
            widgets.Dropdown, options=options, description=label, changed=self._chosen, classes=_FIELD
        )
        name = f"another {label.removesuffix(' *')}"
        self.text = page.make(
            widgets.Text, placeholder="any text", description=name, changed=changed, classes=(*_FIELD, "bwp-hidden")
        )

    @property
    def value(self) -> str:
        """The text of the field."""
        return str(self.text.value if self.choice.value == _ANOTHER else self.choice.value)

    @value.setter
    def value(self, text: str) -> None:
        self.text.value = text
        self.choice.value = text if text in self._known else _ANOTHER

    @property
    def input(self) -> Any:
        """The control that has the value."""
        return self.text if self.choice.value == _ANOTHER else self.choice

    def _chosen(self) -> None:
        if self.choice.value != _ANOTHER:
            self.text.value = self.choice.value
        set_visible(self.text, visible=self.choice.value == _ANOTHER)
        self._changed()


class Row:
    """One additional property: its name, with suggestions, and its value."""

    def __init__(self, page: Page, edited: Callable[["Row"], object], removed: Callable[["Row"], object]) -> None:
        changed = partial(edited, self)
        self.name = page.make(
            widgets.Combobox, description="property", placeholder="property", options=PROPERTY_NAMES, changed=changed
        )
        self.value = page.make(widgets.Textarea, description="value", placeholder="value", rows=1, changed=changed)
        self.remove = page.button("Remove", partial(removed, self), tooltip="Remove this property")
        self.note = page.make(widgets.HTML, classes=("bwp-note",))
        parts = [self.name, self.value, self.remove, self.note]
        self.view = page.make(widgets.HBox, parts, classes=("bwp-property",))

    def close(self) -> None:
        """Close the widgets of the row."""
        for widget in (*self.view.children, self.view):
            widget.close()


class Editor:
    """The controls of the event to which it is bound; `event_time` is the input of that field, for example.

    Every input has a `value`. `new_id`, `now` and `add_property` are buttons; `properties` lists the rows of
    properties, each with `name`, `value` and `remove`.
    """

    event_type: Any
    event_id: Any
    event_time: Any
    client_type: Any
    client_version: Any
    schema_name: Any
    schema_version: Any

    def __init__(self, page: Page, client: Client, edited: Edited, helps: dict[str, Any]) -> None:
        self.key: int | None = None
        self.properties: list[Row] = []
        self._page, self._client, self._edited = page, client, edited
        self._is_binding = False
        *self._texts, properties = fields()
        self._notes = {field.api_name: page.make(widgets.HTML, classes=("bwp-note",)) for field in fields()}
        self._heading = page.make(widgets.HTML, classes=("bwp-note",))
        self._make_buttons()
        title = page.make(widgets.HTML, properties.api_name, classes=("bwp-title",))
        self._rows = page.make(widgets.VBox, classes=("bwp-rows",))
        parts = [part for field in self._texts for part in self._parts(field, helps)]
        last = [title, self.add_property, helps[properties.api_name], self._notes[properties.api_name], self._rows]
        self.view = page.make(widgets.HBox, [self._heading, *parts, *last], classes=("bwp-editor", "bwp-hidden"))

    def bind(self, draft: Draft) -> None:
        """Show another event; what is typed from now on is an edit of that one."""
        self.key, self._is_binding = draft.key, True
        try:
            for name, text in draft.values.items():
                getattr(self, name).value = text or ""
            while len(self.properties) < len(draft.properties):
                self.properties.append(Row(self._page, self._row_edited, self._row_removed))
            gone, self.properties = self.properties[len(draft.properties) :], self.properties[: len(draft.properties)]
            for row, item in zip(self.properties, draft.properties, strict=True):
                row.name.value, row.value.value = item.name, item.value
            self._lay_out(gone)
        finally:
            self._is_binding = False

    def show(self, title: str, state: str, problems: list[Problem]) -> None:
        """Show the event's number and state, and each problem below its field."""
        places = {row.note: Property(row.name.value).field for row in self.properties}
        places |= {note: api_name for api_name, note in self._notes.items()}
        for note, field in places.items():
            note.value = style.problems(problem for problem in problems if problem.field == field)
        others = style.problems(problem for problem in problems if problem.field not in places.values())
        self._heading.value = f'<h4>{escape(title)} <span class="bwp-rule">· {escape(state)}</span></h4>{others}'

    def place(self, field: str) -> Any:
        """Return the input of a field by the API's name of the field; the first one if there is none."""
        for row in self.properties:
            if Property(row.name.value).field == field:
                return row.name
        found = next((text for text in self._texts if text.api_name == field), self._texts[0])
        control = getattr(self, found.name)
        return control.input if isinstance(control, Choice) else control

    def _make_buttons(self) -> None:
        is_simulated = not isinstance(self._client.clock, SystemClock)
        self.new_id = self._page.button("New id", self._take_new_id, tooltip="Replace the id by a new one")
        label = "Now, by the sandbox's clock" if is_simulated else "Now"
        self.now = self._page.button(label, self._take_now, tooltip="Set the current time")
        self.picker = self._page.make(
            widgets.NaiveDatetimePicker, description="or pick, in UTC", changed=self._picked, classes=("bwp-picker",)
        )
        self.add_property = self._page.button("Add a property", self._add_property)

    def _parts(self, field: Field, helps: dict[str, Any]) -> list[Any]:
        """Make the input of a field, and return its widgets."""
        label = f"{field.api_name} *" if field.required else field.api_name
        changed = partial(self._typed, field.name)
        after = {"event_id": [self.new_id], "event_time": [self.picker, self.now]}.get(field.name, [])
        end = [helps[field.api_name], *after, self._notes[field.api_name]]
        if field.choices or (field.required and field.name in SUGGESTED):
            choice = Choice(self._page, label, field.choices or SUGGESTED[field.name], changed)
            setattr(self, field.name, choice)
            return [choice.choice, end[0], choice.text, *end[1:]]
        given = {"options": SUGGESTED[field.name]} if field.name in SUGGESTED else {}
        kind = widgets.Combobox if given else widgets.Text
        example = _EXAMPLES.get(field.name, "")
        made = self._page.make(kind, description=label, placeholder=example, changed=changed, classes=_FIELD, **given)
        setattr(self, field.name, made)
        return [made, *end]

    def _change(self, change: Callable[[Draft], Draft]) -> None:
        if not self._is_binding and self.key is not None:
            self._edited(self.key, change)

    def _typed(self, name: str) -> None:
        text = getattr(self, name).value
        if name == "event_time":
            self.picker.value = _moment(text)
        self._change(lambda draft: draft.typed(name, text))

    def _picked(self) -> None:
        picked = self.picker.value
        if picked is not None and picked != _moment(self.event_time.value):
            self.event_time.value = picked.isoformat(timespec="milliseconds" if picked.microsecond else "seconds") + "Z"

    def _take_now(self) -> None:
        self.event_time.value = self._client.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _take_new_id(self) -> None:
        self.event_id.value = self._client.new_id()

    def _add_property(self) -> None:
        self.properties.append(Row(self._page, self._row_edited, self._row_removed))
        self._lay_out()
        self._change(lambda draft: draft.with_properties(*draft.properties, Property(is_new=True)))

    def _row_edited(self, row: Row) -> None:
        place, edited = self.properties.index(row), Property(row.name.value, row.value.value)
        self._change(
            lambda draft: draft.with_properties(*draft.properties[:place], edited, *draft.properties[place + 1 :])
        )

    def _row_removed(self, row: Row) -> None:
        if row not in self.properties:  # a late click
            return
        place = self.properties.index(row)
        self.properties.remove(row)
        left = self.properties[place : place + 1] or self.properties[-1:]
        self._page.focus(left[0].remove if left else self.add_property)
        self._lay_out([row])
        self._change(lambda draft: draft.with_properties(*draft.properties[:place], *draft.properties[place + 1 :]))

    def _lay_out(self, gone: Iterable[Row] = ()) -> None:
        self._rows.children = [row.view for row in self.properties]
        for row in gone:
            row.close()


def _moment(text: str) -> datetime | None:
    """Return the time of a text in UTC as the picker takes it, without a zone; None for other texts."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=None) if moment.tzinfo == UTC and text.endswith("Z") else None
