"""The command line: `bwp-nb doctor | drift | serve | send | check`, or `python -m bwp_nb …`."""

import argparse
import inspect
import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

#: Exit statuses; NOT_ANSWERED also means that rows are not sent yet, or perhaps not. argparse itself exits with 2.
OK, FAILED, USAGE, NOT_ANSWERED, MISCONFIGURED, INTERRUPTED = 0, 1, 2, 3, 4, 130

#: The most lines that are printed of a result.
MOST_LINES = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    from bwp_nb.errors import InvalidEvent, InvalidSettings, InvalidTable, LedgerError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a character
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except (InvalidSettings, InvalidTable, InvalidEvent, LedgerError, ValueError, OSError, KeyboardInterrupt) as error:
        sys.stderr.write(f"{_printable(str(error) or 'Interrupted.')}\n")
        found = {ValueError: USAGE, KeyboardInterrupt: INTERRUPTED}
        return FAILED if isinstance(error, OSError) else found.get(type(error), MISCONFIGURED)
    return status


def _doctor(given: argparse.Namespace) -> int:
    """Check everything that must be right before the first send.

    These are environment, settings, network, token, clock and schema of where the settings point. No event is sent.
    With --json it prints ok and steps, each with name, outcome, found and next_step.

    Exit statuses: 0 no step failed; 1 a step failed; 2 wrong usage; 4 settings are missing or malformed.
    """
    from bwp_nb.doctor import doctor

    with redirect_stdout(sys.stderr):  # where a question goes
        diagnosis = doctor()
    _show(given, diagnosis, {"ok": diagnosis.ok, "steps": [asdict(step) for step in diagnosis.steps]})
    failed = [step.name for step in diagnosis.steps if step.outcome == "failed"]
    return MISCONFIGURED if "settings" in failed else FAILED if failed else OK


def _drift(given: argparse.Namespace) -> int:
    """Compare the API with what this package knows of it.

    This is done with the schema, and the response to the documented invalid event. No valid event is sent. With --json
    it prints ok and changes, each with place, result, concerns, severity, path, before and after.

    Exit statuses: 0 nothing has changed; 1 something has changed; 2 wrong usage; 3 nothing has changed, but something
    was not answered; 4 settings are missing or malformed, or the server refuses the credentials or the target.
    """
    from bwp_nb.connection import connect
    from bwp_nb.drift import drift

    with redirect_stdout(sys.stderr), connect() as client:
        found = drift(client)
    _show(given, found, {"ok": found.ok, "changes": [asdict(change) for change in found.changes]})
    results = {change.result for change in found.changes}
    statuses = {"misconfigured": MISCONFIGURED, "changed": FAILED, "not answered": NOT_ANSWERED}
    return next((status for result, status in statuses.items() if result in results), OK)


def _serve(given: argparse.Namespace) -> int:
    """Serve a sandbox of the API on this machine.

    It is served until Ctrl-C. It accepts its own credentials only, and only programs of this machine can reach it. With
    --json it prints endpoint, token_endpoint, credentials, control and control_token, then serves.

    Exit statuses: 0 it was stopped; 1 the port cannot be used; 2 wrong usage.
    """
    from bwp_nb.sandbox.server import run

    try:
        run(given.port, given.host, given.json)
    except OSError as error:
        sys.stderr.write(f"Cannot serve on {given.host} port {given.port}: {_printable(str(error))}.\n")
        return FAILED
    return OK


def _send(given: argparse.Namespace) -> int:
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
    counts = {"rows": report.rows, **report.counts, "stopped": report.stopped}
    _show(given, report, counts | {"columns": asdict(report.columns)})
    if given.quarantine:
        report.save_quarantine(given.quarantine)
    if counts["failed"] or counts["unknown"]:
        return NOT_ANSWERED
    return OK if counts["sent"] == report.rows else FAILED


def _check(given: argparse.Namespace) -> int:
    """Check a table of events without sending it.

    With --json it prints rows, valid, requests, bytes and columns.

    Exit statuses: 0 all rows are valid; 1 some are not; 2 wrong usage; 4 the table cannot be used.
    """
    from bwp_nb.tables.bulk import dry_run

    found = dry_run(given.table, **_reading(given))
    counts = {name: getattr(found, name) for name in ("rows", "valid", "requests", "bytes")}
    _show(given, found, counts | {"columns": asdict(found.columns)})
    if given.quarantine:
        found.save_quarantine(given.quarantine)
    return OK if found.valid == found.rows else FAILED


