"""Checks events by the column and encodes them as JSON: the same verdicts as `UserEvent.problems()`.

Each column is asked whether all of it is surely right, which costs little. Only for the rows where it is not, an event
is made and asked for its problems, so that there is one verdict and one text.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, filterfalse, repeat
from json.encoder import encode_basestring
from typing import Any

from bwp_nb import mutation
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import CLIENT_TYPES, LENGTHS, TEXT_FIELDS, UserEvent
from bwp_nb.problems import Problem
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds
from bwp_nb.tables.source import Chunk

_MAY_LACK = ("schema_name", "schema_version")
_ROW_RULE = "a row that can be read"

# A time that is surely right; those of other days are looked at one by one.
_SURE_TIME = re.compile(
    r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}(?:\.[0-9]{1,9})?Z"
)
_OPENING = ',"additionalProperties":{"additionalProperties":['

#: What stands before a column's values, the values, what stands behind them; or a text that is the same in each row.
_Column = tuple[str, Sequence[Any], str]
_Piece = str | _Column


@dataclass(frozen=True)
class EncodedRows:
    """Some rows, checked and written: the text of each event, None where it is invalid, and the problems of those."""

    first: int
    texts: list[str | None]
    problems: dict[int, list[Problem]]


def encode_rows(chunk: Chunk, layout: ColumnMapping, made: GeneratedIds) -> EncodedRows:
    """Check the rows of a chunk and write those that can be sent as JSON; rows are told by their number."""
    if chunk.events is not None:
        return _one_by_one(chunk.first, dict(enumerate(chunk.events)), [None] * chunk.length, {})
    fields, properties = layout.fields_of(chunk, made), layout.properties_of(chunk)
    doubtful = set(chunk.broken)
    for name, cells in fields.items():
        doubtful |= _doubtful(cells, _SURE.get(name, _is_text), may_lack=name in _MAY_LACK)
    for name, cells in properties.items():
        doubtful |= set(range(chunk.length)) if not _is_text(name) else _doubtful(cells, _is_text, may_lack=True)
    if not doubtful:
        return EncodedRows(chunk.first, list(_texts(fields, properties)), {})
    return _with_doubtful(chunk, fields, properties, doubtful)


def _with_doubtful(
    chunk: Chunk, fields: dict[str, list[Any]], properties: dict[str, list[Any]], doubtful: set[int]
) -> EncodedRows:
    sure = [place not in doubtful for place in range(chunk.length)]
    kept = [{name: list(compress(cells, sure)) for name, cells in columns.items()} for columns in (fields, properties)]
    rest = iter(_texts(*kept))
    texts = [next(rest) if is_sure else None for is_sure in sure]
    events: dict[int, UserEvent | list[Problem]] = {}
    for place in sorted(doubtful):
        if place in chunk.broken:
            events[place] = [Problem("row", None, _ROW_RULE, chunk.broken[place])]
        else:
            events[place] = event_or_problems(fields, properties, place)
    return _one_by_one(chunk.first, events, texts, {})


def event_or_problems(
    fields: dict[str, list[Any]], properties: dict[str, list[Any]], place: int
) -> UserEvent | list[Problem]:
    """Return the event in one row, or the problems for which none can be made of it."""
    values = {name: cells[place] for name, cells in fields.items()}
    pairs = {name: cells[place] for name, cells in properties.items() if cells[place] is not None}
    try:
        return UserEvent(**values, additional_properties=pairs)
    except InvalidEvent as error:
        return error.problems


def _one_by_one(
    first: int,
    events: Mapping[int, UserEvent | list[Problem]],
    texts: list[str | None],
    problems: dict[int, list[Problem]],
) -> EncodedRows:
    for place, event in events.items():
        found = event.problems() if isinstance(event, UserEvent) else event
        if found:
            problems[first + place] = found
        elif isinstance(event, UserEvent):
            texts[place] = mutation.encode_event(event)
    return EncodedRows(first, texts, problems)


def _doubtful(cells: Sequence[Any], is_sure: Callable[[Any], Any], *, may_lack: bool) -> set[int]:
    """Return the places of values that are not surely right."""
    try:
        distinct = set(cells)
    except TypeError:  # a list or a dict in a cell
        return set(range(len(cells)))
    if may_lack:
        distinct.discard(None)
    if set(map(type, distinct)) <= {str}:
        wrong = set(filterfalse(is_sure, distinct))
    else:
        wrong = {value for value in distinct if type(value) is not str or not is_sure(value)}
    return {place for place, value in enumerate(cells) if value in wrong} if wrong else set()


def _is_text(value: str) -> bool:
    """Tell whether UTF-8 can write a text, which is all that is asked of most."""
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_as_long(api_name: str) -> Callable[[str], bool]:
    shortest, longest = LENGTHS[api_name]
    return lambda value: value.isascii() and shortest <= len(value) <= longest


#: What makes a field's value surely right; what fails it may be right all the same.
_SURE: dict[str, Callable[[str], Any]] = {
    "event_type": _is_as_long("eventType"),
    "event_time": _SURE_TIME.fullmatch,
    "client_type": CLIENT_TYPES.__contains__,
    "schema_name": _is_as_long("schemaName"),
}


def _texts(fields: dict[str, list[Any]], properties: dict[str, list[Any]]) -> Iterable[str]:
    """Return each row's event as JSON, put together from its columns' parts."""
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

    No value can hold either pattern: a quotation mark within a text is written with a backslash.
    """
    return text.replace('[,{"property"', '[{"property"', 1).replace(f"{_OPENING}]}}", "", 1)


def _joined(pieces: Iterable[_Piece], length: int) -> Iterable[str]:
    """Return the text of each row: texts that are the same for all rows, and each row's own values as JSON.

    Equal values are written once, and what is the same in all rows together with what comes after it.
    """
    parts: list[Iterable[str]] = []
    same = ""
    for piece in pieces:
        if isinstance(piece, str):
            same += piece
            continue
        before, cells, after = piece
        known = {
            value: same if value is None else f"{same}{before}{encode_basestring(value)}{after}" for value in set(cells)
        }
        if len(known) == 1:
            (same,) = known.values()
        else:
            parts.append(map(known.__getitem__, cells))
            same = ""
    return map("".join, zip(*parts, repeat(same, length), strict=False))
