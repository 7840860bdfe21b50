"""Makes a table of what a caller passes: a DataFrame, events, or the path of a file."""

import hashlib
import pickle
import tempfile
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.errors import InvalidTable
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.tables.chunks import CHUNK, NESTED, Chunk, Table, blocks, cells, checked, new_chunk
from bwp_nb.tables.files import file_table
from bwp_nb.text import quoted

if TYPE_CHECKING:
    import pandas as pd

#: The bytes of spooled events that are kept in memory.
_IN_MEMORY = 2**23


def table(source: Any) -> Table:
    """Return the table for a source, or raise `InvalidTable`."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return file_table(Path(source))
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _frame(source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return _events(source)
    raise InvalidTable(f"Expected a DataFrame, an iterable of UserEvent or the path of a file, got {quoted(source)}.")


def _events(source: Iterable[UserEvent]) -> Table:
    given = list(source) if isinstance(source, list | tuple) else source  # a list may be changed later
    parts = blocks(_only_events(given))
    kept = list(parts) if isinstance(given, list) else _Spool(parts)

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


class _Spool:
    """Blocks of events in a temporary file, to read an iterable again that can be iterated once."""

    def __init__(self, parts: Iterable[list[UserEvent]]) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # open as long as this is in use
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._starts = []
        for block in parts:
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

    names = checked(list(given.columns), "the DataFrame")
    # The report reads the frame again, and the caller may change it meanwhile.
    frame = given.copy(deep=int(pd.__version__.split(".")[0]) < 3 and pd.options.mode.copy_on_write is not True)
    for name in set(NESTED) & set(names):
        own = [dict(cell) if isinstance(cell, dict) else cell for cell in frame[name]]
        frame[name] = pd.Series(own, frame.index, dtype=object)

    def chunks(wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        columns = {name: frame[name].array for name in (names if wanted is None else wanted)}
        for first in range(0, len(frame), CHUNK):
            end = min(first + CHUNK, len(frame))
            yield new_chunk(first, end - first, {name: cells(column[first:end]) for name, column in columns.items()})

    def digest() -> str:
        found = hashlib.sha256(repr(names).encode())
        for chunk in chunks():
            content = (chunk.columns, chunk.properties, chunk.kept)
            found.update(repr(content).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    numbers = pd.RangeIndex(len(frame))
    has_own = not numbers.equals(frame.index) or frame.index.name is not None
    return Table("the DataFrame", names, chunks, digest, index=frame.index if has_own else None)
