"""How a run sends, checked."""

from dataclasses import dataclass

from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.mutation import MAX_EVENTS
from bwp_nb.text import quoted

_ALLOWED = {
    "on_unknown": ("resend", "skip"),
    "on_refused": ("resend", "skip"),
    "on_duplicates": ("refuse", "send"),
}


@dataclass(frozen=True)
class SendOptions:
    """How a run sends; see `send_table`."""

    workers: int = 8
    batch_size: int = MAX_EVENTS
    max_wait: float = 60.0
    rate: float | None = None
    progress: bool = True
    on_unknown: str = "resend"
    on_refused: str = "resend"
    on_duplicates: str = "refuse"

    def __post_init__(self) -> None:
        if type(self.workers) is not int or not 1 <= self.workers < 10_000:
            raise InvalidArgument(f"workers: expected an int from 1 to 9999, got {quoted(self.workers)}")
        if type(self.batch_size) is not int or not 1 <= self.batch_size <= MAX_EVENTS:
            raise InvalidArgument(f"batch_size: expected an int from 1 to {MAX_EVENTS}, got {quoted(self.batch_size)}")
        if not self.max_wait >= 0:
            raise InvalidArgument(f"max_wait: expected 0 seconds or more, got {quoted(self.max_wait)}")
        if self.rate is not None and not self.rate > 0:
            raise InvalidArgument(f"rate: expected more than 0 events a second, or None, got {quoted(self.rate)}")
        for name, allowed in _ALLOWED.items():
            if (given := getattr(self, name)) not in allowed:
                raise InvalidArgument(f"{name}: expected {' or '.join(map(repr, allowed))}, got {quoted(given)}")
