"""The controls of one event: the input of each field, its help, and its problems below it."""

from collections.abc import Callable
from datetime import UTC
from functools import cache, partial
from re import sub
from typing import Any

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.contract.hints import Hint, property_place
from bwp_nb.displays.html import text
from bwp_nb.errors import Problem
from bwp_nb.event import CLIENT_TYPES, EVENT_TYPES, PROPERTY_NAMES, TEXT_FIELDS, UserEvent
from bwp_nb.forms.drafts import Draft
from bwp_nb.forms.page import Page, set_visible, show_in
from bwp_nb.reference import reference

#: Documented values of fields that accept any text (“User Event Schema”, “Send User Events”, “UserEvent”).
_SCHEMAS = ("sfcc-schema", "clickstream-common-attributes-schema", "clickstream-all-events-all-attributes-schema")
_KNOWN = {"event_type": EVENT_TYPES, "client_type": CLIENT_TYPES, "schema_name": ("", *_SCHEMAS)}
_EMPTY: dict[str, str | None] = {"schema_name": None, "schema_version": None}  # left out; others are an empty text
_LABELS = {name: f"{api_name}{' *' * (name not in _EMPTY)}" for name, api_name in TEXT_FIELDS.items()}
_ANOTHER = "another text …"
_EXAMPLES = {"event_time": "UTC, for example 2023-12-03T10:15:30Z", "client_version": "for example 1.0"}


class Row:
    """One additional property: its name, with suggestions, and its value."""

    def __init__(self, page: Page, typed: Callable[[], object], removed: Callable[["Row"], object]) -> None:
        make = partial(page.make, changed=typed)
        self.name = make(widgets.Combobox, description="property", placeholder="property", options=PROPERTY_NAMES)
        self.value = make(widgets.Textarea, description="value", placeholder="value", rows=1)
        self.remove = page.button("Remove", partial(removed, self), tooltip="Remove this property")
        self.note = page.html()
        self.view = page.box([self.name, self.value, self.remove, self.note], "bwp-property")


