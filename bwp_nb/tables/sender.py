"""Sends batches with several workers over one client, until each row has an outcome or the run must stop."""

import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from bwp_nb.client import Client
from bwp_nb.contract.classifications import THROTTLING
from bwp_nb.errors import BwpError, LedgerError, MutationRejected, RequestFailed
from bwp_nb.mutation import MAX_EVENTS
from bwp_nb.tables.batches import Batch
from bwp_nb.tables.ledger import STATES, Ledger, Line, ranges
from bwp_nb.tables.throttle import SizeLimit, Throttle
from bwp_nb.text import quoted, readable
from bwp_nb.wire.answer import Receipt
from bwp_nb.wire.platform import refuse_in_browser

if TYPE_CHECKING:
    from tqdm import tqdm

#: The number of consecutive requests without a response after which the run stops.
MAX_CONSECUTIVE_FAILURES = 5

#: The number of consecutive requests that the API refuses after which the run stops: more than it takes to find five
#: batches in which every event is refused.
MAX_CONSECUTIVE_REFUSALS = 500

#: The states of rows that may have been accepted, by their number.
_DOUBTED = (STATES.index("in_flight"), STATES.index("unknown"))

_INTERRUPTED = "it was interrupted"
_OF_OTHERS = "its request was refused, and it may have been accepted: "
_DOUBT = "it may have been accepted earlier; in its last request: "


@dataclass(frozen=True)
class SendOptions:
    """How a run sends; see `send_table`."""

    workers: int = 8
    batch_size: int = MAX_EVENTS
    resends_refused: bool = True
    max_wait: float = 60.0
    rate: float | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if type(self.workers) is not int or not 1 <= self.workers < 10_000:
            raise ValueError(f"workers: expected an int from 1 to 9999, got {quoted(self.workers)}")
        if type(self.batch_size) is not int or not 1 <= self.batch_size <= MAX_EVENTS:
            raise ValueError(f"batch_size: expected an int from 1 to {MAX_EVENTS}, got {quoted(self.batch_size)}")
        if not self.max_wait >= 0:
            raise ValueError(f"max_wait: expected 0 seconds or more, got {quoted(self.max_wait)}")
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate: expected more than 0 events a second, or None, got {quoted(self.rate)}")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request: the number of its batch, and the receipt or the error."""

    batch: int
    found: Receipt | BwpError

    @property
    def is_refusal(self) -> bool:
        """Whether the API refuses what some of the events contain."""
        return isinstance(self.found, MutationRejected) and self.found.is_validation

    @property
    def is_denied(self) -> bool:
        """Whether the caller has no access, so that its other requests will fail as well."""
        found = self.found
        is_refused = isinstance(found, RequestFailed) and found.status_code in (401, 403)
        return found.is_denied if isinstance(found, MutationRejected) else is_refused

    @property
    def is_too_large(self) -> bool:
        """Whether fewer events may be accepted."""
        return isinstance(self.found, RequestFailed) and self.found.status_code == 413 and self.found.state == "failed"

    @property
    def what(self) -> str:
        """What came back instead of a receipt."""
        return str(self.found.rows()[0]["what"]) if isinstance(self.found, BwpError) else ""

    def states(self, size: int) -> Sequence[str]:
        """Return the state of each event of the request."""
        return self.found.states if isinstance(self.found, MutationRejected) else [self.found.state] * size

    def messages(self, field: str = "") -> dict[int, str]:
        """Return what the error says of the events that it names, by their place; only those with a wrong `field`."""
        values = self.found.rejected_values if isinstance(self.found, MutationRejected) else []
        named = [value for value in values if field in ("", value.field)]
        return {value.index: readable(value.message) or self.what for value in reversed(named)}


