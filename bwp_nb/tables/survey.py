"""Reads a table once before it is sent: counts its rows and what is generated, and refuses what does not fit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from bwp_nb.errors import InvalidEvent
from bwp_nb.problems import Problem
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
        contents.add(mapped.contents() if mapping.ids_from == "content" else ())
        for name in _GENERATED if mapped.fields else ():
            cells = mapped.fields[name]
            generated[name] += cells.count(None) - sum(cells[place] is None for place in chunk.broken)
    if rows and not table.has_events:
        mapping.refuse_unseen(table.name, [*columns, *inner])
    mapping.refuse_nearly_fields(columns)

    def again(texts: Callable[[MappedRows], list[Any]]) -> Iterator[Any]:
        return chain.from_iterable(texts(mapping.mapped(chunk)) for chunk in table.chunks(names))

    if suspects := ids.repeated():
        _refuse_repeated(again(attrgetter("ids")), suspects)
    equal = repeats(again(MappedRows.contents), suspects) if (suspects := contents.repeated()) else ()
    occurrences = {row: len(earlier) for row, _, earlier in equal}
    found = Columns(rows) if table.has_events else mapping.described(rows, [*columns], [*inner], generated)
    return replace(mapping, occurrences=occurrences, found=found)


def wanted(table: Table, mapping: ColumnMapping) -> list[str] | None:
    """Return the columns to read, None for all: those of ids, times and mappings, unless content is looked at."""
    if table.names is None or mapping.ids_from == "content":
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
