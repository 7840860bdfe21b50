"""What a command ends with."""

import re
from dataclasses import dataclass, field
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
class Case:
    """One thing that a command checked, which is a test case of JUnit.

    Its outcome is `passed`, `skipped`, `failed` if it is wrong, or `error` if that was not found out; `message` is a
    line, `details` are further ones. `file` is what it is about.
    """

    name: str
    outcome: str = "passed"
    message: str = ""
    details: str = ""
    file: str = ""


def said(error: BaseException) -> str:
    """Return an error as text; one of the operating system as a sentence without its number."""
    return re.sub(r"^\[\w+ \d+\] (.*)", r"\1.", str(error))


@dataclass(frozen=True)
class Result:
    """The exit status of a command, and what it prints: as text or, with --json, as one object.

    An error is printed on standard error.
    """

    status: Status
    text: str = ""
    data: dict[str, Any] | None = None
    cases: list[Case] = field(default_factory=list)
    is_error: bool = False
