"""What a command ends with."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Status(IntEnum):
    """Exit statuses; NOT_ANSWERED also means that rows are not sent yet, or perhaps not."""

    OK = 0
    FAILED = 1
    USAGE = 2  # argparse also ends with it
    NOT_ANSWERED = 3
    MISCONFIGURED = 4
    INTERRUPTED = 130


@dataclass(frozen=True)
class Result:
    """The exit status of a command, and what it prints: as text or, with --json, as one object."""

    status: Status
    text: str = ""
    data: dict[str, Any] | None = None
