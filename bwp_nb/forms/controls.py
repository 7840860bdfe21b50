"""The controls of a form, one for each kind of field, with the field's help and problems."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import ipywidgets as widgets

from bwp_nb.event import EVENT_TYPES, PROPERTY_NAMES
from bwp_nb.forms import page, style
from bwp_nb.forms.fields import Field
from bwp_nb.problems import Problem

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
_LABEL = {"description_width": "144px"}
_GROW = ("bwp-grow",)
NARROW = {"description_width": "initial"}
AUTO = {"width": "auto"}

Guard = Callable[[Callable[[], object]], Callable[[object], None]]


def help_of(field: Field) -> Any:
    """Return the help of a field, one widget for all events."""
    return page.shared(widgets.HTML, value=style.help_text(field), _dom_classes=("bwp-help",))


class Row:
    """Some widgets in a row, with problems below them; `focus` moves the keyboard's focus to its `input`."""

    input: Any

    def __init__(self, parts: Iterable[Any], below: Iterable[Any] = (), classes: Iterable[str] = ()) -> None:
        self.problems = page.make(widgets.HTML, classes=("bwp-problems",))
        row = page.make(widgets.HBox, [*parts], classes=("bwp-row", *classes))
        self.view = page.make(widgets.VBox, [row, *below, self.problems], classes=("bwp-stack",))

    def focus(self) -> None:
        """Focus the input."""
        self.input.focus()

    def show(self, problems: list[Problem]) -> None:
        """Show only these problems."""
        self.problems.value = style.problems(problems)


class Control(Row):
    """One field: its `input`, its help and its problems."""

    def __init__(self, field: Field, text: str | None, more: Iterable[Any] = (), below: Iterable[Any] = ()) -> None:
        self.field = field
        self.input = self._input(text or "")
        super().__init__([*self._inputs(), *more, help_of(field)], below)

    @property
    def label(self) -> str:
        """The API's name of the field, with a star if it is required."""
        return f"{self.field.api_name} *" if self.field.required else self.field.api_name

    @property
    def text(self) -> str | None:
        """The text to send, or None if the field is left out."""
        return str(self.input.value)

    def watch(self, guard: Guard, edited: Callable[[], object]) -> None:
        """Call `edited` after every edit."""
        self.input.observe(guard(edited), "value")

    def _input(self, text: str) -> Any:
        return _labelled(widgets.Text, self.label, value=text)

    def _inputs(self) -> list[Any]:
        return [self.input]


class Choice(Control):
    """A field with known values that also accepts any other text."""

    def _input(self, text: str) -> Any:
        known = self.field.choices or SUGGESTED[self.field.name]
        chosen, hidden = (text, ("bwp-hidden",)) if text in known else (_ANOTHER, ())
        self.choice = _labelled(widgets.Dropdown, self.label, options=[*known, _ANOTHER], value=chosen)
        name, classes = f"another {self.field.api_name}", (*_GROW, *hidden)
        return page.make(widgets.Text, text, placeholder="any text", description=name, style=NARROW, classes=classes)

    def _inputs(self) -> list[Any]:
        return [self.choice, self.input]

    def focus(self) -> None:
        """Focus the list, or the text if that is another one."""
        (self.input if self.choice.value == _ANOTHER else self.choice).focus()

    def watch(self, guard: Guard, edited: Callable[[], object]) -> None:
        """Call `edited` after every edit."""
        self.choice.observe(guard(self._chosen), "value")
        self.input.observe(guard(self._settle), "value")
        super().watch(guard, edited)

    def _chosen(self) -> None:
        if self.choice.value != _ANOTHER:
            self.input.value = self.choice.value
        self._settle()

    def _settle(self) -> None:
        """Select 'another text' if the text is not the selected one."""
        if self.choice.value not in (_ANOTHER, self.input.value):
            self.choice.value = _ANOTHER
        page.set_visible(self.input, visible=self.choice.value == _ANOTHER)


class Omittable(Control):
    """A field that is left out while it is empty; if its box is ticked, an empty text is sent."""

    def __init__(self, field: Field, text: str | None) -> None:
        name = f"send {field.api_name}"
        self.sent = page.make(widgets.Checkbox, text is not None, description=name, indent=False, layout=AUTO)
        super().__init__(field, text, [self.sent])

    @property
    def text(self) -> str | None:
        """The text to send, or None if the field is left out."""
        return str(self.input.value) if self.sent.value else None

    def watch(self, guard: Guard, edited: Callable[[], object]) -> None:
        """Call `edited` after every edit."""
        self.input.observe(guard(self._settle), "value")
        super().watch(guard, edited)
        self.sent.observe(guard(edited), "value")

    def _settle(self) -> None:
        self.sent.value = bool(self.input.value)

    def _input(self, text: str) -> Any:
        suggested = SUGGESTED.get(self.field.name, ())
        return _labelled(widgets.Combobox, self.label, value=text, options=suggested, placeholder="left out")


class Moment(Control):
    """The event time: any text, and a picker in UTC; a change of either changes the other."""

    def __init__(self, field: Field, text: str | None, now: Callable[[], datetime]) -> None:
        self._now = now
        moment = _moment(text or "")
        self.picker = _labelled(widgets.NaiveDatetimePicker, "or pick, in UTC", (), value=moment, layout=AUTO)
        self.now = page.button("Now", tooltip="Set the current time")
        super().__init__(field, text, [self.now], [self.picker])

    def watch(self, guard: Guard, edited: Callable[[], object]) -> None:
        """Call `edited` after every edit."""
        self.picker.observe(guard(self._picked), "value")
        self.input.observe(guard(self._typed), "value")
        self.now.on_click(guard(self._set_now))
        super().watch(guard, edited)

    def _picked(self) -> None:
        picked = self.picker.value
        if picked is not None and picked != _moment(self.input.value):
            self.input.value = picked.isoformat(timespec="milliseconds" if picked.microsecond else "seconds") + "Z"

    def _typed(self) -> None:
        self.picker.value = _moment(self.input.value)

    def _set_now(self) -> None:
        self.picker.value = self._now().astimezone(UTC).replace(tzinfo=None, microsecond=0)


class Property(Row):
    """One additional property: its name, with suggestions, and its value."""

    def __init__(self, name: str = "", value: str = "") -> None:
        self.name = self.input = _labelled(
            widgets.Combobox, "property", ("bwp-name",), value=name, options=PROPERTY_NAMES
        )
        look: dict[str, Any] = {"layout": {"height": "auto"}, "style": NARROW, "classes": _GROW}
        self.value = page.make(widgets.Textarea, value, rows=1, description="value", **look)
        self.remove = page.button("Remove", tooltip="Remove this property")
        # In a box of their own, so that a narrow row breaks before the value and not between the value and the button.
        value_row = page.make(widgets.HBox, [self.value, self.remove], classes=("bwp-row", "bwp-value"))
        super().__init__([self.name, value_row], classes=("bwp-property",))

    @property
    def field(self) -> str:
        """The field of its problems."""
        return f"additionalProperties[{self.name.value!a:.80}]"


def _labelled(kind: Any, label: str, classes: tuple[str, ...] = _GROW, **options: Any) -> Any:
    """Return an input with a label of the common width."""
    return page.make(kind, description=label, style=_LABEL, classes=classes, **options)


def _moment(text: str) -> datetime | None:
    """Return the time of a text in UTC as the picker takes it, without a zone; None for other texts."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=None) if moment.tzinfo == UTC and text.endswith("Z") else None
