"""Checks mapped rows by the column and encodes them as JSON, with the same verdicts as `UserEvent.problems()`.

Each column is first checked as a whole for values that are surely valid, which costs little. Only the other rows are
made into events and asked for their problems, so that there is one verdict and one message.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import filterfalse, repeat
from json.encoder import encode_basestring
from typing import Any

from bwp_nb.errors import Problem
from bwp_nb.event import CLIENT_TYPES, LENGTHS, SURE_TIME, TEXT_FIELDS, UserEvent, encode_event
from bwp_nb.tables.mapping import MappedRows

_OPTIONAL = ("schema_name", "schema_version")

_OPENING = ',"additionalProperties":{"additionalProperties":['

#: The text before a column's values, the values, the text after them; or a text that is the same in each row.
_Column = tuple[str, Sequence[Any], str]
_Piece = str | _Column


@dataclass(frozen=True)
class EncodedRows:
    """The text of each row's event, None where it is invalid, and the problems of those, by the row's number."""

    texts: list[str | None]
    problems: dict[int, list[Problem]]


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
    if not doubtful:
        return EncodedRows(list(_texts(rows.fields, rows.properties)), {})
    texts: list[str | None] = [None] * chunk.length
    sure = [place for place in range(chunk.length) if place not in doubtful]
    if sure:
        parts = [
            {name: [cells[place] for place in sure] for name, cells in columns.items()}
            for columns in (rows.fields, rows.properties)
        ]
        for place, text in zip(sure, _texts(*parts), strict=True):
            texts[place] = text
    problems = {}
    for place in sorted(doubtful):
        event = rows.event(place)
        found = event.problems() if isinstance(event, UserEvent) else event
        if found:
            problems[chunk.first + place] = found
        elif isinstance(event, UserEvent):
            texts[place] = encode_event(event)
    return EncodedRows(texts, problems)


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
