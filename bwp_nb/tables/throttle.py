"""How many workers may send at once, when, and how much: less after the API refuses it, and more again later."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bwp_nb.wire.platform import Clock

#: The number of requests after which one more worker takes part again, or a size that was refused is tried again.
RECOVERY = 50


class Throttle:
    """Gives workers their turn to send; nobody waits any longer once `is_stopped` returns true.

    All workers together send at most `rate` events a second. `on_wait` is called with the seconds that are left, once a
    second.
    """

    def __init__(
        self,
        clock: Clock,
        workers: int,
        rate: float | None,
        is_stopped: Callable[[], bool],
        on_wait: Callable[[float], None],
    ) -> None:
        self._clock = clock
        self._workers = workers
        self._seconds_an_event = 1 / rate if rate else 0.0
        self._is_stopped = is_stopped
        self._on_wait = on_wait
        self._turn = threading.Condition()
        self._busy = 0
        self._allowed = workers
        self._requests = 0
        self._resume_at = self._next_at = clock.monotonic()

    @contextmanager
    def turn(self, events: int) -> Iterator[None]:
        """Wait until a worker may send some events."""
        with self._turn:
            self._turn.wait_for(lambda: self._busy < self._allowed)
            self._busy += 1
            moment = self._reserve(events)
        try:
            self._pause(lambda: max(moment, self._resume_at))
            yield
        finally:
            with self._turn:
                self._busy -= 1
                self._requests += 1
                if self._requests % RECOVERY == 0:
                    self._allowed = min(self._workers, self._allowed + 1)
                self._turn.notify()

    def slow_down(self, seconds: float, *, fewer: bool) -> None:
        """Let all workers wait for some seconds, and continue with half of them if `fewer`."""
        with self._turn:
            now = self._clock.monotonic()
            if fewer and now >= self._resume_at:
                self._allowed, self._requests = max(1, self._allowed // 2), 0
            self._resume_at = max(self._resume_at, now + seconds)

    def wait(self, seconds: float, events: int) -> None:
        """Wait as one worker, which has its turn, to send its events again: others wait longer because of them."""
        moment = self._clock.monotonic() + seconds
        with self._turn:
            self._reserve(events)
        self._pause(lambda: moment)

    def _reserve(self, events: int) -> float:
        """Return when the rate allows to send some events, and count them as sent at that moment."""
        moment = max(self._clock.monotonic(), self._next_at)
        self._next_at = moment + events * self._seconds_an_event
        return moment

    def _pause(self, moment: Callable[[], float]) -> None:
        """Wait until a moment, which may be put off meanwhile; a second at a time, so that a stop is noticed."""
        while not self._is_stopped() and (left := moment() - self._clock.monotonic()) > 0:
            self._on_wait(left)
            self._clock.sleep(min(left, 1.0))


class SizeLimit:
    """How large a request may be: clearly smaller than what the server refused, which is tried again now and then."""

    def __init__(self) -> None:
        self._limit = math.inf
        self._accepted = 0

    def allows(self, size: int) -> bool:
        """Return whether a request of a size is worth sending."""
        is_small = size < self._limit
        if not is_small and self._accepted < RECOVERY:
            return False
        self._accepted *= is_small
        return True

    def accept(self, size: int) -> None:
        """Note that the server accepts a size."""
        self._accepted += 1
        if size >= self._limit:
            self._limit = math.inf

    def refuse(self, size: int) -> None:
        """Note that the server refuses a size."""
        self._accepted, self._limit = 0, min(self._limit, 0.75 * size)
