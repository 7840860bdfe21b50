"""Reports the outcome of each row: counted, one row a line, and the rows to fix as a table again."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

from bwp_nb.contract.hints import hints
from bwp_nb.displays.html import card, chip, html_table
from bwp_nb.displays.short_errors import InvalidArgument, extra
from bwp_nb.errors import LedgerError, Problem
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.mutation import body
from bwp_nb.tables.columns import NESTED, Columns
from bwp_nb.tables.encoding import EncodedRows
from bwp_nb.tables.ledger import STATES, Ledger
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds, flat
from bwp_nb.tables.source import SPREADSHEET_COLUMNS, table
from bwp_nb.tables.staging import StagedTable
from bwp_nb.text import counted, readable

with extra("tables"):
    import numpy as np
    import pandas as pd

_ENDS = STATES[2:]
#: The state in which a row is reported: one that was not tried is failed, one that was being sent is unknown.
_REPORTED = {"untried": "failed", "in_flight": "unknown", **{state: state for state in _ENDS}}
_MAX_SHOWN = 10

#: The rows of a dry run that are looked at for hints: it takes as long as all the rest.
_MAX_HINTED = 10_000

_FORMULA = frozenset("=+-@\t\r\n")


@dataclass(frozen=True)
class SentTable:
    """The ledger of the runs that sent a table, and how to read the table, which is done only if it is needed."""

    ledger: Ledger
    name: str
    columns: Columns
    read: Callable[[], StagedTable]

    def outcomes(self, named: str) -> pd.DataFrame:
        """Return the name of the table, as a column of that name, and the number and outcome of each row."""
        account = self.ledger.account()
        account["copies"][account["state"] == STATES.index("rejected")] = 0
        account["state"] = np.array(list(map(_REPORTED.get, STATES)), dtype=object)[account["state"]]
        return pd.DataFrame({named: self.name, "row": range(len(self.ledger.states)), **account})


class Report:
    """The outcome of each row of a table: `sent`, `rejected`, `invalid`, `failed` or `unknown`.

    A row is named by its number in the source, from 0. An error that ends a run has the report as its `report`.

    Attributes
    ----------
    counts : dict of str to int
        The number of rows in each state.
    rows : int
        The number of rows, the sum of the counts.
    ok : bool
        Whether all rows are sent.
    stopped : str
        Why the run ended early; empty if it did not.
    columns : Columns
        What was done with each column.
    split_requests : int
        The number of requests that were too large for the server (HTTP 413) and were split.
    """

    #: What each of several tables is called, and the column of `frame()` that has its name.
    _several = ("table", "source")

    def __init__(self, parts: Sequence[SentTable], stopped: str = "") -> None:
        self._parts = parts
        self._is_merged = len(parts) > 1
        self._more_notes: Sequence[str] = ()
        self.stopped = stopped

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

        Raises
        ------
        LedgerError
            If the ledger cannot be read, or belongs to other data or another mapping.
        InvalidTable, InvalidEvent
            If the source cannot be read, or does not fit.
        """
        given = table(source, delimiter, encoding)
        mapping = ColumnMapping(given, columns, properties, fields, convert, timezone)
        book = Ledger(ledger, read_only=True)
        if book.run is None:
            raise LedgerError(f"Cannot use {book.name}: no run has begun.")
        staged = StagedTable(given, mapping, GeneratedIds(book.run.run, book.run.time, ids_from), digests=True)
        book.expect(staged.name, staged.digest)
        return cls([SentTable(book, staged.name, staged.columns, lambda: staged)])

    @classmethod
    def merge(cls, reports: "Iterable[Report]") -> "Report":
        """Return one report of several tables, for example of a file for each day.

        It has the rows of all reports in their order; `frame()` has two more columns, the `source` and the `row` in it.
        A row that is in two reports counts twice.

        Parameters
        ----------
        reports : iterable of Report
            The reports, at least one.

        Raises
        ------
        ValueError
            Without any report.
        """
        given = list(reports)
        if not given:
            raise InvalidArgument("reports: expected at least one Report, got none")
        stopped = dict.fromkeys(report.stopped for report in given if report.stopped)
        return cls([part for report in given for part in report._parts], " ".join(stopped))

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows in each state."""
        found = dict.fromkeys(_ENDS, 0)
        for state, reported in _REPORTED.items():
            found[reported] += sum(part.ledger.count(state) for part in self._parts)
        return found

    @property
    def rows(self) -> int:
        """The number of rows, which is the sum of the counts."""
        return sum(len(part.ledger.states) for part in self._parts)

    @property
    def columns(self) -> Columns:
        """What was done with each column."""
        return reduce(Columns.joined, (part.columns for part in self._parts), Columns())

    @property
    def ok(self) -> bool:
        """Whether all rows are sent."""
        return not self.stopped and self.counts["sent"] == self.rows

    @property
    def split_requests(self) -> int:
        """The number of requests that were too large for the server (HTTP 413) and were split."""
        return sum(part.ledger.splits for part in self._parts)

    def __repr__(self) -> str:
        listed = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number) or "none"
        return _text(f"{self._head()}: {listed}", *self._summary())

    def _repr_html_(self) -> str:
        """Return the counts and the first reasons as tables."""
        counts = html_table((chip(state), str(count)) for state, count in self.counts.items() if count)
        reasons, notes = self._summary()
        rows = ([where, chip(state), reason] for where, state, reason in reasons)
        return card(self._head(), counts, html_table(rows, ("rows", "state", "reason")) if reasons else "", *notes)

    def frame(self, *, ids: bool = True) -> pd.DataFrame:
        """Return a row for each row of the source.

        Parameters
        ----------
        ids : bool, default True
            Whether to include the column `event_id`. Without it the source is not read again.

        Returns
        -------
        pandas.DataFrame
            `event_id`, `state`, `reason`, `batch` (the last request that the row was in, 0 if it was in none),
            `attempts` (how often it was sent) and `copies` (in how many of these requests it may have been accepted).
            The index is that of the source, or the row's number.

        Raises
        ------
        LedgerError
            If the ledger is gone, or belongs to another run now.
        OSError
            If the ledger cannot be read.
        InvalidTable
            Only of `send_parts`, with `ids`: if a source cannot be read any more.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> report = bwp.send_table(bwp.connect(), bwp.traffic.shop_day(10, invalid_rate=0), workers=1, progress=False)
        >>> set(report.frame()["state"])
        {'sent'}
        """
        frame = self._outcomes().set_axis(self._index)
        if ids:
            found = [event_id for part in self._parts for event_id in part.read().ids()]
            frame.insert(2, "event_id", pd.Series(found, frame.index, dtype=object))
        return frame if self._is_merged else frame.drop(columns=[self._several[1], "row"])

    def events(self, *states: str) -> pd.DataFrame:
        """Return the rows in some states as a table to send again, with the ids and times they were sent with.

        Parameters
        ----------
        *states : str
            One or more of `sent`, `rejected`, `invalid`, `failed` and `unknown`.

        Returns
        -------
        pandas.DataFrame
            The rows. The columns have the names of fields and properties, whatever the source calls them; the index is
            that of the source, or the row's number.

        Raises
        ------
        ValueError
            Without a state, or for another one.
        InvalidTable, LedgerError
            Only of `send_parts`: if a source cannot be read any more, or has changed.
        """
        if not states or not set(states) <= set(_ENDS):
            raise InvalidArgument(f"states: expected some of {', '.join(_ENDS)}, got {', '.join(states) or 'none'}")
        events = self._events(*states)
        return events.set_axis(self._index[events.index])

    def quarantine(self) -> pd.DataFrame:
        """Return the rows to fix, `invalid` and `rejected`, with the index of `frame()`, which has the reasons.

        Returns
        -------
        pandas.DataFrame
            A table for `send_table`.

        Raises
        ------
        InvalidTable, LedgerError
            Only of `send_parts`: if a source cannot be read any more, or has changed.
        """
        return self.events("invalid", "rejected")

    def save_quarantine(self, path: str | Path) -> None:
        """Write the rows to fix, unchanged, for `send_table` and for forms.

        Each line has the keywords of one `UserEvent`. The cells of a row that cannot be read are in a list called
        `unreadable_row`, which you remove once the row is fixed; a second value for a field or a property is there as
        a dict, by its name. What JSON cannot represent becomes a list of its text. Both are refused until they are
        fixed.

        Parameters
        ----------
        path : str or Path
            The path of a `.jsonl` file, which is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        OSError
            If the file cannot be written.
        InvalidTable, LedgerError
            Only of `send_parts`: if a source cannot be read any more, or has changed.
        """
        _save_jsonl(path, (row for _, row in self._records("invalid", "rejected")))

    def save_spreadsheet(self, path: str | Path) -> None:
        """Write the rows to fix, and why, for a spreadsheet; the file cannot be sent again.

        A cell that begins like a formula gets a `'` before it, which keeps it text.

        Parameters
        ----------
        path : str or Path
            The path of a `.csv` file, which is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        OSError
            If the file cannot be written.
        InvalidTable, LedgerError
            Only of `send_parts`: if a source cannot be read any more, or has changed.
        """
        if Path(path).suffix != ".csv":
            raise InvalidArgument(f"save_spreadsheet: expected a path ending in .csv, got {Path(path).name!r}")
        events = self._events("invalid", "rejected")
        names = [*SPREADSHEET_COLUMNS, *([self._several[1]] if self._is_merged else [])]
        named = self._outcomes().iloc[events.index][names]
        columns = [_harmless([name, *part[name].to_numpy(object)]) for part in (named, events) for name in part]
        with Path(path).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write("\ufeff")  # by which spreadsheets recognise UTF-8; the codec utf-8-sig is slow
            csv.writer(file).writerows(zip(*columns, strict=True))

    def _records(self, *states: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the numbers of the rows in some states, and what they contain."""
        first, wanted = 0, {code for code, state in enumerate(STATES) if _REPORTED[state] in states}
        for part in self._parts:
            codes = part.ledger.states
            for row, record in part.read().records({row for row, code in enumerate(codes) if code in wanted}):
                yield first + row, record
            first += len(codes)

    def _events(self, *states: str) -> pd.DataFrame:
        """Return what the rows in some states contain, by their number."""
        found = dict(self._records(*states))
        rows = flat(list(found.values()))
        names = dict.fromkeys(name for row in rows for name in row) if rows else TEXT_FIELDS
        columns = [*filter(names.__contains__, TEXT_FIELDS), *(name for name in names if name not in TEXT_FIELDS)]
        cells = [[row.get(name) for name in columns] for row in rows]
        # As objects, since pandas' str cannot have a lone surrogate.
        return pd.DataFrame(cells, list(found), pd.Index(columns, dtype=object), dtype=object)

    @property
    def _index(self) -> "pd.Index[Any]":
        """The index of the source, or the numbers of its rows."""
        own = None if self._is_merged else self._parts[0].read().index
        return pd.RangeIndex(self.rows, name=None if self._is_merged else "row") if own is None else own

    def _outcomes(self) -> pd.DataFrame:
        """Return the name of its table, the number there and the outcome of each row."""
        if not self._parts:
            return pd.DataFrame(columns=[self._several[1], "row", "state", "reason", "batch", "attempts", "copies"])
        return pd.concat([part.outcomes(self._several[1]) for part in self._parts], ignore_index=True)

    def _summary(self) -> tuple[list[list[str]], list[str]]:
        """Return the first reasons and their rows, and notes on what to do."""
        copied, found = 0, []
        try:
            for part in self._parts:
                outcomes = part.outcomes(self._several[1])
                copied += int((outcomes["copies"] > 1).sum())
                left = outcomes[outcomes["reason"] != ""]
                kinds = left.groupby(["state", "reason"], sort=False)["row"].agg(["first", "size"])
                of = f" of {part.name}" if self._is_merged else ""
                found.extend([(f"row {row}{of}", state, why, rows) for (state, why), row, rows in kinds.itertuples()])
        except (OSError, LedgerError):  # the counts are known anyway
            lost = ", ".join(part.ledger.name for part in self._parts)
            return [["reasons", "not known", f"{lost} cannot be read any more"]], list(self._notes())
        return _first_reasons(found), list(self._notes(copied))

    def _head(self) -> str:
        """Return the number of rows, and where they went if that is the live API."""
        runs = [part.ledger.run for part in self._parts]
        targets = dict.fromkeys(readable(run.target, 200) for run in runs if run and run.target != "sandbox")
        sources = f" of {counted(len(runs), self._several[0])}" if self._is_merged else ""
        return counted(self.rows, "row") + sources + (f" to the live API, {', '.join(targets)}" if targets else "")

    def _notes(self, copied: int = 0) -> Iterator[str]:
        """Yield what else is to be known, `copied` rows included, and what to do."""
        counts = self.counts
        yield from self.columns.lines()
        if copied:
            yield f"{counted(copied, 'row')} may have been stored more than once; see copies in report.frame()."
        if self.split_requests:
            yield f"Split because the server refused their size (HTTP 413): {counted(self.split_requests, 'request')}."
        if self.stopped:
            is_early = counts["failed"] + counts["unknown"] > 0
            yield f"Stopped early: {self.stopped}" if is_early else f"Note: {self.stopped}"
        if counts["failed"] + counts["unknown"]:
            yield (
                "To send the failed and unknown rows, make the same call again; the ledger records what is done."
                if all(part.ledger.path for part in self._parts)
                else "To send the failed and unknown rows, pass report.events('failed', 'unknown') to send_table."
            )
        yield from self._more_notes
        if counts["rejected"] + counts["invalid"]:
            yield "To fix the rejected and invalid rows, see report.quarantine()."


