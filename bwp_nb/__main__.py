"""The command line: `bwp-nb doctor | drift | serve | send | check`, or `python -m bwp_nb …`."""

import argparse
import inspect
import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from bwp_nb.commands import checks, serving, tables
from bwp_nb.commands.result import Result, Status

#: The commands: the function that each runs, and what adds its arguments.
COMMANDS: dict[Callable[[argparse.Namespace], Result], Callable[[argparse.ArgumentParser], None] | None] = {
    tables.check: tables.reading,
    tables.send: tables.sending,
    checks.doctor: None,
    checks.drift: None,
    serving.serve: serving.serving,
}

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
        result: Result = given.run(given)
    except (InvalidSettings, InvalidTable, InvalidEvent, LedgerError, ValueError, OSError, KeyboardInterrupt) as error:
        sys.stderr.write(f"{_printable(str(error) or 'Interrupted.')}\n")
        found = {ValueError: Status.USAGE, KeyboardInterrupt: Status.INTERRUPTED}
        return Status.FAILED if isinstance(error, OSError) else found.get(type(error), Status.MISCONFIGURED)
    shown = json.dumps(result.data) if given.json else _printable(result.text)
    if result.data is not None:
        sys.stdout.write(f"{shown}\n".replace("\x7f", "\\u007f"))
    return result.status


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
    for run, add_arguments in COMMANDS.items():
        command = _command(commands, run)
        if add_arguments:
            add_arguments(command)
    return parser


def _command(commands: Any, run: Callable[[argparse.Namespace], Result]) -> argparse.ArgumentParser:
    """Add a command, described by the docstring of what runs it."""
    about, _, statuses = inspect.getdoc(run).partition("\n\nExit statuses: ")  # type: ignore[union-attr]
    summary = about.partition(".")[0]
    command: argparse.ArgumentParser = commands.add_parser(
        run.__name__, help=summary, description=about, epilog=f"Exit statuses: {statuses}"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)
    return command


if __name__ == "__main__":
    sys.exit(main())
