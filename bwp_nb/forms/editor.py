"""The controls of one event: the input of each field, its help, and its problems below it."""

from collections.abc import Callable
from datetime import UTC
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.errors import Problem
from bwp_nb.event import CLIENT_TYPES, EVENT_TYPES, PROPERTY_NAMES, TEXT_FIELDS
from bwp_nb.forms import style
from bwp_nb.forms.drafts import Draft, Property
from bwp_nb.forms.page import Page, set_visible
from bwp_nb.wire.platform import Clock

#: Documented values of fields that accept any text (“User Event Schema”, “Send User Events”, “UserEvent”).
_SCHEMAS = (
    "sfcc-schema", "clickstream-common-attributes-schema", "clickstream-all-events-all-attributes-schema",
)  # fmt: skip
_KNOWN = {"event_type": EVENT_TYPES, "client_type": CLIENT_TYPES}
_OPTIONAL = ("schema_name", "schema_version")
_ANOTHER = "another text …"
_EXAMPLES = {
    "event_time": "UTC, for example 2023-12-03T10:15:30Z",
    "event_id": "for example a UUID version 4",
    "client_version": "for example 1.0",
}


class Row:
    """One additional property: its name, with suggestions, and its value."""

    def __init__(self, page: Page, typed: Callable[[], object], removed: Callable[["Row"], object]) -> None:
        given: dict[str, Any] = {"changed": typed}
        self.name = page.make(
            widgets.Combobox, description="property", placeholder="property", options=PROPERTY_NAMES, **given
        )
        self.value = page.make(widgets.Textarea, description="value", placeholder="value", rows=1, **given)
        self.remove = page.button("Remove", partial(removed, self), tooltip="Remove this property")
        self.note = page.html()
        self.view = page.box([self.name, self.value, self.remove, self.note], "bwp-property")

    def close(self) -> None:
        """Close the widgets of the row."""
        for widget in (*self.view.children, self.view):
            widget.close()


