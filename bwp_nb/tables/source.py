"""Reads tables of events a chunk at a time: a DataFrame, events, or a CSV, JSONL or Parquet file of any length."""

import csv
import hashlib
import json
import math
import pickle
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar

from bwp_nb.errors import InvalidTable
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.text import quoted, readable

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

T = TypeVar("T")
F = TypeVar("F", bound=IO[Any])

#: Rows that are read, checked and written at a time: enough to be fast, few enough to stay small.
CHUNK = 500

#: The bytes of spooled events that are kept in memory.
_IN_MEMORY = 2**23

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
    """A source of rows that can be read repeatedly, with the same content each time.

    `names` are those of its columns, None if each row has its own; `digest` identifies the content. `chunks` yields the
    rows with at least the columns that it is asked for, or with all of them. `check` raises `InvalidTable` if the
    content has changed. `index` is a DataFrame's own index, None if that is just the numbers of the rows.
    """

    name: str
    names: list[str] | None
    chunks: Callable[..., Iterator[Chunk]]
    digest: Callable[[], str]
    check: Callable[[], None] = lambda: None
    index: "pd.Index[Any] | None" = None


def table(source: Any) -> Table:
    """Return the table for a source, or raise `InvalidTable`."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return _file(Path(source))
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _frame(source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return _events(source)
    raise InvalidTable(f"Expected a DataFrame, an iterable of UserEvent or the path of a file, got {quoted(source)}.")


def _file(path: Path) -> Table:
    kinds = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix.lower() not in kinds:
        raise InvalidTable(f"{readable(path.name)}: expected a file ending in {', '.join(kinds)}.")
    name, known = readable(path.name), _digest_of(path)

    def check() -> None:
        if _digest_of(path) != known:
            advice = "report.frame(ids=False) has the outcome of each row by its number."
            raise InvalidTable(f"{name} has changed since it was first read. {advice}")

    return replace(kinds[path.suffix.lower()](name, path), digest=lambda: known, check=check)


def _digest_of(path: Path) -> str:
    with reading(readable(path.name), lambda: path.open("rb")) as file:
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


def _events(source: Iterable[UserEvent]) -> Table:
    given = list(source) if isinstance(source, list | tuple) else source  # a list may be changed later
    blocks = _blocks(_only_events(given))
    kept = list(blocks) if isinstance(given, list) else _Spool(blocks)

    def chunks(_: Collection[str] | None = None) -> Iterator[Chunk]:
        for place, events in enumerate(kept):
            yield Chunk(place * CHUNK, len(events), events=events)

    def digest() -> str:
        found = hashlib.sha256()
        for events in kept:
            found.update(repr(events).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    return Table("the list of events", list(TEXT_FIELDS), chunks, digest)


def _only_events(source: Iterable[Any]) -> Iterator[UserEvent]:
    for row, event in enumerate(source):
        if not isinstance(event, UserEvent):
            advice = "Pass other rows as a DataFrame or a file."
            raise InvalidTable(f"Row {row}: expected a UserEvent, got {quoted(event)}. {advice}")
        yield event


def _blocks(rows: Iterable[T]) -> Iterator[list[T]]:
    """Yield rows a chunk at a time."""
    left = iter(rows)
    while block := list(islice(left, CHUNK)):
        yield block


class _Spool:
    """Blocks of events in a temporary file, to read an iterable again that can be iterated once."""

    def __init__(self, blocks: Iterable[list[UserEvent]]) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # open as long as this is in use
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._starts = []
        for block in blocks:
            self._starts.append(self._file.tell())
            pickle.dump(block, self._file)

    def __iter__(self) -> Iterator[list[UserEvent]]:
        for start in self._starts:
            with self._lock:
                self._file.seek(start)
                block = pickle.load(self._file)  # noqa: S301  # written above
            yield block


def _frame(given: "pd.DataFrame") -> Table:
    import pandas as pd

    names = _checked(list(given.columns), "the DataFrame")
    # The report reads the frame again, and the caller may change it meanwhile.
    frame = given.copy(deep=int(pd.__version__.split(".")[0]) < 3 and pd.options.mode.copy_on_write is not True)
    for name in set(NESTED) & set(names):
        own = [dict(cell) if isinstance(cell, dict) else cell for cell in frame[name]]
        frame[name] = pd.Series(own, frame.index, dtype=object)

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        columns = {name: frame[name].array for name in (names if wanted is None else wanted)}
        for first in range(0, len(frame), CHUNK):
            end = min(first + CHUNK, len(frame))
            yield _chunk(first, end - first, {name: cells(column[first:end]) for name, column in columns.items()})

    def digest() -> str:
        found = hashlib.sha256(repr(names).encode())
        for chunk in chunks():
            content = (chunk.columns, chunk.properties, chunk.kept)
            found.update(repr(content).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    numbers = pd.RangeIndex(len(frame))
    has_own = not numbers.equals(frame.index) or frame.index.name is not None
    return Table("the DataFrame", names, chunks, digest, index=frame.index if has_own else None)


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


def _csv(name: str, path: Path) -> Table:
    return csv_table(name, lambda: path.open(encoding="utf-8-sig", newline=""))


def csv_table(name: str, open_text: Callable[[], TextIO]) -> Table:
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
            for number, block in enumerate(_blocks(filter(None, reader))):  # without empty lines
                yield _csv_chunk(number * CHUNK, names, block, wanted)

    return Table(name, names, chunks, str)


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


def _jsonl(name: str, path: Path) -> Table:
    """Return a file of JSON objects, one a line, as a table; null is a missing value."""

    def chunks(_: Collection[str] | None = None) -> Iterator[Chunk]:
        with reading(name, lambda: path.open(encoding="utf-8-sig", newline="")) as file:
            for number, block in enumerate(_blocks(filter(str.strip, file))):
                yield _jsonl_chunk(number * CHUNK, block)

    return Table(name, None, chunks, str)


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


def _parquet(name: str, path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InvalidTable(f"To read {name}, install pyarrow: pip install 'bwp-nb[parquet]'.") from None
    try:
        names = _checked(pq.read_schema(path).names, name)
    except pa.ArrowInvalid as error:
        raise InvalidTable(f"{name} cannot be read as Parquet: {readable(str(error), 160)}.") from None

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        first, shown = 0, names if wanted is None else list(wanted)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(CHUNK, columns=shown):
                columns = {name: _parquet_cells(batch.column(name)) for name in shown}
                yield _chunk(first, batch.num_rows, columns)
                first += batch.num_rows

    return Table(name, names, chunks, str)


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
def reading(name: str, open_file: Callable[[], F]) -> Iterator[F]:
    """Open a file, and name it and the remedy in the error if it cannot be read."""
    try:
        with closing(open_file()) as file:
            yield file
    except OSError as error:
        raise InvalidTable(f"{name} cannot be read: {readable(error.strerror or str(error), 160)}.") from None
    except UnicodeDecodeError as error:
        raise InvalidTable(f"{name} is not UTF-8: {readable(str(error), 160)}. Save it as UTF-8.") from None
    except csv.Error as error:
        is_long = "field limit" in str(error)
        advice = " Save the rows as JSONL or Parquet, or raise Python's csv.field_size_limit." if is_long else ""
        raise InvalidTable(f"{name} cannot be read as CSV: {readable(str(error), 160)}.{advice}") from None
