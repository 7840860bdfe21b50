"""What became of each row, line by line in a file: written before a batch is sent and after, so a killed run resumes.

The first line tells whose ledger it is; each further one what is known of some rows. A line is written at once and
whole. What was being sent when the process ended stands there as `in_flight`.
"""

import json
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock

from bwp_nb.errors import BwpError
from bwp_nb.text import quoted, readable

#: What a row can be, by the number that stands for it; the first two are never tried, and under way.
STATES = ("untried", "in_flight", "sent", "rejected", "invalid", "failed", "unknown")

_FORM = {"bwp_ledger": 2}
_SPOOL = 2**23
_BEGINNING = b'{"bwp_ledger":'
_encoded = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Run:
    """Whose ledger it is: digests of the source and of how it is laid out, where it goes, and its number of rows.

    Ids and times that the source lacks come from `run` and `time`.
    """

    source: str
    layout: str
    target: str
    rows: int
    run: str
    time: str


@dataclass(frozen=True)
class Line:
    """What is known of some rows, given as ranges: the first of each, and the one behind its last."""

    rows: Sequence[Sequence[int]]
    state: str
    batch: int = 0
    attempts: int = 0
    reason: str = ""

    def text(self) -> str:
        """Return the line as JSON; what is nothing is left out."""
        return _encoded({name: value for name, value in vars(self).items() if value}) + "\n"


class CannotWrite(OSError):
    """A ledger cannot be written, on a full disk for example."""


class Ledger:
    """A run's file, held against other runs until it is closed; without a path a temporary one.

    `run` is None as long as nothing has begun. `states` has a byte for each row.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path).resolve()  # one file has one lock, by whatever name
        self.run: Run | None = None
        self.states = bytearray()
        self.batches = 0
        self._writing = threading.Lock()
        self._held = None if self.path is None else _hold(self.path)
        try:
            self._file = _opened(self.path)
            weakref.finalize(self, self._file.close)
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the ledger" if self.path is None else f"the ledger {self.path.name}"

    def begin(self, run: Run) -> None:
        """Write whose ledger it is."""
        self.run, self.states = run, bytearray(run.rows)
        self._append(_encoded(_FORM | asdict(run)) + "\n")

    def write(self, *found: Line) -> None:
        """Add what is known now, or raise `CannotWrite`."""
        if found:
            self._append("".join(line.text() for line in found))
            self._note(found)

    def next_batch(self) -> int:
        """Return the number of a new batch."""
        with self._writing:
            self.batches += 1
            return self.batches

    def lines(self) -> Iterator[Line]:
        """Yield all that is known, from the beginning."""
        if self.path is not None:
            content = self.path.read_bytes()
        else:
            self._file.seek(0)
            content = self._file.read()
        if _run(content, self.name) != self.run:
            raise BwpError(f"{self.name} is another run's by now: what became of these rows stood in it before.")
        return _lines(content, self.name, len(self.states))

    def close(self) -> None:
        """Give the file free for others; a temporary one stays until the ledger goes."""
        if self.path is not None and hasattr(self, "_file"):
            self._file.close()
        if self._held is not None:
            self._held.release()

    def _read(self) -> None:
        """Take up what an earlier run wrote, but for a last line that was torn."""
        content = self._file.read()
        if content and not content.startswith(_BEGINNING[: len(content)]):
            raise BwpError(f"{self.name[11:]} is no ledger, and nothing was written to it. Name another file.")
        whole = content.rfind(b"\n") + 1
        self._file.truncate(whole)
        self._size = whole
        if whole:
            self.run = _run(content, self.name)
            self.states = bytearray(self.run.rows)
            for line in _lines(content[:whole], self.name, self.run.rows):
                self._note([line])
                self.batches = max(self.batches, line.batch)

    def _note(self, found: Iterable[Line]) -> None:
        for line in found:
            code = bytes([STATES.index(line.state)])
            for first, end in line.rows:
                self.states[first:end] = code * (end - first)

    def _append(self, text: str) -> None:
        """Write all of a text or nothing of it."""
        with self._writing:
            content = text.encode()
            rest = content
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                self._file.truncate(self._size)
                raise CannotWrite(str(error)) from error
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


def _hold(path: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise BwpError(
            f"Another run is writing the ledger {path.name}, in this process or another. Nothing was sent by this one. "
            "Wait for it to end, and call again to send what is left."
        ) from None
    return lock


def _opened(path: Path | None) -> Any:
    if path is None:
        return tempfile.SpooledTemporaryFile(_SPOOL, buffering=0)  # closed when the ledger goes
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        said = readable(str(error.strerror), 160)
        raise BwpError(f"Nothing was sent, because the ledger {path.name} cannot be opened: {said}.") from None
    file.seek(0)
    return file


def _run(content: bytes, name: str) -> Run:
    try:
        given = json.loads(content[: content.index(b"\n")])
        form = {key: given.pop(key) for key in _FORM}
        if form == _FORM:
            return Run(**given)
    except (ValueError, TypeError, KeyError):
        pass
    raise BwpError(f"The first line of {name} is none that this version of the package wrote. Name another file.")


def _lines(content: bytes, name: str, rows: int) -> Iterator[Line]:
    """Yield what stands behind the first line; what has no end of line was torn, and is left out."""
    for number, text in enumerate(content.split(b"\n")[1:-1], 2):
        try:
            line = Line(**json.loads(text))
            if line.state not in STATES or any(not 0 <= first < end <= rows for first, end in line.rows):
                raise ValueError
            yield line
        except (ValueError, TypeError):
            shown = quoted(readable(text.decode("utf-8", "replace"), 60))
            raise BwpError(f"Line {number} of {name} cannot be read: {shown}. Nothing was sent.") from None
