"""Maps the columns of a table to the fields and the additional properties of events."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any

from bwp_nb.errors import InvalidEvent, InvalidTable
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.problems import Problem
from bwp_nb.tables.chunks import NESTED, Chunk, Table
from bwp_nb.text import quoted, readable

#: The names of fields in lower case, to recognise a column that differs from one only in case or white space.
_LOWER_CASE = {spelling.lower(): name for name, api_name in TEXT_FIELDS.items() for spelling in (name, api_name)}
_OUR_NAMES = {api_name: name for name, api_name in TEXT_FIELDS.items()}
REQUIRED = ("event_type", "client_type", "client_version")
#: The names that a property in a column of its own must not have.
TAKEN = (*TEXT_FIELDS, *TEXT_FIELDS.values(), *NESTED)
_ROW_RULE = "a row that can be read"


@dataclass(frozen=True)
class GeneratedIds:
    """The ids and times for rows that lack them: always the same for one run and row, so that none is stored.

    An id has the form of a UUID version 4; its bits are a digest of the run's own id and the row's number.
    """

    run: str
    time: str

    def event_id(self, row: int) -> str:
        """Return the id of a row."""
        digest = blake2b(f"{self.run} {row}".encode(), digest_size=16).digest()
        return str(uuid.UUID(bytes=digest, version=4))


@dataclass(frozen=True)
class MappedRows:
    """Some rows as columns of fields and properties; None is a missing value. A row is named by its place, from 0."""

    chunk: Chunk
    fields: dict[str, list[Any]]
    properties: dict[str, list[Any]]

    @property
    def ids(self) -> list[Any]:
        """The events' ids."""
        if self.chunk.events is not None:
            return [event.event_id for event in self.chunk.events]
        return self.fields["event_id"]

    def record(self, place: int) -> dict[str, Any]:
        """Return a row as the keywords of a `UserEvent`, with its values unchanged and without the missing ones."""
        if self.chunk.events is not None:
            return record(self.chunk.events[place])
        values, pairs = (
            {name: cells[place] for name, cells in columns.items() if cells[place] is not None}
            for columns in (self.fields, self.properties)
        )
        return values | ({"additional_properties": pairs} if pairs else {}) | self.chunk.kept.get(place, {})

    def event(self, place: int, default: Mapping[str, Any] | None = None) -> UserEvent | list[Problem]:
        """Return the event in a row, with `default` for the fields that it lacks, or its problems."""
        if self.chunk.events is not None:
            return self.chunk.events[place]
        if place in self.chunk.broken:
            return [Problem("row", None, _ROW_RULE, self.chunk.broken[place])]
        try:
            return UserEvent(**{**(default or dict.fromkeys(TEXT_FIELDS)), **self.record(place)})
        except InvalidEvent as error:
            return error.problems