class Editor:
    """The controls of the event to which it is bound; `event_time` is the input of that field, for example.

    Every input has a `value`. `new_id`, `now` and `add_property` are buttons; `properties` lists the rows of
    properties, each with `name`, `value` and `remove`.
    """

    def __init__(self, page: Page, client: Client, edited: Callable[[Draft], object], marks: dict[str, Any]) -> None:
        self.draft: Draft | None = None
        self.properties: list[Row] = []
        self._inputs: dict[str, Any] = {}
        self._choices: dict[str, Any] = {}
        self._page, self._client, self._edited, self._is_binding = page, client, edited, False
        self._notes = {api_name: page.html() for api_name in style.helps()}
        self._heading, self._rows = page.html(), page.box([], "bwp-note")
        self.new_id = page.button("New id", self._take_new_id, tooltip="Replace the id by a new one")
        is_real = isinstance(client.clock, Clock)
        self.now = page.button("Now" if is_real else "Now, by the sandbox's clock", self._take_now)
        self.add_property = page.button("Add a property", self._add_property)
        parts = [self._heading]
        for name, api_name in TEXT_FIELDS.items():
            extra = {"event_id": [self.new_id], "event_time": [self.now]}.get(name, [])
            parts += [*self._controls(name, api_name), *extra, marks[api_name], self._notes[api_name]]
        last = "additionalProperties"
        parts += [page.html(last, css="bwp-title"), self.add_property, marks[last], self._notes[last], self._rows]
        self.view = page.box(parts, "bwp-editor")

    def __getattr__(self, name: str) -> Any:
        """Return the input of a field."""
        if name not in TEXT_FIELDS:
            raise AttributeError(name)
        return self._inputs[name]

    def bind(self, draft: Draft) -> None:
        """Show another event; what is typed from now on is an edit of that one."""
        self.draft, self._is_binding = draft, True
        try:
            for name, text in draft.values.items():
                self._inputs[name].value = text or ""
            for name, choice in self._choices.items():
                choice.value = draft.values[name] if draft.values[name] in _KNOWN[name] else _ANOTHER
            while len(self.properties) < len(draft.properties):
                self.properties.append(Row(self._page, self._typed, self._remove))
            self._lay_out(self.properties[: len(draft.properties)])
            for row, item in zip(self.properties, draft.properties, strict=True):
                row.name.value, row.value.value = item.name, item.value
        finally:
            self._is_binding = False

    def show(self, heading: str, problems: list[Problem], hints: list[Any]) -> None:
        """Show a heading, and each problem and hint below its field."""
        places = {row.note: Property(row.name.value).field for row in self.properties}
        places |= {note: api_name for api_name, note in self._notes.items()}
        for note, field in places.items():
            found = style.problems(problem for problem in problems if problem.field == field)
            note.value = found + style.hints(hint for hint in hints if hint.field == field)
        others = [problem for problem in problems if problem.field not in places.values()]
        self._heading.value = f"<h4>{escape(heading)}</h4>{style.problems(others)}"

    def place(self, field: str) -> Any:
        """Return the input of a field by the API's name of the field; otherwise the first one."""
        rows = {Property(row.name.value).field: row.name for row in reversed(self.properties)}
        names = {api_name: name for name, api_name in TEXT_FIELDS.items()}
        name = names.get(field, "event_type")
        is_chosen = name in self._choices and self._choices[name].value != _ANOTHER
        return rows.get(field) or (self._choices if is_chosen else self._inputs)[name]

    def _controls(self, name: str, api_name: str) -> list[Any]:
        """Make the input of a field, behind a list if it has known values."""
        label, example = f"{api_name}{'' if name in _OPTIONAL else ' *'}", _EXAMPLES.get(name, "left out while empty")
        given: dict[str, Any] = {"description": f"another {api_name}" if name in _KNOWN else label}
        given |= {"placeholder": example} | ({"options": _SCHEMAS} if name == "schema_name" else {})
        kind = widgets.Combobox if name == "schema_name" else widgets.Text
        css = "bwp-field bwp-hidden" if name in _KNOWN else "bwp-field"
        made = self._inputs[name] = self._page.make(kind, css=css, changed=self._typed, **given)
        if name not in _KNOWN:
            return [made]
        given = {"options": [*_KNOWN[name], _ANOTHER], "description": label, "changed": partial(self._choose, name)}
        self._choices[name] = self._page.make(widgets.Dropdown, css="bwp-field", **given)
        return [self._choices[name], made]

    def _choose(self, name: str) -> None:
        """Take the value that is chosen in a list, or show the input for another one."""
        choice = self._choices[name].value
        set_visible(self._inputs[name], visible=choice == _ANOTHER)
        if choice != _ANOTHER:
            self._inputs[name].value = choice

    def _typed(self) -> None:
        """Pass on the event as it is typed; an optional field without text is left out, unless it was so before."""
        if self._is_binding or self.draft is None:
            return
        texts = {name: str(control.value) for name, control in self._inputs.items()}
        for name, choice in self._choices.items():
            if choice.value not in (_ANOTHER, texts[name]):  # a program has set the text
                choice.value = texts[name] if texts[name] in _KNOWN[name] else _ANOTHER
        left_out = {name: None for name in _OPTIONAL if not texts[name] and self.draft.values[name] != ""}
        properties = tuple(Property(row.name.value, row.value.value) for row in self.properties)
        self.draft = Draft({**texts, **left_out}, properties, key=self.draft.key)
        self._edited(self.draft)

    def _take_now(self) -> None:
        self.event_time.value = f"{self._client.clock.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _take_new_id(self) -> None:
        self.event_id.value = self._client.new_id()

    def _add_property(self) -> None:
        self._lay_out([*self.properties, Row(self._page, self._typed, self._remove)])
        self._typed()

    def _remove(self, row: Row) -> None:
        """Remove a property, unless the click is late, and move the focus to the next one."""
        left = [other for other in self.properties if other is not row]
        if left != self.properties:
            place = self.properties.index(row)
            self._lay_out(left)
            self._page.focus(left[min(place, len(left) - 1)].remove if left else self.add_property)
            self._typed()

    def _lay_out(self, rows: list[Row]) -> None:
        """Show these rows, and close the others."""
        for row in self.properties:
            if row not in rows:
                row.close()
        self.properties = rows
        self._rows.children = [row.view for row in rows]