class Editor:
    """The controls of the event to which it is bound; `event_time` is the input of that field, for example.

    Every input has a `value`. `new_id`, `now` and `add_property` are buttons; `properties` lists the rows of
    properties, each with `name`, `value` and `remove`.
    """

    def __init__(self, page: Page, client: Client, edited: Callable[[], object], marks: dict[str, Any]) -> None:
        self.draft: Draft | None = None
        self.properties: list[Row] = []
        self._page, self._client, self._edited = page, client, edited
        self._inputs = {name: self._input(name) for name in TEXT_FIELDS}
        vars(self).update(self._inputs)
        self._choices = {name: self._choice(name) for name in _KNOWN}
        self._notes = {api_name: page.html() for api_name in marks}
        self.heading, self._rows = page.html(), page.box([], "bwp-note")
        self.new_id = page.button("New id", self._take_new_id, tooltip="Replace the id by a new one")
        is_real = client.sandbox is None
        self.now = page.button("Now" if is_real else "Now, by the sandbox's clock", self._take_now)
        self.add_property = page.button("Add a property", self._add_property)
        extra = {"event_id": self.new_id, "event_time": self.now}
        parts = [self.heading]
        for name, api_name in TEXT_FIELDS.items():
            controls = [self._choices.get(name), self._inputs[name], extra.get(name), marks[api_name]]
            parts += [*filter(None, controls), self._notes[api_name]]
        last = "additionalProperties"
        parts += [page.html(last, css="bwp-title"), self.add_property, marks[last], self._notes[last], self._rows]
        self.view = page.box(parts, "bwp-editor")

    def bind(self, draft: Draft) -> None:
        """Show another event; what is typed from now on is an edit of that one."""
        self.draft = None  # what changes meanwhile is not typed
        for name, box in self._inputs.items():
            box.value = getattr(draft.event, name) or ""
        for name in self._choices:
            self._show_choice(name)
        new = (Row(self._page, self._typed, self._remove) for _ in draft.properties[len(self.properties) :])
        self._lay_out([*self.properties[: len(draft.properties)], *new])
        for row, item in zip(self.properties, draft.properties, strict=True):
            row.name.value, row.value.value = item
        self.draft = draft

    def show(self, heading: str, problems: list[Problem], hints: list[Hint]) -> None:
        """Show a heading, and each problem and hint below its field."""
        self.heading.value = f"<h4>{heading}</h4>"
        places = {note: api_name for api_name, note in self._notes.items()}
        places |= {row.note: property_place(row.name.value) for row in self.properties}
        for note, field in places.items():
            said = [f'<p class="bwp-hint">{hint.shown}</p>' for hint in hints if hint.field == field]
            note.value = _shown([one for one in problems if one.field == field]) + "".join(said)

    def place(self, field: str) -> Any:
        """Return the input of a field by the API's name of the field; otherwise the first one."""
        rows = {property_place(row.name.value): row.name for row in reversed(self.properties)}
        name = next((name for name, api_name in TEXT_FIELDS.items() if api_name == field), "event_type")
        is_chosen = name in self._choices and self._choices[name].value != _ANOTHER
        return rows.get(field) or (self._choices if is_chosen else self._inputs)[name]

    def _input(self, name: str) -> Any:
        """Make the input of a field, which is hidden while one of its known values is chosen."""
        given = {"description": f"another {TEXT_FIELDS[name]}" if name in _KNOWN else _LABELS[name]}
        css = "bwp-field bwp-hidden" if name in _KNOWN else "bwp-field"
        return self._page.make(widgets.Text, css=css, changed=self._typed, placeholder=_EXAMPLES.get(name, ""), **given)

    def _choice(self, name: str) -> Any:
        """Make the list of the known values of a field."""
        given = {"options": [*_KNOWN[name], _ANOTHER], "description": _LABELS[name]}
        return self._page.make(widgets.Dropdown, css="bwp-field", changed=partial(self._choose, name), **given)

    def _choose(self, name: str) -> None:
        """Take the value that is chosen in a list, or show the input for another one."""
        choice = self._choices[name].value
        set_visible(self._inputs[name], visible=choice == _ANOTHER)
        if choice != _ANOTHER:
            self._inputs[name].value = choice

    def _show_choice(self, name: str) -> None:
        text = self._inputs[name].value
        self._choices[name].value = text if text in _KNOWN[name] else _ANOTHER

    def _typed(self) -> None:
        """Pass on the event as it is typed; an optional field without text is left out."""
        if self.draft is None:
            return
        for name, choice in self._choices.items():
            if choice.value != _ANOTHER:  # otherwise a known value may be typed
                self._show_choice(name)
        texts: dict[str, Any] = {name: box.value or _EMPTY.get(name, "") for name, box in self._inputs.items()}
        properties = tuple((row.name.value, row.value.value) for row in self.properties)
        given = {name: value for name, value in properties if name or value}
        self.draft.edit(UserEvent(**texts, additional_properties=given), properties)
        self._edited()

    def _take_now(self) -> None:
        self._inputs["event_time"].value = f"{self._client.clock.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _take_new_id(self) -> None:
        self._inputs["event_id"].value = self._client.new_id()

    def _add_property(self) -> None:
        self._lay_out([*self.properties, Row(self._page, self._typed, self._remove)])
        self._typed()

    def _remove(self, row: Row) -> None:
        """Remove a property, unless the click is late, and move the focus to the next one."""
        if row in self.properties:
            place, left = self.properties.index(row), [other for other in self.properties if other is not row]
            self._lay_out(left)
            self._page.focus(left[min(place, len(left) - 1)].remove if left else self.add_property)
            self._typed()

    def _lay_out(self, rows: list[Row]) -> None:
        """Show these rows, and close the others."""
        self.properties = rows
        show_in(self._rows, [row.view for row in rows])


def _shown(problems: list[Problem]) -> str:
    """Return the problems of a field as HTML: each message, and each rule with its source once."""
    messages = "<br>".join(text(problem.message) for problem in problems)
    rules = dict.fromkeys(f' <span class="bwp-rule">Rule: {text(problem.rule)}</span>' for problem in problems)
    return f'<p class="bwp-problem">{messages}{"".join(rules)}</p>' if problems else ""


@cache
def helps() -> dict[str, str]:
    """Return the help of each field by the API's name, folded up behind a question mark."""
    rows = [row for row in reference("fields").rows if row[0].startswith("UserEvent.")]
    return {name.partition(".")[2]: _help(name.partition(".")[2], *said) for name, _, *said in rows}


def _help(name: str, rule: str, meaning: str, sources: str) -> str:
    """Return what the reference says of a field."""
    rules = [rule, "" if rule.startswith("required") else "optional: left out while it is empty"]
    said = sub("`([^`]+)`", r"<code>\1</code>", text(f"{meaning} {', '.join(filter(None, rules)).capitalize()}."))
    mark = f'<summary aria-label="About {name}" title="About {name}">?</summary>'
    return f'<details name="bwp-help">{mark}<p>{said} <span class="bwp-rule">({text(sources)})</span></p></details>'
