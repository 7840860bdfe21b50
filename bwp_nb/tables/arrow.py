"""Reads Arrow data as tables: Parquet files and folders, and everything with an Arrow C stream."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bwp_nb.displays.short_errors import extra
from bwp_nb.errors import InvalidTable
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, checked
from bwp_nb.tables.conversion import utc_texts
from bwp_nb.text import readable

#: The bytes that are read of a column at a time: without it, pyarrow reads a whole group of rows into memory.
_BUFFER = 2**16
#: How a folder's name in Hive's form says that a value is missing.
_MISSING_PART = "__HIVE_DEFAULT_PARTITION__"
#: Some rows, and the values for them all that are in the path of their file.
_Part = tuple[Any, dict[str, str | None]]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what pyarrow raises into a sentence."""
    with extra("parquet"):
        import pyarrow as pa
        import pyarrow.parquet
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidTable(f"{name} cannot be read: {readable(str(error), 160)}.") from None


def parquet_table(name: str, path: Path, root: Path) -> Table:
    """Return a Parquet file, or those in a folder as one; `day=01` in the name of a folder below `root` is a value."""
    found = visible(path, "*.parquet") if path.is_dir() else [path]
    files = {file: _parts(file.relative_to(root).parts[:-1]) for file in found}
    if not files:
        raise InvalidTable(f"{name} contains no file ending in .parquet.")
    with _reading(name):
        import pyarrow.parquet as pq

        schemas = [pq.read_schema(file) for file in files]
    for schema in schemas:
        checked(schema.names, name)
    names = [name for schema, parts in zip(schemas, files.values(), strict=True) for name in [*schema.names, *parts]]
    names = list(dict.fromkeys(names))
    batches = ((batch, parts) for file, parts in files.items() for batch in _batches(file))
    return Table(name, names, _chunks(name, names, batches), [name for schema in schemas for name in _maps(schema)])


def visible(folder: Path, pattern: str) -> list[Path]:
    """Return what is in a folder by a pattern, without what is hidden."""
    found = sorted(folder.rglob(pattern))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(folder).parts)]


def _parts(folders: Iterable[str]) -> dict[str, str | None]:
    pairs = [tuple(map(unquote, folder.split("=", 1))) for folder in folders if "=" in folder]
    return {name: None if text == _MISSING_PART else text for name, text in pairs}


def _batches(file: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
        yield from opened.iter_batches(CHUNK, use_threads=False)


def stream_table(name: str, source: Any) -> Table:
    """Return an Arrow C stream, which can perhaps be read only once."""
    with _reading(name):
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_stream(source)
    names = checked(reader.schema.names, name)
    pieces = (batch.slice(first, CHUNK) for batch in reader for first in range(0, batch.num_rows, CHUNK))
    return Table(name, names, _chunks(name, names, ((piece, {}) for piece in pieces)), _maps(reader.schema))


def _chunks(name: str, names: list[str], batches: Iterator[_Part]) -> Iterator[Chunk]:
    """Yield batches of records as chunks; what one lacks is in its parts of a path, or missing."""
    first = 0
    with _reading(name):
        for batch, parts in batches:
            own = batch.schema.names
            chunk = Chunk(first, batch.num_rows)
            for column in names:
                is_own = column in own
                cells = _cells(batch.column(own.index(column))) if is_own else [parts.get(column)] * chunk.length
                chunk.columns[column] = cells
            yield chunk
            first += chunk.length


def _maps(schema: Any) -> list[str]:
    import pyarrow as pa

    return [column.name for column in schema if pa.types.is_map(column.type)]


def _cells(column: Any) -> list[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz:
        return utc_texts(column.cast(pa.timestamp(kind.unit)).to_numpy(zero_copy_only=False))
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return list(column.to_numpy(zero_copy_only=False))
    values: list[Any] = column.to_pylist()
    if pa.types.is_map(kind):  # pairs; one with a repeated name is left as it is, which is refused
        return [dict(pairs) if pairs and len(dict(pairs)) == len(pairs) else pairs or None for pairs in values]
    return values
