"""Sends batches with several workers over one client, until each row has an outcome or the run must stop."""

import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from bwp_nb.client import Client
from bwp_nb.contract.classifications import THROTTLING
from bwp_nb.errors import BwpError, LedgerError, MutationRejected
from bwp_nb.mutation import body
from bwp_nb.tables.chunks import blocks
from bwp_nb.tables.ledger import STATES, Ledger, Line, ranges
from bwp_nb.tables.options import SendOptions
from bwp_nb.tables.staging import StagedTable
from bwp_nb.tables.throttle import SizeLimit, Throttle
from bwp_nb.text import readable
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
class Batch:
    """Rows by their number, and their events as JSON.

    `doubted` are rows that may have been accepted in a request whose response was lost, `is_repeated` says that an
    earlier request with these rows was refused.
    """

    rows: list[int]
    texts: list[str]
    doubted: Set[int] = frozenset()
    is_repeated: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def body(self) -> bytes:
        """The request with these events."""
        return body(self.texts)

    def part(self, places: Iterable[int]) -> "Batch":
        """Return the rows at some places."""
        chosen = list(places)
        rows, texts = [self.rows[place] for place in chosen], [self.texts[place] for place in chosen]
        return replace(self, rows=rows, texts=texts)

    def halves(self) -> "list[Batch]":
        """Return it in two parts."""
        middle = -(-len(self) // 2)
        return [self.part(range(middle)), self.part(range(middle, len(self)))]

    def unnamed(self, refusal: MutationRejected) -> "list[Batch]":
        """Return the rows that a refusal does not name, to be sent again: together once, and then each alone."""
        named = {value.index for value in refusal.rejected_values}
        rest = [place for place in range(len(self)) if place not in named]
        is_alone = self.is_repeated or not named
        doubted = frozenset(self.rows) if refusal.copies > 1 else self.doubted
        again = replace(self, doubted=doubted, is_repeated=True)
        return [again.part(places) for places in ([[place] for place in rest] if is_alone else [rest]) if places]


def batches(table: StagedTable, ledger: Ledger, done: set[int], size: int) -> Iterator[Batch]:
    """Yield batches of the rows to send, and record in the ledger which are invalid.

    `done` are the states of rows that are not sent again.
    """
    for _, block in blocks(_left(table, ledger, done), size):
        rows, texts = [row for row, _ in block], [text for _, text in block]
        yield Batch(rows, texts, frozenset(row for row in rows if ledger.states[row] in _DOUBTED))


def _left(table: StagedTable, ledger: Ledger, done: set[int]) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each row to send; the invalid ones are recorded a chunk at a time."""
    for rows in table.chunks():
        invalid = {row: found for row, found in rows.problems.items() if ledger.states[row] not in done}
        if invalid:
            reasons = ["; ".join(map(str, found)) for found in invalid.values()]
            ledger.write(Line(ranges(list(invalid)), "invalid", reason=reasons))
        numbered = enumerate(rows.texts, rows.first)
        yield from [(row, text) for row, text in numbered if text is not None and ledger.states[row] not in done]


class Sender:
    """Workers that each take the next batch when they are free; `stopped` says why they ended early, if they did."""

    def __init__(self, client: Client, ledger: Ledger, options: SendOptions) -> None:
        self.stopped = ""
        self._client = client
        self._ledger = ledger
        self._options = options
        self._throttle = Throttle(client.clock, options.workers, options.rate, lambda: bool(self.stopped), self._show)
        self._size_limit = SizeLimit()
        self._reading, self._counting = threading.Lock(), threading.Lock()
        self._consecutive_failures = 0
        self._consecutive_refusals = 0
        self._show_at = 0.0
        self._error: Exception | None = None

    def send(self, batches: Iterator[Batch]) -> None:
        """Send all, or raise why that was not possible; return only when nothing is being sent any more."""
        with self._bar() as self._shown, self._interruptible():
            if self._options.workers == 1:
                self._work(batches)  # without a thread, which a browser cannot start
            else:
                self._work_in_threads(batches)
            self._show_at = 0.0
            self._show()
        if isinstance(self._error, LedgerError):
            raise LedgerError(f"Stopped: {self._error} {self._how_to_continue()}") from self._error
        if self._error:
            self._error.add_note(self._how_to_continue())
            raise self._error
        if self.stopped == _INTERRUPTED:
            if self._ledger.count("untried", "in_flight", "failed", "unknown"):
                raise KeyboardInterrupt(f"Stopped. {self._how_to_continue()}")
            self.stopped = ""  # all had been sent already

    def _work_in_threads(self, batches: Iterator[Batch]) -> None:
        refuse_in_browser("send_table with more than one worker")
        with ThreadPoolExecutor(self._options.workers) as threads:  # which at its end waits for what is being sent
            working = [threads.submit(self._work, batches) for _ in range(self._options.workers)]
            try:
                while wait(working, 0.1).not_done:
                    pass  # an interrupt that another thread received is noticed only between two waits
            except BaseException:
                self._stop(_INTERRUPTED)
                raise

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
                left = [batch]
                while left:
                    left = self._settle(left[0]) + left[1:]  # what is left of a batch comes first
        except LedgerError as error:
            self._stop(str(error), error)
        except Exception as error:
            self._stop(f"{type(error).__name__}: {readable(str(error), 160)}", error)

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Return what is to be sent next; the worker that takes the first batch of a chunk reads the whole chunk."""
        with self._reading:
            return None if self.stopped else next(batches, None)

    def _settle(self, batch: Batch) -> list[Batch]:
        """Send some rows in one request and record the outcome; return what is to be sent next because of it."""
        if len(batch) > 1 and not self._size_limit.allows(len(batch.body)):
            return batch.halves()
        with self._throttle.turn(len(batch)):
            if self.stopped:
                return []
            number = self._ledger.next_batch()
            self._ledger.write(Line(ranges(batch.rows), "in_flight", number, copies=self._client.retries.attempts))
            found = self._delivered(batch)
            kind = _kind(found)
            self._record(batch, number, found, is_split=kind == "too large" and len(batch) > 1)
        self._judge(found, kind)
        self._show()
        if kind == "sent":
            self._size_limit.accept(len(batch.body))
        elif kind == "too large" and len(batch) > 1:
            self._size_limit.refuse(len(batch.body))
            return [batch]
        elif isinstance(found, MutationRejected) and kind == "refused" and self._options.on_refused == "resend":
            return batch.unnamed(found) if len(batch) > 1 else []
        return []

    def _delivered(self, batch: Batch) -> Receipt | BwpError:
        try:
            return self._client._deliver(batch.body, len(batch), partial(self._wait, len(batch)))
        except BwpError as error:
            return error

    def _record(self, batch: Batch, number: int, found: Receipt | BwpError, *, is_split: bool) -> None:
        """Record the state of each row, and why it is in it."""
        rows = _states(batch, found) if isinstance(found, BwpError) else {(found.state, ""): batch.rows}
        lines: list[Line] = []
        for (state, reason), numbers in rows.items():
            copies = 0 if state == "rejected" else found.copies
            split = is_split and not lines  # a request counts once
            lines.append(Line(ranges(numbers), state, number, found.attempts, copies, reason, split))
        self._ledger.write(*lines)

    def _judge(self, found: Receipt | BwpError, kind: str) -> None:
        """Stop the run where going on would only fail more rows."""
        what = _what(found) if isinstance(found, BwpError) else ""
        if kind == "denied":
            self._stop(f"the API denies access. {what}")
        elif isinstance(found, BwpError):
            self._heed(found, found.retry_after or 0.0)
        is_sent, is_refused = kind == "sent", kind in ("refused", "too large")
        with self._counting:
            failures = self._consecutive_failures = 0 if is_sent or is_refused else self._consecutive_failures + 1
            refusals = self._consecutive_refusals = 0 if is_sent else self._consecutive_refusals + is_refused
        if failures >= MAX_CONSECUTIVE_FAILURES:
            self._stop(f"{MAX_CONSECUTIVE_FAILURES} consecutive requests failed; last error: {what}")
        if refusals >= MAX_CONSECUTIVE_REFUSALS:
            self._stop(f"{MAX_CONSECUTIVE_REFUSALS} consecutive requests were refused; last error: {what}")

    def _wait(self, events: int, error: BwpError, seconds: float) -> None:
        """Wait before a request with some events is sent again, and raise its error if the run is stopped meanwhile."""
        self._heed(error, seconds)
        self._throttle.wait(seconds, events)
        if self.stopped:
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
        self._shown.set_postfix(shown | ({"waiting": f"{wait:.0f} s"} if wait >= 1 else {}), refresh=False)
        self._shown.n = len(self._ledger.states) - count["untried"] - count["in_flight"]
        self._shown.refresh()


def _kind(found: Receipt | BwpError) -> str:
    """Return what an outcome means for what is sent next."""
    if isinstance(found, Receipt):
        return "sent"
    if isinstance(found, MutationRejected):
        return "refused" if found.is_validation else "denied" if found.is_denied else "failed"
    if found.status_code == 413 and found.state == "failed":
        return "too large"
    return "denied" if found.status_code in (401, 403) else "failed"


def _states(batch: Batch, error: BwpError) -> dict[tuple[str, str], list[int]]:
    """Return the rows of a request that was not accepted by their states, and why they are in them.

    A row that may have been accepted before stays unknown, unless its content is refused: by name if a response was
    lost, and not for its id if it was in a request that was refused.
    """
    values = error.rejected_values if isinstance(error, MutationRejected) else []
    what = _what(error)
    messages = {value.index: readable(value.message) or what for value in reversed(values)}
    ids = {value.index for value in values if value.field == "eventId"}
    after_lost = copy(error)
    after_lost.follow_lost_attempt()
    rows: dict[tuple[str, str], list[int]] = {}
    states, lost_states = _by_event(error, len(batch)), _by_event(after_lost, len(batch))
    for place, (row, state, lost_state) in enumerate(zip(batch.rows, states, lost_states, strict=True)):
        reason = messages.get(place, what)
        is_doubted = row in batch.doubted or (batch.is_repeated and (state == "failed" or place in ids))
        if is_doubted and state != lost_state:
            reason = _DOUBT + reason
        elif not is_doubted and state == "unknown" and _kind(error) == "refused":
            reason = _OF_OTHERS + reason
        rows.setdefault((lost_state if is_doubted else state, reason), []).append(row)
    return rows


def _by_event(error: BwpError, events: int) -> Sequence[str]:
    return error.states if isinstance(error, MutationRejected) else [error.state] * events


def _what(error: BwpError) -> str:
    """Return what came back instead of a receipt."""
    return str(error.rows()[0]["what"])


def _is_throttled(error: BwpError) -> bool:
    kinds = error.classifications if isinstance(error, MutationRejected) else []
    return error.status_code == 429 or THROTTLING in {kind.name for kind in kinds}
