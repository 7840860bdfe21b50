"""Events as rows of JSON or CSV, and rows as events: what a form saves, and what fills it."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bwp_nb.contract.hints import property_place
from bwp_nb.displays.short_errors import MissingExtra
from bwp_nb.errors import InvalidEvent, InvalidTable, Problem
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.tables.chunks import Table
from bwp_nb.tables.columns import NESTED, meant
from bwp_nb.tables.mapping import REQUIRED, TAKEN, ColumnMapping, MappedRows, flat, record
from bwp_nb.tables.source import DELIMITERS, TextFile, csv_table, table, unique
from bwp_nb.text import quoted, readable

_SOURCE_RULE = "a request, an event, or a row of a table"
_COLUMN_RULE = "a column for each field and each property (our own rule)"


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
        raise InvalidEvent([Problem(property_place(name), name, _COLUMN_RULE, message)])
    rows = flat(rows)
    text = io.StringIO()
    names = dict.fromkeys([*TEXT_FIELDS, *(name for row in rows for name in row)])
    writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def file(name: str, content: bytes) -> TextFile:
    """Return the content of a file of that name as a source of `events_of`."""
    return TextFile(name, lambda: io.BytesIO(content))


def events_of(
    source: Any,
    default: Callable[[], UserEvent],
    columns: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> list[UserEvent]:
    """Return the events in a source, or raise `InvalidEvent`.

    It may be a `Mutation`, a `UserEvent` or several, a row or several, a DataFrame, the path of a file, a `TextFile`,
    or a text: rows as JSON, JSONL, CSV or cells of a spreadsheet, or what `Mutation.parse` reads. Columns are read as
    `send_table` reads them, with its `columns` and `fields`. A row without an id or a time gets that of a new
    `default()`; another required field that a row lacks is empty, which is a problem of the event. Numbers in JSON
    become their text.
    """
    try:
        given = _read(source)
        if isinstance(given, Mutation):
            return list(given.events)
        return _events(given, default, columns, fields)
    except (InvalidTable, MissingExtra) as error:
        raise InvalidEvent([Problem("source", None, _SOURCE_RULE, str(error).rstrip("."))]) from None


def _read(source: Any) -> Mutation | Table:
    if isinstance(source, Path):
        return _file(TextFile(source.name, lambda: source.open("rb")))
    if isinstance(source, TextFile):
        return _file(source)
    if isinstance(source, str):
        return _text("the text", source.removeprefix("\ufeff"))
    if isinstance(source, Mutation):
        return source
    is_row = isinstance(source, UserEvent) or (hasattr(source, "items") and not hasattr(source, "columns"))
    return table([source] if is_row else source)


def _file(file: TextFile) -> Mutation | Table:
    name = readable(file.name)
    if file.kind in (".xlsx", ".xls", ".ods"):
        raise InvalidTable(f"{name} is a workbook: save it as CSV in UTF-8, or copy its cells and paste them.")
    if file.kind == ".parquet":
        from bwp_nb.tables.arrow import parquet_table

        with file.open_bytes() as content:
            return parquet_table(name, {io.BytesIO(content.read()): {}})
    return _text(name, "".join(file.lines()), DELIMITERS.get(file.kind))


def _text(name: str, text: str, delimiter: str | None = None) -> Mutation | Table:
    """Return the rows in a text, or the request that it contains; with a `delimiter`, it is CSV."""
    found = [] if delimiter else _json_values(text)
    rows = found[0] if len(found) == 1 and isinstance(found[0], list) else found
    if rows and not any(isinstance(row, dict) and "query" in row and not _names_field(row) for row in rows):
        return replace(table(rows), name=name)
    if not rows and (delimiter := _delimiter(text) or delimiter):
        return csv_table(name, io.StringIO(text, newline=""), delimiter)
    if not re.search(r"[{(]", text):
        expected = "a request, or rows below a header that names a field, such as event_type"
        raise InvalidTable(f"Expected {expected}, got {quoted(text.strip())}.")
    return Mutation.parse(text)


def _delimiter(text: str) -> str | None:
    """Return what separates the cells of a header, if a text begins with one, in which a field is named."""
    head = text.lstrip("\r\n").partition("\n")[0]
    return next((delimiter for delimiter in "\t,;" if _names_field(head.split(delimiter))), None)


def _names_field(names: Iterable[str]) -> bool:
    """Whether one of some names is nearly that of a field."""
    return any(_NAME.fullmatch(name) and meant(name) for name in names)


_NAME = re.compile(r'\s*"?[\w .-]+"?\s*')
_VISIBLE = re.compile(r"\S")


def _events(
    given: Table, default: Callable[[], UserEvent], columns: Mapping[str, str] | None, fields: Mapping[str, str] | None
) -> list[UserEvent]:
    mapping = ColumnMapping(given, columns, None, fields)
    mapped = list(map(mapping.mapped, given.chunks))
    names = [*dict.fromkeys(name for rows in mapped for name in rows.chunk.columns)]
    mapping.refuse_unseen(given.name, given.names or names)
    mapping.refuse_nearly_fields(names)
    problems = [
        replace(one, index=rows.chunk.first + place)
        for rows in mapped
        for place, found in sorted(rows.chunk.problems.items())
        for one in found
    ]
    if problems:
        raise InvalidEvent(problems)
    return [_event(rows, place, default) for rows in mapped for place in range(rows.chunk.length)]


def _event(rows: MappedRows, place: int, default: Callable[[], UserEvent]) -> UserEvent:
    """Return the event in a row, with an id and a time; other required fields that are missing are empty."""
    given: dict[str, Any] = dict.fromkeys(REQUIRED, "")
    if None in (rows.fields["event_id"][place], rows.fields["event_time"][place]):
        new = default()
        given |= {"event_id": new.event_id, "event_time": new.event_time}
    return UserEvent(**given | rows.record(place))


def _json_values(text: str) -> list[Any]:
    """Return the JSON values that follow each other in a text, of which the first is an object or a list; else none."""
    decoder = json.JSONDecoder(object_pairs_hook=_with_texts, parse_int=str, parse_float=str)
    found: list[Any] = []
    end = 0
    while rest := _VISIBLE.search(text, end):
        start = rest.start()
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            if not found or not isinstance(found[0], dict):
                return []
            where = f"line {text.count(chr(10), 0, start) + 1}"
            raise InvalidTable(f"{where}: expected a JSON object, got {quoted(text[start:].strip())}.") from None
        if not found and not isinstance(value, dict | list):
            return []
        found.append(value)
    return found


def _with_texts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object with its booleans as text."""
    return {name: json.dumps(value) if isinstance(value, bool) else value for name, value in unique(pairs).items()}
