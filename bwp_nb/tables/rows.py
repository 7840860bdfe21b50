"""Events as rows of JSON or CSV, and rows as events: what a form saves, and what fills it."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bwp_nb.errors import InvalidEvent, InvalidTable, Problem
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.tables.chunks import Chunk, Table
from bwp_nb.tables.columns import NESTED
from bwp_nb.tables.files import DELIMITERS, TextFile, csv_table, text_table
from bwp_nb.tables.mapping import REQUIRED, TAKEN, ColumnMapping, MappedRows, flat, record
from bwp_nb.tables.source import table
from bwp_nb.text import quoted, readable, typed

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


def events_of(
    source: Any,
    default: Callable[[], UserEvent],
    columns: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> list[UserEvent]:
    """Return the events in a source, or raise `InvalidEvent`.

    It may be a `Mutation`, a `UserEvent` or several, a row or several, a DataFrame, the path of a file, a `File`, or a
    text: rows as JSON, JSONL, CSV or cells of a spreadsheet, or what `Mutation.parse` reads. Columns are read as
    `send_table` reads them, with its `columns` and `fields`. A row without an id or a time gets that of a new
    `default()`; another required field that a row lacks is empty, which is a problem of the event. Numbers in JSON
    become their text.
    """
    try:
        given = _read(source)
        return (
            list(given.events) if isinstance(given, Mutation) else _events(given, default, columns or {}, fields or {})
        )
    except InvalidTable as error:
        raise InvalidEvent([Problem("source", None, _SOURCE_RULE, str(error).rstrip("."))]) from None


def _read(source: Any) -> Mutation | Table:
    if isinstance(source, Path):
        source = File(source.name, source.read_bytes())
    if isinstance(source, File):
        return _file(source)
    if isinstance(source, str):
        return _text(source)
    if isinstance(source, Mutation):
        return source
    if isinstance(source, UserEvent) or (hasattr(source, "items") and not hasattr(source, "columns")):
        source = [source]
    return table(source) if hasattr(source, "columns") or not isinstance(source, Iterable) else _listed(source)


def _listed(rows: Iterable[Any]) -> Table:
    """Return events, and rows that may each have other names, as a table."""
    given = list(rows)
    for place, row in enumerate(given):
        if not isinstance(row, UserEvent) and not hasattr(row, "items"):
            message = f"expected a UserEvent, a dict or a Series, got {typed(row)}"
            raise InvalidEvent([Problem(f"rows[{place}]", row, _SOURCE_RULE, message)])
    return table(given)


def _file(file: File) -> Mutation | Table:
    name, path = readable(file.name), Path(file.name)
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise InvalidTable(f"{name} is a workbook: save it as CSV in UTF-8, or copy its cells and paste them.")
    text = TextFile(file.name, lambda: io.BytesIO(file.content))
    if text.kind in DELIMITERS:
        return text_table(text)
    if text.kind == ".parquet":
        with TemporaryDirectory() as folder:
            Path(folder, path.name).write_bytes(file.content)
            return _kept(table(Path(folder, path.name)))
    with text.opened() as opened:
        return _text(opened.read())


def _kept(given: Table) -> Table:
    """Return a table whose source may go."""
    chunks: list[Chunk] = list(given.chunks())
    return replace(given, chunks=lambda _=None: iter(chunks))


def _text(text: str) -> Mutation | Table:
    """Return the rows in a text, or the request that it contains."""
    for parts in ([text], [line for line in text.split("\n") if line.strip()]):
        found = _parsed(parts)
        rows = found[0] if len(found) == 1 and isinstance(found[0], list) else found
        if found and not any(isinstance(row, dict) and "query" in row for row in rows):
            return replace(_listed(rows), name="the text")
    head = text.lstrip().partition("\n")[0]
    delimiter = "\t" if "\t" in head else ","
    if not _FIELDS.isdisjoint(_plain(cell) for cell in head.split(delimiter)):
        return csv_table(TextFile("the text", lambda: io.BytesIO(text.lstrip().encode())), delimiter)
    return Mutation.parse(text)


def _plain(name: str) -> str:
    """Return a name without case, spaces and marks, to recognise a header of columns."""
    return re.sub(r"[\W_]", "", name).lower()


_FIELDS = {_plain(name) for pair in TEXT_FIELDS.items() for name in pair}


def _events(
    given: Table, default: Callable[[], UserEvent], columns: Mapping[str, str], fields: Mapping[str, str]
) -> list[UserEvent]:
    chunks = list(given.chunks())
    names = given.names or [*dict.fromkeys(name for chunk in chunks for name in chunk.columns)]
    if not given.names:  # each row has names of its own: what all lack is not a missing column, but empty in each
        known = set(map(ColumnMapping(columns, None, {}).field, names))
        fields = {**{name: "" for name in REQUIRED if name not in known}, **fields}
    mapping = ColumnMapping.of(replace(given, names=names), columns, None, fields)
    found = [_event(mapping.mapped(chunk), place, default) for chunk in chunks for place in range(chunk.length)]
    problems = [
        replace(problem, index=row) for row, event in enumerate(found) if isinstance(event, list) for problem in event
    ]
    if problems:
        raise InvalidEvent(problems)
    return [event for event in found if isinstance(event, UserEvent)]


def _event(rows: MappedRows, place: int, default: Callable[[], UserEvent]) -> UserEvent | list[Problem]:
    """Return the event in a row, with an id and a time; other required fields that are missing are empty."""
    given: dict[str, Any] = dict.fromkeys(REQUIRED, "")
    if rows.fields and None in (rows.fields["event_id"][place], rows.fields["event_time"][place]):
        new = default()
        given |= {"event_id": new.event_id, "event_time": new.event_time}
    return rows.event(place, given)


def _parsed(parts: list[str]) -> list[Any]:
    """Return the JSON of some parts of a text; an empty list if the text is not JSON."""
    found: list[Any] = []
    for part in parts:
        try:
            found.append(_json(part))
        except (ValueError, RecursionError):
            if found and isinstance(found[-1], dict):
                raise InvalidTable(f"Row {len(found)}: expected a JSON object, got {quoted(part.strip())}.") from None
            return []
    return found


def _json(text: str) -> Any:
    """Return JSON with its numbers and booleans as text, or raise `InvalidTable` for a repeated name."""

    def with_texts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise InvalidTable(f"The name {quoted(repeated[0])} occurs twice in one JSON object.")
        return {name: json.dumps(value) if isinstance(value, bool) else value for name, value in pairs}

    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=with_texts)
