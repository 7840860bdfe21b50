"""Events as rows of a table, and a row as an event: what a form exports and what fills it."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bwp_nb.errors import InvalidEvent
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.problems import Problem
from bwp_nb.tables.source import SPREADSHEET_COLUMNS
from bwp_nb.text import quoted, readable

_FIELDS = (*TEXT_FIELDS, "additional_properties")
_NAMES = {api_name: name for name, api_name in TEXT_FIELDS.items()} | {"additionalProperties": "additional_properties"}
_SOURCE_RULE = "a request, an event, or a row of a table"
_COLUMN_RULE = "a column for each field and each property (our own rule)"


def to_json(events: Iterable[UserEvent]) -> str:
    """Return the events as a JSON list of objects, from which `from_row` makes the same events again."""
    return json.dumps([_row(event) for event in events], indent=2) + "\n"


def to_csv(events: Iterable[UserEvent]) -> str:
    """Return the events as CSV, each property a column.

    It is for machines: a cell that begins like a formula stays as it is. A property that is missing and one that is
    empty look the same in it. Raises `InvalidEvent` for a property that is called like a field.
    """
    rows = [_flat(event) for event in events]
    columns = list(dict.fromkeys([*TEXT_FIELDS, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def from_row(row: Mapping[Any, Any], default: UserEvent) -> UserEvent:
    """Return the event in a row: a dict, or a pandas Series.

    Its names are ours or the API's; what is no field is an additional property. What the row does not hold, or holds
    as missing, is taken from `default`; a missing property is left out.
    """
    given = {_NAMES.get(name, name): value for name, value in row.items() if not _is_missing(value)}
    values = {name: given.pop(name, getattr(default, name)) for name in TEXT_FIELDS}
    properties = _properties(given.pop("additional_properties", {}))
    return UserEvent(**values, additional_properties=properties | given if isinstance(properties, dict) else properties)


def events_of(source: Any, default: Callable[[], UserEvent]) -> list[UserEvent]:
    """Return the events in a source, or raise `InvalidEvent`.

    It may be a `Mutation`, a `UserEvent` or several, a row or several, a DataFrame, the path of a file that `content`
    reads, or a text: rows as JSON or JSONL, or what `Mutation.parse` reads. Numbers in rows that are text become the
    text that stands there. What a row lacks is taken from a new `default()`.
    """
    if isinstance(source, Path):
        source = content(source.name, source.read_bytes())
    if isinstance(source, str):
        source = _read(source)
    if isinstance(source, Mutation):
        return list(source.events)
    if hasattr(source, "columns"):
        source = source.to_dict("records")
    items = [source] if isinstance(source, UserEvent) or hasattr(source, "items") else source
    if not isinstance(items, Iterable):
        raise InvalidEvent([Problem("events", source, _SOURCE_RULE, f"{quoted(source)} is none of these")])
    return [_event_of(index, item, default) for index, item in enumerate(items)]


def content(name: str, given: bytes) -> Any:
    """Return what a file holds as a source of events: the rows of a `.csv` file, else its text.

    Raises `InvalidEvent` for what is no text, and for a list for people.
    """
    try:
        text = given.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True)) if name.lower().endswith(".csv") else None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidEvent(
            [Problem("file", name, _SOURCE_RULE, f"cannot be read: {readable(str(error), 160)}")]
        ) from None
    if rows is None:
        return text
    names, *others = rows or [[]]
    if names[:3] == SPREADSHEET_COLUMNS:
        message = f"{quoted(name)} is a list for people, with cells changed for spreadsheets; open the .jsonl file"
        raise InvalidEvent([Problem("file", name, _SOURCE_RULE, message)])
    return [{key: cell or None for key, cell in zip(names, row, strict=False)} for row in others if row]


def _read(text: str) -> Any:
    """Return the rows in a text, or the request that it holds."""
    for given in (_json, _json_lines):
        try:
            rows = given(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(rows, list) or (isinstance(rows, dict) and "query" not in rows):
            return rows
    return Mutation.parse(text)


def _json(text: str) -> Any:
    """Return JSON with its numbers and truths as the texts that stand there."""

    def told(given: dict[str, Any]) -> dict[str, Any]:
        return {name: json.dumps(value) if isinstance(value, bool) else value for name, value in given.items()}

    return json.loads(text, parse_int=str, parse_float=str, object_hook=told)


def _json_lines(text: str) -> Any:
    """Return JSONL as a list of rows, or raise `ValueError`."""
    rows = [_json(line) for line in text.split("\n") if line.strip()]
    if len(rows) < 2 or not all(isinstance(row, dict) and "query" not in row for row in rows):
        raise ValueError("no rows")
    return rows


def _event_of(index: int, item: Any, default: Callable[[], UserEvent]) -> UserEvent:
    if isinstance(item, UserEvent):
        return item
    if not hasattr(item, "items"):
        raise InvalidEvent([Problem("events", item, _SOURCE_RULE, f"{quoted(item)} is no event and no row", index)])
    try:
        return from_row(item, default())
    except InvalidEvent as error:
        raise InvalidEvent([replace(problem, index=index) for problem in error.problems]) from None


def _row(event: UserEvent) -> dict[str, Any]:
    values = {name: getattr(event, name) for name in TEXT_FIELDS if getattr(event, name) is not None}
    return {**values, "additional_properties": dict(event.additional_properties)}


def _flat(event: UserEvent) -> dict[str, str]:
    row = _row(event)
    properties = row.pop("additional_properties")
    for name in properties:
        if name in _FIELDS or name in _NAMES:
            message = f"the property {quoted(name)} is called like a field, which a table cannot hold twice"
            raise InvalidEvent([Problem(f"additionalProperties[{name!a:.80}]", name, _COLUMN_RULE, message)])
    return {**row, **properties}


def _properties(given: Any) -> Any:
    """Return properties as a dict, also from the API's shape of them; what is neither, `UserEvent` is to refuse."""
    if not isinstance(given, Mapping):
        return given
    nested = given.get("additionalProperties")
    if isinstance(nested, list) and all(isinstance(pair, dict) and {*pair} == {"property", "value"} for pair in nested):
        return {pair["property"]: pair["value"] for pair in nested}
    return dict(given)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
