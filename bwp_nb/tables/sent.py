"""A table that was sent: what its ledger says of each row, and what the rows contain."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, compress
from typing import TYPE_CHECKING, Any

from bwp_nb.tables.chunks import Table
from bwp_nb.tables.ledger import STATES, Ledger
from bwp_nb.tables.mapping import TAKEN, ColumnMapping, GeneratedIds, MappedRows, flat
from bwp_nb.tables.survey import wanted

if TYPE_CHECKING:
    import pandas as pd


def end(state: str) -> str:
    """Return the reported state: an untried row is known not to be accepted, one being sent is not known."""
    return {"untried": "failed", "in_flight": "unknown"}.get(state, state)


@dataclass(frozen=True)
class SentTable:
    """A table, and the ledger of the runs that sent it."""

    ledger: Ledger
    table: Table
    mapping: ColumnMapping

    def outcomes(self) -> "pd.DataFrame":
        """Return the `row`, and its `state`, `reason`, `batch`, `attempts` and `copies`."""
        import numpy as np
        import pandas as pd

        account = self.ledger.account()
        account["copies"][account["state"] == STATES.index("rejected")] = 0
        account["state"] = np.array([end(state) for state in STATES], dtype=object)[account["state"]]
        return pd.DataFrame({"row": range(len(self.ledger.states)), **account})

    def ids(self) -> Iterator[Any]:
        """Yield the id of each event."""
        for rows in self._chunks(wanted(self.table, self.mapping)):
            yield from rows.ids

    def records(self, *states: str) -> Iterator[dict[str, Any]]:
        """Yield what each row in some states contains."""
        for rows, places in self._chosen(states):
            yield from map(rows.record, places)

    def columns(self, *states: str) -> Iterator[tuple[list[int], dict[str, list[Any]]]]:
        """Yield the numbers of the rows in some states, and what they contain as columns; some rows at a time."""
        for rows, places in self._chosen(states):
            if not rows.chunk.kept and rows.properties.keys().isdisjoint(TAKEN):
                given = rows.fields | rows.properties
                columns = {name: [cells[place] for place in places] for name, cells in given.items()}
            else:
                found = flat(list(map(rows.record, places)))
                columns = {name: [row.get(name) for row in found] for name in chain.from_iterable(found)}
            yield [rows.chunk.first + place for place in places], columns

    def _chosen(self, states: Collection[str]) -> Iterator[tuple[MappedRows, list[int]]]:
        """Yield all rows of the source, and the places of those in some states."""
        is_chosen = self.ledger.states.translate(bytes(end(state) in states for state in STATES).ljust(256))
        for rows in self._chunks():
            first, length = rows.chunk.first, rows.chunk.length
            yield rows, list(compress(range(length), is_chosen[first : first + length]))

    def _chunks(self, names: Collection[str] | None = None) -> Iterator[MappedRows]:
        """Yield all rows of the source, or raise `InvalidTable` if it has changed."""
        assert self.ledger.run is not None  # noqa: S101  # a run has begun, or there is nothing to report
        generated = GeneratedIds(self.ledger.run.run, self.ledger.run.time)
        self.table.check()
        for chunk in self.table.chunks(names):
            yield self.mapping.mapped(chunk, generated)
        self.table.check()
