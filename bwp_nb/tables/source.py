"""Makes a table of what a caller passes: a DataFrame, Arrow data, rows, events, or the path of a file."""

import pickle
import sys
import tempfile
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.errors import InvalidTable
from bwp_nb.event import UserEvent
from bwp_nb.tables.arrow import stream_table
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, blocks, checked, rows_chunk
from bwp_nb.tables.columns import NESTED
from bwp_nb.tables.conversion import column_cells
from bwp_nb.tables.files import file_table
from bwp_nb.tables.mapping import record
from bwp_nb.text import quoted

if TYPE_CHECKING:
    import pandas as pd

#: The bytes of spooled rows that are kept in memory.
_IN_MEMORY = 2**23
_EXPECTED = "Expected a DataFrame, Arrow data, an iterable of UserEvent or dict, or the path of a file"


def table(source: Any, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """Return the table for a source, or raise `InvalidTable`."""
    if isinstance(source, str | Path):
        return file_table(Path(source), delimiter, encoding)
    if delimiter or encoding:
        raise InvalidTable("delimiter= and encoding= have an effect on files of text only.")
    pandas = sys.modules.get("pandas")
    if pandas and isinstance(source, pandas.DataFrame):
        return _frame(source)
    if hasattr(source, "__arrow_c_stream__"):
        name = f"the {type(source).__name__}"
        names, maps, chunks = stream_table(name, source)
        return Table(name, names, _Spool(chunks).chunks, maps)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return _rows(source)
    raise InvalidTable(f"{_EXPECTED}, got {quoted(source)}.")


def _rows(source: Iterable[Any]) -> Table:
    """Return events, and dicts that may each have other names."""
    rows = (_row(number, given) for number, given in enumerate(source))
    chunks = (rows_chunk(number * CHUNK, block) for number, block in enumerate(blocks(rows)))
    return Table("the list of rows", None, _Spool(chunks).chunks)


def _row(number: int, given: Any) -> dict[str, Any]:
    if isinstance(given, UserEvent):
        return record(given)
    if not hasattr(given, "items") or not all(isinstance(name, str) for name in dict(given.items())):
        expected = "a UserEvent, or a dict with str as the names of columns"
        raise InvalidTable(f"Row {number}: expected {expected}, got {quoted(given)}.")
    return dict(given.items())


class _Spool:
    """Chunks in a temporary file, to read repeatedly what can be read once, or may change."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # open as long as this is in use
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._starts = []
        for chunk in chunks:
            self._starts.append(self._file.tell())
            pickle.dump(chunk, self._file)

    def __iter__(self) -> Iterator[Chunk]:
        for start in self._starts:
            with self._lock:
                self._file.seek(start)
                chunk = pickle.load(self._file)  # noqa: S301  # written above
            yield chunk

    def chunks(self, _: Collection[str] | None = None) -> Iterator[Chunk]:
        """Yield all of them, whatever is wanted."""
        return iter(self)


def _frame(given: "pd.DataFrame") -> Table:
    import pandas as pd

    names = checked(list(given.columns), "the DataFrame")
    # The report reads the frame again, and the caller may change it meanwhile.
    frame = given.copy(deep=int(pd.__version__.split(".")[0]) < 3 and pd.options.mode.copy_on_write is not True)
    for name in set(NESTED) & set(names):
        frame[name] = pd.Series([deepcopy(cell) for cell in frame[name]], frame.index, dtype=object)

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        columns = {name: frame[name].array for name in (names if wanted is None else wanted)}
        for first in range(0, len(frame), CHUNK):
            end = min(first + CHUNK, len(frame))
            parts = {name: column_cells(column[first:end]) for name, column in columns.items()}
            yield Chunk(first, end - first, parts)

    numbers = pd.RangeIndex(len(frame))
    has_own = not numbers.equals(frame.index) or frame.index.name is not None
    return Table("the DataFrame", names, chunks, index=frame.index if has_own else None)
