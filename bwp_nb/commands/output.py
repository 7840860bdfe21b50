"""How the result of a command is written: as text or JSON, as a JUnit file, as annotations."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from bwp_nb.commands.result import Case, Result
from bwp_nb.text import readable

#: The most lines that are printed of a result.
MOST_LINES = 200

#: How a workflow command is escaped: its text, and the values of its properties.
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})

_ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def write(result: Result, command: str, as_json: bool, junit: str | None, annotations: bool) -> None:
    """Write a result as it is asked for; `OSError` if a part of it cannot be written; the others are."""
    try:
        if as_json and result.data is not None:
            sys.stdout.write(json.dumps(result.data).replace("\x7f", "\\u007f") + "\n")
        if result.text and (result.is_error or not as_json):
            (sys.stderr if result.is_error else sys.stdout).write(printable(result.text) + "\n")
        sys.stdout.flush()
        for case in result.cases if annotations else ():
            if case.outcome in ("failed", "error"):
                sys.stderr.write(f"{annotation(command, case)}\n")
    finally:
        if junit:
            Path(junit).write_bytes(junit_xml(command, result.cases))


def printable(text: str) -> str:
    """Return a text without control characters, and cut: what a server sends may be long."""
    lines = text.split("\n")
    more = [f"and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([readable(line, 2000) for line in lines[:MOST_LINES]] + more)


def junit_xml(command: str, cases: Sequence[Case]) -> bytes:
    """Return test cases as a JUnit file of one suite; some readers need a time and a type, although we have none."""
    of = Counter(case.outcome for case in cases)
    counts = {"tests": len(cases), "failures": of["failed"], "errors": of["error"], "skipped": of["skipped"]}
    root = ElementTree.Element("testsuites")
    attributes = {"name": f"bwp-nb {command}", "time": "0", **{name: str(count) for name, count in counts.items()}}
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    for case in cases:
        attributes = {"classname": f"bwp-nb.{command}", "name": printable(case.name), "time": "0"}
        item = ElementTree.SubElement(suite, "testcase", attributes)
        if kind := _ELEMENTS.get(case.outcome):
            attributes = {"type": case.outcome, "message": printable(case.message)}
            ElementTree.SubElement(item, kind, attributes).text = printable(case.details)
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def annotation(command: str, case: Case) -> str:
    """Return a test case as a workflow command of GitHub Actions."""
    fields = {"file": case.file, "title": f"bwp-nb {command}: {case.name}"}
    shown = ",".join(f"{name}={printable(text).translate(_PROPERTY)}" for name, text in fields.items() if text)
    lines = f"{case.message}\n{case.details}".rstrip("\n")
    return f"::error {shown}::{printable(lines).translate(_DATA)}"
