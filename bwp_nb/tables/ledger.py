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
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.displays.short_errors import extra
from bwp_nb.errors import LedgerError
from bwp_nb.text import quoted, readable

with extra("tables"):
    import filelock
    import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The states of a row, by the number that represents each; the first two are never tried, and being sent.
STATES = ("untried", "in_flight", "sent", "rejected", "invalid", "failed", "unknown")

#: The bytes of a ledger without a path that are kept in memory rather than in a temporary file.
_IN_MEMORY = 2**23
_FORM = {"bwp_ledger": 4}
_NOT_TRIED = "not sent: the run ended before its turn"
_NO_RESPONSE = "sent, but the run ended before the response was recorded"
_BEGINNING = b'{"bwp_ledger":'
_encoded = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Run:
    """What a run sends: a digest of the events, the target, and the number of rows.

    Ids and times that the source lacks are generated from `run` and `time`.
    """

    events: str
    target: str
    rows: int
    run: str
    time: str


@dataclass(frozen=True)
class Line:
    """What is known of some rows, given as ranges: the first row of each, and the one after its last.

    `copies` is the number of requests, retries included, that may have been accepted with them; before the outcome is
    known, the most that there can be. `reason` is that of all rows, or a list with one for each. `split` says
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
    """A run's file, locked against other runs until it is closed; one in memory without a path.

    `run` is None until a run has begun. `states` has a byte for each row, `splits` is the number of requests that were
    split. One that is `read_only` is not locked: it has what was written when it was opened, also while a run is
    writing more, and needs no `close`.
    """

    def __init__(self, path: str | Path | None = None, *, read_only: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self.run: Run | None = None
        self.states = bytearray()
        self.batches = self.splits = 0
        self._writing = threading.Lock()
        self._opened = ExitStack()
        with ExitStack() as opened:
            self._file = self._open(read_only, opened)
            self._read()
            if not read_only:
                self._file.truncate(self._size)
                self._opened = opened.pop_all()

    def _open(self, read_only: bool, opened: ExitStack) -> Any:
        """Return the file; what is to be closed, and the lock on it, are added to `opened`."""
        if self.path is None:
            spooled = tempfile.SpooledTemporaryFile(_IN_MEMORY, buffering=0)  # noqa: SIM115  # open as long as this is
            weakref.finalize(self, spooled.close)
            return spooled
        try:
            self.path = Path(os.path.realpath(self.path))  # so that a file has one lock, by any name
            if read_only:
                return opened.enter_context(self.path.open("rb"))
            if not self.path.parent.is_dir():  # which filelock would make
                raise FileNotFoundError(errno.ENOENT, f"the folder {self.path.parent.name!r} does not exist")
            opened.enter_context(filelock.FileLock(f"{self.path}.lock").acquire(timeout=0))
            return opened.enter_context(self.path.open("a+b", buffering=0))
        except filelock.Timeout:
            advice = "Wait for it to end, and make the same call again to send what is left."
            raise LedgerError(f"Another run is writing {self.name}, in this process or another. {advice}") from None
        except (OSError, ValueError, NotImplementedError) as error:  # the last for a file system without locks
            said = readable(getattr(error, "strerror", None) or str(error), 160)
            raise LedgerError(f"Cannot open {self.name}: {said}.") from None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "the ledger" if self.path is None else f"the ledger {readable(self.path.name)}"

    def begin(self, run: Run) -> None:
        """Write the first line."""
        self._append(_encoded(_FORM | asdict(run)) + "\n")
        self.run, self.states = run, bytearray(run.rows)

    def expect(self, name: str, events: str, target: str | None = None) -> None:
        """Raise `LedgerError` if the run that this ledger records does not send the same.

        `name` is the source's; `events` is their digest.
        """
        if self.run is None or self.run.events != events:
            mapping = "it was made with other columns=, properties= or fields="
            said = f"it belongs to different data than {name}, or {mapping}. Pass what it was made with"
            advice = "; to start over, use a new ledger path." if target else "."
            raise LedgerError(f"Cannot use {self.name}: {said}{advice}")
        if target and self.run.target != target:
            there, here = readable(self.run.target, 200), readable(target, 200)
            said = f"its run sent to {there}; this client sends to {here}. To start over, use a new ledger path."
            raise LedgerError(f"Cannot use {self.name}: {said}")

    def write(self, *found: Line) -> None:
        """Add what is known now."""
        if found:
            self._append("".join(line.text() for line in found))
        for line in found:
            self.splits += line.split
            code = bytes([STATES.index(line.state)])
            for first, end in line.rows:
                self.states[first:end] = code * (end - first)

    def next_batch(self) -> int:
        """Return the number of a new batch."""
        with self._writing:
            self.batches += 1
            return self.batches

    def count(self, *states: str) -> int:
        """Return the number of rows in some states."""
        return sum(self.states.count(STATES.index(state)) for state in states)

    def account(self) -> "dict[str, NDArray[Any]]":
        """Return what is known of each row, as columns: `state` (a number), `batch`, `attempts`, `copies`, `reason`."""
        if self.path is None:
            self._file.seek(0)
        content = (self.path.read_bytes() if self.path else self._file.read())[: self._size]
        if len(content) < self._size or _run(content, self.name) != self.run:
            raise LedgerError(f"Cannot read {self.name}: it now belongs to another run.")
        return _account(content, self.name, len(self.states))[0]

    def close(self) -> None:
        """Close and unlock the file."""
        self._opened.close()

    def _read(self) -> None:
        """Read what an earlier run wrote, without a last line that is incomplete."""
        self._file.seek(0)
        content = self._file.read()
        if not content.startswith(_BEGINNING[: len(content)]):
            raise LedgerError(f"{self.name[11:]} is not a ledger; use a new ledger path.")
        self._size = content.rfind(b"\n") + 1
        if self._size:
            self.run = _run(content, self.name)
            columns, self.splits = _account(content[: self._size], self.name, self.run.rows)
            self.states = bytearray(columns["state"].astype(np.uint8))
            self.batches = int(columns["batch"].max(initial=0))

    def _append(self, text: str) -> None:
        """Write all of a text or nothing of it, or raise `LedgerError`, on a full disk for example."""
        with self._writing:
            content = text.encode()
            rest = content
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                with suppress(OSError):  # a temporary file may have to be made for it
                    self._file.truncate(self._size)
                raise LedgerError(f"Cannot write {self.name}: {readable(str(error), 160)}.") from error
            self._size += len(content)


def ranges(rows: Sequence[int]) -> list[list[int]]:
    """Return row numbers as ranges."""
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


def _account(content: bytes, name: str, rows: int) -> "tuple[dict[str, NDArray[Any]], int]":
    """Return what the lines after the first say of each row, without an incomplete last line, and how many split.

    A request counts with the most copies that there can be until its outcome is known.
    """
    state, batch, attempts, copies, reason = np.zeros((5, rows), dtype=np.int64)
    reasons, splits, most = [_NOT_TRIED], 0, {}
    for number, text in enumerate(content.split(b"\n")[1:-1], 2):
        try:
            line = Line(**json.loads(text))
            found = _rows(line, rows)
            given = _reasons(line)
            if line.state == "in_flight":
                most[line.batch] = line.copies
                given = [_NO_RESPONSE]
                copies[found] += line.copies
            elif line.batch:  # the outcome of a batch, which all of these rows are in
                if not ((state[found] == 1) & (batch[found] == line.batch)).all():
                    raise ValueError
                copies[found] += line.copies - most[line.batch]
            state[found], batch[found] = STATES.index(line.state), line.batch
            attempts[found] += line.attempts
            reason[found] = np.arange(len(given)) + len(reasons)
            reasons += given
            splits += line.split
        except (ValueError, TypeError, KeyError, OverflowError):
            shown = quoted(readable(text.decode("utf-8", "replace"), 60))
            raise LedgerError(f"Cannot read line {number} of {name}: {shown}.") from None
    texts = np.array(reasons, dtype=object)[reason]
    return {"state": state, "reason": texts, "batch": batch, "attempts": attempts, "copies": copies}, splits


def _reasons(line: Line) -> list[str]:
    return line.reason if isinstance(line.reason, list) else [line.reason]


def _rows(line: Line, rows: int) -> "NDArray[np.int64]":
    """Return the rows of a line, or raise `ValueError` or `TypeError` if it cannot be one of a run of some rows."""
    bounds = [*chain.from_iterable(line.rows)]
    is_ordered = all(bound < after for bound, after in pairwise([-1, *bounds, rows + 1]))
    numbers = {type(number) for number in (line.batch, line.attempts, line.copies, *bounds)}
    is_typed = numbers == {int} and {*map(type, _reasons(line))} == {str} and isinstance(line.split, bool)
    is_known = line.state in STATES[1:] and (line.state == "invalid") == (line.batch == 0)
    if not (is_ordered and is_typed and is_known) or min(line.attempts, line.copies) < 0:
        raise ValueError
    return np.array([row for first, end in line.rows for row in range(first, end)], dtype=np.int64)
