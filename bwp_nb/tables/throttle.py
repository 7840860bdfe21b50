"""How many workers may send at once, and when: half as many after the API asks to slow down, and more again later."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bwp_nb.wire.clock import Clock

#: The number of requests after a pause until one more worker takes part again.
RECOVERY = 50


class Throttle:
    """Gives workers their turn to send; nobody waits any longer once `is_stopped` returns true.

    `on_wait` is called with the seconds that are left, once a second.
    """

    def __init__(
        self, clock: Clock, workers: int, is_stopped: Callable[[], bool], on_wait: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._workers = workers
        self._is_stopped = is_stopped
        self._on_wait = on_wait
        self._turn = threading.Condition()
        self._busy = 0
        self._allowed = workers
        self._requests = 0
        self._resume_at = clock.monotonic()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a worker may send."""
        with self._turn:
            self._turn.wait_for(lambda: self._busy < self._allowed)
            self._busy += 1
        try:
            self._pause(lambda: self._resume_at)
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

    def wait(self, seconds: float) -> None:
        """Wait as one worker, which has its turn."""
        moment = self._clock.monotonic() + seconds
        self._pause(lambda: moment)

    def _pause(self, moment: Callable[[], float]) -> None:
        """Wait until a moment, which may be put off meanwhile; a second at a time, so that a stop is noticed."""
        while not self._is_stopped() and (left := moment() - self._clock.monotonic()) > 0:
            self._on_wait(left)
            self._clock.sleep(min(left, 1.0))
