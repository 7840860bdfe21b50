"""A table that was sent: what its ledger says of each row, and what the rows contain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bwp_nb.tables.columns import Columns
from bwp_nb.tables.ledger import STATES, Ledger
from bwp_nb.tables.staging import StagedTable

if TYPE_CHECKING:
    import pandas as pd


def end(state: str) -> str:
    """Return the reported state: an untried row is known not to be accepted, one being sent is not known."""
    return {"untried": "failed", "in_flight": "unknown"}.get(state, state)


@dataclass(frozen=True)
class SentTable:
    """The ledger of the runs that sent a table, and how to read the table, which is done only if it is needed."""

    ledger: Ledger
    name: str
    columns: Columns
    read: Callable[[], StagedTable]

    @property
    def table(self) -> StagedTable:
        """The table."""
        return self.read()

    def outcomes(self) -> "pd.DataFrame":
        """Return the `row`, and its `state`, `reason`, `batch`, `attempts` and `copies`."""
        import numpy as np
        import pandas as pd

        account = self.ledger.account()
        account["copies"][account["state"] == STATES.index("rejected")] = 0
        account["state"] = np.array(list(map(end, STATES)), dtype=object)[account["state"]]
        return pd.DataFrame({"row": range(len(self.ledger.states)), **account})

    def records(self, *states: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the numbers of the rows in some states, and what they contain."""
        wanted = {number for number, state in enumerate(STATES) if end(state) in states}
        return self.table.records(lambda row: self.ledger.states[row] in wanted)
