"""When a send is retried, how long the client waits before, and when it stops."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from bwp_nb.displays.html import Shown
from bwp_nb.errors import BwpError
from bwp_nb.text import counted
from bwp_nb.wire.clock import Clock
from bwp_nb.wire.locks import fork_safe_lock

T = TypeVar("T")


class RetryQuota:
    """The retries that a client has left: each takes one, each success returns one, so an outage soon uses them up."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = size
        self._lock = fork_safe_lock()

    def take(self) -> bool:
        """Take one retry, and return whether there was one."""
        with self._lock:
            had_one = self._left > 0
            self._left -= had_one
            return had_one

    def give_back(self) -> None:
        """Return one retry."""
        with self._lock:
            self._left = min(self.size, self._left + 1)


@dataclass(frozen=True)
class Retries(Shown):
    """How often and how long a client retries: at most `attempts` within `deadline` seconds.

    The wait before attempt n is random: `uniform(0, first_wait * 2**(n - 2))`, at most `longest_wait` seconds; a
    `Retry-After` that asks for more is honoured. No page gives numbers; these defaults are ours.
    """

    attempts: int = 4
    deadline: float = 60.0
    first_wait: float = 0.5
    longest_wait: float = 20.0
    uniform: Callable[[float, float], float] = random.uniform

    def run(
        self,
        attempt: Callable[[], T],
        clock: Clock,
        quota: RetryQuota,
        wait: Callable[[BwpError, float], None] | None = None,
    ) -> T:
        """Call `attempt` until it succeeds, or raise its last error with the reason why it is not retried.

        `wait` is called with the error and the seconds until the next attempt, instead of the clock's `sleep`; an
        error that it raises ends the call.
        """
        ends = clock.monotonic() + self.deadline
        number = 0
        while True:
            number += 1
            try:
                return attempt()
            except BwpError as error:
                if not error.retryable:
                    raise
                seconds = self._wait(number, error.retry_after)
                error.stop_reason = self._stop_reason(error, number, seconds, ends - clock.monotonic(), clock)
                if not error.stop_reason and not quota.take():
                    error.stop_reason = f"The client has used up its {quota.size} retries; this looks like an outage. "
                if error.stop_reason:
                    raise
                failed = error
            try:
                wait(failed, seconds) if wait else clock.sleep(seconds)
            except BaseException:
                quota.give_back()
                raise

    def _wait(self, number: int, asked: float | None) -> float:
        longest = min(self.longest_wait, self.first_wait * 2 ** (number - 1))
        return max(self.uniform(0, longest), asked or 0.0)

    def _stop_reason(self, error: BwpError, number: int, seconds: float, left: float, clock: Clock) -> str:
        """Return why this was the last attempt, as a sentence and a space; empty if it was not."""
        if number >= self.attempts:
            return f"Stopped after {counted(self.attempts, 'attempt')}. "
        if seconds < left:
            return ""
        if error.retry_after is not None and error.retry_after >= left:
            moment = (clock.now() + timedelta(seconds=error.retry_after)).isoformat(timespec="seconds")
            return f"The server asks to wait until {moment}, longer than this call may take ({self.deadline:g} s). "
        return f"This call may take no more than {self.deadline:g} s. "
