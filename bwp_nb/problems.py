"""What is wrong with an event: a rule that it breaks, or a value that the API refuses."""

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from bwp_nb.displays.html import Shown
from bwp_nb.text import quoted, readable


@dataclass(frozen=True)
class Problem(Shown):
    """One rule that an event breaks, found before anything is sent.

    Attributes
    ----------
    field : str
        The API's name of the field, such as `eventTime`.
    value : object
        The value that breaks the rule.
    rule : str
        The rule, with its source.
    message : str
        What is wrong, and what to do.
    index : int or None
        The position of the event in its batch, from 0; None for an event by itself.
    """

    field: str
    value: Any
    rule: str
    message: str
    index: int | None = None

    def __str__(self) -> str:
        place = "" if self.index is None else f"event {self.index}, "
        return f"{place}{self.field}: {self.message}"


@dataclass(frozen=True)
class RejectedValue(Shown):
    """One sent value that the API's error names.

    Attributes
    ----------
    index : int
        The position of the event in its batch, from 0.
    event_id : str
        The id of the event.
    field : str
        The API's name of the field.
    value : str
        The value, as it was sent.
    rule : str
        What is known to be required of the field, with its source; empty if nothing is.
    message : str
        The API's text.
    """

    index: int
    event_id: str
    field: str
    value: str
    rule: str = dataclass_field(default="", repr=False, compare=False)
    message: str = dataclass_field(default="", repr=False, compare=False)

    def __str__(self) -> str:
        return self.place + (f"; required: {self.rule}" if self.rule else "")

    @property
    def place(self) -> str:
        """The event, the field and the value."""
        return f"event {self.index} (id {readable(self.event_id, 40)}), {self.field} {quoted(self.value)}"
