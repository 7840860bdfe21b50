"""The clock of a client, which a sandbox or a test can replace."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; they never decrease."""

    def sleep(self, seconds: float) -> None:
        """Wait some seconds."""


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; they never decrease."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait some seconds."""
        time.sleep(seconds)