class DryRun:
    """What sending a table would take.

    Attributes
    ----------
    rows : int
        The number of rows.
    valid : int
        How many of them break no rule.
    requests : int
        The number of requests that they would take.
    bytes : int
        The size of these requests.
    problems : dict of int to list of Problem
        The problems of the other rows, by row.
    columns : Columns
        What would be done with each column.
    hints : mapping of str to int
        The number of likely mistakes in the first 10,000 rows, by field or property; they keep no row from being sent.
    """

    def __init__(self, table: StagedTable, batch_size: int) -> None:
        self._table = table
        self.rows, self.columns = table.rows, table.columns
        self.valid = length = 0
        self.problems: dict[int, list[Problem]] = {}
        hinted: Counter[str] = Counter()
        for rows in table.chunks():
            self.problems |= rows.problems
            texts = [text for text in rows.texts if text is not None]
            self.valid += len(texts)
            length += sum(len(text.encode()) for text in texts)
            if rows.first < _MAX_HINTED:
                hinted.update(_hinted(rows))
        self.hints: Mapping[str, int] = hinted
        self.requests = -(-self.valid // batch_size)
        self.bytes = length + self.valid - self.requests + self.requests * len(body([]))

    def __repr__(self) -> str:
        return _text(self._head(), self._reasons(), self._notes())

    def _repr_html_(self) -> str:
        """Return the numbers, the first problems as a table, and what would be done with each column."""
        problems = self._reasons()
        return card(self._head(), html_table(problems, ("rows", "", "problem")) if problems else "", *self._notes())

    def _head(self) -> str:
        sizes = f"{counted(self.requests, 'request')}, {counted(self.bytes, 'byte')}"
        return f"{self.valid} of {counted(self.rows, 'row')} are valid: {sizes}"

    def _reasons(self) -> list[list[str]]:
        found = ((f"row {row}", problem) for row, problems in self.problems.items() for problem in problems)
        return _first_reasons((row, "", str(problem), 1) for row, problem in found)

    def _notes(self) -> list[str]:
        """Return what would be done with each column, and where likely mistakes are."""
        hints = ", ".join(f"{name} ({counted(count, 'row')})" for name, count in self.hints.items())
        return [*self.columns.lines(), *([f"Likely mistakes, which are sent anyway: {hints}"] if hints else [])]

    def frame(self) -> pd.DataFrame:
        """Return a row for each problem.

        Returns
        -------
        pandas.DataFrame
            The row it is in, the field, the value, what is wrong, the rule.
        """
        found = [
            (row, problem.field, problem.value, problem.message, problem.rule)
            for row, problems in self.problems.items()
            for problem in problems
        ]
        frame = pd.DataFrame(found, columns=["row", "field", "value", "what", "rule"], dtype=object)
        return frame.astype({"row": "int64"})

    def save_quarantine(self, path: str | Path) -> None:
        """Write the rows that are not valid, as `Report.save_quarantine` does.

        Parameters
        ----------
        path : str or Path
            The path of a `.jsonl` file, which is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        OSError
            If the file cannot be written.
        """
        _save_jsonl(path, (rows.given(row) for rows in self._table.chunks() for row in rows.problems))

    def seconds(self, requests_a_second: float) -> float:
        """Return how long the requests take at a rate.

        Parameters
        ----------
        requests_a_second : float
            The rate.

        Returns
        -------
        float
            The seconds.
        """
        return self.requests / requests_a_second


def _first_reasons(found: Iterable[tuple[str, str, str, int]]) -> list[list[str]]:
    """Return the first different states and reasons, after the first row that has both and the number of others.

    Each of the `found` is a row, its state and reason, and the number of rows that have both.
    """
    rows: dict[tuple[str, str], list[Any]] = {}
    for row, state, reason, number in found:
        rows.setdefault((state, reason), [row, -1])[1] += number
    shown = [
        [f"{row} and {others} more" if others else row, state, reason]
        for (state, reason), (row, others) in islice(rows.items(), _MAX_SHOWN)
    ]
    left = len(rows) - len(shown)
    return [*shown, ["others", "", f"{counted(left, 'more reason')}, all in frame()"]] if left else shown


def _text(head: str, reasons: Iterable[Iterable[str]], notes: Iterable[str]) -> str:
    lines = [f"  {rows}: {', '.join(filter(None, reason))}" for rows, *reason in reasons]
    return "\n".join([head, *lines, *notes])


def _hinted(rows: EncodedRows) -> Iterator[str]:
    """Yield the field of each hint on each row, as far as its values are texts."""
    for row in range(rows.first, rows.first + len(rows.texts)):
        given = rows.given(row)
        pairs = given.get(NESTED[0])
        properties = pairs if isinstance(pairs, dict) else {}
        fields = {api_name: given.get(name) for name, api_name in TEXT_FIELDS.items()}
        texts = [*filter(None, fields.values()), *properties, *properties.values()]
        if all(isinstance(text, str) for text in texts):
            yield from (hint.field for hint in hints(fields, properties))


def _save_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    if Path(path).suffix != ".jsonl":
        raise InvalidArgument(f"save_quarantine: expected a path ending in .jsonl, got {Path(path).name!r}")
    with Path(path).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, default=lambda value: [str(value)]) + "\n")


def _harmless(cells: Iterable[Any]) -> list[str]:
    """Return cells as text that no spreadsheet takes for a formula."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    return [f"'{text}" if text[:1] in _FORMULA else text for text in texts]
