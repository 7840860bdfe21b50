"""Reads a table once, and keeps its encoded rows in a temporary file: a run sends them, and a report shows them.

So neither depends on a source that can be read only once, or that changes meanwhile.
"""

import pickle
import tempfile
import threading
import weakref
from array import array
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

from bwp_nb.displays.short_errors import extra
from bwp_nb.errors import InvalidEvent, InvalidTable, Problem
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.tables.chunks import Table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.encoding import EncodedRows, encode_rows
from bwp_nb.tables.mapping import UNREADABLE, ColumnMapping, GeneratedIds
from bwp_nb.text import quoted, readable

with extra("tables"):
    import numpy as np

#: The bytes of encoded rows that are kept in memory rather than in a file.
_IN_MEMORY = 2**19
_MAX_PROBLEMS = 1_000
_SHARED = "Equal ids mark copies of an event: fix the sources, or leave out check_ids= to send both. Nothing was sent."
_RULE = "a different id in each row (our own rule: equal ids mark copies of an event)"

T = TypeVar("T")


class StagedTable:
    """The encoded rows of a table, and what was found when it was read: what was done with its `columns`.

    With `digests`, `digest` identifies the events, whatever table they come from. Columns that do not fit raise
    `InvalidTable`.
    """

    def __init__(self, table: Table, mapping: ColumnMapping, generated: GeneratedIds, *, digests: bool = False) -> None:
        self.name, self.index, self.rows, self._check = table.name, table.index, 0, table.check
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # open as long as this is in use
        weakref.finalize(self, self._file.close)
        self._reading = threading.Lock()
        self._starts: list[int] = []
        columns: dict[str, None] = dict.fromkeys(table.names or ())
        inner: dict[str, None] = {}
        made, digest = {"event_id": 0, "event_time": 0}, sha256()
        for chunk in table.chunks:
            self._check()
            mapped = mapping.mapped(chunk, generated)
            encoded = encode_rows(mapped)
            self._keep(mapped.fields["event_id"], encoded)
            if digests:
                digest.update("".join(encoded.contents()).encode("utf-8", "surrogatepass"))
            self.rows += chunk.length
            columns |= dict.fromkeys(chunk.columns)
            inner |= dict.fromkeys(mapped.inner)
            for name, places in mapped.generated.items():
                made[name] += len(places - chunk.problems.keys())
        if self.rows:
            mapping.refuse_unseen(table.name, [*columns, *inner])
        mapping.refuse_nearly_fields(columns)
        self.digest = digest.hexdigest()
        self.columns = _described(mapping, self.rows, columns, inner, made)

    def refuse_repeated_ids(self) -> None:
        """Raise `InvalidEvent` if rows have equal ids."""
        found = islice(_repeated(lambda: enumerate(self.ids())), _MAX_PROBLEMS)
        problems = [
            Problem("eventId", given, _RULE, f"{quoted(given)} is a duplicate of event {first}", row)
            for given, first, row in found
        ]
        if problems:
            error = InvalidEvent(problems)
            error.is_unsent = True
            raise error

    def chunks(self) -> Iterator[EncodedRows]:
        """Yield all rows."""
        for start in self._starts:
            self._check()
            yield self._kept(start, 2)

    def ids(self) -> Iterator[Any]:
        """Yield the id of each row."""
        for start in self._starts:
            yield from self._kept(start, 1)

    def records(self, wanted: Container[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the numbers of some rows, and what they contain as the keywords of a `UserEvent`."""
        for rows in self.chunks():
            for row in range(rows.first, rows.first + len(rows.texts)):
                if row in wanted:
                    yield row, rows.record(row)

    def _keep(self, ids: list[Any], rows: EncodedRows) -> None:
        self._starts.append(self._file.tell())
        try:
            for part in (ids, rows):
                pickle.dump(part, self._file)
            self._file.flush()
        except (OSError, pickle.PicklingError, TypeError, AttributeError) as error:
            is_full = isinstance(error, OSError)
            advice = "Set TMPDIR to a folder with more space." if is_full else "Turn the value into a str."
            said = f"Cannot copy {self.name} to a temporary file: {readable(str(error), 160)}"
            raise InvalidTable(f"{said}. {advice}") from None

    def _kept(self, start: int, number: int) -> Any:
        """Return the ids of some rows, which are the first part, or the rows."""
        with self._reading:
            self._file.seek(start)
            return [pickle.load(self._file) for _ in range(number)][-1]  # noqa: S301  # written by `_keep`


def refuse_shared_ids(ids: Callable[[], Iterable[tuple[tuple[str, int], Any]]]) -> None:
    """Raise `InvalidTable` if two parts, of which the names and the numbers of the rows are given, have the same id."""
    for given, (name, row), (other, other_row) in _repeated(ids):
        if name != other:
            places = f"row {row} of {readable(name)} and row {other_row} of {readable(other)}"
            raise InvalidTable(f"Two parts have the event_id {quoted(given)}: {places}. {_SHARED}")


def _repeated(ids: Callable[[], Iterable[tuple[T, Any]]]) -> Iterator[tuple[str, T, T]]:
    """Yield each text that occurs again in (place, value) pairs, its first place and the later one.

    The pairs are read twice if the hashes of some texts, of which 8 bytes each are kept, are equal.
    """
    hashes = np.asarray(array("q", (hash(given) for _, given in ids() if isinstance(given, str))))
    hashes.sort()
    suspects = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    first: dict[str, T] = {}
    for place, given in ids() if suspects else ():
        if isinstance(given, str) and hash(given) in suspects and first.setdefault(given, place) != place:
            yield given, first[given], place


def _described(
    mapping: ColumnMapping, rows: int, columns: Collection[str], inner: Collection[str], generated: dict[str, int]
) -> Columns:
    """Return what is done with columns, and with properties in mappings."""
    origins = {name: [column for column in columns if mapping.field(column) == name] for name in TEXT_FIELDS}
    others = [column for column in columns if not mapping.field(column) and not mapping.is_nested(column)]
    names = {column: mapping.sent_as(column) for column in [*others, *inner] if column != UNREADABLE}
    return Columns(
        rows,
        {name: found for name, found in origins.items() if found},
        mapping.fields,
        [column if name == column else f"{column} as {name}" for column, name in names.items() if name is not None],
        [column for column, name in names.items() if name is None],
        generated,
    )
