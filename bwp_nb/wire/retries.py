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
    """How often, and for how long, a client retries. No page gives numbers: the defaults are this package's.

    The wait before attempt n is random, from 0 to `first_wait * 2**(n - 2)`; a `Retry-After` that asks for more is
    honoured.

    Parameters
    ----------
    attempts : int, default 4
        The most attempts of a call, the first included.
    deadline : float, default 60.0
        The most seconds of a call, waits included.
    first_wait : float, default 0.5
        The longest wait before the second attempt, in seconds.
    longest_wait : float, default 20.0
        The longest wait before any attempt, in seconds, unless the server asks for more.
    uniform : callable of two floats to float, optional
        Chooses the wait between two numbers. Default: `random.uniform`; with a sandbox, its seed.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> client = bwp.connect(retries=bwp.Retries(attempts=2, deadline=10.0))
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
        """Call a function until it succeeds, or raise its last error with the reason why it is not retried.

        Parameters
        ----------
        attempt : callable
            Makes one attempt; it returns a result, or raises a `BwpError`.
        clock : Clock
            Measures the time, and waits.
        quota : RetryQuota
            Gives each retry, until it has none left.
        wait : callable of BwpError and float, optional
            Waits instead of the clock; an error that it raises ends the call. Default: the clock's `sleep`.

        Returns
        -------
        object
            What the first successful attempt returned.

        Raises
        ------
        BwpError
            The error of the last attempt.
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
