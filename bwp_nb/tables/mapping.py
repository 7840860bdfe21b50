"""Maps the columns of a table to the fields and the additional properties of events."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any
from zoneinfo import ZoneInfo

from bwp_nb.errors import InvalidEvent, InvalidTable
from bwp_nb.event import TEXT_FIELDS, UserEvent, rule
from bwp_nb.problems import Problem
from bwp_nb.tables.chunks import Chunk, Table
from bwp_nb.tables.columns import NESTED, Columns, meant
from bwp_nb.tables.conversion import Conversion, is_missing
from bwp_nb.text import quoted, readable

#: Each name of a field, ours and the API's, with ours.
_NAMES = {name: ours for ours, api_name in TEXT_FIELDS.items() for name in (ours, api_name)}
_REQUIRED = ("event_type", "client_type", "client_version")
#: The names that a property in a column of its own must not have.
TAKEN = (*_NAMES, *NESTED)
_ROW_RULE = "a row that can be read"
_TEXT_RULE = rule("clientVersion")


@dataclass(frozen=True)
class GeneratedIds:
    """The ids and times for rows that lack them: always the same for one run and row, so that none is stored."""

    run: str
    time: str


@dataclass(frozen=True)
class MappedRows:
    """Some rows as columns of fields and properties; None is a missing value. A row is named by its place, from 0.

    `problems` are those of the values that have no text, by the row's place; the columns contain these unchanged.
    `inner` has the names of properties that are in a mapping.
    """

    chunk: Chunk
    fields: dict[str, list[Any]] = field(default_factory=dict)
    properties: dict[str, list[Any]] = field(default_factory=dict)
    problems: dict[int, list[Problem]] = field(default_factory=dict)
    inner: Collection[str] = ()

    @property
    def ids(self) -> list[Any]:
        """The events' ids."""
        if self.chunk.events is not None:
            return [event.event_id for event in self.chunk.events]
        return self.fields["event_id"]

    def contents(self) -> list[str | None]:
        """Return a text for each row without an id: the same for rows with equal values, whatever their order."""
        return [None if given is not None else self._content(place) for place, given in enumerate(self.ids)]

    def _content(self, place: int) -> str:
        values = self.record(place)
        pairs = values.pop("additional_properties", {})
        return repr((sorted(values.items()), sorted(pairs.items())))

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
        if place in self.problems:
            return self.problems[place]
        try:
            return UserEvent(**{**(default or dict.fromkeys(TEXT_FIELDS)), **self.record(place)})
        except InvalidEvent as error:
            return error.problems

    def completed(self, generated: GeneratedIds, mapping: "ColumnMapping") -> "MappedRows":
        """Return the rows with ids and times where they lack them.

        An id has the form of a UUID version 4; its bits are a digest of the run and the row's number, or of the row's
        content and the number of equal rows before it.
        """
        ids, times = self.fields["event_id"], self.fields["event_time"]
        if None in ids:
            contents = self.contents() if mapping.ids_from == "content" else [generated.run] * len(ids)
            ids = [
                _uuid(f"{content} {mapping.occurrences.get(row, 0) if mapping.ids_from == 'content' else row}")
                if given is None
                else given
                for row, (given, content) in enumerate(zip(ids, contents, strict=True), self.chunk.first)
            ]
        if None in times:
            times = [generated.time if given is None else given for given in times]
        self.fields.update(event_id=ids, event_time=times)
        return self


def _uuid(content: str) -> str:
    digest = blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


