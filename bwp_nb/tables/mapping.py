"""Maps the columns of a table to the fields and the additional properties of events."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from bwp_nb.contract.hints import property_place
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.errors import InvalidEvent, InvalidTable, Problem
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.tables.chunks import Chunk, Table
from bwp_nb.tables.columns import NESTED, meant
from bwp_nb.tables.conversion import Conversion, is_missing
from bwp_nb.text import quoted, readable, typed

#: Each name of a field, ours and the API's, with ours.
_NAMES = {name: ours for ours, api_name in TEXT_FIELDS.items() for name in (ours, api_name)}
REQUIRED = ("event_type", "client_type", "client_version")
#: The name in the quarantine for the cells of a row that cannot be read.
UNREADABLE = "unreadable_row"
#: The names that a property in a column of its own must not have.
TAKEN = (*_NAMES, *NESTED)


@dataclass(frozen=True)
class MappedRows:
    """Some rows as columns of fields and properties; None is a missing value. A row is named by its place, from 0.

    A value without a text is unchanged; the problems of the chunk have it. `inner` are the names of properties that are
    in mappings; `generated` has the places for which a field is generated.
    """

    chunk: Chunk
    fields: dict[str, list[Any]] = field(default_factory=dict)
    properties: dict[str, list[Any]] = field(default_factory=dict)
    inner: list[str] = field(default_factory=list)
    generated: dict[str, set[int]] = field(default_factory=dict)

    def record(self, place: int) -> dict[str, Any]:
        """Return a row as the keywords of a `UserEvent`, with its values unchanged and without the missing ones."""
        values, pairs = (
            {name: cells[place] for name, cells in columns.items() if cells[place] is not None}
            for columns in (self.fields, self.properties)
        )
        lost = self.chunk.lost(place)
        return values | ({NESTED[0]: pairs} if pairs else {}) | ({UNREADABLE: lost} if lost else {})

    def problems(self, place: int) -> list[Problem]:
        """Return what is wrong with a row, or with the event in it."""
        if place in self.chunk.problems:
            return self.chunk.problems[place]
        try:
            return UserEvent(**{**dict.fromkeys(TEXT_FIELDS), **self.record(place)}).problems()
        except InvalidEvent as error:
            return error.problems


class ColumnMapping:
    """Which columns of a table are fields, which are additional properties, and how their values become text.

    The arguments are those of `send_table`. Raises `InvalidTable` if they do not fit the table.
    """

    def __init__(
        self,
        table: Table,
        columns: Mapping[str, str] | None = None,
        properties: Iterable[str] | Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        convert: bool = False,
        timezone: str | None = None,
    ) -> None:
        if isinstance(properties, str):
            given = quoted(properties)
            raise InvalidTable(f"properties: expected a list of column names, got str {given}; use [{given}].")
        self._columns = {column: _field(name) for column, name in (columns or {}).items()}
        if properties is not None and not isinstance(properties, Mapping):
            properties = {name: name for name in properties}
        self._properties = properties
        self.fields = {_field(name): value for name, value in (fields or {}).items()}
        if NESTED[0] in self.fields:
            raise InvalidTable(f"fields: {NESTED[0]} is not a field with one value; add a column for each property.")
        self._conversion = Conversion(convert, timezone)
        self._maps = table.maps
        for column, name in (properties or {}).items():
            if not isinstance(name, str):
                raise InvalidTable(f"properties: expected a str as the name of a property, got {typed(name)}.")
            if meaning := self.field(column):
                raise InvalidTable(f"properties: the column {quoted(column)} is the field {meaning}; leave it out.")
        if table.names is not None:
            if not any(map(self.is_nested, table.names)):  # which may contain the properties
                self.refuse_unseen(table.name, table.names)
            self.refuse_nearly_fields(table.names)
            self._refuse_fields(table.name, table.names)

    def refuse_unseen(self, name: str, seen: Collection[str]) -> None:
        """Raise `InvalidTable` if a column that was asked for is not among those that a table has."""
        for wanted in (*self._columns, *(self._properties or ())):
            if wanted not in seen:
                said = f"Missing column {quoted(wanted)}, which columns= or properties= names"
                raise InvalidTable(f"{said}. {_listed(name, sorted(seen))}")

    def refuse_nearly_fields(self, columns: Iterable[str]) -> None:
        """Raise `InvalidTable` for a column with nearly the name of a field."""
        for column in columns:
            is_known = self.field(column) or self.is_nested(column) or column in (self._properties or ())
            if not is_known and (name := meant(column)):
                raise InvalidTable(
                    f"Unknown column {quoted(column)}; did you mean {name}? "
                    f"Rename it, pass columns={{{column!r}: '{name}'}}, or list it in properties=."
                )

    def _refuse_fields(self, name: str, columns: list[str]) -> None:
        """Raise `InvalidTable` if a field that is required is missing, or if one is given twice."""
        found = [*self.fields, *filter(None, map(self.field, columns))]
        for required in REQUIRED:
            if required not in found:
                raise InvalidTable(
                    f"Missing column {required}, which is required. {_listed(name, columns)} Pass "
                    f"columns={{'its name': '{required}'}} to name the column, or fields={{'{required}': '…'}} to give "
                    "all rows one value."
                )
        for given in found:
            if found.count(given) > 1:
                sources = [f"the column {quoted(column)}" for column in columns if self.field(column) == given]
                named = " and ".join([*sources, "fields="][: found.count(given)])
                raise InvalidTable(f"The field {given} is given twice, by {named}. Keep one of them.")

    def field(self, column: str) -> str | None:
        """Return the field that a column is mapped to, if any."""
        name = self._columns.get(column) or _NAMES.get(column)
        return None if name in NESTED else name

    def is_nested(self, column: str) -> bool:
        """Return whether a column contains mappings of properties."""
        return self._columns.get(column, column) in NESTED or (column in self._maps and column not in self._columns)

    def sent_as(self, name: str) -> str | None:
        """Return the name by which a property is sent, None if it is left out."""
        return name if self._properties is None else self._properties.get(name)

    def mapped(self, chunk: Chunk, generated: "GeneratedIds | None" = None) -> MappedRows:
        """Return the fields and properties in a chunk, with `generated` ids and times for rows that lack them."""
        rows = MappedRows(chunk)
        fields: dict[str, list[Any]] = {}
        properties: list[tuple[str, list[Any]]] = []
        for column, cells in chunk.columns.items():
            if column == UNREADABLE:
                _refuse_again(cells, chunk)
            elif self.is_nested(column):
                inner = _unpacked(column, cells, chunk)
                rows.inner.extend(inner)
                properties += inner.items()
            elif name := self.field(column):
                _put(fields, name, self._conversion.texts(cells, TEXT_FIELDS[name], chunk.problems), chunk, column)
            else:
                properties.append((column, cells))
        for name, value in self.fields.items():
            cells = self._conversion.texts([value] * chunk.length, TEXT_FIELDS[name], chunk.problems)
            _put(fields, name, cells, chunk, name)
        for column, cells in properties:
            if (sent_as := self.sent_as(column)) is not None:
                texts = self._conversion.texts(cells, property_place(sent_as), chunk.problems)
                _put(rows.properties, sent_as, texts, chunk, column)
        rows.fields.update({name: fields.get(name, [None] * chunk.length) for name in TEXT_FIELDS})
        if generated is not None:
            generated.complete(rows)
        return rows


class GeneratedIds:
    """Makes the ids and times that rows lack: always the same for one run and row, so that none needs to be stored.

    An id has the form of a UUID version 4; its bits are a digest of the run and the row's number, or of the row's
    content and the number of equal rows before it. The name of a `part` is in all of them, after the run's id.
    """

    def __init__(self, run: str, time: str, ids_from: str = "run") -> None:
        if ids_from not in ("run", "content"):
            raise InvalidArgument(f"ids_from: expected 'run' or 'content', got {quoted(ids_from)}")
        self.run = run
        self.time = time
        self._part = run.partition("\n")[2]
        self._is_from_content = ids_from == "content"
        self._equal: Counter[bytes] = Counter()

    def complete(self, rows: MappedRows) -> None:
        """Add ids and times where rows lack them."""
        for name, made in (("event_id", self._id), ("event_time", lambda *_: self.time)):
            cells = rows.fields[name]
            if places := {place for place, cell in enumerate(cells) if cell is None}:
                rows.generated[name] = places
                rows.fields[name] = [made(rows, place) if cell is None else cell for place, cell in enumerate(cells)]

    def _id(self, rows: MappedRows, place: int) -> str:
        seed = f"{self.run} {rows.chunk.first + place}"
        if self._is_from_content:
            content = _content(rows.record(place))
            key = _digest(content)
            seed = f"{content} {self._equal[key]}{self._part}"
            self._equal[key] += 1
        return str(uuid.UUID(bytes=_digest(seed), version=4))


def _content(values: dict[str, Any]) -> str:
    """Return a text that is the same for rows with equal values, whatever their order."""
    properties = values.pop(NESTED[0], {})
    return repr((sorted(values.items()), sorted(properties.items())))


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _field(name: str) -> str:
    """Return our name of a field, or raise `InvalidTable`."""
    if name in TAKEN:
        return _NAMES.get(name, NESTED[0])
    near = meant(name) if isinstance(name, str) else None
    advice = f"did you mean {near}?" if near else f"the fields are {', '.join(TEXT_FIELDS)}."
    raise InvalidTable(f"Unknown field {quoted(name)}; {advice}")


def _refuse_again(cells: list[Any], chunk: Chunk) -> None:
    """Refuse the rows of a quarantine that still have cells that could not be read."""
    for place, lost in enumerate(cells):
        if not is_missing(lost):
            message = f"it could not be read before; fix it, and remove {UNREADABLE}"
            chunk.refuse(place, message, lost if isinstance(lost, list) else [lost])


def _unpacked(column: str, cells: list[Any], chunk: Chunk) -> dict[str, list[Any]]:
    """Return the properties in a column of mappings as columns; a row with another value is refused."""
    found: dict[str, list[Any]] = {}
    for place, cell in enumerate(cells):
        pairs = _pairs(cell)
        if pairs is None:
            chunk.refuse(place, f"{column}: expected a dict of str to str, got {quoted(cell)}", [{column: str(cell)}])
        for name, value in (pairs or {}).items():
            found.setdefault(name, [None] * chunk.length)[place] = value
    return found


def _pairs(cell: Any) -> Mapping[str, Any] | None:
    """Return the properties in a cell, which may have the API's shape; None where there is another value."""
    if is_missing(cell):
        return {}
    if not isinstance(cell, Mapping) or not all(isinstance(key, str) for key in cell):
        return None
    pairs = cell.get("additionalProperties")
    if isinstance(pairs, list) and all(isinstance(pair, dict) and {*pair} == {"property", "value"} for pair in pairs):
        found = {pair["property"]: pair["value"] for pair in pairs}
        return found if len(found) == len(pairs) and all(isinstance(name, str) for name in found) else None
    return cell


