"""When a send is tried again, how long it waits, and when it gives up."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import tenacity

from bwp_nb.errors import BwpError
from bwp_nb.wire.clock import Clock


class RetryQuota:
    """How many retries a client has left: each takes one, each success gives one back, so an outage ends them soon."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = size
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one, and tell whether there was one."""
        with self._lock:
            had_one = self._left > 0
            self._left -= had_one
            return had_one

    def give_back(self) -> None:
        """Give one back."""
        with self._lock:
            self._left = min(self.size, self._left + 1)


@dataclass(frozen=True)
class Retries:
    """A policy: at most `attempts` in at most `deadline` seconds, with full jitter between them.

    The wait before attempt n is drawn by `uniform` from 0 to `first_wait` * 2**(n - 2), at most `longest_wait` seconds;
    a `Retry-After` that asks for more is honoured. No page gives numbers; these are ours.
    """

    attempts: int = 4
    deadline: float = 60.0
    first_wait: float = 0.5
    longest_wait: float = 20.0
    uniform: Callable[[float, float], float] = random.uniform

    def each(
        self, clock: Clock, quota: RetryQuota, wait: Callable[[BwpError, float], None] | None = None
    ) -> Iterator[tenacity.AttemptManager]:
        """Yield the attempts of one call, waiting in between; the last error is raised.

        `wait` is given each error that is tried again, and the seconds until then, and waits in the clock's place; what
        it raises ends the call.
        """
        ends = clock.monotonic() + self.deadline

        def gives_up(state: tenacity.RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            assert isinstance(error, BwpError)  # noqa: S101  # nothing else is retried
            error.stop_reason = self._reason(error, state, ends - clock.monotonic(), clock, quota)
            return bool(error.stop_reason)

        def waits(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            try:
                if wait is not None and isinstance(error, BwpError):
                    wait(error, state.upcoming_sleep)
                else:
                    clock.sleep(state.upcoming_sleep)
            except BaseException:
                quota.give_back()  # it will not be tried again
                raise

        return iter(
            tenacity.Retrying(
                retry=tenacity.retry_if_exception(lambda error: isinstance(error, BwpError) and error.retryable),
                wait=self._wait,
                stop=gives_up,
                before_sleep=waits,
                sleep=lambda _: None,  # it has waited before
                reraise=True,
            )
        )

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        longest = min(self.longest_wait, self.first_wait * 2 ** (state.attempt_number - 1))
        asked = error.retry_after if isinstance(error, BwpError) else None
        return max(self.uniform(0, longest), asked or 0.0)

    def _reason(
        self, error: BwpError, state: tenacity.RetryCallState, left: float, clock: Clock, quota: RetryQuota
    ) -> str:
        """Return why the call ends here, as a sentence with a space behind it; nothing if it goes on."""
        if state.attempt_number >= self.attempts:
            return f"Given up after {self.attempts} attempts. "
        if state.upcoming_sleep >= left:
            if error.retry_after is not None and error.retry_after >= left:
                moment = (clock.now() + timedelta(seconds=error.retry_after)).isoformat(timespec="seconds")
                return f"The server asks to wait until {moment}, longer than this call may take ({self.deadline:g} s). "
            return f"This call may take no more than {self.deadline:g} s. "
        if not quota.take():
            return f"This client has used up its {quota.size} retries without success: this looks like an outage. "
        return ""