class Sender:
    """Workers that each take the next batch when they are free; `stopped` says why they ended early, if they did."""

    def __init__(self, client: Client, ledger: Ledger, options: SendOptions) -> None:
        self.stopped = ""
        self._client = client
        self._ledger = ledger
        self._options = options
        self._throttle = Throttle(client.clock, options.workers, options.rate, lambda: bool(self.stopped), self._show)
        self._size_limit = SizeLimit()
        self._reading, self._showing, self._counting = (threading.Lock() for _ in range(3))
        self._consecutive_failures = 0
        self._consecutive_refusals = 0
        self._show_at = 0.0
        self._error: Exception | None = None
        self._is_cut_short = False

    def send(self, batches: Iterator[Batch]) -> None:
        """Send all, or raise why that was not possible; return only when nothing is being sent any more."""
        with self._bar() as self._shown, self._interruptible():
            if self._options.workers == 1:
                self._work(batches)  # without a thread, which a browser cannot start
            else:
                self._work_in_threads(batches)
            self._show_at = 0.0
            self._show()
        self._raise()

    def _work_in_threads(self, batches: Iterator[Batch]) -> None:
        refuse_in_browser("send_table with more than one worker")
        with ThreadPoolExecutor(self._options.workers) as threads:
            working = [threads.submit(self._work, batches) for _ in range(self._options.workers)]
            try:
                _wait_for(working)
            except BaseException:
                self._stop(_INTERRUPTED)
                _wait_for(working)
                raise

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
            self._stop(f"{type(error).__name__}: {readable(str(error), 160)}", error)

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Return what is to be sent next; the worker that takes the first batch of a chunk reads the whole chunk."""
        with self._reading:
            return None if self.stopped else next(batches, None)

    def _settle(self, batch: Batch, refusals: int = 0, doubted: Set[int] = frozenset()) -> None:
        """Send some rows, and those that a refusal does not name again, until each has an outcome.

        After the first of the `refusals` these rows are sent together once more, then each alone; they are sent alone
        at once if none was named. `doubted` rows may have been accepted in a request whose response was lost.
        """
        if len(batch) > 1 and (refusals > 1 or not self._size_limit.allows(len(batch.body))):
            for part in batch.split(1 if refusals > 1 else -(-len(batch) // 2)):
                self._settle(part, refusals, doubted)
            return
        known = doubted if refusals else {row for row in batch.rows if self._ledger.states[row] in _DOUBTED}
        outcome = self._sent(batch, refusals, known)
        if outcome is None:
            self._is_cut_short = True
        elif outcome.is_too_large and len(batch) > 1:
            self._size_limit.refuse(len(batch.body))
            self._settle(batch, refusals, known)
        elif isinstance(outcome.found, Receipt):
            self._size_limit.accept(len(batch.body))
        elif outcome.is_refusal and refusals < 2 and self._options.resends_refused:
            named = outcome.messages()
            rest = batch.take(place for place in range(len(batch)) if place not in named)
            lost = known | (set(rest.rows) if outcome.found.copies > 1 else set())
            if rest:
                self._settle(rest, 1 if not refusals and len(rest) < len(batch) else 2, lost)

    def _sent(self, part: Batch, refusals: int, doubted: Set[int]) -> Outcome | None:
        """Send some rows in one request and record the outcome; return None if the run has stopped before."""
        with self._throttle.turn(len(part)):
            if self.stopped:
                return None
            number = self._ledger.next_batch()
            self._ledger.write(Line(ranges(part.rows), "in_flight", number, copies=self._client.retries.attempts))
            outcome = Outcome(number, self._delivered(part))
            self._record(part, outcome, refusals, doubted)
        self._judge(outcome)
        self._show()
        return outcome

    def _record(self, part: Batch, outcome: Outcome, refusals: int, doubted: Set[int]) -> None:
        """Record the state of each row, and why it is in it.

        A row that may have been accepted before stays unknown, unless it is accepted now or its content is refused: by
        name if a response was lost, and not for its id if it was in a request that was refused.
        """
        found = outcome.found
        if isinstance(found, Receipt):
            self._ledger.write(Line(ranges(part.rows), found.state, outcome.batch, found.attempts, found.copies))
            return
        states, messages, ids = outcome.states(len(part)), outcome.messages(), outcome.messages("eventId")
        after_lost = copy(found)
        after_lost.follow_lost_attempt()
        lost_states = replace(outcome, found=after_lost).states(len(part))
        rows: dict[tuple[str, str], list[int]] = {}
        for place, row in enumerate(part.rows):
            state, reason = states[place], messages.get(place, outcome.what)
            if row in doubted or (refusals and (state == "failed" or place in ids)):
                if state != lost_states[place]:
                    reason = _DOUBT + reason
                state = lost_states[place]
            elif outcome.is_refusal and state == "unknown":
                reason = _OF_OTHERS + reason
            rows.setdefault((state, reason), []).append(row)
        copies = {"rejected": 0}
        lines = [
            Line(ranges(numbers), state, outcome.batch, found.attempts, copies.get(state, found.copies), reason)
            for (state, reason), numbers in rows.items()
        ]
        is_split = outcome.is_too_large and len(part) > 1
        self._ledger.write(replace(lines[0], split=is_split), *lines[1:])

    def _delivered(self, part: Batch) -> Receipt | BwpError:
        wait = partial(self._wait, len(part))
        try:
            return self._client._deliver(part.body, len(part), wait)
        except BwpError as error:
            return error

    def _judge(self, outcome: Outcome) -> None:
        """Stop the run where going on would only fail more rows."""
        if outcome.is_denied:
            self._stop(f"the API denies access. {outcome.what}")
        elif isinstance(outcome.found, BwpError):
            self._heed(outcome.found, outcome.found.retry_after or 0.0)
        is_sent, is_refused = isinstance(outcome.found, Receipt), outcome.is_refusal or outcome.is_too_large
        with self._counting:
            failures = self._consecutive_failures = 0 if is_sent or is_refused else self._consecutive_failures + 1
            refusals = self._consecutive_refusals = 0 if is_sent else self._consecutive_refusals + is_refused
        if failures >= MAX_CONSECUTIVE_FAILURES:
            self._stop(f"{MAX_CONSECUTIVE_FAILURES} consecutive requests failed; last error: {outcome.what}")
        if refusals >= MAX_CONSECUTIVE_REFUSALS:
            self._stop(f"{MAX_CONSECUTIVE_REFUSALS} consecutive requests were refused; last error: {outcome.what}")

    def _wait(self, events: int, error: BwpError, seconds: float) -> None:
        """Wait before a request with some events is sent again, and raise its error if the run is stopped meanwhile."""
        self._heed(error, seconds)
        self._throttle.wait(seconds, events)
        if self.stopped:
            self._is_cut_short = True
            error.stop_reason = "The run was stopped before this was tried again. "
            raise error

    def _heed(self, error: BwpError, seconds: float) -> None:
        """Slow down if the API asks for it, or stop if it asks to wait for too long."""
        asked = error.retry_after or 0.0
        if asked > self._options.max_wait:
            until = (self._client.clock.now() + timedelta(seconds=asked)).isoformat(timespec="seconds")
            limit = f"longer than max_wait={self._options.max_wait:g} seconds"
            advice = "Make the same call again" if self._ledger.path else "Send report.events('failed', 'unknown')"
            self._stop(f"the API asks to wait until {until.replace('+00:00', 'Z')}, {limit}. {advice} after that.")
        elif asked or _is_throttled(error):
            self._throttle.slow_down(seconds, fewer=_is_throttled(error))

    def _bar(self) -> "tqdm[Any]":
        from tqdm.auto import tqdm

        tqdm.monitor_interval = 0 if sys.platform == "emscripten" else tqdm.monitor_interval  # its monitor is a thread
        total = len(self._ledger.states)
        return tqdm(
            total=total, initial=total - self._ledger.count("untried"), unit=" rows", disable=not self._options.progress
        )

    def _show(self, wait: float = 0.0) -> None:
        """Update the progress bar, a few times a second, or when workers wait for some seconds."""
        if not self._options.progress or (wait < 1 and time.monotonic() < self._show_at):
            return
        self._show_at = time.monotonic() + 0.2
        count = {state: self._ledger.count(state) for state in STATES}
        shown = {"sent": count["sent"], "refused": count["rejected"] + count["invalid"], "unknown": count["unknown"]}
        with self._showing:
            self._shown.set_postfix(shown | ({"waiting": f"{wait:.0f} s"} if wait >= 1 else {}), refresh=False)
            self._shown.n = len(self._ledger.states) - count["untried"] - count["in_flight"]
            self._shown.refresh()


def _is_throttled(error: BwpError) -> bool:
    kinds = error.classifications if isinstance(error, MutationRejected) else []
    return error.status_code == 429 or THROTTLING in {kind.name for kind in kinds}


def _wait_for(working: "Collection[Future[None]]") -> None:
    while wait(working, 0.1).not_done:
        pass  # An interrupt that another thread received is noticed only between two waits.
