"""The simulated clock of a sandbox."""

import threading
from datetime import UTC, datetime, timedelta

from bwp_nb.wire.platform import Clock

_START = datetime(2024, 11, 22, 9, tzinfo=UTC)


class SandboxClock(Clock):
    """Simulated time: it starts at a fixed instant, and advances with each response, timeout and wait."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Go back to the fixed instant."""
        with self._lock:
            self._passed = 0.0

    def now(self) -> datetime:
        """Return the current simulated time, in UTC."""
        return _START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Return the seconds since the fixed instant."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Advance the clock without waiting."""
        with self._lock:
            self._passed += seconds
