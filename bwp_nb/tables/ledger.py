"""Records the outcome of each row in a file: before a batch is sent and after it, so that a killed run can resume.

The first line identifies the run; each further one says what is known of some rows. A line is written at once and as a
whole. The rows that were being sent when the process ended have the state `in_flight`.
"""

import errno
import json
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np

from bwp_nb.errors import LedgerError
from bwp_nb.text import quoted, readable

if TYPE_CHECKING:
    import pandas as pd

#: The states of a row, by the number that represents each; the first two are never tried, and being sent.
STATES = ("untried", "in_flight", "sent", "rejected", "invalid", "failed", "unknown")

_FORM = {"bwp_ledger": 3}
_COUNTS = ("batch", "attempts", "copies")
_NOT_TRIED = "not sent: the run ended before its turn"
_NO_RESPONSE = "sent, but the run ended before the response was recorded"
_SPOOL = 2**23
_BEGINNING = b'{"bwp_ledger":'
_encoded = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Run:
    """What a run sends: digests of the source and of its mapping, the target, and the number of rows.

    Ids and times that the source lacks are generated from `run` and `time`.
    """

    source: str
    mapping: str
    target: str
    rows: int
    run: str
    time: str


@dataclass(frozen=True)
class Line:
    """What is known of some rows, given as ranges: the first row of each, and the one after its last.

    `copies` is the number of requests, retries included, that may have been accepted with them; before the outcome is
    known, the most that there can be. `reason` is that of all rows, or a list with one for each range. `split` says
    that the request was too large, and that its rows are sent again in smaller ones.
    """

    rows: Sequence[Sequence[int]]
    state: str
    batch: int = 0
    attempts: int = 0
    copies: int = 0
    reason: str | list[str] = ""
    split: bool = False

    def text(self) -> str:
        """Return the line as JSON, without empty values."""
        return _encoded({name: value for name, value in vars(self).items() if value}) + "\n"


