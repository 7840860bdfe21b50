"""Reads tables of events a chunk at a time: a DataFrame, events, or a CSV, JSONL or Parquet file of any length."""

import csv
import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bwp_nb.errors import InvalidTable
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.text import quoted, readable

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

#: Rows that are read, checked and written at a time: enough to be fast, few enough to stay small.
CHUNK = 500

#: The columns that contain mappings of properties.
NESTED = ("additional_properties", "additionalProperties")
#: The name of an unreadable row in a quarantine; its value is a list, so that it is never taken for a property.
UNREADABLE = "unreadable_row"
#: The first columns of a spreadsheet of refused rows, by which it is recognised and not sent.
SPREADSHEET_COLUMNS = ["row", "state", "reason"]


@dataclass
class Chunk:
    """Some rows of a table as columns: `first` is the number of the first one, from 0; None is a missing value.

    `properties` are columns too, of a table that keeps them apart. `broken` says why rows cannot be read, by their
    place in the chunk, and `kept` has what the columns cannot represent of them, by the name that it gets in a
    quarantine. A table of events has `events` instead.
    """

    first: int
    length: int
    columns: dict[str, list[Any]] = field(default_factory=dict)
    properties: dict[str, list[Any]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    events: list[UserEvent] | None = None


@dataclass(frozen=True)
class Table:
    """A source of rows that can be read repeatedly.

    `names` are those of its columns, None if each row has its own; `digest` identifies the content. `chunks` yields the
    rows with at least the columns that it is asked for, or with all of them.
    """

    name: str
    names: list[str] | None
    chunks: Callable[..., Iterator[Chunk]]
    digest: Callable[[], str]


def table(source: Any) -> Table:
    """Return the table for a source, or raise `InvalidTable`."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return _file(Path(source))
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _frame(source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return _events(list(source))
    raise InvalidTable(f"Expected a DataFrame, an iterable of UserEvent or the path of a file, got {quoted(source)}.")


def _file(path: Path) -> Table:
    kinds = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix.lower() not in kinds:
        raise InvalidTable(f"{path.name}: expected a file ending in {', '.join(kinds)}.")
    if not path.is_file():
        raise InvalidTable(f"Cannot find the file {path.name}.")
    return kinds[path.suffix.lower()](path)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunk(first: int, length: int, columns: Mapping[str, list[Any]]) -> Chunk:
    """Return a chunk, with the properties of a column of mappings in columns of their own."""
    chunk = Chunk(first, length, {name: cells for name, cells in columns.items() if name not in NESTED})
    for name in NESTED:
        for place, cell in enumerate(columns.get(name, ())):
            properties = _properties(cell)
            if properties is None:
                chunk.broken[place] = f"{name}: expected a dict of str to str, got {quoted(cell)}"
                chunk.kept[place] = {name: [str(cell)]}
            for key, value in (properties or {}).items():
                chunk.properties.setdefault(key, [None] * length)[place] = _present(value)
    return chunk


def _properties(cell: Any) -> Mapping[str, Any] | None:
    """Return the properties in a cell, which may have the API's shape; None where there is another value."""
    if cell is None:
        return {}
    if not isinstance(cell, Mapping) or not all(isinstance(key, str) for key in cell):
        return None
    pairs = cell.get("additionalProperties")
    if isinstance(pairs, list) and all(isinstance(pair, dict) and {*pair} == {"property", "value"} for pair in pairs):
        found = {pair["property"]: pair["value"] for pair in pairs}
        return found if len(found) == len(pairs) and all(isinstance(name, str) for name in found) else None
    return cell


def rows_chunk(first: int, rows: list[dict[str, Any]]) -> Chunk:
    """Return rows that may each have other names as a chunk."""
    names = dict.fromkeys(name for row in rows for name in row)
    return _chunk(first, len(rows), {name: [_present(row.get(name)) for row in rows] for name in names})


def _present(value: Any) -> Any:
    """Return a value, or None if it is NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _events(events: list[UserEvent]) -> Table:
    for place, event in enumerate(events):
        if not isinstance(event, UserEvent):
            advice = "Pass other rows as a DataFrame or a file."
            raise InvalidTable(f"Row {place}: expected a UserEvent, got {quoted(event)}. {advice}")

    def chunks(_: Collection[str] | None = None) -> Iterator[Chunk]:
        for first in range(0, len(events), CHUNK):
            part = events[first : first + CHUNK]
            yield Chunk(first, len(part), events=part)

    def digest() -> str:
        return hashlib.sha256("\n".join(map(repr, events)).encode("utf-8", "surrogatepass")).hexdigest()

    return Table("the list of events", list(TEXT_FIELDS), chunks, digest)


def _frame(frame: "pd.DataFrame") -> Table:
    names = _checked(list(frame.columns), "the DataFrame")

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        columns = {name: frame[name].array for name in (names if wanted is None else wanted)}
        for first in range(0, len(frame), CHUNK):
            end = min(first + CHUNK, len(frame))
            yield _chunk(first, end - first, {name: cells(column[first:end]) for name, column in columns.items()})

    def digest() -> str:
        found = hashlib.sha256(repr(names).encode())
        for chunk in chunks(None):
            content = (chunk.columns, chunk.properties, chunk.kept)
            found.update(repr(content).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    return Table("the DataFrame", names, chunks, digest)


def cells(column: "ExtensionArray") -> list[Any]:
    """Return a column's values: None for a missing one, text in the API's form for an aware date and time."""
    import numpy as np
    import pandas as pd

    missing = column.isna()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        texts = np.datetime_as_string(column.to_numpy("datetime64[ms]")).tolist()
        values = [f"{text.removesuffix('.000')}Z" for text in texts]
    else:
        values = column.to_numpy(object).tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)] if missing.any() else values


def _csv(path: Path) -> Table:
    return csv_table(path.name, lambda: path.open(encoding="utf-8-sig", newline=""), lambda: _digest_of(path))


def csv_table(name: str, open_text: Callable[[], TextIO], digest: Callable[[], str]) -> Table:
    """Return CSV as a table: every cell is text, unchanged, and an empty one is a missing value."""
    with reading(name, open_text) as file:
        names = _checked(next(csv.reader(file, strict=True), []), name)
    if names[:3] == SPREADSHEET_COLUMNS:
        raise InvalidTable(
            f"{name} was written by save_spreadsheet, which changes cells that begin like a formula. "
            "Fix the .jsonl file of save_quarantine instead, or the frame report.quarantine(), and send that."
        )

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        with reading(name, open_text) as file:
            reader = csv.reader(file, strict=True)
            next(reader)
            rows = filter(None, reader)  # without empty lines
            for first in count(step=CHUNK):
                if not (block := list(islice(rows, CHUNK))):
                    return
                yield _csv_chunk(first, names, block, wanted)

    return Table(name, names, chunks, digest)


def _csv_chunk(first: int, names: list[str], block: list[list[str]], wanted: Collection[str] | None) -> Chunk:
    width = len(names)
    broken = {place: f"expected {width} cells, got {len(row)}" for place, row in enumerate(block) if len(row) != width}
    kept = {place: {UNREADABLE: block[place]} for place in broken}
    for place in broken:
        block[place] = (block[place] + [""] * width)[:width]
    given = {
        name: [text or None for text in column] if "" in column else list(column)
        for name, column in zip(names, zip(*block, strict=True), strict=True)
        if wanted is None or name in wanted
    }
    return Chunk(first, len(block), given, broken=broken, kept=kept)


def _jsonl(path: Path) -> Table:
    """Return a file of JSON objects, one a line, as a table; null is a missing value."""

    def chunks(_: Collection[str] | None = None) -> Iterator[Chunk]:
        with reading(path.name, lambda: path.open(encoding="utf-8-sig", newline="")) as file:
            lines = filter(str.strip, file)
            for first in count(step=CHUNK):
                if not (block := list(islice(lines, CHUNK))):
                    return
                yield _jsonl_chunk(first, block)

    return Table(path.name, None, chunks, lambda: _digest_of(path))


def _jsonl_chunk(first: int, lines: list[str]) -> Chunk:
    rows, broken, kept = [], {}, {}
    for place, line in enumerate(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            broken[place] = f"expected a JSON object, got {quoted(line.strip())}"
            kept[place] = {UNREADABLE: [line.rstrip("\r\n")]}
        rows.append(row if isinstance(row, dict) else {})
    chunk = rows_chunk(first, rows)
    chunk.broken |= broken
    chunk.kept |= kept
    return chunk


def _parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InvalidTable(f"To read {path.name}, install pyarrow: pip install 'bwp-nb[parquet]'.") from None
    try:
        names = _checked(pq.read_schema(path).names, path.name)
    except pa.ArrowInvalid as error:
        raise InvalidTable(f"{path.name} cannot be read as Parquet: {readable(str(error), 160)}.") from None

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        first, shown = 0, names if wanted is None else list(wanted)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(CHUNK, columns=shown):
                columns = {name: _parquet_cells(batch.column(name)) for name in shown}
                yield _chunk(first, batch.num_rows, columns)
                first += batch.num_rows

    return Table(path.name, names, chunks, lambda: _digest_of(path))


def _parquet_cells(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return cells(column.to_pandas().array)
    return [_present(value) for value in column.to_pylist()]


def _checked(names: list[Any], where: str) -> list[str]:
    """Return the names of a table's columns, or raise `InvalidTable` for a missing or a repeated name."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            advice = "Rename it; if pandas wrote it for an index, save the file with index=False."
            raise InvalidTable(f"Column {place} of {where}: expected a str as its name, got {quoted(name)}. {advice}")
        if name in names[:place]:
            raise InvalidTable(f"{where} has two columns called {quoted(name)}. Rename one.")
    if not names:
        raise InvalidTable(f"{where} has no columns.")
    return names


@contextmanager
def reading(name: str, open_text: Callable[[], TextIO]) -> Iterator[TextIO]:
    """Open a text, and name the file and the remedy in the error if it cannot be read."""
    try:
        with open_text() as file:
            yield file
    except UnicodeDecodeError as error:
        raise InvalidTable(f"{name} is not UTF-8: {readable(str(error), 160)}. Save it as UTF-8.") from None
    except csv.Error as error:
        is_long = "field limit" in str(error)
        advice = " Save the rows as JSONL or Parquet, or raise Python's csv.field_size_limit." if is_long else ""
        raise InvalidTable(f"{name} cannot be read as CSV: {readable(str(error), 160)}.{advice}") from None
