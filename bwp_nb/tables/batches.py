"""Cuts a table into batches of encoded rows, and leaves out what is invalid or already done."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, count

from bwp_nb import mutation
from bwp_nb.tables.ledger import Ledger, Line, ranges
from bwp_nb.tables.staging import StagedTable


@dataclass(frozen=True)
class Batch:
    """Rows by their number, and their events as JSON."""

    rows: list[int]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def body(self) -> bytes:
        """The request with these events."""
        return mutation.body(self.texts)

    def take(self, places: Iterable[int]) -> "Batch":
        """Return the part at some places."""
        chosen = list(places)
        return Batch([self.rows[place] for place in chosen], [self.texts[place] for place in chosen])

    def split(self, size: int) -> "Iterator[Batch]":
        """Yield it in parts of a size; the last one may be smaller."""
        for start in range(0, len(self), size):
            yield Batch(self.rows[start : start + size], self.texts[start : start + size])


def batches(table: StagedTable, ledger: Ledger, done: set[int], size: int) -> Iterator[Batch]:
    """Yield the rows to send, some at a time, and record in the ledger which are invalid.

    `done` are the states of rows that are not sent again.
    """
    left = Batch([], [])
    for rows in table.chunks():
        states = bytes(ledger.states[rows.first : rows.first + len(rows.texts)])
        invalid = {row: found for row, found in rows.problems.items() if ledger.states[row] not in done}
        if invalid:
            ledger.write(
                Line(
                    ranges(list(invalid)), "invalid", reason=["; ".join(map(str, found)) for found in invalid.values()]
                )
            )
        wanted = [text is not None and state not in done for text, state in zip(rows.texts, states, strict=True)]
        left.rows.extend(compress(count(rows.first), wanted))
        left.texts.extend(filter(None, compress(rows.texts, wanted)))
        parts = list(left.split(size))
        left = parts.pop() if len(left) % size else Batch([], [])
        yield from parts
    if left:
        yield left
