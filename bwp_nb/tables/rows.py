"""Events as rows of JSON or CSV, and rows as events: what a form saves, and what fills it."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bwp_nb.errors import InvalidEvent, InvalidTable
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.problems import Problem
from bwp_nb.tables.chunks import Chunk
from bwp_nb.tables.columns import NESTED
from bwp_nb.tables.files import DELIMITERS, TextFile, text_table
from bwp_nb.tables.mapping import TAKEN, ColumnMapping, flat, record
from bwp_nb.tables.source import table
from bwp_nb.text import quoted

_SOURCE_RULE = "a request, an event, or a row of a table"
_COLUMN_RULE = "a column for each field and each property (our own rule)"


class File(NamedTuple):
    """A file's name and content."""

    name: str
    content: bytes


def to_json(events: Iterable[UserEvent]) -> str:
    """Return the events as a JSON list of objects, which `events_of` reads back."""
    return json.dumps([record(event) for event in events], indent=2) + "\n"


def to_csv(events: Iterable[UserEvent]) -> str:
    """Return the events as CSV with a column for each property, which `events_of` reads back.

    Cells that begin like a formula are unchanged. A property that is missing and one that is empty look the same.
    Raises `InvalidEvent` for a property with the name of a field.
    """
    rows = list(map(record, events))
    for name in (name for row in rows for name in row.get(NESTED[0], {}) if name in TAKEN):
        message = f"the property {quoted(name)} has the name of a field, and CSV has one column for each name"
        raise InvalidEvent([Problem(f"additionalProperties[{name!a:.80}]", name, _COLUMN_RULE, message)])
    rows = flat(rows)
    text = io.StringIO()
    names = dict.fromkeys([*TEXT_FIELDS, *(name for row in rows for name in row)])
    writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def events_of(source: Any, default: Callable[[], UserEvent]) -> list[UserEvent]:
    """Return the events in a source, or raise `InvalidEvent`.

    It may be a `Mutation`, a `UserEvent` or several, a row or several, a DataFrame, the path of a file, a `File`, or a
    text: rows as JSON or JSONL, or what `Mutation.parse` reads. Numbers in such rows become their text. Fields that a
    row lacks are taken from a new `default()`.
    """
    try:
        given = _read(source)
        if isinstance(given, Mutation):
            return list(given.events)
        return [event for chunk in given for event in _events(chunk, default)]
    except InvalidTable as error:
        raise InvalidEvent([Problem("source", None, _SOURCE_RULE, str(error).rstrip("."))]) from None


def _read(source: Any) -> Mutation | Iterable[Chunk]:
    if isinstance(source, Path):
        source = File(source.name, source.read_bytes())
    if isinstance(source, File):
        content = source.content
        file = TextFile(source.name, lambda: io.BytesIO(content))
        if file.kind in DELIMITERS:
            return text_table(file).chunks()
        with file.opened() as text:
            source = text.read()
    if isinstance(source, str):
        source = _parsed(source)
    if isinstance(source, Mutation):
        return source
    if isinstance(source, UserEvent) or (hasattr(source, "items") and not hasattr(source, "columns")):
        source = [source]
    if isinstance(source, Iterable) and not hasattr(source, "columns"):
        source = list(source)
        if all(isinstance(row, UserEvent) for row in source):
            return Mutation(source)
        for place, row in enumerate(source):
            if not isinstance(row, UserEvent) and not hasattr(row, "items"):
                message = f"expected a UserEvent, a dict or a Series, got {quoted(row)}"
                raise InvalidEvent([Problem("row", row, _SOURCE_RULE, message, place)])
    return table(source).chunks()


def _events(chunk: Chunk, default: Callable[[], UserEvent]) -> Iterator[UserEvent]:
    rows = ColumnMapping().mapped(chunk)
    for place in range(chunk.length):
        fields = {name: value for name, value in record(default()).items() if name in TEXT_FIELDS}
        found = rows.event(place, fields)
        if not isinstance(found, UserEvent):
            raise InvalidEvent([replace(problem, index=chunk.first + place) for problem in found])
        yield found


def _parsed(text: str) -> Any:
    """Return the rows in a text, as JSON or JSONL, or the request that it contains."""
    for parts in ([text], [line for line in text.split("\n") if line.strip()]):
        try:
            found = [_json(part) for part in parts]
        except (ValueError, RecursionError):
            continue
        rows = found[0] if len(found) == 1 and isinstance(found[0], list) else found
        if found and not any(isinstance(row, dict) and "query" in row for row in rows):
            return rows
    return Mutation.parse(text)


def _json(text: str) -> Any:
    """Return JSON with its numbers and booleans as text."""

    def with_texts(given: dict[str, Any]) -> dict[str, Any]:
        return {name: json.dumps(value) if isinstance(value, bool) else value for name, value in given.items()}

    return json.loads(text, parse_int=str, parse_float=str, object_hook=with_texts)
