"""The commands for a send, and before one: check, send, doctor, drift."""

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from itertools import groupby
from typing import Any

import bwp_nb as bwp
from bwp_nb.commands.result import Case, Result


def check(given: argparse.Namespace) -> Result:
    """Check a table of events without sending it.

    With --json it prints rows, valid, requests, bytes and columns.

    Exit statuses: 0 all rows are valid; 1 some are not; 2 wrong usage; 4 the table cannot be used.
    """
    found = bwp.dry_run(given.table, **_reading(given))
    if given.quarantine:
        found.save_quarantine(given.quarantine)
    counts = {name: getattr(found, name) for name in ("rows", "valid", "requests", "bytes")}
    outcome = "passed" if found.valid == found.rows else "failed"
    return _result(outcome, repr(found), counts | {"columns": asdict(found.columns)}, given.table)


def send(given: argparse.Namespace) -> Result:
    """Send a table of events.

    It goes to the live API or to a sandbox in this process, as the settings say. Progress is shown on standard error.
    With --json it prints rows, the number of rows in each state, stopped and columns.

    Exit statuses: 0 all rows are sent; 1 some are invalid or rejected; 2 wrong usage; 3 some are failed or unknown, so
    run the command again, with a ledger to send only these; 4 settings, table or ledger cannot be used; 130 it was
    interrupted.
    """
    with redirect_stdout(sys.stderr), bwp.connect() as client:
        report = bwp.send_table(client, given.table, ledger=given.ledger, workers=given.workers, **_reading(given))
    if given.quarantine:
        report.save_quarantine(given.quarantine)
    counts = {"rows": report.rows, **report.counts, "stopped": report.stopped}
    is_left = counts["failed"] or counts["unknown"]
    outcome = "not answered" if is_left else "passed" if counts["sent"] == report.rows else "failed"
    return _result(outcome, repr(report), counts | {"columns": asdict(report.columns)}, given.table)


def _result(outcome: str, text: str, data: dict[str, Any], table: str) -> Result:
    """Return a result in which the table is the one case."""
    message, _, details = text.partition("\n")
    return Result(text, data, [Case(table, outcome, message, details, table)])


def doctor(_: argparse.Namespace) -> Result:
    """Check everything that must be right before the first send.

    These are environment, settings, network, token, clock and schema of where the settings point. No event is sent.
    With --json it prints ok and steps, each with name, outcome, found, next_step and cause.

    Exit statuses: 0 no step failed; 1 the schema has no sendUserEvents; 2 wrong usage; 3 a server did not answer;
    4 settings are missing or malformed, the server refuses the credentials or the target, or the clock is wrong.
    """
    with redirect_stdout(sys.stderr):  # where a question goes
        found = bwp.doctor()
    cases = [Case(one.name, one.cause or one.outcome, f"{one.found} {one.next_step}".strip()) for one in found.steps]
    return Result(repr(found), {"ok": found.ok, **asdict(found)}, cases)


def drift(_: argparse.Namespace) -> Result:
    """Compare the API with what this package knows of it.

    This is done with the schema, and the response to the documented invalid event. No valid event is sent. With --json
    it prints ok and changes, each with place, result, concerns, severity, path, before and after.

    Exit statuses: 0 nothing has changed; 1 something has changed; 2 wrong usage; 3 nothing has changed, but something
    was not answered; 4 settings are missing or malformed, sending was not confirmed, or the server refuses the
    credentials or the target.
    """
    with redirect_stdout(sys.stderr), bwp.connect() as client:
        found = bwp.drift(client)
    parts = [[*rows] for _, rows in groupby(found.changes, lambda change: change.place)]
    cases = [Case(one.place, one.result, str(one), "\n".join(map(str, more))) for one, *more in parts]
    return Result(repr(found), {"ok": found.ok, **asdict(found)}, cases)


def _reading(given: argparse.Namespace) -> dict[str, Any]:
    """Return what says how the table is read."""
    names = ("convert", "timezone", "ids_from", "delimiter", "encoding", "on_duplicates")
    pairs = {"columns": dict(given.column), "fields": dict(given.field), "properties": dict(given.property) or None}
    return pairs | {name: getattr(given, name) for name in names}


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"expected two names, or a name and a value, with = between, got {text!r}")
    return name, value


def _property(text: str) -> tuple[str, str]:
    return _pair(text if "=" in text else f"{text}={text}")


def _jsonl(text: str) -> str:
    if not text.endswith(".jsonl"):
        raise argparse.ArgumentTypeError(f"expected the path of a .jsonl file, got {text!r}")
    return text


def reading(command: argparse.ArgumentParser) -> None:
    """Add what says how a table is read; see `send_table`."""
    add = command.add_argument
    files = ".csv, .tsv, .jsonl, .ndjson or .parquet; text may have .gz after that"
    add("table", help=f"a file of events ending in {files}; or a folder of Parquet files")
    add("--quarantine", metavar="FILE", type=_jsonl, help="write the rows to fix to this .jsonl file")
    repeated: dict[str, Any] = {"action": "append", "default": []}
    add("--column", metavar="COLUMN=FIELD", type=_pair, help="which field a column is", **repeated)
    add("--field", metavar="FIELD=VALUE", type=_pair, help="a value that is the same in all rows", **repeated)
    only = "send this column as a property, and no others"
    add("--property", metavar="COLUMN[=NAME]", type=_property, help=only, **repeated)
    add("--convert", action="store_true", help="turn numbers, booleans, dates and nested values into text")
    add("--timezone", metavar="ZONE", help="the zone of times that have none, such as UTC")
    add("--ids-from", choices=("run", "content"), default="run", help="what missing ids are made of (default: run)")
    add("--on-duplicates", choices=("refuse", "send"), default="refuse", help="for equal ids (default: refuse)")
    add("--delimiter", metavar="CHARACTER", help="what separates the cells of CSV")
    add("--encoding", help="the encoding of a text file (default: utf-8)")


def sending(command: argparse.ArgumentParser) -> None:
    """Add what says how a table is read and sent."""
    reading(command)
    command.add_argument("--ledger", metavar="FILE", help="record the outcome of each row, and send only what is left")
    command.add_argument("--workers", type=int, default=8, metavar="N", help="the most requests at a time (default: 8)")