@dataclass(frozen=True)
class ColumnMapping:
    """Which columns are fields of an event, which are additional properties, and how their values become text.

    `columns` maps names of columns to names of fields where they differ. `properties` maps the columns that become
    additional properties to the properties' names; if it is None, all that are not a field do. `fields` gives all rows
    one value. `maps` are the columns of which the type is a map. `ids_from` says what missing ids are made of: the
    `run`, or the `content`, for which `occurrences` has the number of equal rows before some rows. `found` is what a
    first reading found.
    """

    columns: Mapping[str, str]
    properties: Mapping[str, str] | None
    fields: Mapping[str, str]
    conversion: Conversion
    ids_from: str = "run"
    maps: Collection[str] = ()
    occurrences: Mapping[int, int] = field(default_factory=dict)
    found: Columns = field(default_factory=Columns)

    @property
    def digest(self) -> str:
        """A text that is the same for equal mappings only."""
        parts = (self.columns, self.properties, self.fields)
        content = [None if part is None else sorted(part.items()) for part in parts], self.conversion, self.ids_from
        return sha256(repr(content).encode("utf-8", "backslashreplace")).hexdigest()

    @classmethod
    def of(
        cls,
        table: Table,
        columns: Mapping[str, str] | None = None,
        properties: Iterable[str] | Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        convert: bool = False,
        timezone: str | None = None,
        ids_from: str = "run",
    ) -> "ColumnMapping":
        """Return the mapping that a caller asks for, or raise `InvalidTable` if it does not fit the table."""
        given = (columns, fields, convert, timezone, properties is not None, ids_from != "run")
        if table.has_events and any(given):
            advice = "columns=, properties=, fields=, convert=, timezone= and ids_from= have no effect."
            raise InvalidTable(f"{table.name} has complete events, on which {advice}")
        if ids_from not in ("run", "content"):
            raise ValueError(f"ids_from: expected 'run' or 'content', got {quoted(ids_from)}")
        if properties is not None and not isinstance(properties, Mapping):
            properties = {name: name for name in properties}
        mapping = cls(
            {column: _field(name) for column, name in (columns or {}).items()},
            properties,
            {_field(name): value for name, value in (fields or {}).items()},
            Conversion(convert, _zone(timezone)),
            ids_from,
            table.maps,
        )
        for column, name in (properties or {}).items():
            if not isinstance(name, str):
                raise InvalidTable(f"Expected a str as the name of a property, got {quoted(name)}.")
            if mapping.field(column):
                meaning = f"is the field {mapping.field(column)}"
                raise InvalidTable(f"The column {quoted(column)} in properties= {meaning}; leave it out.")
        if table.names is not None and not table.has_events:
            if not any(map(mapping.is_nested, table.names)):  # which may contain the properties
                mapping.refuse_unseen(table.name, table.names)
            mapping.refuse_nearly_fields(table.names)
            mapping._refuse_fields(table.name, table.names)
        return mapping

    def refuse_unseen(self, name: str, seen: Collection[str]) -> None:
        """Raise `InvalidTable` if a column that was asked for is not among those that a table has."""
        for wanted in (*self.columns, *(self.properties or ())):
            if wanted not in seen:
                raise InvalidTable(f"Missing column {quoted(wanted)}. {_listed(name, sorted(seen))}")

    def refuse_nearly_fields(self, columns: Iterable[str]) -> None:
        """Raise `InvalidTable` for a column with nearly the name of a field."""
        for column in columns:
            is_known = self.field(column) or self.is_nested(column) or column in (self.properties or ())
            if not is_known and (name := meant(column)):
                raise InvalidTable(
                    f"Unknown column {quoted(column)}; did you mean {name}? "
                    f"Rename it, pass columns={{{column!r}: '{name}'}}, or list it in properties=."
                )

    def _refuse_fields(self, name: str, columns: list[str]) -> None:
        """Raise `InvalidTable` if a field that is required is missing, or one is given twice."""
        found = [field for field in map(self.field, columns) if field] + list(self.fields)
        for required in _REQUIRED:
            if required not in found:
                raise InvalidTable(
                    f"Missing column {required}, which is required. {_listed(name, columns)} Pass "
                    f"columns={{'its name': '{required}'}} to name the column, or fields={{'{required}': '…'}} to give "
                    "all rows one value."
                )
        for field_name in found:
            if found.count(field_name) > 1:
                advice = "Two columns have it, or a column and fields=."
                raise InvalidTable(f"The field {field_name} is given twice. {advice} {_listed(name, columns)}")

    def field(self, column: str) -> str | None:
        """Return the field that a column is mapped to, if any."""
        name = self.columns.get(column) or _NAMES.get(column)
        return None if name in NESTED else name

    def is_nested(self, column: str) -> bool:
        """Return whether a column contains mappings of properties."""
        return self.columns.get(column) in NESTED or (column not in self.columns and column in (*NESTED, *self.maps))

    def described(self, rows: int, columns: list[str], inner: list[str], generated: Mapping[str, int]) -> Columns:
        """Return what is done with columns, and with properties in mappings."""
        origins = {name: [column for column in columns if self.field(column) == name] for name in TEXT_FIELDS}
        fields = {
            name: "" if found == [name] else f" from {', '.join(found)}" for name, found in origins.items() if found
        }
        others = [name for name in [*columns, *inner] if not self.field(name) and not self.is_nested(name)]
        names = {name: name for name in others} if self.properties is None else self.properties
        return Columns(
            rows,
            fields | {name: f" = {value!r}" for name, value in self.fields.items()},
            [name if names[name] == name else f"{name} as {names[name]}" for name in others if name in names],
            [name for name in others if name not in names],
            generated,
        )

    def mapped(self, chunk: Chunk, generated: GeneratedIds | None = None) -> MappedRows:
        """Return the fields and properties in a chunk, with `generated` ids and times for rows that lack them."""
        if chunk.events is not None:
            return MappedRows(chunk)
        nested = {name: cells for name, cells in chunk.columns.items() if self.is_nested(name)}
        inner = _properties(nested, chunk)
        rows = MappedRows(chunk, inner=inner)
        others = {}
        for column, cells in chunk.columns.items():
            if name := self.field(column):
                _put(rows.fields, name, self._texts(cells, name, rows), chunk, TEXT_FIELDS[name])
            elif column not in nested:
                others[column] = cells
        for name, value in self.fields.items():
            _put(rows.fields, name, self._texts([value] * chunk.length, name, rows), chunk)
        for columns in (others, inner):
            for column, cells in columns.items():
                if self.properties is None or column in self.properties:
                    name = column if self.properties is None else self.properties[column]
                    texts = self._texts(cells, f"additionalProperties[{name!a:.80}]", rows)
                    _put(rows.properties, name, texts, chunk, name)
        missing = [None] * chunk.length
        fields = {name: rows.fields.get(name, missing) for name in TEXT_FIELDS}
        found = MappedRows(chunk, fields, rows.properties, rows.problems, inner)
        return found if generated is None else found.completed(generated, self)

    def _texts(self, cells: list[Any], name: str, rows: MappedRows) -> list[Any]:
        found, refused = self.conversion.texts(cells, name)
        for place, message in refused.items():
            label = TEXT_FIELDS.get(name, name)
            rows.problems.setdefault(place, []).append(Problem(label, cells[place], _TEXT_RULE, message))
        return found


def _field(name: str) -> str:
    """Return our name of a field, or raise `InvalidTable`."""
    if name in TAKEN:
        return _NAMES.get(name, NESTED[0])
    near = meant(name) if isinstance(name, str) else None
    advice = f"did you mean {near}?" if near else f"the fields are {', '.join(TEXT_FIELDS)}."
    raise InvalidTable(f"Unknown field {quoted(name)}; {advice}")


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(f"timezone: expected a name such as 'UTC' or 'Europe/Berlin', got {quoted(name)}") from None


def _properties(nested: Mapping[str, list[Any]], chunk: Chunk) -> dict[str, list[Any]]:
    """Return the properties in columns of mappings as columns; a row with another value is broken."""
    found: dict[str, list[Any]] = {}
    for name, cells in nested.items():
        columns: dict[str, list[Any]] = {}
        for place, cell in enumerate(cells):
            pairs = _pairs(cell)
            if pairs is None:
                chunk.broken[place] = f"{name}: expected a dict of str to str, got {quoted(cell)}"
                chunk.kept[place] = {name: [str(cell)]}
            for key, value in (pairs or {}).items():
                columns.setdefault(key, [None] * chunk.length)[place] = value
        for key, values in columns.items():
            _put(found, key, values, chunk, key)
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