class Ledger:
    """A run's file, locked against other runs until it is closed; a temporary one without a path.

    `run` is None until a run has begun. `states` has a byte for each row, `splits` is the number of requests that were
    split. One that is `read_only` is not locked: it has what was written when it was opened, also while a run is
    writing more.
    """

    def __init__(self, path: str | Path | None = None, *, read_only: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self.run: Run | None = None
        self.states = bytearray()
        self.batches = self.splits = 0
        self._writing = threading.Lock()
        self._lock: filelock.BaseFileLock | None = None
        try:
            self._file = self._opened(read_only)
            weakref.finalize(self, self._file.close)
            self._read()
            if not read_only:
                self._file.truncate(self._size)
        except BaseException as error:
            self.close()
            if isinstance(error, LedgerError) and not read_only:
                raise LedgerError(f"{error} Nothing was sent.") from None
            raise

    def _opened(self, read_only: bool) -> Any:
        if self.path is None:
            return tempfile.SpooledTemporaryFile(_SPOOL, buffering=0)  # closed when the ledger is collected
        try:
            self.path = Path(os.path.realpath(self.path))  # so that a file has one lock, by any name
            if read_only:
                return self.path.open("rb")
            if not self.path.parent.is_dir():  # which filelock would make
                raise FileNotFoundError(errno.ENOENT, "its folder does not exist")
            self._lock = filelock.FileLock(f"{self.path}.lock")
            self._lock.acquire(timeout=0)
            return self.path.open("a+b", buffering=0)
        except filelock.Timeout:
            advice = "Wait for it to end, and make the same call again to send what is left."
            raise LedgerError(f"Another run is writing {self.name}, in this process or another. {advice}") from None
        except (OSError, ValueError) as error:
            said = readable(getattr(error, "strerror", None) or str(error), 160)
            raise LedgerError(f"Cannot open {self.name}: {said}.") from None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "the ledger" if self.path is None else f"the ledger {readable(self.path.name)}"

    def begin(self, run: Run) -> None:
        """Write the first line."""
        try:
            self._append(_encoded(_FORM | asdict(run)) + "\n")
        except LedgerError as error:
            raise LedgerError(f"{error} Nothing was sent.") from error
        self.run, self.states = run, bytearray(run.rows)

    def expect(self, name: str, source: str, mapping: str, target: str | None = None) -> Run:
        """Return the run that this ledger records, or raise `LedgerError` if it does not send the same.

        `name` is the source's; `source` and `mapping` are digests.
        """
        advice = (
            "Nothing was sent; use a new ledger path to start over."
            if target
            else "Pass the source and columns of that run."
        )
        if self.run is None or self.run.source != source:
            raise LedgerError(f"Cannot use {self.name}: it belongs to different data than {name}. {advice}")
        if self.run.mapping != mapping:
            raise LedgerError(f"Cannot use {self.name}: its run has other columns, properties or fields. {advice}")
        if target and self.run.target != target:
            there, here = readable(self.run.target, 200), readable(target, 200)
            raise LedgerError(f"Cannot use {self.name}: its run sent to {there}; this client sends to {here}. {advice}")
        return self.run

    def write(self, *found: Line) -> None:
        """Add what is known now."""
        if found:
            self._append("".join(line.text() for line in found))
            self._note(found)

    def next_batch(self) -> int:
        """Return the number of a new batch."""
        with self._writing:
            self.batches += 1
            return self.batches

    def count(self, *states: str) -> int:
        """Return the number of rows in some states."""
        return sum(self.states.count(STATES.index(state)) for state in states)

    def account(self) -> "pd.DataFrame":
        """Return what is known of each row: `batch`, the last one, `attempts`, `copies` and `reason`."""
        if self.path is not None:
            content = self.path.read_bytes()[: self._size]
        else:
            self._file.seek(0)
            content = self._file.read()
        if len(content) < self._size or _run(content, self.name) != self.run:
            raise LedgerError(f"Cannot read {self.name}: it now belongs to another run.")
        return _account(_lines(content, self.name, len(self.states))[1])

    def close(self) -> None:
        """Unlock the file; a temporary one remains until the ledger is collected."""
        if self.path is not None and hasattr(self, "_file"):
            self._file.close()
        if self._lock is not None:
            self._lock.release()

    def _read(self) -> None:
        """Read what an earlier run wrote, without a last line that is incomplete."""
        self._file.seek(0)
        content = self._file.read()
        if not content.startswith(_BEGINNING[: len(content)]):
            raise LedgerError(f"{self.name[11:]} is not a ledger; use a new ledger path.")
        self._size = content.rfind(b"\n") + 1
        if self._size:
            self.run = _run(content, self.name)
            self.states = bytearray(self.run.rows)
            lines, entries = _lines(content[: self._size], self.name, self.run.rows)
            self._note(lines)
            self.batches = int(entries["batch"].max()) if lines else 0

    def _note(self, found: Iterable[Line]) -> None:
        for line in found:
            self.splits += line.split
            code = bytes([STATES.index(line.state)])
            for first, end in line.rows:
                self.states[first:end] = code * (end - first)

    def _append(self, text: str) -> None:
        """Write all of a text or nothing of it, or raise `LedgerError`, on a full disk for example."""
        with self._writing:
            content = text.encode()
            rest = content
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                self._file.truncate(self._size)
                raise LedgerError(f"Cannot write {self.name}: {readable(str(error), 160)}.") from error
            self._size += len(content)


def ranges(rows: Sequence[int]) -> list[list[int]]:
    """Return row numbers as ranges."""
    if rows and list(rows) == list(range(rows[0], rows[-1] + 1)):
        return [[rows[0], rows[-1] + 1]]
    found: list[list[int]] = []
    for row in rows:
        if found and found[-1][1] == row:
            found[-1][1] += 1
        else:
            found.append([row, row + 1])
    return found


def _run(content: bytes, name: str) -> Run:
    try:
        given = json.loads(content[: content.index(b"\n")])
        if {key: given.pop(key) for key in _FORM} == _FORM:
            return Run(**given)
    except (ValueError, TypeError, KeyError):
        pass
    raise LedgerError(f"The first line of {name} was not written by this version of bwp_nb; use a new ledger path.")


def _check(line: Line, rows: int) -> None:
    """Raise `ValueError` or `TypeError` for a line that this module does not write."""
    numbers = [line.batch, line.attempts, line.copies, *chain.from_iterable(line.rows)]
    is_typed = {*map(type, numbers)} == {int} and {*map(type, _reasons(line))} <= {str} and type(line.split) is bool
    is_known = line.state in STATES[1:] and (line.state == "invalid") == (line.batch == 0)
    is_whole = len(_reasons(line)) == len(line.rows) and all(first < end <= rows for first, end in line.rows)
    if not (is_typed and is_known and is_whole and min(numbers) >= 0):
        raise ValueError


def _reasons(line: Line) -> list[str]:
    """Return the reason of each range."""
    return line.reason if isinstance(line.reason, list) else [line.reason] * len(line.rows)


def _lines(content: bytes, name: str, rows: int) -> "tuple[list[Line], pd.DataFrame]":
    """Return what follows the first line, without an incomplete last line, as lines and as entries.

    A row has the outcome only of the batch that it was last sent in.
    """
    texts = content.split(b"\n")[1:-1]
    lines = list(_parsed(texts, rows))
    entries = _entries([Line([[0, rows]], "untried", reason=_NOT_TRIED), *lines])
    sent_in = entries["batch"].where(entries["is_sent"]).groupby(entries["row"]).ffill()
    misplaced = entries["line"][(entries["batch"] > 0) & (entries["batch"] != sent_in)] - 1
    if (wrong := min([len(lines), *misplaced])) < len(texts):
        shown = quoted(readable(texts[wrong].decode("utf-8", "replace"), 60))
        raise LedgerError(f"Cannot read line {wrong + 2} of {name}: {shown}.")
    return lines, entries


def _parsed(texts: Iterable[bytes], rows: int) -> Iterator[Line]:
    """Yield the lines until one cannot be read."""
    for text in texts:
        try:
            line = Line(**json.loads(text))
            _check(line, rows)
        except (ValueError, TypeError):
            return
        yield line


def _entries(lines: Sequence[Line]) -> "pd.DataFrame":
    """Return what each line says of each of its rows, in the order of time."""
    import pandas as pd

    bounds = np.fromiter(chain.from_iterable(part for line in lines for part in line.rows), np.int64).reshape(-1, 2)
    lengths = bounds[:, 1] - bounds[:, 0]
    part = np.repeat(np.arange(len(bounds)), lengths)
    row = np.arange(len(part)) + (bounds[:, 1] - np.cumsum(lengths))[part]
    of_line = np.repeat(np.arange(len(lines)), [len(line.rows) for line in lines])[part]
    counts = {name: np.array([getattr(line, name) for line in lines])[of_line] for name in _COUNTS}
    is_sent = np.array([line.state == "in_flight" for line in lines])[of_line]
    reasons = np.array([reason for line in lines for reason in _reasons(line)], dtype=object)[part]
    return pd.DataFrame({"row": row, "line": of_line, "is_sent": is_sent, **counts, "reason": reasons})


def _account(entries: "pd.DataFrame") -> "pd.DataFrame":
    """Return what entries say of each row; a request counts with all its copies until its outcome is known."""
    is_answered = ~entries.groupby("row")["is_sent"].shift(-1, fill_value=True) & entries["is_sent"]
    entries["copies"] = entries["copies"].mask(is_answered, 0)
    sums = entries.groupby("row")[["attempts", "copies"]].sum()
    last = entries.drop_duplicates("row", keep="last").set_index("row")
    return sums.join(last["batch"]).join(last["reason"].mask(last["is_sent"], _NO_RESPONSE))
