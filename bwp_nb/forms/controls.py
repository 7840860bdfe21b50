"""The controls of a form: one for each kind of field, each with its help and its problems."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import ipywidgets as widgets

from bwp_nb.event import EVENT_TYPES, PROPERTY_NAMES
from bwp_nb.forms import style
from bwp_nb.forms.fields import Field
from bwp_nb.problems import Problem

#: Values that documentation pages show, for fields that take any text (SCH-new, SEND, UE).
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
_NARROW = {"description_width": "initial"}
_AUTO = {"width": "auto"}
_GROW = ("bwp-grow",)

Shown = Callable[[Callable[[], object]], Callable[[object], None]]


def help_of(field: Field) -> Any:
    """Return a field's help, which is the same for all events."""
    return style.shared(widgets.HTML, value=style.help_text(field), _dom_classes=("bwp-help",))


class Control:
    """One field: its input, its help, its problems. `input` is where the text is typed."""

    def __init__(self, field: Field, text: str | None, more: Iterable[Any] = (), below: Iterable[Any] = ()) -> None:
        self.field = field
        self.input = self._input(text or "")
        self.problems = style.made(widgets.HTML, classes=("bwp-problems",))
        row = style.made(widgets.HBox, [*self._inputs(), *more, help_of(field)], classes=("bwp-row",))
        self.view = style.made(widgets.VBox, [row, *below, self.problems], classes=("bwp-stack",))

    @property
    def label(self) -> str:
        """The API's name, with a star if it is required."""
        return f"{self.field.api_name} *" if self.field.required else self.field.api_name

    @property
    def text(self) -> str | None:
        """The text to send, None if the field is left out."""
        return str(self.input.value)

    def focus(self) -> None:
        """Put the cursor there."""
        self.input.focus()

    def show(self, problems: list[Problem]) -> None:
        """Show these problems beside the field, and no others."""
        self.problems.value = style.problems(problems)

    def watch(self, shown: Shown, edited: Callable[[], object]) -> None:
        """Call `edited` at every edit."""
        self.input.observe(shown(edited), "value")

    def _input(self, text: str) -> Any:
        return style.made(widgets.Text, text, description=self.label, style=_LABEL, classes=_GROW)

    def _inputs(self) -> list[Any]:
        return [self.input]


class Choice(Control):
    """A field with known values that takes another text all the same."""

    def _input(self, text: str) -> Any:
        known = self.field.choices or SUGGESTED[self.field.name]
        self.choice = style.made(
            widgets.Dropdown,
            options=[*known, _ANOTHER],
            value=text if text in known else _ANOTHER,
            description=self.label,
            style=_LABEL,
            classes=_GROW,
        )
        return style.made(
            widgets.Text,
            text,
            placeholder="any text",
            description=f"another {self.field.api_name}",
            style=_NARROW,
            classes=(*_GROW, "bwp-hidden") if text in known else _GROW,
        )

    def _inputs(self) -> list[Any]:
        return [self.choice, self.input]

    def focus(self) -> None:
        """Put the cursor there."""
        (self.input if self.choice.value == _ANOTHER else self.choice).focus()

    def watch(self, shown: Shown, edited: Callable[[], object]) -> None:
        """Call `edited` at every edit."""
        self.choice.observe(shown(self._chosen), "value")
        self.input.observe(shown(self._settle), "value")
        super().watch(shown, edited)

    def _chosen(self) -> None:
        if self.choice.value != _ANOTHER:
            self.input.value = self.choice.value
        self._settle()

    def _settle(self) -> None:
        """Let the choice follow the text; while another text is typed, it stays at that."""
        if self.choice.value not in (_ANOTHER, self.input.value):
            self.choice.value = _ANOTHER
        style.shown(self.input, visible=self.choice.value == _ANOTHER)