@dataclass(frozen=True)
class ColumnMapping:
    """Which columns are fields of an event, and which are additional properties.

    `columns` maps names of columns to names of fields where they differ. `properties` maps the columns that become
    additional properties to the properties' names; if it is None, all that are not a field do. `fields` gives all rows
    one value.
    """

    columns: Mapping[str, str]
    properties: Mapping[str, str] | None
    fields: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A text that is the same for equal mappings only."""
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
    ) -> "ColumnMapping":
        """Return the mapping that a caller asks for, or raise `InvalidTable` if it does not fit the table."""
        if properties is not None and not isinstance(properties, Mapping):
            properties = {name: name for name in properties}
        mapping = cls(dict(columns or {}), properties, dict(fields or {}))
        mapping._refuse_unknown_fields()
        if table.names is not None:
            mapping._refuse_missing_columns(table.name, table.names)
        return mapping

    def _refuse_unknown_fields(self) -> None:
        for name in (*self.columns.values(), *self.fields):
            if name not in TEXT_FIELDS:
                raise InvalidTable(f"Unknown field {quoted(name)}; the fields are {', '.join(TEXT_FIELDS)}.")
        for name in (self.properties or {}).values():
            if not isinstance(name, str):
                raise InvalidTable(f"Expected a str as the name of a property, got {quoted(name)}.")

    def refuse_unseen(self, name: str, seen: Collection[str]) -> None:
        """Raise `InvalidTable` if a column that was asked for is not among those that a table has."""
        for wanted in (*self.columns, *(self.properties or ())):
            if wanted not in seen:
                raise InvalidTable(f"Missing column {quoted(wanted)}. {_listed(name, sorted(seen))}")

    def _refuse_missing_columns(self, name: str, names: list[str]) -> None:
        if not set(NESTED) & set(names):  # which may contain the properties
            self.refuse_unseen(name, names)
        for column in names:
            meant = _LOWER_CASE.get(column.strip().lower())
            if meant and not self.field(column) and column not in (self.properties or ()):
                raise InvalidTable(
                    f"Unknown column {quoted(column)}; did you mean {meant}? "
                    f"Rename it, pass columns={{{column!r}: '{meant}'}}, or list it in properties=."
                )
        found = [field for column in names if (field := self.field(column))] + list(self.fields)
        for field in REQUIRED:
            if field not in found:
                raise InvalidTable(
                    f"Missing column {field}, which is required. {_listed(name, names)} Pass columns={{'its name': "
                    f"'{field}'}} to name the column, or fields={{'{field}': '…'}} to give all rows one value."
                )
        for field in found:
            if found.count(field) > 1:
                advice = "Two columns have it, or a column and fields=."
                raise InvalidTable(f"The field {field} is given twice. {advice} {_listed(name, names)}")

    def field(self, column: str) -> str | None:
        """Return the field that a column is mapped to, if any."""
        if column in self.columns:
            return self.columns[column]
        return _OUR_NAMES.get(column, column if column in TEXT_FIELDS else None)

    def columns_of(self, field: str, table: Table) -> list[str] | None:
        """Return the columns that may contain a field, None if each row has its own."""
        return None if table.names is None else [name for name in table.names if self.field(name) == field]

    def mapped(self, chunk: Chunk, generated: GeneratedIds | None = None) -> MappedRows:
        """Return the fields and properties in a chunk, with `generated` ids and times for rows that lack them."""
        if chunk.events is not None:
            return MappedRows(chunk, {}, {})
        fields: dict[str, list[Any]] = {}
        properties: dict[str, list[Any]] = {}
        others: dict[str, list[Any]] = {}
        for name, cells in chunk.columns.items():
            if field := self.field(name):
                _put(fields, field, cells, chunk, TEXT_FIELDS[field])
            else:
                others[name] = cells
        for field, value in self.fields.items():
            _put(fields, field, [value] * chunk.length, chunk)
        for columns in (others, chunk.properties):
            for name, cells in columns.items():
                if self.properties is None:
                    _put(properties, name, cells, chunk, name)
                elif name in self.properties:
                    _put(properties, self.properties[name], cells, chunk, self.properties[name])
        missing = [None] * chunk.length
        fields = {field: fields.get(field, missing) for field in TEXT_FIELDS}
        return MappedRows(chunk, fields if generated is None else _completed(fields, chunk, generated), properties)


def _completed(fields: dict[str, list[Any]], chunk: Chunk, generated: GeneratedIds) -> dict[str, list[Any]]:
    ids, times = fields["event_id"], fields["event_time"]
    if None in ids:
        ids = [generated.event_id(row) if given is None else given for row, given in enumerate(ids, chunk.first)]
    if None in times:
        times = [generated.time if given is None else given for given in times]
    return fields | {"event_id": ids, "event_time": times}


def record(event: UserEvent) -> dict[str, Any]:
    """Return an event as the keywords of a `UserEvent`, without the missing ones."""
    values = {name: value for name in TEXT_FIELDS if (value := getattr(event, name)) is not None}
    properties = dict(event.additional_properties)
    return values | ({"additional_properties": properties} if properties else {})


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


def _put(columns: dict[str, list[Any]], name: str, cells: list[Any], chunk: Chunk, kept: str | None = None) -> None:
    """Add a column, or merge it into the one of that name; a row that has a value in both is broken.

    Its second value is kept under a name with which it clashes again.
    """
    if name not in columns:
        columns[name] = cells
        return
    columns[name] = list(columns[name])
    for place, cell in enumerate(cells):
        if cell is not None and columns[name][place] is not None:
            chunk.broken[place] = f"{readable(name)} is given twice"
            if kept is not None:
                chunk.kept.setdefault(place, {})[kept] = cell
        elif cell is not None:
            columns[name][place] = cell


def _listed(name: str, names: Collection[str]) -> str:
    return f"The columns of {name} are {', '.join(map(quoted, list(names)[:30]))}."
