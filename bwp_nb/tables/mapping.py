"""Checks and writes events by the column: the same verdicts as `UserEvent.problems()`, without a `UserEvent` a row.

Each column is asked whether all of it is surely right, which costs little. Only for the rows where it is not, an event
is made and asked for its problems, so that there is one verdict and one text.
"""

import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from itertools import compress, filterfalse, repeat
from json.encoder import encode_basestring
from typing import Any

from bwp_nb import mutation
from bwp_nb.errors import BwpError, InvalidEvent, Problem, quoted
from bwp_nb.event import CLIENT_TYPES, LENGTHS, TEXT_FIELDS, UserEvent
from bwp_nb.table import NESTED, Chunk, Table

#: What a field may be called by mistake, in lower case.
_ALIKE = {alike.lower(): name for name, api_name in TEXT_FIELDS.items() for alike in (name, api_name)}
_OUR_NAMES = {api_name: name for name, api_name in TEXT_FIELDS.items()}
_REQUIRED = ("event_type", "client_type", "client_version")
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
class Made:
    """Where the ids and times come from that a table lacks: always the same for one run and row, so none is kept.

    An id has the form of a UUID version 4; its bits are a digest of the run's own id and the row's number.
    """

    run: str
    time: str

    def event_id(self, row: int) -> str:
        """Return the id of a row."""
        digest = blake2b(f"{self.run} {row}".encode(), digest_size=16).digest()
        return str(uuid.UUID(bytes=digest, version=4))


@dataclass(frozen=True)
class Layout:
    """Which columns hold the fields of an event, and which its properties.

    `columns` maps names of columns to names of fields where they differ. `properties` are the columns that become
    additional properties, or map them to the properties' names; without it all that are no field do. `fields` gives
    all rows one value.
    """

    columns: Mapping[str, str]
    properties: Mapping[str, str] | None
    fields: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A text that tells one layout from another."""
        parts = (self.columns, self.properties, self.fields)
        content = repr([None if part is None else sorted(part.items()) for part in parts])
        return sha256(content.encode("utf-8", "backslashreplace")).hexdigest()

    @classmethod
    def of(
        cls,
        table: Table,
        columns: Mapping[str, str] | None,
        properties: Iterable[str] | Mapping[str, str] | None,
        fields: Mapping[str, str] | None,
    ) -> "Layout":
        """Return the layout that a caller asked for, or raise `BwpError` where it does not fit the table."""
        named = (
            properties if isinstance(properties, Mapping) or properties is None else {name: name for name in properties}
        )
        layout = cls(dict(columns or {}), named, dict(fields or {}))
        layout._refuse_unknown_fields()
        if table.names is not None:
            layout._refuse_missing_columns(table.name, table.names)
        return layout

    def _refuse_unknown_fields(self) -> None:
        known = ", ".join(TEXT_FIELDS)
        for name in (*self.columns.values(), *self.fields):
            if name not in TEXT_FIELDS:
                raise BwpError(f"An event has no field {quoted(name)}. It has {known}.")
        for name in (self.properties or {}).values():
            if not isinstance(name, str):
                raise BwpError(f"A property has a name that is text, and {quoted(name)} is none.")

    def refuse_unseen(self, name: str, seen: Collection[str]) -> None:
        """Raise `BwpError` if a column that was asked for is not among those that a table turned out to have."""
        for wanted in (*self.columns, *(self.properties or ())):
            if wanted not in seen:
                has = f"The columns of {name} are {', '.join(map(quoted, sorted(seen)[:30]))}."
                raise BwpError(f"There is no column {quoted(wanted)}. {has}")

    def _refuse_missing_columns(self, name: str, names: list[str]) -> None:
        if not set(NESTED) & set(names):  # else properties may be within
            self.refuse_unseen(name, names)
        has = f"The columns of {name} are {', '.join(map(quoted, names[:30]))}."
        for column in names:
            meant = _ALIKE.get(column.strip().lower())
            if meant and not self.field(column) and column not in (self.properties or ()):
                raise BwpError(
                    f"The column {quoted(column)} is almost called like the field {meant}. "
                    f"Rename it, or say what it is: columns={{{column!r}: '{meant}'}}, or name it in properties=."
                )
        found = [field for name in names if (field := self.field(name))] + list(self.fields)
        for field in _REQUIRED:
            if field not in found:
                raise BwpError(
                    f"No column holds {field}, which every event needs. {has} Name the one that does, "
                    f"columns={{'its name': '{field}'}}, or give all rows one value, fields={{'{field}': '…'}}."
                )
        for field in found:
            if found.count(field) > 1:
                raise BwpError(f"Two columns hold {field}, or one does and fields= as well. {has}")

    def field(self, column: str) -> str | None:
        """Return the field that a column holds, if it holds one."""
        if column in self.columns:
            return self.columns[column]
        return _OUR_NAMES.get(column, column if column in TEXT_FIELDS else None)

    def columns_of(self, field: str, table: Table) -> list[str] | None:
        """Return the columns that a field may stand in, None if each row has its own."""
        return None if table.names is None else [name for name in table.names if self.field(name) == field]

    def given_fields(self, chunk: Chunk) -> dict[str, list[Any]]:
        """Return the columns of those fields that the table or the layout gives."""
        given: dict[str, list[Any]] = {}
        for name, cells in chunk.columns.items():
            if field := self.field(name):
                _put(given, field, cells, chunk, TEXT_FIELDS[field])
        for field, value in self.fields.items():
            _put(given, field, [value] * chunk.length, chunk)
        return given

    def fields_of(self, chunk: Chunk, made: Made) -> dict[str, list[Any]]:
        """Return the column of each field, ids and times that are missing put in."""
        given = self.given_fields(chunk)
        fields = {field: given.get(field) or [None] * chunk.length for field in TEXT_FIELDS}
        if None in fields["event_id"]:
            ids = enumerate(fields["event_id"], chunk.first)
            fields["event_id"] = [made.event_id(row) if event_id is None else event_id for row, event_id in ids]
        if None in fields["event_time"]:
            fields["event_time"] = [made.time if moment is None else moment for moment in fields["event_time"]]
        return fields

    def properties_of(self, chunk: Chunk) -> dict[str, list[Any]]:
        """Return the column of each additional property."""
        found: dict[str, list[Any]] = {}
        columns = [(name, cells) for name, cells in chunk.columns.items() if not self.field(name)]
        for name, cells in [*columns, *chunk.properties.items()]:
            if self.properties is None:
                _put(found, name, cells, chunk, name)
            elif name in self.properties:
                _put(found, self.properties[name], cells, chunk, self.properties[name])
        return found


@dataclass(frozen=True)
class Written:
    """Some rows, checked and written: the text of each event, None where it is invalid, and the problems of those."""

    first: int
    texts: list[str | None]
    problems: dict[int, list[Problem]]


def written(chunk: Chunk, layout: Layout, made: Made) -> Written:
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
        return Written(chunk.first, list(_texts(fields, properties)), {})
    return _with_doubtful(chunk, fields, properties, doubtful)


def _with_doubtful(
    chunk: Chunk, fields: dict[str, list[Any]], properties: dict[str, list[Any]], doubtful: set[int]
) -> Written:
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


def records(chunk: Chunk, layout: Layout, made: Made, places: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Yield some rows as the keywords of a `UserEvent`, their values as they are; what is missing is left out."""
    if chunk.events is not None:
        for place in places:
            event = chunk.events[place]
            yield _record({name: getattr(event, name) for name in TEXT_FIELDS}, event.additional_properties)
        return
    fields, properties = layout.fields_of(chunk, made), layout.properties_of(chunk)
    for place in places:
        values, pairs = ({name: cells[place] for name, cells in columns.items()} for columns in (fields, properties))
        yield _record(values, pairs) | chunk.kept.get(place, {})


