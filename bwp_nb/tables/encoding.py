"""Checks mapped rows by the column and encodes them as JSON, with the same verdicts as `UserEvent.problems()`.

Each column is first checked as a whole for values that are surely valid, which costs little. Only the other rows are
made into events and asked for their problems, so that there is one verdict and one message.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any

from bwp_nb.errors import Problem
from bwp_nb.event import CLIENT_TYPES, LENGTHS, SURE_TIME, TEXT_FIELDS
from bwp_nb.tables.columns import NESTED
from bwp_nb.tables.mapping import MappedRows

_OPTIONAL = ("schema_name", "schema_version")


@dataclass(frozen=True)
class EncodedRows:
    """Some rows from number `first` on: the text of each one's event, None where it is invalid.

    `problems` and `records` have what is wrong with the invalid ones and what they contain, by the row's number.
    `generated` has the places, from 0, of the rows for which a field is generated.
    """

    first: int
    texts: list[str | None]
    problems: dict[int, list[Problem]]
    records: dict[int, dict[str, Any]]
    generated: dict[str, set[int]]

    def contents(self) -> Iterator[str]:
        """Yield a text for each row that says all it contains."""
        for row, text in enumerate(self.texts, self.first):
            yield (repr(self.records[row]) if text is None else text) + "\n"

    def record(self, row: int) -> dict[str, Any]:
        """Return a row as the keywords of a `UserEvent`: as text, or if it is invalid with its values unchanged."""
        text = self.texts[row - self.first]
        return self.records[row] if text is None else _decoded(text)

    def given(self, row: int) -> dict[str, Any]:
        """Return a row without what is generated for it."""
        place = row - self.first
        return {name: value for name, value in self.record(row).items() if place not in self.generated.get(name, ())}


def encode_rows(rows: MappedRows) -> EncodedRows:
    """Check some rows, and encode those that can be sent as JSON."""
    fields, properties = rows.fields, rows.properties
    if rows.chunk.problems:  # rows without one have only texts
        fields, properties = _only_texts(fields), _only_texts(properties)
    texts: list[str | None] = [*_texts(fields, properties, rows.chunk.length)]
    problems, records = {}, {}
    for place in sorted(rows.chunk.problems.keys() | _doubtful_rows(fields, properties, len(texts))):
        if found := rows.problems(place):
            row = rows.chunk.first + place
            texts[place], problems[row], records[row] = None, found, rows.record(place)
    return EncodedRows(rows.chunk.first, texts, problems, records, rows.generated)


def _only_texts(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [cell if isinstance(cell, str) else None for cell in cells] for name, cells in columns.items()}


def _doubtful_rows(fields: dict[str, list[Any]], properties: dict[str, list[Any]], length: int) -> set[int]:
    """Return the places of rows that are not surely valid."""
    if not all(map(_is_text, properties)):
        return set(range(length))
    doubtful: set[int] = set()
    columns = [(cells, _SURE.get(name, _is_text), name in _OPTIONAL) for name, cells in fields.items()]
    columns += [(cells, _is_text, True) for cells in properties.values()]
    for cells, is_sure, is_optional in columns:
        if is_sure is not _is_text or not "".join(filter(None, cells)).isascii() or (None in cells and not is_optional):
            wrong = {text for text in set(cells) if not (is_optional if text is None else is_sure(text))}
            doubtful |= {place for place, text in enumerate(cells) if text in wrong} if wrong else set()
    return doubtful


def _decoded(text: str) -> dict[str, Any]:
    """Return an event's text as the keywords of a `UserEvent`."""
    given = json.loads(text)
    pairs = given.get("additionalProperties", {}).get("additionalProperties", ())
    values = {name: given[api_name] for name, api_name in TEXT_FIELDS.items() if api_name in given}
    properties = {pair["property"]: pair["value"] for pair in pairs}
    return values | ({NESTED[0]: properties} if properties else {})


def _is_text(value: str) -> bool:
    """Return whether UTF-8 can encode a text, which is all that is required of most."""
    return value.isascii() or value == value.encode(errors="ignore").decode()


def _is_as_long(api_name: str) -> Callable[[str], bool]:
    shortest, longest = LENGTHS[api_name]
    return lambda value: value.isascii() and shortest <= len(value) <= longest


#: What makes a field's value surely valid; a value that fails it may be valid too.
_SURE: dict[str, Callable[[str], Any]] = {
    "event_type": _is_as_long("eventType"),
    "event_time": SURE_TIME.fullmatch,
    "client_type": CLIENT_TYPES.__contains__,
    "schema_name": _is_as_long("schemaName"),
}


def _texts(fields: dict[str, list[Any]], properties: dict[str, list[Any]], length: int) -> Iterator[str]:
    """Yield each row's event as JSON."""
    named = [(f',"{TEXT_FIELDS[name]}":', cells, "") for name, cells in fields.items()]
    paired = [(f',{{"property":{encode_basestring(name)},"value":', cells, "}") for name, cells in properties.items()]
    for members, pairs in zip(_joined(named, length), _joined(paired, length), strict=True):
        some = f',"additionalProperties":{{"additionalProperties":[{pairs[1:]}]}}' if pairs else ""
        yield f"{{{members[1:]}{some}}}"


def _joined(columns: list[tuple[str, list[Any], str]], length: int) -> Iterable[str]:
    """Return the values of each row as JSON, each between the two texts of its column; nothing for a missing one."""
    parts: list[Iterable[str]] = [repeat("", length)]
    for before, cells, after in columns:
        if None not in cells and _is_plain("".join(cells)):
            parts += [repeat(f'{before}"', length), cells, repeat(f'"{after}', length)]
        else:
            parts.append(["" if cell is None else f"{before}{encode_basestring(cell)}{after}" for cell in cells])
    return map("".join, zip(*parts, strict=True))


def _is_plain(text: str) -> bool:
    """Return whether a text is the same in JSON but for the quotation marks around it."""
    return len(encode_basestring(text)) == len(text) + 2