def record(event: UserEvent) -> dict[str, Any]:
    """Return an event as the keywords of a `UserEvent`, without the missing ones."""
    values = {**vars(event), NESTED[0]: dict(event.additional_properties) or None}
    return {name: value for name, value in values.items() if value is not None}


def flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records with a column for each property, or unchanged if a property could be taken for something else."""
    found = []
    for row in rows:
        properties = row.get(NESTED[0], {})
        fields = {name: value for name, value in row.items() if name != NESTED[0]}
        if not isinstance(properties, dict) or not {*fields, *TAKEN}.isdisjoint(properties):
            return rows
        found.append(fields | properties)
    return found


def _put(columns: dict[str, list[Any]], name: str, cells: list[Any], chunk: Chunk, source: str) -> None:
    """Add the cells of a column, or merge them into those of that name; a row that has a value in both is refused."""
    if name not in columns:
        columns[name] = cells
        return
    columns[name] = list(columns[name])
    for place, cell in enumerate(cells):
        if cell is not None and columns[name][place] is not None:
            chunk.refuse(place, f"{readable(name)} is given twice", [{source: cell}])
        elif cell is not None:
            columns[name][place] = cell


def _listed(name: str, names: Collection[str]) -> str:
    return f"The columns of {name} are {', '.join(map(quoted, list(names)[:30]))}."
