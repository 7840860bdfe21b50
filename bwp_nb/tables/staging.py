"""Reads a table once, and keeps its encoded rows in a temporary file: a run sends them, and a report shows them.

So neither depends on a source that can be read only once, or that changes meanwhile.
"""

import pickle
import tempfile
import threading
import weakref
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from typing import Any

from bwp_nb.displays.short_errors import extra
from bwp_nb.errors import InvalidEvent, InvalidTable, Problem
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.tables.chunks import Table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.encoding import EncodedRows, encode_rows
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds
from bwp_nb.text import quoted, readable

with extra("tables"):
    import numpy as np

#: The bytes of encoded rows that are kept in memory rather than in a file.
_IN_MEMORY = 2**19
_MAX_PROBLEMS = 1_000
_SHARED = "Equal ids mark copies of an event: fix the sources, or leave out check_ids= to send both. Nothing was sent."
_RULE = "a different id in each row (our own rule: equal ids mark copies of an event)"


class StagedTable:
    """The encoded rows of a table, and what was found when it was read: what was done with its `columns`.

    Raises `InvalidTable` for columns that do not fit, and `InvalidEvent` for repeated ids unless they `may_repeat`.
    With `digests`, `digest` identifies the events, whatever table they come from.
    """

    def __init__(
        self,
        table: Table,
        mapping: ColumnMapping,
        generated: GeneratedIds,
        *,
        may_repeat: bool = True,
        digests: bool = False,
    ) -> None:
        self.name, self.index, self.rows, self._check = table.name, table.index, 0, table.check
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # open as long as this is in use
        weakref.finalize(self, self._file.close)
        self._reading = threading.Lock()
        self._starts: list[int] = []
        columns: dict[str, None] = dict.fromkeys(table.names or ())
        inner: dict[str, None] = {}
        made = {"event_id": 0, "event_time": 0}
        hashes, digest = array("q"), sha256()
        for chunk in table.chunks:
            self._check()
            mapped = mapping.mapped(chunk, generated)
            encoded = encode_rows(mapped)
            self._keep(mapped.fields["event_id"], encoded)
            self.rows += chunk.length
            columns |= dict.fromkeys(chunk.columns)
            inner |= dict.fromkeys(mapped.inner)
            for name, places in mapped.generated.items():
                made[name] += len(places)
            if not may_repeat:
                hashes.extend(hash(cell) for cell in mapped.fields["event_id"] if isinstance(cell, str))
            if digests:
                digest.update("".join(encoded.contents()).encode("utf-8", "surrogatepass"))
        self.digest = digest.hexdigest()
        if self.rows:
            mapping.refuse_unseen(table.name, [*columns, *inner])
        mapping.refuse_nearly_fields(columns)
        self.columns = _described(mapping, self.rows, columns, inner, made)
        self._refuse_repeated(hashes)

    def chunks(self) -> Iterator[EncodedRows]:
        """Yield all rows."""
        for start in self._starts:
            self._check()
            yield self._kept(start, 2)

    def ids(self) -> Iterator[Any]:
        """Yield the id of each row."""
        for start in self._starts:
            yield from self._kept(start, 1)

    def records(self, is_wanted: Callable[[int], bool]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the numbers of some rows, and what they contain as the keywords of a `UserEvent`."""
        for rows in self.chunks():
            for row in filter(is_wanted, range(rows.first, rows.first + len(rows.texts))):
                yield row, rows.record(row)

    def _keep(self, ids: list[Any], rows: EncodedRows) -> None:
        self._starts.append(self._file.tell())
        try:
            for part in (ids, rows):
                pickle.dump(part, self._file)
            self._file.flush()
        except OSError as error:
            said = readable(error.strerror or str(error), 160)
            advice = "Set TMPDIR to a folder with more space."
            raise InvalidTable(f"Cannot copy {self.name} to a temporary file: {said}. {advice}") from None
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            said = f"has a value that cannot be copied: {readable(str(error), 160)}"
            raise InvalidTable(f"{self.name} {said}. Turn it into a str.") from None

    def _kept(self, start: int, number: int) -> Any:
        """Return the ids of some rows, which are the first part, or the rows."""
        with self._reading:
            self._file.seek(start)
            return [pickle.load(self._file) for _ in range(number)][-1]  # noqa: S301  # written by `_keep`

    def _refuse_repeated(self, hashes: "array[int]") -> None:
        """Raise `InvalidEvent` if rows have equal ids, which only those with equal hashes may have."""
        suspects = _equal(hashes)
        if suspects and (problems := list(islice(self._repeated(suspects), _MAX_PROBLEMS))):
            error = InvalidEvent(problems)
            error.is_unsent = True
            raise error

    def _repeated(self, suspects: Collection[int]) -> Iterator[Problem]:
        first: dict[str, int] = {}
        for row, event_id in enumerate(self.ids()):
            if isinstance(event_id, str) and hash(event_id) in suspects and first.setdefault(event_id, row) != row:
                message = f"{quoted(event_id)} is a duplicate of event {first[event_id]}"
                yield Problem("eventId", event_id, _RULE, message, row)


def refuse_shared_ids(parts: Mapping[str, Callable[[], Iterable[Any]]]) -> None:
    """Raise `InvalidTable` if two parts, which are given by their names, have the same id."""
    hashes = array("q", (hash(given) for ids in parts.values() for given in ids() if isinstance(given, str)))
    suspects = _equal(hashes)
    first: dict[str, tuple[str, int]] = {}
    for name, ids in parts.items() if suspects else ():
        for row, given in enumerate(ids()):
            if isinstance(given, str) and hash(given) in suspects:
                other, other_row = first.setdefault(given, (name, row))
                if other != name:
                    places = f"row {other_row} of {readable(other)} and row {row} of {readable(name)}"
                    raise InvalidTable(f"Two parts have the event_id {quoted(given)}: {places}. {_SHARED}")


def _equal(hashes: "array[int]") -> set[int]:
    """Return those that occur more than once; they are put in order."""
    ordered = np.asarray(hashes)
    ordered.sort()
    found: list[int] = ordered[1:][ordered[1:] == ordered[:-1]].tolist()
    return set(found)


def _described(
    mapping: ColumnMapping, rows: int, columns: Collection[str], inner: Collection[str], generated: dict[str, int]
) -> Columns:
    """Return what is done with columns, and with properties in mappings."""
    origins = {name: [column for column in columns if mapping.field(column) == name] for name in TEXT_FIELDS}
    others = [column for column in columns if not mapping.field(column) and not mapping.is_nested(column)]
    names = {column: mapping.sent_as(column) for column in [*others, *inner]}
    return Columns(
        rows,
        {name: found for name, found in origins.items() if found},
        mapping.fields,
        [column if name == column else f"{column} as {name}" for column, name in names.items() if name is not None],
        [column for column, name in names.items() if name is None],
        generated,
    )
