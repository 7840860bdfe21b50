"""Checks mapped rows by the column and encodes them as JSON, with the same verdicts as `UserEvent.problems()`.

Each column is first checked as a whole for values that are surely valid, which costs little. Only the other rows are
made into events and asked for their problems, so that there is one verdict and one message.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import filterfalse, repeat
from json.encoder import encode_basestring
from typing import Any

from bwp_nb import mutation
from bwp_nb.event import CLIENT_TYPES, LENGTHS, SURE_TIME, TEXT_FIELDS, UserEvent
from bwp_nb.problems import Problem
from bwp_nb.tables.columns import NESTED
from bwp_nb.tables.mapping import MappedRows

_OPTIONAL = ("schema_name", "schema_version")

_OPENING = ',"additionalProperties":{"additionalProperties":['

#: The text before a column's values, the values, the text after them; or a text that is the same in each row.
_Column = tuple[str, Sequence[Any], str]
_Piece = str | _Column


@dataclass(frozen=True)
class EncodedRows:
    """Some rows from number `first` on: the text of each one's event, None where it is invalid.

    `problems` and `records` have what is wrong with the invalid ones and what they contain, by the row's number.
    `generated` are the numbers of the rows for which a field is generated.
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
        return {name: value for name, value in self.record(row).items() if row not in self.generated.get(name, ())}


def encode_rows(rows: MappedRows) -> EncodedRows:
    """Check some rows, and encode those that can be sent as JSON."""
    chunk = rows.chunk
    doubtful = {*chunk.broken, *rows.problems}
    for name, cells in rows.fields.items():
        doubtful |= _doubtful(_texts_of(cells, rows), _SURE.get(name, _is_text), optional=name in _OPTIONAL)
    for name, cells in rows.properties.items():
        if _is_text(name):
            doubtful |= _doubtful(_texts_of(cells, rows), _is_text, optional=True)
        else:
            doubtful |= set(range(chunk.length))
    texts = _sure_texts(rows, doubtful)
    problems = {}
    for place in sorted(doubtful):
        event = rows.event(place)
        if isinstance(event, UserEvent) and not event.problems():
            texts[place] = mutation.encode_event(event)
        else:
            problems[chunk.first + place] = event.problems() if isinstance(event, UserEvent) else event
    records = {row: rows.record(row - chunk.first) for row in problems}
    generated = {name: {chunk.first + place for place in places} for name, places in rows.generated.items()}
    return EncodedRows(chunk.first, texts, problems, records, generated)


def _sure_texts(rows: MappedRows, doubtful: Collection[int]) -> list[str | None]:
    """Return the text of each row, None where it is doubtful."""
    if not doubtful:
        return list(_texts(rows.fields, rows.properties))
    sure = [place for place in range(rows.chunk.length) if place not in doubtful]
    fields, properties = (
        {name: [cells[place] for place in sure] for name, cells in columns.items()}
        for columns in (rows.fields, rows.properties)
    )
    texts = iter(_texts(fields, properties) if sure else ())
    return [None if place in doubtful else next(texts) for place in range(rows.chunk.length)]


def _decoded(text: str) -> dict[str, Any]:
    """Return an event's text as the keywords of a `UserEvent`."""
    given = json.loads(text)
    pairs = given.get("additionalProperties", {}).get("additionalProperties", ())
    values = {name: given[api_name] for name, api_name in TEXT_FIELDS.items() if api_name in given}
    properties = {pair["property"]: pair["value"] for pair in pairs}
    return values | ({NESTED[0]: properties} if properties else {})


def _texts_of(cells: Sequence[Any], rows: MappedRows) -> Sequence[str | None]:
    """Return a column without the values that are not text, which are problems already."""
    return [cell if isinstance(cell, str) else None for cell in cells] if rows.problems else cells


def _doubtful(cells: Sequence[str | None], is_sure: Callable[[Any], Any], *, optional: bool) -> set[int]:
    """Return the places of values that are not surely valid."""
    if is_sure is _is_text and "".join(filter(None, cells)).isascii() and (optional or None not in cells):
        return set()
    distinct = set(cells)
    lacks = None in distinct
    distinct.discard(None)
    wrong = {*filterfalse(is_sure, distinct), *((None,) if lacks and not optional else ())}
    return {place for place, value in enumerate(cells) if value in wrong} if wrong else set()


def _is_text(value: str) -> bool:
    """Return whether UTF-8 can encode a text, which is all that is required of most."""
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


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


def _texts(fields: dict[str, list[Any]], properties: dict[str, list[Any]]) -> Iterable[str]:
    """Return each row's event as JSON, joined from the parts of its columns."""
    first, *others = [(f'"{TEXT_FIELDS[name]}":', cells, "") for name, cells in fields.items()]
    pieces: list[_Piece] = ["{", first, *_after_commas(others)]
    some_lack_it = False
    if properties:
        first, *others = [
            (f'{{"property":{encode_basestring(name)},"value":', cells, "}") for name, cells in properties.items()
        ]
        some_lack_it = None in first[1]
        pieces += [_OPENING, *(_after_commas([first]) if some_lack_it else [first]), *_after_commas(others), "]}"]
    texts = _joined([*pieces, "}"], len(fields["event_type"]))
    return map(_tidied, texts) if some_lack_it else texts


def _after_commas(columns: Iterable[_Column]) -> list[_Column]:
    return [(f",{before}", cells, after) for before, cells, after in columns]


def _tidied(text: str) -> str:
    """Return an event's text without the comma before its first property, or without an empty list of them.

    No value can contain either pattern: a quotation mark within a text is written with a backslash.
    """
    return text.replace('[,{"property"', '[{"property"', 1).replace(f"{_OPENING}]}}", "", 1)


def _joined(pieces: Iterable[_Piece], length: int) -> Iterable[str]:
    """Return the text of each row: texts that are the same for all rows, and each row's own values as JSON.

    Values that JSON leaves as they are need no encoding; of others, equal ones are encoded once. What is the same in
    all rows is joined with what comes after it.
    """
    parts: list[Iterable[str]] = []
    same = ""
    for piece in pieces:
        if isinstance(piece, str):
            same += piece
            continue
        before, cells, after = piece
        if None not in cells and cells.count(cells[0]) < length and _is_plain("".join(cells)):
            parts += [repeat(f'{same}{before}"', length), cells]
            same = f'"{after}'
            continue
        known = {
            value: same if value is None else f"{same}{before}{encode_basestring(value)}{after}" for value in set(cells)
        }
        if len(known) == 1:
            (same,) = known.values()
        else:
            parts.append(map(known.__getitem__, cells))
            same = ""
    return map("".join, zip(*parts, repeat(same, length), strict=False))


def _is_plain(text: str) -> bool:
    """Return whether a text is the same in JSON but for the quotation marks around it."""
    return len(encode_basestring(text)) == len(text) + 2
