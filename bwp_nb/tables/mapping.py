"""Which columns of a table hold the fields of an event, and which its additional properties."""

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any

from bwp_nb.errors import BwpError
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.tables.source import NESTED, Chunk, Table
from bwp_nb.text import quoted

#: What a field may be called by mistake, in lower case.
_ALIKE = {alike.lower(): name for name, api_name in TEXT_FIELDS.items() for alike in (name, api_name)}
_OUR_NAMES = {api_name: name for name, api_name in TEXT_FIELDS.items()}
_REQUIRED = ("event_type", "client_type", "client_version")


@dataclass(frozen=True)
class GeneratedIds:
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
class ColumnMapping:
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
    ) -> "ColumnMapping":
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

    def fields_of(self, chunk: Chunk, made: GeneratedIds) -> dict[str, list[Any]]:
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


def records(chunk: Chunk, layout: ColumnMapping, made: GeneratedIds, places: Iterable[int]) -> Iterator[dict[str, Any]]:
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


def given_ids(chunk: Chunk, layout: ColumnMapping) -> list[Any]:
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
