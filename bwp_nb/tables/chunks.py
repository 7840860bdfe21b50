"""Rows as columns, a chunk at a time: what every kind of table is read into."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from bwp_nb.errors import InvalidTable
from bwp_nb.event import UserEvent
from bwp_nb.text import quoted

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

T = TypeVar("T")

#: Rows that are read, checked and written at a time: enough to be fast, few enough to stay small.
CHUNK = 500

#: The columns that contain mappings of properties.
NESTED = ("additional_properties", "additionalProperties")


@dataclass
class Chunk:
    """Some rows of a table as columns: `first` is the number of the first one, from 0; None is a missing value.

    `properties` are columns too, of a table that keeps them apart. `broken` says why rows cannot be read, by their
    place in the chunk, and `kept` has what the columns cannot represent of them, by the name that it gets in a
    quarantine. A table of events has `events` instead.
    """

    first: int
    length: int
    columns: dict[str, list[Any]] = field(default_factory=dict)
    properties: dict[str, list[Any]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    events: list[UserEvent] | None = None


@dataclass(frozen=True)
class Table:
    """A source of rows that can be read repeatedly, with the same content each time.

    `names` are those of its columns, None if each row has its own; `digest` identifies the content. `chunks` yields the
    rows with at least the columns that it is asked for, or with all of them. `check` raises `InvalidTable` if the
    content has changed. `index` is a DataFrame's own index, None if that is just the numbers of the rows.
    """

    name: str
    names: list[str] | None
    chunks: Callable[..., Iterator[Chunk]]
    digest: Callable[[], str]
    check: Callable[[], None] = lambda: None
    index: "pd.Index[Any] | None" = None


def new_chunk(first: int, length: int, columns: Mapping[str, list[Any]]) -> Chunk:
    """Return a chunk, with the properties of a column of mappings in columns of their own."""
    chunk = Chunk(first, length, {name: cells for name, cells in columns.items() if name not in NESTED})
    for name in NESTED:
        for place, cell in enumerate(columns.get(name, ())):
            properties = _properties(cell)
            if properties is None:
                chunk.broken[place] = f"{name}: expected a dict of str to str, got {quoted(cell)}"
                chunk.kept[place] = {name: [str(cell)]}
            for key, value in (properties or {}).items():
                chunk.properties.setdefault(key, [None] * length)[place] = present(value)
    return chunk


def _properties(cell: Any) -> Mapping[str, Any] | None:
    """Return the properties in a cell, which may have the API's shape; None where there is another value."""
    if cell is None:
        return {}
    if not isinstance(cell, Mapping) or not all(isinstance(key, str) for key in cell):
        return None
    pairs = cell.get("additionalProperties")
    if isinstance(pairs, list) and all(isinstance(pair, dict) and {*pair} == {"property", "value"} for pair in pairs):
        found = {pair["property"]: pair["value"] for pair in pairs}
        return found if len(found) == len(pairs) and all(isinstance(name, str) for name in found) else None
    return cell


def rows_chunk(first: int, rows: list[dict[str, Any]]) -> Chunk:
    """Return rows that may each have other names as a chunk."""
    names = dict.fromkeys(name for row in rows for name in row)
    return new_chunk(first, len(rows), {name: [present(row.get(name)) for row in rows] for name in names})


def present(value: Any) -> Any:
    """Return a value, or None if it is NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def blocks(rows: Iterable[T]) -> Iterator[list[T]]:
    """Yield rows a chunk at a time."""
    left = iter(rows)
    while block := list(islice(left, CHUNK)):
        yield block


def cells(column: "ExtensionArray") -> list[Any]:
    """Return a column's values: None for a missing one, text in the API's form for an aware date and time."""
    import numpy as np
    import pandas as pd

    missing = column.isna()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        texts = np.datetime_as_string(column.to_numpy("datetime64[ms]")).tolist()
        values = [f"{text.removesuffix('.000')}Z" for text in texts]
    else:
        values = column.to_numpy(object).tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)] if missing.any() else values


def checked(names: list[Any], where: str) -> list[str]:
    """Return the names of a table's columns, or raise `InvalidTable` for a missing or a repeated name."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            advice = "Rename it; if pandas wrote it for an index, save the file with index=False."
            raise InvalidTable(f"Column {place} of {where}: expected a str as its name, got {quoted(name)}. {advice}")
        if name in names[:place]:
            raise InvalidTable(f"{where} has two columns called {quoted(name)}. Rename one.")
    if not names:
        raise InvalidTable(f"{where} has no columns.")
    return names
