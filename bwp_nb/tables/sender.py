"""Sends batches with several workers over one client, until each row has an outcome or the run must stop."""

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bwp_nb.client import Client
from bwp_nb.contract.classifications import ACCESS_DENIED, CLASSIFICATIONS, THROTTLING
from bwp_nb.errors import BwpError, MutationRejected, RequestFailed
from bwp_nb.mutation import MAX_EVENTS, body
from bwp_nb.tables.ledger import STATES, CannotWrite, Ledger, Line, ranges
from bwp_nb.text import readable
from bwp_nb.wire.answer import Receipt

if TYPE_CHECKING:
    from tqdm import tqdm

#: So many batches in a row that got no answer, and the run stops.
MAX_CONSECUTIVE_FAILURES = 5

#: So many requests that the API refused in a row, accepting none in between, and the run stops: more than it takes to
#: find five batches in which every event is refused.
MOST_REFUSALS = 500

#: So many requests after a pause, and one more worker takes part again.
RECOVERY = 50

_TOGETHER = "refused together with other rows, and the run ended before it was sent without them"
_INTERRUPTED = "it was interrupted"
_DOUBT = "it may have been accepted by an earlier run; in this one: "


@dataclass(frozen=True)
class Batch:
    """Rows by their number, and their events as JSON."""

    rows: list[int]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Iterable[int]) -> "Batch":
        """Return the part of it that stands at some places."""
        chosen = list(places)
        return Batch([self.rows[place] for place in chosen], [self.texts[place] for place in chosen])

    def halves(self) -> "tuple[Batch, Batch]":
        """Return its first half and its second."""
        middle = len(self) // 2
        return self.take(range(middle)), self.take(range(middle, len(self)))


@dataclass(frozen=True)
class Outcome:
    """What became of one request: its number, its events, and the receipt or the error."""

    number: int
    events: int
    found: Receipt | BwpError

    @property
    def is_refusal(self) -> bool:
        """Whether the API refuses events for what they contain."""
        return isinstance(self.found, MutationRejected) and self.found.is_validation

    @property
    def names_content(self) -> bool:
        """Whether the errors name a wrong value other than an id, so that the events were never accepted."""
        named = self.found.rejected_values if isinstance(self.found, MutationRejected) and self.is_refusal else []
        return bool(named) and all(value.field != "eventId" for value in named)

    @property
    def is_denied(self) -> bool:
        """Whether the caller has no access, so that all other events fare alike."""
        if isinstance(self.found, Receipt):
            return False
        kinds = _kinds(self.found)
        return ACCESS_DENIED in kinds or (self.found.status_code in (401, 403) and kinds.isdisjoint(CLASSIFICATIONS))

    @property
    def is_too_large(self) -> bool:
        """Whether fewer events may fare better."""
        return isinstance(self.found, RequestFailed) and self.found.status_code == 413 and self.found.state == "failed"

    @property
    def state(self) -> str:
        """The state that the rows are in now; of what is sent again in parts, nothing was accepted."""
        if self.found.state == "unknown" and not self.is_refusal:
            return "unknown"
        if self.is_refusal or self.is_too_large:
            return "rejected" if self.events == 1 else "failed"
        return "failed" if self.is_denied else self.found.state

    @property
    def reason(self) -> str:
        """Why they are."""
        if isinstance(self.found, Receipt):
            return ""
        if self.events > 1 and (self.is_refusal or self.is_too_large):
            return _TOGETHER
        return self.what

    @property
    def what(self) -> str:
        """What came back instead of a receipt."""
        return str(self.found.rows()[0]["what"]) if isinstance(self.found, BwpError) else ""


