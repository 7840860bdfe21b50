"""Reads a table once before it is sent: counts its rows and what is generated, and refuses what does not fit."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.tables.chunks import Table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.duplicates import Hashes, repeats
from bwp_nb.tables.mapping import ColumnMapping, MappedRows
from bwp_nb.text import quoted

_MAX_PROBLEMS = 1_000
_GENERATED = ("event_id", "event_time")
_RULE = "a different id in each row (our own rule: equal ids mark copies of an event)"


def surveyed(table: Table, mapping: ColumnMapping, *, may_repeat: bool = True) -> ColumnMapping:
    """Return the mapping with what a first reading of the table finds: its `found` and `occurrences`.

    Raises `InvalidTable` for columns that do not fit, and `InvalidEvent` for repeated ids unless they `may_repeat`.
    """
    names = wanted(table, mapping)
    ids, contents = Hashes(), Hashes()
    rows, generated = 0, dict.fromkeys(_GENERATED, 0)
    columns: dict[str, None] = dict.fromkeys(table.names or ())
    inner: dict[str, None] = {}
    for chunk in table.chunks(names):
        mapped = mapping.mapped(chunk)
        rows += chunk.length
        columns |= dict.fromkeys(chunk.columns)
        inner |= dict.fromkeys(mapped.inner)
        ids.add(() if may_repeat else mapped.ids)
        contents.add(() if mapping.occurrences is None else mapped.contents())
        for name in _GENERATED:
            cells = mapped.fields[name]
            generated[name] += cells.count(None) - sum(cells[place] is None for place in chunk.broken)
    if rows:
        mapping.refuse_unseen(table.name, [*columns, *inner])
    mapping.refuse_nearly_fields(columns)

    def again(texts: Callable[[MappedRows], list[Any]]) -> Iterator[Any]:
        return chain.from_iterable(texts(mapping.mapped(chunk)) for chunk in table.chunks(names))

    if suspects := ids.repeated():
        _refuse_repeated(again(attrgetter("ids")), suspects)
    equal = repeats(again(MappedRows.contents), suspects) if (suspects := contents.repeated()) else ()
    occurrences = None if mapping.occurrences is None else {row: len(earlier) for row, _, earlier in equal}
    return replace(mapping, occurrences=occurrences, found=_described(mapping, rows, columns, inner, generated))


def _described(
    mapping: ColumnMapping, rows: int, columns: Iterable[str], inner: Iterable[str], generated: dict[str, int]
) -> Columns:
    """Return what is done with columns, and with properties in mappings."""
    origins = {name: [column for column in columns if mapping.field(column) == name] for name in TEXT_FIELDS}
    others = [column for column in columns if not mapping.field(column) and not mapping.is_nested(column)]
    names = {column: mapping.sent_as(column) for column in [*others, *inner]}
    return Columns(
        rows,
        {name: found for name, found in origins.items() if found},
        mapping.fields,
        [column if name == column else f"{column} as {name}" for column, name in names.items() if name is not None],
        [column for column, name in names.items() if name is None],
        generated,
    )


def wanted(table: Table, mapping: ColumnMapping) -> list[str] | None:
    """Return the columns to read, None for all: those of ids, times and mappings, unless content is looked at."""
    if table.names is None or mapping.occurrences is not None:
        return None
    return [name for name in table.names if mapping.field(name) in _GENERATED or mapping.is_nested(name)]


def _refuse_repeated(ids: Iterator[Any], suspects: set[int]) -> None:
    problems = [
        Problem("eventId", text, _RULE, f"{quoted(text)} is a duplicate of row {earlier[0]}", row)
        for row, text, earlier in islice(repeats(ids, suspects), _MAX_PROBLEMS)
    ]
    if problems:
        error = InvalidEvent(problems)
        error.is_unsent = True
        raise error
