"""Tables of events, read a piece at a time: a DataFrame, events, or a CSV, JSONL or Parquet file of any length."""

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

from bwp_nb.errors import BwpError
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.text import quoted, readable

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

#: Rows that are read, checked and written at a time: enough to be fast, few enough to stay small.
CHUNK = 500

#: The columns that hold mappings of properties.
NESTED = ("additional_properties", "additionalProperties")
#: What a row that could not be read is called in a quarantine; a list, so that it is never taken for a property.
UNREADABLE = "unreadable_row"
#: The first columns of a list for people, by which it is known and not sent.
SPREADSHEET_COLUMNS = ["row", "state", "reason"]


@dataclass
class Chunk:
    """Some rows of a table as columns: `first` is the number of the first one, from 0; None stands for a missing value.

    `properties` are columns too, of a table that keeps them apart. `broken` tells of rows that could not be read, by
    their place in the chunk, and `kept` holds what of them the columns cannot hold, by the name that it gets in a
    quarantine. A table of events holds the `events` instead.
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
    """A source of rows that can be read again and again.

    `names` are those of its columns, None if each row has its own; `digest` tells one content from another. `read`
    yields its rows, with the columns it is asked for at least, or all.
    """

    name: str
    names: list[str] | None
    read: Callable[[Collection[str] | None], Iterator[Chunk]]
    digest: Callable[[], str]

    def chunks(self, names: Collection[str] | None = None) -> Iterator[Chunk]:
        """Yield all rows from the first on, with all columns or only some."""
        return self.read(names)


def table(source: Any) -> Table:
    """Return the table that a source is, or raise `BwpError` saying what can be one."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return _file(Path(source))
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _frame(source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return _events(list(source))
    raise BwpError(f"{quoted(source)} is no table: give a DataFrame, an iterable of UserEvent, or the path of a file.")


def _file(path: Path) -> Table:
    kinds = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix.lower() not in kinds:
        raise BwpError(f"{path.name} is no table: a file ends in {', '.join(kinds)}.")
    if not path.is_file():
        raise BwpError(f"There is no file {path.name}.")
    return kinds[path.suffix.lower()](path)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunk(first: int, length: int, columns: Mapping[str, list[Any]]) -> Chunk:
    """Return a chunk, the properties that a column of mappings holds put into columns of their own."""
    chunk = Chunk(first, length, {name: cells for name, cells in columns.items() if name not in NESTED})
    for name in NESTED:
        for place, cell in enumerate(columns.get(name, ())):
            if isinstance(cell, Mapping) and all(isinstance(key, str) for key in cell):
                for key, value in cell.items():
                    chunk.properties.setdefault(key, [None] * length)[place] = _present(value)
            elif cell is not None:
                chunk.broken[place] = f"{name}: {quoted(cell)} is no mapping of names to texts"
                chunk.kept[place] = {name: [str(cell)]}
    return chunk


def _present(value: Any) -> Any:
    """Return a value, or None if it stands for a missing one."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _events(events: list[UserEvent]) -> Table:
    for place, event in enumerate(events):
        if not isinstance(event, UserEvent):
            raise BwpError(f"Row {place} is {quoted(event)}, not a UserEvent. A table is a DataFrame, or a file.")

    def chunks(_: Collection[str] | None) -> Iterator[Chunk]:
        for first in range(0, len(events), CHUNK):
            part = events[first : first + CHUNK]
            yield Chunk(first, len(part), events=part)

    def digest() -> str:
        return hashlib.sha256("\n".join(map(repr, events)).encode("utf-8", "surrogatepass")).hexdigest()

    return Table("the list of events", list(TEXT_FIELDS), chunks, digest)


def _frame(frame: "pd.DataFrame") -> Table:
    names = _checked(list(frame.columns), "the DataFrame")

    def chunks(wanted: Collection[str] | None) -> Iterator[Chunk]:
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
    """Return a column's values: None for a missing one, the text that goes out for an aware date and time."""
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
    """Return a CSV file as a table: every cell is text as it stands, and an empty one is a missing value."""
    with _reading(path) as file:
        names = _checked(next(csv.reader(file, strict=True), []), path.name)
    if names[:3] == SPREADSHEET_COLUMNS:
        raise BwpError(
            f"{path.name} is a list for people: cells that begin like a formula are changed in it. "
            "Mend the .jsonl file instead, or the frame that report.quarantine() gives, and send that."
        )

    def chunks(wanted: Collection[str] | None) -> Iterator[Chunk]:
        with _reading(path) as file:
            reader = csv.reader(file, strict=True)
            next(reader)
            rows = filter(None, reader)  # a line without anything on it is no row
            for first in count(step=CHUNK):
                if not (block := list(islice(rows, CHUNK))):
                    return
                yield _csv_chunk(first, names, block, wanted)

    return Table(path.name, names, chunks, lambda: _digest_of(path))


def _csv_chunk(first: int, names: list[str], block: list[list[str]], wanted: Collection[str] | None) -> Chunk:
    width = len(names)
    broken = {
        place: f"this row has {len(row)} cells, and the header {width}"
        for place, row in enumerate(block)
        if len(row) != width
    }
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
    """Return a file of JSON objects, one a line, as a table; null stands for a missing value."""

    def chunks(_: Collection[str] | None) -> Iterator[Chunk]:
        with _reading(path) as file:
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
            broken[place] = f"{quoted(line.strip())} is no JSON object"
            kept[place] = {UNREADABLE: [line.rstrip("\r\n")]}
        rows.append(row if isinstance(row, dict) else {})
    names = dict.fromkeys(name for row in rows for name in row)
    chunk = _chunk(first, len(rows), {name: [_present(row.get(name)) for row in rows] for name in names})
    chunk.broken |= broken
    chunk.kept |= kept
    return chunk


def _parquet(path: Path) -> Table:
    """Return a Parquet file as a table."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise BwpError(f"To read {path.name}, install pyarrow: pip install 'bwp-nb[parquet]'.") from None
    try:
        names = _checked(pq.read_schema(path).names, path.name)
    except pa.ArrowInvalid as error:
        raise BwpError(f"{path.name} cannot be read as Parquet: {readable(str(error), 160)}.") from None

    def chunks(wanted: Collection[str] | None) -> Iterator[Chunk]:
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
    """Return the names of a table's columns, or raise `BwpError` for what names nothing or two columns."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            advice = "Give it one; pandas writes such a column for its index, unless told index=False."
            raise BwpError(f"Column {place} of {where} has no name that is text: {quoted(name)}. {advice}")
        if name in names[:place]:
            raise BwpError(f"{where} has two columns called {quoted(name)}. Rename one.")
    if not names:
        raise BwpError(f"{where} has no columns.")
    return names


@contextmanager
def _reading(path: Path) -> Iterator[TextIO]:
    """Open a text file, and say of what cannot be read in it which file that is and what to do."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise BwpError(f"{path.name} is not UTF-8: {readable(str(error), 160)}. Save it as UTF-8.") from None
    except csv.Error as error:
        raise BwpError(f"{path.name} cannot be read as CSV: {readable(str(error), 160)}.{_advice(error)}") from None


def _advice(error: csv.Error) -> str:
    """Return what to do about a cell that is longer than Python's reader takes."""
    is_long = "field limit" in str(error)
    return " Give such rows as JSONL or Parquet, or raise Python's csv.field_size_limit." if is_long else ""
