"""What is done with each column of a table, and columns of which the name is nearly that of a field."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from bwp_nb.event import TEXT_FIELDS
from bwp_nb.text import counted, quoted, readable

#: The columns that contain mappings of properties.
NESTED = ("additional_properties", "additionalProperties")

_FIELDS = {name.replace("_", ""): name for name in (*TEXT_FIELDS, NESTED[0])}
_MAX_NAMES = 30
#: What is nearly "id" and has a meaning of its own, as in `event_ip`.
_ORDINARY_ENDINGS = {"ip", "ad", "in", "is", "it", *(f"{letter}id" for letter in "abcgmprstuv")}


@dataclass(frozen=True, repr=False)
class Columns:
    """What is done with the columns of a table: which are fields, which properties, and what is generated.

    Attributes
    ----------
    rows : int
        The number of rows of the table.
    fields : mapping of str to sequence of str
        The columns that each field is read from.
    values : mapping of str to object
        The value for all rows of fields that have one.
    properties : sequence of str
        The additional properties, as `column` or `column as property`.
    left_out : sequence of str
        The columns that `properties=` does not name.
    generated : mapping of str to int
        The number of rows for which `event_id` and `event_time` are generated.
    """

    rows: int = 0
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    properties: Sequence[str] = ()
    left_out: Sequence[str] = ()
    generated: Mapping[str, int] = field(default_factory=dict)

    def joined(self, other: "Columns") -> "Columns":
        """Return what is done with the columns of two tables."""
        fields, generated = dict.fromkeys([*self.fields, *other.fields]), {**self.generated, **other.generated}
        return Columns(
            self.rows + other.rows,
            {name: list(dict.fromkeys([*self.fields.get(name, ()), *other.fields.get(name, ())])) for name in fields},
            {**self.values, **other.values},
            list(dict.fromkeys([*self.properties, *other.properties])),
            list(dict.fromkeys([*self.left_out, *other.left_out])),
            {name: self.generated.get(name, 0) + other.generated.get(name, 0) for name in generated},
        )

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind of column."""
        read = [name if [*found] == [name] else f"{name} from {_listed(found)}" for name, found in self.fields.items()]
        given = [f"{name} = {quoted(value)}" for name, value in self.values.items()]
        yield f"fields: {', '.join(read + given) or 'none'}"
        yield f"properties: {_listed(self.properties) or 'none'}"
        if self.left_out:
            yield f"not sent: {_listed(self.left_out)}"
        made = [f"{name} for {counted(count, 'row')}" for name, count in self.generated.items() if count]
        if made:
            yield f"generated: {', '.join(made)}"


def _listed(names: Sequence[str]) -> str:
    left = len(names) - _MAX_NAMES
    return ", ".join(readable(name, 80) for name in names[:_MAX_NAMES]) + (f" and {left} more" if left > 0 else "")


def meant(column: str) -> str | None:
    """Return the field that a column's name is nearly, in spite of its case, its separators or a typing mistake."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[^\W_A-Z]+|[A-Z]+", column)]
    if words == ["id"]:
        return "event_id"
    if words[:-1] == ["event"] and words[-1] in _ORDINARY_ENDINGS:
        return None
    near = get_close_matches("".join(words), _FIELDS, 1, 0.85)
    return _FIELDS[near[0]] if near else None
