"""Reads Arrow data as tables: Parquet files and folders, and everything with an Arrow C stream."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bwp_nb.displays.short_errors import extra
from bwp_nb.errors import InvalidTable
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, checked, row_chunks
from bwp_nb.tables.conversion import utc_texts
from bwp_nb.text import readable

#: The bytes that are read of a column at a time: without it, pyarrow reads a whole group of rows into memory.
_BUFFER = 2**16
#: How a folder's name in Hive's form says that a value is missing.
_MISSING_PART = "__HIVE_DEFAULT_PARTITION__"


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


def parquet_files(path: Path) -> list[Path]:
    """Return the Parquet files in a folder, by their name and without hidden ones; or the file itself."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.parquet"))
    return [file for file in found if not any(part[0] in "._" for part in file.relative_to(path).parts)]


def parquet_table(name: str, path: Path) -> Table:
    """Return a Parquet file, or those in a folder as one; `day=01` in a folder's name is a column's value."""
    files = {file: _parts(file.relative_to(path).parts[:-1]) for file in parquet_files(path)}
    if not files:
        raise InvalidTable(f"{name} contains no file ending in .parquet.")
    with _reading(name):
        import pyarrow.parquet as pq

        schemas = [pq.read_schema(file) for file in files]
    names = [name for schema, parts in zip(schemas, files.values(), strict=True) for name in [*schema.names, *parts]]
    names = checked(schemas[0].names if len(files) == 1 else list(dict.fromkeys(names)), name)

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        shown = [name for name in names if wanted is None or name in wanted] or names[:1]
        with _reading(name):
            yield from row_chunks(shown, (row for file, parts in files.items() for row in _rows(file, parts, shown)))

    return Table(name, names, chunks, [name for schema in schemas for name in _maps(schema)])


def _parts(folders: Iterable[str]) -> dict[str, str | None]:
    pairs = [tuple(map(unquote, folder.split("=", 1))) for folder in folders if "=" in folder]
    return {name: None if text == _MISSING_PART else text for name, text in pairs}


def _rows(file: Path, parts: dict[str, str | None], names: list[str]) -> Iterator[tuple[Any, ...]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
        own = [name for name in opened.schema_arrow.names if name in names]
        for batch in opened.iter_batches(CHUNK, columns=own, use_threads=False):
            yield from _batch_rows(batch, names, parts)


def stream_table(name: str, source: Any) -> tuple[list[str], list[str], Iterator[Chunk]]:
    """Return the names, those of maps, and the rows of an Arrow C stream, which can perhaps be read only once."""
    with _reading(name):
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_stream(source)
    names = checked(reader.schema.names, name)

    def chunks() -> Iterator[Chunk]:
        with _reading(name), reader:
            pieces = (batch.slice(first, CHUNK) for batch in reader for first in range(0, batch.num_rows, CHUNK))
            yield from row_chunks(names, (row for piece in pieces for row in _batch_rows(piece, names, {})))

    return names, _maps(reader.schema), chunks()


def _maps(schema: Any) -> list[str]:
    import pyarrow as pa

    return [column.name for column in schema if pa.types.is_map(column.type)]


def _batch_rows(batch: Any, names: list[str], parts: dict[str, str | None]) -> Iterator[tuple[Any, ...]]:
    own = batch.schema.names
    columns = [
        _cells(batch.column(own.index(name))) if name in own else [parts.get(name)] * batch.num_rows for name in names
    ]
    return zip(*columns, strict=True)


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
