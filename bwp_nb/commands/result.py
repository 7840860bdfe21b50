"""What a command ends with, and how it is written: as text or JSON, as a JUnit file, as annotations."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bwp_nb.text import readable, shortened

#: The most lines that are printed of a result.
MOST_LINES = 200

#: The exit status of an outcome, 0 for any other; of several outcomes, the first in this order counts.
_STATUSES = {"interrupted": 130, "wrong usage": 2, "misconfigured": 4, "failed": 1, "changed": 1, "not answered": 3}

#: The element of an outcome in a JUnit file, `error` for any other.
_ELEMENTS = {"failed": "failure", "changed": "failure", "skipped": "skipped", "passed": "", "same": ""}

#: How a workflow command is escaped: its text, and the values of its properties.
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


@dataclass(frozen=True)
class Case:
    """One thing that a command checked, which is a test case of JUnit.

    Its outcome is `passed`, `same`, `skipped`, `failed`, `changed`, or why that was not found out: `not answered`,
    `misconfigured`, `wrong usage`, `interrupted`. `message` is a line, `details` are further ones. `file` is what it is
    about.
    """

    name: str
    outcome: str = "passed"
    message: str = ""
    details: str = ""
    file: str = ""

    @property
    def element(self) -> str:
        """The element that it has in a JUnit file; empty if nothing is to be said."""
        return _ELEMENTS.get(self.outcome, "error")


@dataclass(frozen=True)
class Result:
    """What a command prints, as text or, with --json, as one object; an error is printed on standard error.

    Its cases decide its exit status, unless it `is_report` only.
    """

    text: str = ""
    data: dict[str, Any] | None = None
    cases: list[Case] = field(default_factory=list)
    is_error: bool = False
    is_report: bool = False

    @property
    def status(self) -> int:
        """The exit status."""
        found = set() if self.is_report else {case.outcome for case in self.cases}
        return next((status for outcome, status in _STATUSES.items() if outcome in found), 0)


def said(error: BaseException) -> str:
    """Return an error as text; one of the operating system as a sentence without its number."""
    return re.sub(r"^\[\w+ \d+\] (.*)", r"\1.", str(error))


def write(result: Result, command: str, as_json: bool, junit: str | None, annotations: bool) -> None:
    """Write a result as it is asked for; `OSError` if a part of it cannot be written; the others are."""
    try:
        if as_json and result.data is not None:
            sys.stdout.write(json.dumps(result.data).replace("\x7f", "\\u007f") + "\n")
        if result.text and (result.is_error or not as_json):
            (sys.stderr if result.is_error else sys.stdout).write(printable(result.text) + "\n")
        sys.stdout.flush()
        for case in result.cases if annotations else ():
            if case.element in ("failure", "error"):
                sys.stderr.write(f"{annotation(command, case)}\n")
    finally:
        if junit:
            Path(junit).write_bytes(junit_xml(command, result.cases))


def printable(text: str) -> str:
    """Return a text without control characters, and cut: what a server sends may be long."""
    return "\n".join(readable(line, 2000) for line in shortened(text.split("\n"), MOST_LINES))


def junit_xml(command: str, cases: Sequence[Case]) -> bytes:
    """Return test cases as a JUnit file of one suite; some readers need a time and a type, although we have none."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"bwp-nb {command}", "time": "0"})
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.element == element for case in cases)))
    suite.set("tests", str(len(cases)))
    for case in cases:
        attributes = {"classname": f"bwp-nb.{command}", "name": printable(case.name), "time": "0"}
        item = ElementTree.SubElement(suite, "testcase", attributes)
        if case.element:
            attributes = {"type": case.outcome, "message": printable(case.message)}
            ElementTree.SubElement(item, case.element, attributes).text = printable(case.details)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True))


def annotation(command: str, case: Case) -> str:
    """Return a test case as a workflow command of GitHub Actions."""
    fields = {"file": case.file, "title": f"bwp-nb {command}: {case.name}"}
    shown = ",".join(f"{name}={printable(text).translate(_PROPERTY)}" for name, text in fields.items() if text)
    lines = f"{case.message}\n{case.details}".rstrip("\n")
    return f"::error {shown}::{printable(lines).translate(_DATA)}"