class Sender:
    """Workers that each take the next batch when they are free; `stopped` says why they ended early, if they did."""

    def __init__(self, client: Client, ledger: Ledger, workers: int, progress: bool) -> None:
        self.stopped = ""
        self._client = client
        self._ledger = ledger
        self._workers = workers
        self._progress = progress
        self._taking = threading.Lock()
        self._turn = threading.Condition()
        self._busy = 0
        self._allowed = workers
        self._resume_at = client.clock.monotonic()
        self._most = MAX_EVENTS
        self._lost_in_a_row = 0
        self._refused_in_a_row = 0
        self._well = 0
        self._show_at = 0.0
        self._error: Exception | None = None
        self._is_cut_short = False
        self._doubted = _doubted(ledger)

    def send(self, batches: Iterator[Batch]) -> None:
        """Send all, or raise what kept it from going on; in any case only when nothing is under way any more."""
        with self._bar() as self._shown, self._interruptible(), ThreadPoolExecutor(self._workers) as threads:
            working = [threads.submit(self._work, batches) for _ in range(self._workers)]
            try:
                _wait_for(working)
            except BaseException:
                self._stop(_INTERRUPTED)
                _wait_for(working)
                raise
            self._show_at = 0.0
            self._show()
        self._raise()

    def _raise(self) -> None:
        """Raise what ended the run, if that was none of the ends that a report tells of."""
        if isinstance(self._error, CannotWrite):
            said = f"Stopped, because {self._ledger.name} cannot be written: {readable(str(self._error), 160)}."
            raise BwpError(f"{said} {self._how_to_go_on()}") from self._error
        if self._error is not None:
            self._error.add_note(self._how_to_go_on())
            raise self._error
        if self.stopped == _INTERRUPTED:
            left = any(self._ledger.states.count(STATES.index(state)) for state in ("untried", "failed"))
            if left or self._is_cut_short:
                raise KeyboardInterrupt(f"Stopped. {self._how_to_go_on()}")
            self.stopped = ""  # it came when all had been sent

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let an interrupt stop the run in good order, whenever it comes; only the main thread can hear one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = signal.signal(signal.SIGINT, lambda *_: self._stop(_INTERRUPTED))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _how_to_go_on(self) -> str:
        states = self._ledger.states
        sent = f"{states.count(STATES.index('sent'))} of {len(states)} rows are sent"
        if self._ledger.path is None:
            return f"{sent}. No ledger was named that could tell which: name one, ledger='…', and a run can be resumed."
        return f"{sent}; {self._ledger.name} knows which. Make the same call again to send the others."

    def _stop(self, reason: str, error: Exception | None = None) -> None:
        """Let nothing more be sent; with no lock, which a signal's handler would wait for while workers are busy."""
        self.stopped = self.stopped or reason
        self._error = self._error or error

    def _work(self, batches: Iterator[Batch]) -> None:
        try:
            while (batch := self._next(batches)) is not None:
                self._settle(batch)
        except BwpError as error:  # the source cannot be read any further
            self._stop(str(error))
        except Exception as error:
            self._stop("a worker failed", error)

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Return what is to be sent next; whoever asks for the first of a chunk reads and checks all of the chunk."""
        with self._taking:
            return None if self.stopped else next(batches, None)

    def _settle(self, part: Batch, *, is_refused: bool = False) -> bool:
        """Send some rows, and parts of them again, until each has an outcome; tell whether all went as they are.

        With `is_refused` it is known that they do not, so that their halves are sent at once.
        """
        if self.stopped:
            return False
        if len(part) > 1 and (is_refused or len(part) > self._most):
            first, second = part.halves()
            self._settle(second, is_refused=self._settle(first) and is_refused)
            return False
        outcome = self._sent(part)
        if outcome is None:
            return False
        if len(part) > 1 and outcome.is_too_large:
            self._most = min(self._most, len(part) // 2)
            self._settle(part)
        elif len(part) > 1 and outcome.is_refusal:
            rest = self._reject(part, outcome)
            if len(rest):
                self._settle(rest, is_refused=len(rest) == len(part))
        return outcome.state == "sent"

    def _reject(self, part: Batch, outcome: Outcome) -> Batch:
        """Write down which rows a refusal names, and return the others."""
        rejected = _rejected_by_name(outcome)
        for reason in dict.fromkeys(rejected.values()):
            rows = [part.rows[place] for place in sorted(rejected) if rejected[place] == reason]
            self._write(rows, outcome, "rejected", reason)
        return part.take(place for place in range(len(part)) if place not in rejected)

    def _sent(self, part: Batch) -> Outcome | None:
        """Send some rows in one request and write down what became of them; None if the run has stopped before."""
        with self._a_turn() as may_send:
            if not may_send:
                return None
            number = self._ledger.next_batch()
            self._ledger.write(Line(ranges(part.rows), "in_flight", number))
            outcome = Outcome(number, len(part), self._delivered(part))
            self._write(part.rows, outcome, outcome.state, outcome.reason, outcome.found.attempts)
        self._judge(outcome)
        self._show()
        return outcome

    def _write(self, rows: list[int], outcome: Outcome, state: str, reason: str, attempts: int = 0) -> None:
        """Write down what became of some rows.

        What an earlier run may have got through stays unknown, unless it is accepted now or refused for what it holds.
        """
        lines = [Line(ranges(rows), state, outcome.number, attempts, reason)]
        if state == "failed" or (state == "rejected" and not outcome.names_content):
            doubted = [row for row in rows if row in self._doubted]
            lines += [Line(ranges(doubted), "unknown", outcome.number, reason=_DOUBT + reason)] if doubted else []
        self._ledger.write(*lines)

    def _delivered(self, part: Batch) -> Receipt | BwpError:
        try:
            return self._client._deliver(body(part.texts), len(part), operation="send_table", wait=self._wait)
        except BwpError as error:
            return error

    def _judge(self, outcome: Outcome) -> None:
        """Stop the run where going on would only fail more rows; let workers come back while all is well."""
        if outcome.is_denied:
            self._stop(f"the API denies access. {outcome.what}")
        elif isinstance(outcome.found, BwpError):
            self._slow_down(outcome.found, outcome.found.retry_after or 0.0)
        is_refused = outcome.is_refusal or outcome.is_too_large
        with self._turn:
            self._lost_in_a_row = 0 if outcome.state == "sent" or is_refused else self._lost_in_a_row + 1
            self._refused_in_a_row = 0 if outcome.state == "sent" else self._refused_in_a_row + is_refused
            self._well += 1
            if self._well % RECOVERY == 0:
                self._allowed = min(self._workers, self._allowed + 1)
        if self._lost_in_a_row >= MAX_CONSECUTIVE_FAILURES:
            self._stop(f"{MAX_CONSECUTIVE_FAILURES} requests in a row came to nothing, the last one so: {outcome.what}")
        if self._refused_in_a_row >= MOST_REFUSALS:
            self._stop(f"the API refused {MOST_REFUSALS} requests in a row, the last one so: {outcome.what}")

    def _wait(self, error: BwpError, seconds: float) -> None:
        """Wait before a request is sent again, and give it up if the run is stopped meanwhile."""
        self._slow_down(error, seconds)
        moment = self._client.clock.monotonic() + seconds
        self._pause(lambda: moment)
        if self.stopped:
            self._is_cut_short = True
            error.stop_reason = "The run was stopped before this was tried again. "
            raise error

    def _pause(self, moment: Callable[[], float]) -> None:
        """Wait until a moment, which may be put off meanwhile; a second at a time, so that a stop is noticed."""
        clock = self._client.clock
        while not self.stopped and (left := moment() - clock.monotonic()) > 0:
            clock.sleep(min(left, 1.0))

    def _slow_down(self, error: BwpError, seconds: float) -> None:
        """Let all workers wait while one is told to, and go on with half of them."""
        if error.status_code != 429 and THROTTLING not in _kinds(error):
            return
        with self._turn:
            now = self._client.clock.monotonic()
            if now >= self._resume_at:
                self._allowed, self._well = max(1, self._allowed // 2), 0
            self._resume_at = max(self._resume_at, now + seconds)

    @contextmanager
    def _a_turn(self) -> Iterator[bool]:
        """Wait until a worker may send, and tell whether there is still anything to send."""
        with self._turn:
            self._turn.wait_for(lambda: self._busy < self._allowed)
            self._busy += 1
        self._pause(lambda: self._resume_at)
        try:
            yield not self.stopped
        finally:
            with self._turn:
                self._busy -= 1
                self._turn.notify()

    def _bar(self) -> "tqdm[Any]":
        from tqdm.auto import tqdm

        done = len(self._ledger.states) - self._ledger.states.count(0)
        return tqdm(total=len(self._ledger.states), initial=done, unit=" rows", disable=not self._progress)

    def _show(self) -> None:
        """Bring the progress bar up to date, a few times a second."""
        if not self._progress or time.monotonic() < self._show_at:
            return
        self._show_at = time.monotonic() + 0.2
        count = {state: self._ledger.states.count(code) for code, state in enumerate(STATES)}
        with self._turn:
            refused = count["rejected"] + count["invalid"]
            self._shown.set_postfix(sent=count["sent"], refused=refused, unknown=count["unknown"], refresh=False)
            self._shown.n = len(self._ledger.states) - count["untried"] - count["in_flight"]
            self._shown.refresh()


def _rejected_by_name(outcome: Outcome) -> dict[int, str]:
    """Return the places of the rows that a refusal names, and what it says of each."""
    found = outcome.found.rejected_values if isinstance(outcome.found, MutationRejected) else []
    return {found.index: readable(found.message) or outcome.what for found in reversed(found)}


def _doubted(ledger: Ledger) -> frozenset[int]:
    """Return the rows that an earlier run may have got through."""
    codes = [STATES.index(state) for state in ("in_flight", "unknown")]
    if not any(map(ledger.states.count, codes)):
        return frozenset()
    return frozenset(row for row, code in enumerate(ledger.states) if code in codes)


def _kinds(error: BwpError) -> set[str]:
    return {kind.name for kind in error.classifications} if isinstance(error, MutationRejected) else set()


def _wait_for(working: "Collection[Future[None]]") -> None:
    while wait(working, 0.1).not_done:
        pass  # An interrupt that another thread got is heard only between two waits.
