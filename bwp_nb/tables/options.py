"""How a run sends, checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.mutation import MAX_EVENTS
from bwp_nb.text import quoted

#: Which values each option may have, and how a message says it.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "workers": (lambda given: type(given) is int and 1 <= given < 10_000, "an int from 1 to 9999"),
    "batch_size": (lambda given: type(given) is int and 1 <= given <= MAX_EVENTS, f"an int from 1 to {MAX_EVENTS}"),
    "max_wait": (lambda given: given >= 0, "0 seconds or more"),
    "rate": (lambda given: given is None or given > 0, "more than 0 events a second, or None"),
    "on_unknown": (lambda given: given in ("resend", "skip"), "'resend' or 'skip'"),
    "on_refused": (lambda given: given in ("resend", "skip"), "'resend' or 'skip'"),
    "on_duplicates": (lambda given: given in ("refuse", "send"), "'refuse' or 'send'"),
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
        for name, (is_allowed, expected) in _ALLOWED.items():
            if not is_allowed(given := getattr(self, name)):
                raise InvalidArgument(f"{name}: expected {expected}, got {quoted(given)}")
