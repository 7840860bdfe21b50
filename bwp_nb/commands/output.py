"""How the result of a command is written: as text or JSON, as a JUnit file, as annotations."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bwp_nb.commands.result import Case, Result

#: The most lines that are printed of a result.
MOST_LINES = 200

_ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def write(result: Result, command: str, as_json: bool, junit: str | None, annotations: bool) -> None:
    """Write a result as it is asked for; `OSError` if the JUnit file cannot be written."""
    if junit:
        Path(junit).write_bytes(junit_xml(command, result.cases))
    if as_json and result.data is not None:
        sys.stdout.write(json.dumps(result.data).replace("\x7f", "\\u007f") + "\n")
    if result.text and (result.is_error or not as_json):
        (sys.stderr if result.is_error else sys.stdout).write(printable(result.text) + "\n")
    for case in result.cases if annotations else ():
        if case.outcome in ("failed", "error"):
            sys.stderr.write(f"{annotation(command, case)}\n")


def printable(text: str) -> str:
    """Return a text without control characters, and cut: what a server sends may be long."""
    from bwp_nb.text import readable

    lines = text.split("\n")
    more = [f"and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([readable(line, 2000) for line in lines[:MOST_LINES]] + more)


def junit_xml(command: str, cases: Iterable[Case]) -> bytes:
    """Return test cases as a JUnit file of one suite."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name=f"bwp-nb {command}")
    counts: dict[str, Any] = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for case in cases:
        item = ElementTree.SubElement(suite, "testcase", classname=f"bwp-nb.{command}", name=printable(case.name))
        counts["tests"] += 1
        if kind := _ELEMENTS.get(case.outcome):
            counts[kind if kind == "skipped" else f"{kind}s"] += 1
            ElementTree.SubElement(item, kind, message=printable(case.message)).text = printable(case.details)
    for name, count in counts.items():
        suite.set(name, str(count))
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def annotation(command: str, case: Case) -> str:
    """Return a test case as a workflow command of GitHub Actions."""
    fields = {"file": case.file, "title": f"bwp-nb {command}: {case.name}"}
    shown = ",".join(f"{name}={_property(printable(text))}" for name, text in fields.items() if text)
    lines = f"{case.message}\n{case.details}".rstrip("\n")
    return f"::error {shown}::{_data(printable(lines))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