def _reading(given: argparse.Namespace) -> dict[str, Any]:
    """Return what says how the table is read."""
    names = ("convert", "timezone", "ids_from", "delimiter", "encoding", "on_duplicates")
    pairs = {"columns": dict(given.column), "fields": dict(given.field), "properties": dict(given.property) or None}
    return pairs | {name: getattr(given, name) for name in names}


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    return name, value if found else name


def _jsonl(text: str) -> str:
    if not text.endswith(".jsonl"):
        raise argparse.ArgumentTypeError(f"expected the path of a .jsonl file, got {text!r}")
    return text


def _show(given: argparse.Namespace, found: object, as_json: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(as_json) if given.json else _printable(repr(found))}\n".replace("\x7f", "\\u007f"))


def _printable(text: str) -> str:
    """Return a text without control characters, and cut: what a server sends may be long."""
    from bwp_nb.text import readable

    lines = text.split("\n")
    more = [f"and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([readable(line, 2000) for line in lines[:MOST_LINES]] + more)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bwp-nb",
        description="Check and send tables of events to the Buy with Prime API, check the way to it, compare it with "
        "what is known of it, or serve a sandbox of it.",
        epilog="Exit statuses: 0 success; 1 a step failed, something has changed, or rows are invalid or rejected; "
        "2 wrong usage; 3 the API did not answer, or rows are left to send; 4 settings, table or ledger cannot be "
        "used; 130 interrupted. Each command's help says more.",
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    check, send, _, _, serve = (_command(commands, run) for run in (_check, _send, _doctor, _drift, _serve))
    for command in (check, send):
        _add_reading(command.add_argument)
    send.add_argument("--ledger", metavar="FILE", help="record the outcome of each row, and send only what is left")
    send.add_argument("--workers", type=int, default=8, metavar="N", help="the most requests at a time (default: 8)")
    serve.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    hosts = ("127.0.0.1", "::1")
    serve.add_argument("--host", choices=hosts, default=hosts[0], help=f"where to listen (default: {hosts[0]})")
    return parser


def _command(commands: Any, run: Callable[[argparse.Namespace], int]) -> Any:
    """Add a command, described by the docstring of what runs it."""
    about, _, statuses = inspect.getdoc(run).partition("\n\nExit statuses: ")  # type: ignore[union-attr]
    name, summary = run.__name__.removeprefix("_"), about.partition(".")[0]
    command = commands.add_parser(name, help=summary, description=about, epilog=f"Exit statuses: {statuses}")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)
    return command


def _add_reading(add: Callable[..., Any]) -> None:
    """Add what says how a table is read; see `send_table`."""
    files = ".csv, .tsv, .jsonl, .ndjson or .parquet; text may have .gz after that"
    add("table", help=f"a file of events ending in {files}; or a folder of Parquet files")
    add("--quarantine", metavar="FILE", type=_jsonl, help="write the rows to fix to this .jsonl file")
    repeated: dict[str, Any] = {"action": "append", "type": _pair, "default": []}
    add("--column", metavar="COLUMN=FIELD", help="which field a column is", **repeated)
    add("--field", metavar="FIELD=VALUE", help="a value that is the same in all rows", **repeated)
    add("--property", metavar="COLUMN[=NAME]", help="send this column as a property, and no others", **repeated)
    add("--convert", action="store_true", help="turn numbers, booleans, dates and nested values into text")
    add("--timezone", metavar="ZONE", help="the zone of times that have none, such as UTC")
    add("--ids-from", choices=("run", "content"), default="run", help="what missing ids are made of (default: run)")
    add("--on-duplicates", choices=("refuse", "send"), default="refuse", help="for equal ids (default: refuse)")
    add("--delimiter", metavar="CHARACTER", help="what separates the cells of CSV")
    add("--encoding", help="the encoding of a text file (default: utf-8)")


if __name__ == "__main__":
    sys.exit(main())