class Omittable(Control):
    """A field that is left out unless it holds a text; ticked, even an empty text is sent."""

    def __init__(self, field: Field, text: str | None) -> None:
        name = f"send {field.api_name}"
        self.sent = style.made(widgets.Checkbox, text is not None, description=name, indent=False, layout=_AUTO)
        super().__init__(field, text, [self.sent])

    @property
    def text(self) -> str | None:
        """The text to send, None if the field is left out."""
        return str(self.input.value) if self.sent.value else None

    def watch(self, shown: Shown, edited: Callable[[], object]) -> None:
        """Call `edited` at every edit."""
        self.input.observe(shown(self._settle), "value")
        super().watch(shown, edited)
        self.sent.observe(shown(edited), "value")

    def _settle(self) -> None:
        self.sent.value = bool(self.input.value)

    def _input(self, text: str) -> Any:
        return style.made(
            widgets.Combobox,
            value=text,
            options=SUGGESTED.get(self.field.name, ()),
            placeholder="left out",
            description=self.label,
            style=_LABEL,
            classes=_GROW,
        )


class Moment(Control):
    """The event time: as text, which may be anything, and as a picker in UTC, which follows it and leads it."""

    def __init__(self, field: Field, text: str | None, now: Callable[[], datetime]) -> None:
        self._now = now
        moment = _moment(text or "")
        self.picker = style.made(
            widgets.NaiveDatetimePicker, value=moment, description="or pick, in UTC", layout=_AUTO, style=_LABEL
        )
        self.now = style.made(widgets.Button, description="Now", tooltip="Set the time to this moment")
        super().__init__(field, text, [self.now], [self.picker])

    def watch(self, shown: Shown, edited: Callable[[], object]) -> None:
        """Call `edited` at every edit."""
        self.picker.observe(shown(self._picked), "value")
        self.input.observe(shown(self._typed), "value")
        self.now.on_click(shown(self._set_now))
        super().watch(shown, edited)

    def _picked(self) -> None:
        picked = self.picker.value
        if picked is not None and picked != _moment(self.input.value):
            self.input.value = picked.isoformat(timespec="milliseconds" if picked.microsecond else "seconds") + "Z"

    def _typed(self) -> None:
        self.picker.value = _moment(self.input.value)

    def _set_now(self) -> None:
        self.picker.value = self._now().astimezone(UTC).replace(tzinfo=None, microsecond=0)


class Property:
    """One additional property: its name, of which any is allowed, and its value."""

    def __init__(self, name: str = "", value: str = "") -> None:
        self.name = style.made(
            widgets.Combobox,
            value=name,
            options=PROPERTY_NAMES,
            description="property",
            style=_LABEL,
            classes=("bwp-name",),
        )
        self.value = style.made(
            widgets.Textarea,
            value,
            rows=1,
            description="value",
            layout={"height": "auto"},
            style=_NARROW,
            classes=_GROW,
        )
        self.remove = style.made(widgets.Button, description="Remove", tooltip="Remove this property")
        self.problems = style.made(widgets.HTML, classes=("bwp-problems",))
        # In a box of their own, so that a narrow row breaks before the value and never between it and its button.
        held = style.made(widgets.HBox, [self.value, self.remove], classes=("bwp-row", "bwp-value"))
        row = style.made(widgets.HBox, [self.name, held], classes=("bwp-row", "bwp-property"))
        self.view = style.made(widgets.VBox, [row, self.problems], classes=("bwp-stack",))

    @property
    def field(self) -> str:
        """How a `Problem` calls it."""
        return f"additionalProperties[{self.name.value!a:.80}]"

    def focus(self) -> None:
        """Put the cursor there."""
        self.name.focus()

    def show(self, problems: list[Problem]) -> None:
        """Show these problems beside the property, and no others."""
        self.problems.value = style.problems(problems)


def _moment(text: str) -> datetime | None:
    """Return the moment that a text in UTC names, without its zone, as the picker wants it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=None) if moment.tzinfo == UTC and text.endswith("Z") else None
