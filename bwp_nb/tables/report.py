"""What became of the rows of a table: counted, one row a line, and those that need mending as a table again."""

import csv
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.errors import BwpError
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.problems import Problem
from bwp_nb.tables.ledger import STATES, Ledger
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds, records
from bwp_nb.tables.source import NESTED, SPREADSHEET_COLUMNS, Chunk, Table, table
from bwp_nb.text import readable

if TYPE_CHECKING:
    import pandas as pd

_ENDS = ("sent", "rejected", "invalid", "failed", "unknown")
_NOT_TRIED = "not tried: the run ended before its turn came"
_NO_ANSWER = "sent, and the run ended before the answer was written down"
_MOST_SHOWN = 10
_TAKEN = (*TEXT_FIELDS, *TEXT_FIELDS.values(), *NESTED)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Report:
    """What became of each row: every one is `sent`, `rejected`, `invalid`, `failed` or `unknown`.

    `counts` has their numbers, `rows` is their sum; a row is told by its number in the source, from 0. `stopped` says
    why the run ended early, if it did.
    """

    def __init__(self, ledger: Ledger, table: Table, layout: ColumnMapping, stopped: str = "") -> None:
        self._ledger = ledger
        self._table = table
        self._layout = layout
        self.stopped = stopped
        assert ledger.run is not None  # noqa: S101  # a run has begun, or there is nothing to report
        self._made = GeneratedIds(ledger.run.run, ledger.run.time)
        self.rows = ledger.run.rows
        self.counts = _counts(ledger.states)

    @classmethod
    def read(
        cls,
        ledger: str | Path,
        source: Any,
        *,
        columns: Mapping[str, str] | None = None,
        properties: Iterable[str] | Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> "Report":
        """Return the report of a run that ended early, from its ledger and the table it was sending."""
        if not Path(ledger).is_file():
            raise BwpError(f"There is no ledger {Path(ledger).name}.")
        given, book = table(source), Ledger(ledger)
        book.close()
        if book.run is None or book.run.source != given.digest():
            raise BwpError(f"{book.name} is no account of {given.name}: it is of another source, or nothing had begun.")
        layout = ColumnMapping.of(given, columns, properties, fields)
        if book.run.layout != layout.digest:
            raise BwpError(
                f"{book.name} is of a run with other columns, properties or fields: give those that it was sent with."
            )
        return cls(book, given, layout)

    def __repr__(self) -> str:
        lines = [f"{self.rows} rows{self._where()}: {_listed(self.counts)}"]
        lines += [f"  {rows}: {state}, {reason}" for rows, state, reason in self._reasons()]
        return "\n".join([*lines, *self._next_steps()])

    def _repr_html_(self) -> str:
        """Return the counts and the first reasons as tables, in which nobody's text is more than text."""
        counts = _table([state, str(count)] for state, count in self.counts.items() if count)
        reasons = _table(self._reasons())
        steps = "".join(f"<p>{html.escape(step)}</p>" for step in self._next_steps())
        head = f"<p>{self.rows} rows{html.escape(self._where())}</p>"
        return f'<div class="tex2jax_ignore mathjax_ignore">{head}{counts}{reasons}{steps}</div>'

    def frame(self, *, ids: bool = True) -> "pd.DataFrame":
        """Return one row for each row of the source: `event_id`, `state`, `reason`, `batch` and `attempts`.

        `batch` is the last request that the row was in, 0 if it was in none; `attempts` counts all its sendings.
        Without `ids` the source is not read again.
        """
        frame = self._known()
        if not ids:
            return frame
        event_ids = [event_id for chunk in self._table.chunks() for event_id in self._ids(chunk)]
        if len(event_ids) != self.rows:
            raise BwpError(
                f"{self._table.name} has been changed: it has {len(event_ids)} rows, and had {self.rows}. "
                "report.frame(ids=False) tells what became of them by their number."
            )
        frame.insert(0, "event_id", event_ids)
        return frame

    def events(self, *states: str) -> "pd.DataFrame":
        """Return the rows that are in some states as a table to send again, with the ids and times they were sent with.

        Columns bear the names of fields and properties, whatever the source calls them; the index is the row's number.
        """
        import pandas as pd

        found = dict(self._records(states))
        index = pd.Index(list(found), name="row", dtype="int64")
        return pd.DataFrame(_flat(list(found.values())), index, None if found else list(TEXT_FIELDS), dtype=object)

    def quarantine(self) -> "pd.DataFrame":
        """Return the rows that must be mended, `invalid` and `rejected`: mend them and give them to `send_table`."""
        return self.events("invalid", "rejected")

    def save_quarantine(self, path: str | Path) -> None:
        """Write the rows that must be mended to a `.jsonl` file, as they are: for `send_table` and for forms.

        Each line holds the keywords of one `UserEvent`; `unreadable_row` holds what could not be read. What JSON cannot
        hold stands as a list of its text, so that it is refused again until it is mended.
        """
        if Path(path).suffix != ".jsonl":
            raise ValueError(
                f"Rows to mend are kept in a .jsonl file, not in {Path(path).name!r}; see save_spreadsheet"
            )
        with Path(path).open("w", encoding="utf-8") as file:
            for _, row in self._records(("invalid", "rejected")):
                file.write(json.dumps(row, default=lambda value: [str(value)]) + "\n")

    def save_spreadsheet(self, path: str | Path) -> None:
        """Write the rows that must be mended and why to a `.csv` file for a spreadsheet; it cannot be sent again.

        A cell that begins like a formula gets a `'` before it, which keeps it text.
        """
        if Path(path).suffix != ".csv":
            raise ValueError(f"A list for people is kept in a .csv file, not in {Path(path).name!r}")
        import pandas as pd

        events = self.quarantine()
        ends = self.frame(ids=False)[["state", "reason"]]
        with Path(path).open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*SPREADSHEET_COLUMNS, *map(_harmless, events.columns)])
            for row, cells in zip(events.index, events.to_numpy(), strict=True):
                given = ["" if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell for cell in cells]
                writer.writerow(map(_harmless, [row, *ends.loc[row], *given]))

    def _ids(self, chunk: Chunk) -> list[Any]:
        if chunk.events is not None:
            return [event.event_id for event in chunk.events]
        return self._layout.fields_of(chunk, self._made)["event_id"]

    def _records(self, states: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the number and the content of each row that is in one of some states."""
        wanted = {code for code, state in enumerate(STATES) if _end(state) in states}
        for chunk in self._table.chunks():
            found = self._ledger.states[chunk.first : chunk.first + chunk.length]
            places = [place for place, code in enumerate(found) if code in wanted]
            rows = [chunk.first + place for place in places]
            yield from zip(rows, records(chunk, self._layout, self._made, places), strict=True)

    def _known(self) -> "pd.DataFrame":
        import numpy as np
        import pandas as pd

        states = np.frombuffer(bytes(self._ledger.states), dtype=np.uint8)
        batches, attempts, reasons = (np.zeros(self.rows, dtype=np.int64) for _ in range(3))
        texts = ["", _NOT_TRIED, _NO_ANSWER]
        for line in self._ledger.lines():
            texts += [line.reason] if line.reason else []
            for first, end in line.rows:
                batches[first:end] = line.batch
                attempts[first:end] += line.attempts
                reasons[first:end] = len(texts) - 1 if line.reason else 0
        reasons[states == STATES.index("untried")] = 1
        reasons[states == STATES.index("in_flight")] = 2
        ends = np.array([_end(state) for state in STATES], dtype=object)[states]
        told = np.array(texts, dtype=object)[reasons]
        columns = {"state": ends, "reason": told, "batch": batches, "attempts": attempts}
        return pd.DataFrame(columns, index=pd.RangeIndex(self.rows, name="row"))

    def _reasons(self) -> list[list[str]]:
        """Return the first rows that have a reason, one of each kind, and how many more are like it."""
        try:
            known = self.frame(ids=False).reset_index()
        except (OSError, BwpError):  # what is counted is known all the same
            return [["reasons", "not told", f"{self._ledger.name} is gone or has been changed"]]
        kinds = known[known["reason"] != ""].groupby(["state", "reason"], sort=False)["row"].agg(["min", "size"])
        shown = kinds.sort_values("min").head(_MOST_SHOWN)
        lines = [
            [f"row {first}" if count == 1 else f"row {first} and {count - 1} more", state, reason]
            for (state, reason), first, count in shown.itertuples()
        ]
        left = len(kinds) - len(shown)
        return lines + ([["others", "", f"{left} more reasons, all in report.frame()"]] if left else [])

    def _where(self) -> str:
        """Return where the rows went, if that is the live API."""
        target = self._ledger.run.target if self._ledger.run else ""
        return "" if target == "sandbox" else f" to the live API, {readable(target, 200)}"

    def _next_steps(self) -> Iterator[str]:
        if self.stopped:
            yield f"Stopped early: {self.stopped}"
        if self.counts["failed"] + self.counts["unknown"]:
            yield (
                "To send what is failed or unknown, make the same call again: the ledger knows what is done."
                if self._ledger.path
                else "To send what is failed or unknown, give report.events('failed', 'unknown') to send_table."
            )
        if self.counts["rejected"] + self.counts["invalid"]:
            yield "To mend what is rejected or invalid, see report.quarantine()."


@dataclass(frozen=True)
class DryRun:
    """What sending a table would come to: how many of its `rows` are `valid`, how many requests and bytes that is.

    `problems` are what is wrong with the others, by row; of each row all problems.
    """

    rows: int
    valid: int
    requests: int
    bytes: int
    problems: dict[int, list[Problem]] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        head = f"{self.valid} of {self.rows} rows are valid: {self.requests} requests, {self.bytes} bytes"
        shown = list(self.problems.items())[:_MOST_SHOWN]
        lines = [f"  row {row}: {'; '.join(map(str, problems))}" for row, problems in shown]
        left = len(self.problems) - len(shown)
        return "\n".join([head, *lines, *([f"  and {left} more rows, all in frame()"] if left else [])])

    def frame(self) -> "pd.DataFrame":
        """Return one row for each problem: the row it is in, the field, the value, what is wrong, the rule."""
        import pandas as pd

        found = [
            {"row": row, "field": problem.field, "value": problem.value, "what": problem.message, "rule": problem.rule}
            for row, problems in self.problems.items()
            for problem in problems
        ]
        return pd.DataFrame(found, columns=["row", "field", "value", "what", "rule"])

    def seconds(self, requests_a_second: float) -> float:
        """Return how long the requests take at a rate."""
        return self.requests / requests_a_second


def _end(state: str) -> str:
    """Return the state that a row is reported in: untried is known not to be accepted, under way is not known."""
    return {"untried": "failed", "in_flight": "unknown"}.get(state, state)


def _counts(states: bytearray) -> dict[str, int]:
    counts = dict.fromkeys(_ENDS, 0)
    for code, state in enumerate(STATES):
        counts[_end(state)] += states.count(code)
    return counts


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"


def _flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with a column for each property, unless in some row one could be taken for something else."""
    flat = []
    for row in rows:
        properties = row.get("additional_properties", {})
        fields = {name: value for name, value in row.items() if name != "additional_properties"}
        if not isinstance(properties, dict) or not {*fields, *_TAKEN}.isdisjoint(properties):
            return rows
        flat.append(fields | properties)
    return flat


def _harmless(cell: Any) -> str:
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(rows: Iterable[list[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tbody>{body}</tbody></table>" if body else ""