def _record(values: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    given, pairs = (
        {name: value for name, value in found.items() if value is not None} for found in (values, properties)
    )
    return given | ({"additional_properties": pairs} if pairs else {})


def given_ids(chunk: Chunk, layout: Layout) -> list[Any]:
    """Return the ids that the source gives, None where it gives none."""
    if chunk.events is not None:
        return [event.event_id for event in chunk.events]
    return layout.given_fields(chunk).get("event_id") or [None] * chunk.length


def _put(columns: dict[str, list[Any]], name: str, cells: list[Any], chunk: Chunk, kept: str | None = None) -> None:
    """Add a column, or what it holds to one of that name; a row that has both is broken.

    Its second value is kept under a name by which it clashes again.
    """
    if name not in columns:
        columns[name] = cells
        return
    columns[name] = list(columns[name])
    for place, cell in enumerate(cells):
        if cell is not None and columns[name][place] is not None:
            chunk.broken[place] = f"{name} stands in it twice"
            if kept is not None:
                chunk.kept.setdefault(place, {})[kept] = cell
        elif cell is not None:
            columns[name][place] = cell


def _one_by_one(
    first: int,
    events: Mapping[int, UserEvent | list[Problem]],
    texts: list[str | None],
    problems: dict[int, list[Problem]],
) -> Written:
    for place, event in events.items():
        found = event.problems() if isinstance(event, UserEvent) else event
        if found:
            problems[first + place] = found
        elif isinstance(event, UserEvent):
            texts[place] = mutation.written(event)
    return Written(first, texts, problems)


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
