"""Makes a table of what a caller passes: a DataFrame, Arrow data, rows, events, or the path of a file."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.errors import InvalidTable
from bwp_nb.event import UserEvent
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, blocks, checked, rows_chunk
from bwp_nb.tables.conversion import column_cells
from bwp_nb.tables.files import file_table
from bwp_nb.tables.mapping import record
from bwp_nb.text import quoted, typed

if TYPE_CHECKING:
    import pandas as pd

_EXPECTED = "Expected a DataFrame, Arrow data, an iterable of UserEvent or dict, or the path of a file"


def table(source: Any, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """Return the table for a source, which may be one, or raise `InvalidTable`."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return file_table(Path(source), delimiter, encoding)
    if delimiter or encoding:
        raise InvalidTable("delimiter= and encoding= have an effect on files of text only.")
    pandas = sys.modules.get("pandas")
    if pandas and isinstance(source, pandas.DataFrame):
        return _frame(source)
    if hasattr(source, "__arrow_c_stream__"):
        from bwp_nb.tables.arrow import stream_table

        return stream_table(f"the {type(source).__name__}", source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        rows = (_row(number, given) for number, given in enumerate(source))
        return Table("the list of rows", None, (rows_chunk(first, block) for first, block in blocks(rows)))
    raise InvalidTable(f"{_EXPECTED}, got {quoted(source)}.")


def _row(number: int, given: Any) -> dict[str, Any]:
    if isinstance(given, UserEvent):
        return record(given)
    if not hasattr(given, "items") or not all(isinstance(name, str) for name in dict(given.items())):
        raise InvalidTable(f"rows[{number}]: expected a UserEvent, or a dict with str as keys, got {typed(given)}.")
    return dict(given.items())


def _frame(frame: "pd.DataFrame") -> Table:
    import pandas as pd

    names = checked(list(frame.columns), "the DataFrame")
    numbers = pd.RangeIndex(len(frame))
    has_own = not numbers.equals(frame.index) or frame.index.name is not None
    return Table("the DataFrame", names, _frame_chunks(frame, names), index=frame.index if has_own else None)


def _frame_chunks(frame: "pd.DataFrame", names: list[str]) -> Iterator[Chunk]:
    columns = {name: frame[name].array for name in names}
    for first in range(0, len(frame), CHUNK):
        end = min(first + CHUNK, len(frame))
        yield Chunk(first, end - first, {name: column_cells(column[first:end]) for name, column in columns.items()})
