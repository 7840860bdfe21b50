"""Reads CSV, JSONL and Parquet files of any length as tables."""

import csv
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TextIO, TypeVar

from bwp_nb.errors import InvalidTable
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, blocks, cells, checked, new_chunk, present, rows_chunk
from bwp_nb.text import quoted, readable

F = TypeVar("F", bound=IO[Any])

#: The name of an unreadable row in a quarantine; its value is a list, so that it is never taken for a property.
UNREADABLE = "unreadable_row"
#: The first columns of a spreadsheet of refused rows, by which it is recognised and not sent.
SPREADSHEET_COLUMNS = ["row", "state", "reason"]


def file_table(path: Path) -> Table:
    """Return the table in a file, which knows whether the file has changed since."""
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


def _csv(name: str, path: Path) -> Table:
    return csv_table(name, lambda: path.open(encoding="utf-8-sig", newline=""))


def csv_table(name: str, open_text: Callable[[], TextIO]) -> Table:
    """Return CSV as a table: every cell is text, unchanged, and an empty one is a missing value."""
    with reading(name, open_text) as file:
        names = checked(next(csv.reader(file, strict=True), []), name)
    if names[:3] == SPREADSHEET_COLUMNS:
        raise InvalidTable(
            f"{name} was written by save_spreadsheet, which changes cells that begin like a formula. "
            "Fix the .jsonl file of save_quarantine instead, or the frame report.quarantine(), and send that."
        )

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        with reading(name, open_text) as file:
            reader = csv.reader(file, strict=True)
            next(reader)
            for number, block in enumerate(blocks(filter(None, reader))):  # without empty lines
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
            for number, block in enumerate(blocks(filter(str.strip, file))):
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
        names = checked(pq.read_schema(path).names, name)
    except pa.ArrowInvalid as error:
        raise InvalidTable(f"{name} cannot be read as Parquet: {readable(str(error), 160)}.") from None

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        first, shown = 0, names if wanted is None else list(wanted)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(CHUNK, columns=shown):
                columns = {name: _parquet_cells(batch.column(name)) for name in shown}
                yield new_chunk(first, batch.num_rows, columns)
                first += batch.num_rows

    return Table(name, names, chunks, str)


def _parquet_cells(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return cells(column.to_pandas().array)
    return [present(value) for value in column.to_pylist()]


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
