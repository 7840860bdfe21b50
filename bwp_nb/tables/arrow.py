"""Reads Arrow data as tables: Parquet files, and everything with an Arrow C stream. Importing it needs pyarrow."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bwp_nb.displays.short_errors import extra
from bwp_nb.errors import InvalidTable
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, checked
from bwp_nb.tables.conversion import utc_texts
from bwp_nb.text import readable

with extra("parquet"):
    import pyarrow as pa
    import pyarrow.parquet as pq

#: The bytes that are read of a column at a time: without it, pyarrow reads a whole group of rows into memory.
_BUFFER = 2**16
#: Some rows, and the values for them all that are in the path of their file.
_Part = tuple[Any, Mapping[str, str | None]]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what pyarrow raises into a sentence."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidTable(f"{name} cannot be read: {readable(str(error), 160)}.") from None


def parquet_table(name: str, files: Mapping[Path | BinaryIO, Mapping[str, str | None]]) -> Table:
    """Return Parquet files as one table; the values of each, by the name of their column, are for all of its rows."""
    with _reading(name):
        schemas = {file: pq.read_schema(file) for file in files}
    names = [column for file, schema in schemas.items() for column in [*checked(schema.names, name), *files[file]]]
    batches = ((batch, values) for file, values in files.items() for batch in _batches(file))
    maps = [column for schema in schemas.values() for column in _maps(schema)]
    names = list(dict.fromkeys(names))
    return Table(name, names, _chunks(name, names, batches), maps)


def _batches(file: Path | BinaryIO) -> Iterator[Any]:
    with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
        yield from opened.iter_batches(CHUNK, use_threads=False)


def stream_table(name: str, source: Any) -> Table:
    """Return an Arrow C stream, which can perhaps be read only once."""
    with _reading(name):
        reader = pa.RecordBatchReader.from_stream(source)
    names = checked(reader.schema.names, name)
    pieces = (batch.slice(first, CHUNK) for batch in reader for first in range(0, batch.num_rows, CHUNK))
    return Table(name, names, _chunks(name, names, ((piece, {}) for piece in pieces)), _maps(reader.schema))


def _chunks(name: str, names: list[str], batches: Iterable[_Part]) -> Iterator[Chunk]:
    """Yield batches of records as chunks; what one lacks is in its path, or missing."""
    first = 0
    with _reading(name):
        for batch, values in batches:
            own = dict(zip(batch.schema.names, batch.columns, strict=True))
            length = batch.num_rows
            cells = {name: _cells(own[name]) if name in own else [values.get(name)] * length for name in names}
            yield Chunk(first, length, cells)
            first += length


def _maps(schema: Any) -> list[str]:
    return [column.name for column in schema if pa.types.is_map(column.type)]


def _cells(column: Any) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz:
        return utc_texts(column.cast(pa.timestamp(kind.unit)).to_numpy(zero_copy_only=False))
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return list(column.to_numpy(zero_copy_only=False))
    values: list[Any] = column.to_pylist()
    if pa.types.is_map(kind):  # pairs; one with a repeated name is left as it is, which is refused
        return [dict(pairs) if pairs and len(dict(pairs)) == len(pairs) else pairs or None for pairs in values]
    return values
