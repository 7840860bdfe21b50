"""Sends batches with several workers over one client, until each row has an outcome or the run must stop."""

import signal
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bwp_nb.client import Client
from bwp_nb.contract.classifications import ACCESS_DENIED, CLASSIFICATIONS, THROTTLING
from bwp_nb.errors import BwpError, LedgerError, MutationRejected, RequestFailed
from bwp_nb.mutation import MAX_EVENTS, body
from bwp_nb.tables.batches import Batch
from bwp_nb.tables.ledger import STATES, Ledger, Line, ranges
from bwp_nb.tables.throttle import Throttle
from bwp_nb.text import readable
from bwp_nb.wire.answer import Receipt

if TYPE_CHECKING:
    from tqdm import tqdm

#: The number of consecutive requests without a response after which the run stops.
MAX_CONSECUTIVE_FAILURES = 5

#: The number of consecutive requests that the API refuses after which the run stops: more than it takes to find five
#: batches in which every event is refused.
MAX_CONSECUTIVE_REFUSALS = 500

_TOGETHER = "refused together with other rows, and the run ended before it was sent without them"
_INTERRUPTED = "it was interrupted"
_DOUBT = "it may have been accepted by an earlier run; in this one: "


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request: its number, its events, and the receipt or the error."""

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
        """Whether the caller has no access, so that all other events would be refused as well."""
        if isinstance(self.found, Receipt):
            return False
        kinds = _kinds(self.found)
        return ACCESS_DENIED in kinds or (self.found.status_code in (401, 403) and kinds.isdisjoint(CLASSIFICATIONS))

    @property
    def is_too_large(self) -> bool:
        """Whether fewer events may be accepted."""
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
        """Why the rows are in this state."""
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
        self._throttle = Throttle(client.clock, workers, lambda: bool(self.stopped))
        self._progress = progress
        self._reading, self._showing, self._counting = (threading.Lock() for _ in range(3))
        self._max_events = MAX_EVENTS
        self._consecutive_failures = 0
        self._consecutive_refusals = 0
        self._show_at = 0.0
        self._error: Exception | None = None
        self._is_cut_short = False
        self._doubted = _doubted(ledger)

    def send(self, batches: Iterator[Batch]) -> None:
        """Send all, or raise why that was not possible; return only when nothing is being sent any more."""
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
        """Raise what ended the run, unless the report says it."""
        if isinstance(self._error, LedgerError):
            raise LedgerError(f"Stopped: {self._error} {self._how_to_continue()}") from self._error
        if self._error is not None:
            self._error.add_note(self._how_to_continue())
            raise self._error
        if self.stopped == _INTERRUPTED:
            if self._is_cut_short or self._ledger.count("untried", "failed"):
                raise KeyboardInterrupt(f"Stopped. {self._how_to_continue()}")
            self.stopped = ""  # all had been sent already

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let an interrupt stop the run in good order, whenever it comes; only the main thread can receive one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = signal.signal(signal.SIGINT, lambda *_: self._stop(_INTERRUPTED))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _how_to_continue(self) -> str:
        sent = f"{self._ledger.count('sent')} of {len(self._ledger.states)} rows are sent"
        if self._ledger.path is None:
            return f"{sent}. Which ones is not recorded; with ledger='…' a run can be resumed."
        return f"{sent}; {self._ledger.name} records which. Make the same call again to send the others."

    def _stop(self, reason: str, error: Exception | None = None) -> None:
        """Let nothing more be sent; without a lock, since a signal's handler would wait for it while workers run."""
        self.stopped = self.stopped or reason
        self._error = self._error or error

    def _work(self, batches: Iterator[Batch]) -> None:
        try:
            while (batch := self._next(batches)) is not None:
                self._settle(batch)
        except LedgerError as error:
            self._stop(str(error), error)
        except BwpError as error:  # the rest of the source cannot be read
            self._stop(str(error))
        except Exception as error:
            self._stop("a worker failed", error)

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Return what is to be sent next; the worker that takes the first batch of a chunk reads the whole chunk."""
        with self._reading:
            return None if self.stopped else next(batches, None)

    def _settle(self, part: Batch, *, is_refused: bool = False) -> bool:
        """Send some rows, and parts of them again, until each has an outcome; return whether all were sent at once.

        With `is_refused` they are known to be refused together, so that their halves are sent at once.
        """
        if self.stopped:
            return False
        if len(part) > 1 and (is_refused or len(part) > self._max_events):
            middle = len(part) // 2
            first, second = part.take(range(middle)), part.take(range(middle, len(part)))
            self._settle(second, is_refused=self._settle(first) and is_refused)
            return False
        outcome = self._sent(part)
        if outcome is None:
            return False
        if len(part) > 1 and outcome.is_too_large:
            self._max_events = min(self._max_events, len(part) // 2)
            self._settle(part)
        elif len(part) > 1 and outcome.is_refusal:
            rest = self._reject(part, outcome)
            if len(rest):
                self._settle(rest, is_refused=len(rest) == len(part))
        return outcome.state == "sent"

    def _reject(self, part: Batch, outcome: Outcome) -> Batch:
        """Record which rows a refusal names, and return the others."""
        rejected = _rejected_by_name(outcome)
        for reason in dict.fromkeys(rejected.values()):
            rows = [part.rows[place] for place in sorted(rejected) if rejected[place] == reason]
            self._record(rows, outcome, "rejected", reason)
        return part.take(place for place in range(len(part)) if place not in rejected)

    def _sent(self, part: Batch) -> Outcome | None:
        """Send some rows in one request and record the outcome; return None if the run has stopped before."""
        with self._throttle.turn():
            if self.stopped:
                return None
            number = self._ledger.next_batch()
            self._ledger.write(Line(ranges(part.rows), "in_flight", number))
            outcome = Outcome(number, len(part), self._delivered(part))
            self._record(part.rows, outcome, outcome.state, outcome.reason, outcome.found.attempts)
        self._judge(outcome)
        self._show()
        return outcome

    def _record(self, rows: list[int], outcome: Outcome, state: str, reason: str, attempts: int = 0) -> None:
        """Record the outcome of some rows.

        What an earlier run may have sent stays unknown, unless it is accepted now or refused for its content.
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
        """Stop the run where going on would only fail more rows."""
        if outcome.is_denied:
            self._stop(f"the API denies access. {outcome.what}")
        elif isinstance(outcome.found, BwpError) and _is_throttled(outcome.found):
            self._throttle.slow_down(outcome.found.retry_after or 0.0)
        is_refused = outcome.is_refusal or outcome.is_too_large
        with self._counting:
            failures = self._consecutive_failures + 1
            self._consecutive_failures = failures = 0 if outcome.state == "sent" or is_refused else failures
            refusals = self._consecutive_refusals + is_refused
            self._consecutive_refusals = refusals = 0 if outcome.state == "sent" else refusals
        if failures >= MAX_CONSECUTIVE_FAILURES:
            self._stop(f"{MAX_CONSECUTIVE_FAILURES} consecutive requests failed; last error: {outcome.what}")
        if refusals >= MAX_CONSECUTIVE_REFUSALS:
            self._stop(f"{MAX_CONSECUTIVE_REFUSALS} consecutive requests were refused; last error: {outcome.what}")

    def _wait(self, error: BwpError, seconds: float) -> None:
        """Wait before a request is sent again, and raise its error if the run is stopped meanwhile."""
        if _is_throttled(error):
            self._throttle.slow_down(seconds)
        self._throttle.wait(seconds)
        if self.stopped:
            self._is_cut_short = True
            error.stop_reason = "The run was stopped before this was tried again. "
            raise error

    def _bar(self) -> "tqdm[Any]":
        from tqdm.auto import tqdm

        total = len(self._ledger.states)
        return tqdm(
            total=total, initial=total - self._ledger.count("untried"), unit=" rows", disable=not self._progress
        )

    def _show(self) -> None:
        """Update the progress bar, a few times a second."""
        if not self._progress or time.monotonic() < self._show_at:
            return
        self._show_at = time.monotonic() + 0.2
        count = {state: self._ledger.count(state) for state in STATES}
        with self._showing:
            refused = count["rejected"] + count["invalid"]
            self._shown.set_postfix(sent=count["sent"], refused=refused, unknown=count["unknown"], refresh=False)
            self._shown.n = len(self._ledger.states) - count["untried"] - count["in_flight"]
            self._shown.refresh()


def _rejected_by_name(outcome: Outcome) -> dict[int, str]:
    """Return the places of the rows that a refusal names, and what it says of each."""
    found = outcome.found.rejected_values if isinstance(outcome.found, MutationRejected) else []
    return {found.index: readable(found.message) or outcome.what for found in reversed(found)}


def _doubted(ledger: Ledger) -> frozenset[int]:
    """Return the rows that an earlier run may have sent."""
    codes = [STATES.index(state) for state in ("in_flight", "unknown")]
    return frozenset(row for row, code in enumerate(ledger.states) if code in codes)


def _kinds(error: BwpError) -> set[str]:
    return {kind.name for kind in error.classifications} if isinstance(error, MutationRejected) else set()


def _is_throttled(error: BwpError) -> bool:
    return error.status_code == 429 or THROTTLING in _kinds(error)


def _wait_for(working: "Collection[Future[None]]") -> None:
    while wait(working, 0.1).not_done:
        pass  # An interrupt that another thread received is noticed only between two waits.
