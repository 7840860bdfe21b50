"""Reports the outcome of each row: counted, one row a line, and the rows to fix as a table again."""

import csv
import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.errors import LedgerError
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.problems import Problem
from bwp_nb.tables.chunks import Table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.files import SPREADSHEET_COLUMNS
from bwp_nb.tables.ledger import STATES, Ledger
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds, MappedRows, flat
from bwp_nb.tables.source import table
from bwp_nb.tables.survey import surveyed
from bwp_nb.text import counted, html_table, readable

if TYPE_CHECKING:
    import pandas as pd

_ENDS = ("sent", "rejected", "invalid", "failed", "unknown")
_NOT_TRIED = "not sent: the run ended before its turn"
_NO_RESPONSE = "sent, but the run ended before the response was recorded"
_MAX_SHOWN = 10
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Report:
    """The outcome of each row of a table: `sent`, `rejected`, `invalid`, `failed` or `unknown`.

    `counts` has the number of rows in each state, `rows` is their sum; a row is named by its number in the source, from
    0. `stopped` says why the run ended early, if it did; `columns` says what was done with each column.
    """

    def __init__(self, ledger: Ledger, table: Table, mapping: ColumnMapping, stopped: str = "") -> None:
        self._ledger = ledger
        self._table = table
        self._mapping = mapping
        self.stopped = stopped
        self.columns = mapping.found
        assert ledger.run is not None  # noqa: S101  # a run has begun, or there is nothing to report
        self._run = ledger.run
        self._generated = GeneratedIds(ledger.run.run, ledger.run.time)
        self.rows = ledger.run.rows
        self.counts = dict.fromkeys(_ENDS, 0)
        for state in STATES:
            self.counts[_end(state)] += ledger.count(state)

    @classmethod
    def read(
        cls,
        ledger: str | Path,
        source: Any,
        *,
        columns: Mapping[str, str] | None = None,
        properties: Iterable[str] | Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        convert: bool = False,
        timezone: str | None = None,
        ids_from: str = "run",
        delimiter: str | None = None,
        encoding: str | None = None,
    ) -> "Report":
        """Return the report of a run that ended early, from its ledger and the table that it was sending.

        The parameters are those of `send_table`, with the values that the run had.
        """
        given = table(source, delimiter, encoding)
        mapping = ColumnMapping.of(given, columns, properties, fields, convert, timezone, ids_from)
        mapping = surveyed(given, mapping)
        book = Ledger(ledger, read_only=True)
        book.close()
        book.expect(given.name, given.digest(), mapping.digest)
        return cls(book, given, mapping)

    def __repr__(self) -> str:
        listed = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count) or "none"
        reasons, notes = self._summary()
        lines = [f"  {rows}: {state}, {reason}" for rows, state, reason in reasons]
        return "\n".join([f"{self._head()}: {listed}", *lines, *notes])

    def _repr_html_(self) -> str:
        """Return the counts and the first reasons as tables."""
        counts = html_table((state, count) for state, count in self.counts.items() if count)
        reasons, notes = self._summary()
        shown = html_table(reasons, ("rows", "state", "reason")) if reasons else ""
        head, *steps = (f"<p>{html.escape(text)}</p>" for text in (self._head(), *notes))
        return f'<div class="tex2jax_ignore mathjax_ignore">{head}{counts}{shown}{"".join(steps)}</div>'

    def frame(self, *, ids: bool = True) -> "pd.DataFrame":
        """Return a row for each row of the source: `event_id`, `state`, `reason`, `batch`, `attempts` and `copies`.

        `batch` is the last request that the row was in, 0 if it was in none; `attempts` is how often it was sent, and
        `copies` in how many of these requests it may have been accepted. The index is that of the source, or the row's
        number. Without `ids` the source is not read again.
        """
        import pandas as pd

        frame = self._outcomes()
        if ids:
            found = [event_id for rows in self._chunks() for event_id in rows.ids]
            frame.insert(0, "event_id", pd.Series(found, frame.index, dtype=object))
        return frame

    def events(self, *states: str) -> "pd.DataFrame":
        """Return the rows in some states as a table to send again, with the ids and times they were sent with.

        Its columns have the names of fields and properties, whatever the source calls them; its index is that of the
        source, or the row's number.
        """
        import pandas as pd

        found = dict(self._records(states))
        rows = flat(list(found.values()))
        names = list(dict.fromkeys(name for row in rows for name in row)) or list(TEXT_FIELDS)
        columns = pd.Index(names, dtype=object)  # which may have any text, as str may not
        cells = [[row.get(name) for name in names] for row in rows]
        return pd.DataFrame(cells, self._index[list(found)], columns, dtype=object)

    def quarantine(self) -> "pd.DataFrame":
        """Return the rows to fix, `invalid` and `rejected`, as a table for `send_table`."""
        return self.events("invalid", "rejected")

    def save_quarantine(self, path: str | Path) -> None:
        """Write the rows to fix to a `.jsonl` file, unchanged, for `send_table` and for forms.

        Each line has the keywords of one `UserEvent`, or an `unreadable_row`. What JSON cannot represent becomes a list
        of its text, so that it is refused again until it is fixed.
        """
        _save_jsonl(path, (row for _, row in self._records(("invalid", "rejected"))))

    def save_spreadsheet(self, path: str | Path) -> None:
        """Write the rows to fix, and why, to a `.csv` file for a spreadsheet; it cannot be sent again.

        A cell that begins like a formula gets a `'` before it, which keeps it text.
        """
        if Path(path).suffix != ".csv":
            raise ValueError(f"Expected the path of a .csv file, got {Path(path).name!r}; see save_quarantine.")
        import pandas as pd

        events = self.quarantine()
        rows = [row for row, code in enumerate(self._ledger.states) if STATES[code] in ("invalid", "rejected")]
        ends = self._outcomes()[["state", "reason"]].iloc[rows]
        with Path(path).open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*SPREADSHEET_COLUMNS, *map(_harmless, events.columns)])
            for row, end, cells in zip(rows, ends.to_numpy(), events.to_numpy(), strict=True):
                given = ["" if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell for cell in cells]
                writer.writerow(map(_harmless, [row, *end, *given]))

    def _records(self, states: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the number and the content of each row in some states."""
        wanted = {code for code, state in enumerate(STATES) if _end(state) in states}
        for rows in self._chunks():
            first = rows.chunk.first
            for place, code in enumerate(self._ledger.states[first : first + rows.chunk.length]):
                if code in wanted:
                    yield first + place, rows.record(place)

    def _chunks(self) -> Iterator[MappedRows]:
        """Yield all rows of the source, or raise `InvalidTable` if it has changed."""
        self._table.check()
        for chunk in self._table.chunks():
            yield self._mapping.mapped(chunk, self._generated)
        self._table.check()

    @property
    def _index(self) -> "pd.Index[Any]":
        """The index of the source, or the numbers of its rows."""
        import pandas as pd

        return pd.RangeIndex(self.rows, name="row") if self._table.index is None else self._table.index

    def _outcomes(self) -> "pd.DataFrame":
        import numpy as np
        import pandas as pd

        states = np.frombuffer(bytes(self._ledger.states), dtype=np.uint8)
        batches, attempts, copies, in_flight, reasons = (np.zeros(self.rows, dtype=np.int64) for _ in range(5))
        texts = ["", _NOT_TRIED, _NO_RESPONSE]
        for line in self._ledger.lines():
            texts += [line.reason] if line.reason else []
            for first, end in line.rows:
                batches[first:end] = line.batch
                attempts[first:end] += line.attempts
                copies[first:end] += in_flight[first:end] if line.state == "in_flight" else line.copies
                in_flight[first:end] = line.copies if line.state == "in_flight" else 0
                reasons[first:end] = len(texts) - 1 if line.reason else 0
        copies += in_flight
        copies[states == STATES.index("rejected")] = 0
        reasons[states == STATES.index("untried")] = 1
        reasons[states == STATES.index("in_flight")] = 2
        columns = {
            "state": np.array([_end(state) for state in STATES], dtype=object)[states],
            "reason": np.array(texts, dtype=object)[reasons],
            "batch": batches,
            "attempts": attempts,
            "copies": copies,
        }
        return pd.DataFrame(columns, index=self._index)

    def _summary(self) -> tuple[list[list[str]], list[str]]:
        """Return the first row with each reason and how many others have it, and notes on what to do."""
        try:
            known = self._outcomes().set_axis(range(self.rows)).reset_index(names="row")
        except (OSError, LedgerError):  # the counts are known anyway
            lost = f"{self._ledger.name} cannot be read any more"
            return [["reasons", "not known", lost]], [*self.columns.lines(), *self._next_steps()]
        kinds = known[known["reason"] != ""].groupby(["state", "reason"], sort=False)["row"].agg(["min", "size"])
        shown = kinds.sort_values("min").head(_MAX_SHOWN)
        lines = [
            [f"row {first}" if count == 1 else f"row {first} and {count - 1} more", state, reason]
            for (state, reason), first, count in shown.itertuples()
        ]
        if left := len(kinds) - len(shown):
            lines.append(["others", "", f"{counted(left, 'more reason')}, all in report.frame()"])
        copied = int((known["copies"] > 1).sum())
        note = f"{counted(copied, 'row')} may have been stored more than once; see copies in report.frame()."
        return lines, [*self.columns.lines(), *([note] if copied else []), *self._next_steps()]

    def _head(self) -> str:
        """Return the number of rows, and where they went if that is the live API."""
        live = "" if self._run.target == "sandbox" else f" to the live API, {readable(self._run.target, 200)}"
        return counted(self.rows, "row") + live

    def _next_steps(self) -> Iterator[str]:
        if self.stopped:
            is_early = self.counts["failed"] + self.counts["unknown"] > 0
            yield f"Stopped early: {self.stopped}" if is_early else f"Note: {self.stopped}"
        if self.counts["failed"] + self.counts["unknown"]:
            yield (
                "To send the failed and unknown rows, make the same call again; the ledger records what is done."
                if self._ledger.path
                else "To send the failed and unknown rows, pass report.events('failed', 'unknown') to send_table."
            )
        if self.counts["rejected"] + self.counts["invalid"]:
            yield "To fix the rejected and invalid rows, see report.quarantine()."


@dataclass(frozen=True)
class DryRun:
    """What sending a table would take: how many of its `rows` are `valid`, and how many requests and bytes that is.

    `problems` has all problems of the other rows, by row; `columns` says what would be done with each column.
    """

    rows: int
    valid: int
    requests: int
    bytes: int
    problems: dict[int, list[Problem]] = field(repr=False)
    columns: Columns = field(repr=False)
    _chunks: Callable[[], Iterator[MappedRows]] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        sizes = f"{counted(self.requests, 'request')}, {counted(self.bytes, 'byte')}"
        rows: dict[str, list[int]] = {}
        for row, problems in self.problems.items():
            for problem in problems:
                rows.setdefault(str(problem), []).append(row)
        lines = [
            f"  row {first}{f' and {len(others)} more' if others else ''}: {problem}"
            for problem, (first, *others) in list(rows.items())[:_MAX_SHOWN]
        ]
        left = len(rows) - len(lines)
        lines += [f"  and {counted(left, 'more problem')}, all in frame()"] if left else []
        return "\n".join(
            [f"{self.valid} of {counted(self.rows, 'row')} are valid: {sizes}", *lines, *self.columns.lines()]
        )

    def frame(self) -> "pd.DataFrame":
        """Return a row for each problem: the row it is in, the field, the value, what is wrong, the rule."""
        import pandas as pd

        found = [
            (row, problem.field, problem.value, problem.message, problem.rule)
            for row, problems in self.problems.items()
            for problem in problems
        ]
        frame = pd.DataFrame(found, columns=["row", "field", "value", "what", "rule"], dtype=object)
        return frame.astype({"row": "int64"})

    def save_quarantine(self, path: str | Path) -> None:
        """Write the rows that are not valid to a `.jsonl` file, as `Report.save_quarantine` does."""
        found = ((rows, place) for rows in self._chunks() for place in range(rows.chunk.length))
        _save_jsonl(path, (rows.record(place) for rows, place in found if rows.chunk.first + place in self.problems))

    def seconds(self, requests_a_second: float) -> float:
        """Return how long the requests take at a rate."""
        return self.requests / requests_a_second


def _save_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    if Path(path).suffix != ".jsonl":
        raise ValueError(f"Expected the path of a .jsonl file, got {Path(path).name!r}; see save_spreadsheet.")
    with Path(path).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, default=lambda value: [str(value)]) + "\n")


def _end(state: str) -> str:
    """Return the reported state: an untried row is known not to be accepted, one being sent is not known."""
    return {"untried": "failed", "in_flight": "unknown"}.get(state, state)


def _harmless(cell: Any) -> str:
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
