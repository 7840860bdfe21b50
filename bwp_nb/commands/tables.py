"""The commands for a table of events: check, send."""

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

from bwp_nb.commands.result import Case, Result, Status


def check(given: argparse.Namespace) -> Result:
    """Check a table of events without sending it.

    With --json it prints rows, valid, requests, bytes and columns.

    Exit statuses: 0 all rows are valid; 1 some are not; 2 wrong usage; 4 the table cannot be used.
    """
    from bwp_nb.tables.bulk import dry_run

    found = dry_run(given.table, **_reading(given))
    if given.quarantine:
        found.save_quarantine(given.quarantine)
    counts = {name: getattr(found, name) for name in ("rows", "valid", "requests", "bytes")}
    status = Status.OK if found.valid == found.rows else Status.FAILED
    return _result(status, repr(found), counts | {"columns": asdict(found.columns)}, given.table)


def send(given: argparse.Namespace) -> Result:
    """Send a table of events.

    It goes to the live API or to a sandbox in this process, as the settings say. Progress is shown on standard error.
    With --json it prints rows, the number of rows in each state, stopped and columns.

    Exit statuses: 0 all rows are sent; 1 some are invalid or rejected; 2 wrong usage; 3 some are failed or unknown, so
    run the command again, with a ledger to send only these; 4 settings, table or ledger cannot be used; 130 it was
    interrupted.
    """
    from bwp_nb.connection import connect
    from bwp_nb.tables.bulk import send_table

    with redirect_stdout(sys.stderr), connect() as client:
        report = send_table(client, given.table, ledger=given.ledger, workers=given.workers, **_reading(given))
    if given.quarantine:
        report.save_quarantine(given.quarantine)
    counts = {"rows": report.rows, **report.counts, "stopped": report.stopped}
    is_left = counts["failed"] or counts["unknown"]
    status = Status.NOT_ANSWERED if is_left else Status.OK if counts["sent"] == report.rows else Status.FAILED
    return _result(status, repr(report), counts | {"columns": asdict(report.columns)}, given.table)


def _result(status: Status, text: str, data: dict[str, Any], table: str) -> Result:
    """Return a result in which the table is the one case."""
    outcome = {Status.OK: "passed", Status.FAILED: "failed"}.get(status, "error")
    message, _, details = text.partition("\n")
    return Result(status, text, data, [Case(table, outcome, message, details, table)])


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
