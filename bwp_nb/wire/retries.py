"""When a send is retried, how long the client waits before, and when it stops."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bwp_nb.displays.html import Shown
from bwp_nb.errors import BwpError
from bwp_nb.text import counted


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

    def wait(self, attempts: int, error: BwpError) -> float:
        """Return the seconds to wait after some attempts, the last of which ended with an error.

        Parameters
        ----------
        attempts : int
            The number of attempts so far.
        error : BwpError
            The error of the last one.

        Returns
        -------
        float
            The seconds until the next attempt.
        """
        longest = min(self.longest_wait, self.first_wait * 2 ** (attempts - 1))
        return max(self.uniform(0, longest), error.retry_after or 0.0)

    def stop_reason(self, attempts: int, error: BwpError, wait: float, left: float, now: datetime) -> str:
        """Return why no attempt follows a wait.

        Parameters
        ----------
        attempts : int
            The number of attempts so far.
        error : BwpError
            The error of the last one.
        wait : float
            The seconds to wait.
        left : float
            The seconds that the call may still take.
        now : datetime
            The current time.

        Returns
        -------
        str
            A sentence and a space; empty if there is another attempt.
        """
        if attempts >= self.attempts:
            return f"Stopped after {counted(self.attempts, 'attempt')}. "
        if wait < left:
            return ""
        if error.retry_after is not None and error.retry_after >= left:
            moment = (now + timedelta(seconds=error.retry_after)).isoformat(timespec="seconds")
            return f"The server asks to wait until {moment}, longer than this call may take ({self.deadline:g} s). "
        return f"This call may take no more than {self.deadline:g} s. "
