"""The command line: `bwp-nb doctor | drift | serve | send | check | notebooks | refresh`, or `python -m bwp_nb …`."""

import argparse
import inspect
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

from bwp_nb.commands import checks, notebooks, output, serving, tables
from bwp_nb.commands.result import Case, Result, Status, said

#: The commands: the function that each runs, and what adds its arguments.
COMMANDS: dict[Callable[[argparse.Namespace], Result], Callable[[argparse.ArgumentParser], None] | None] = {
    tables.check: tables.reading,
    tables.send: tables.sending,
    checks.doctor: None,
    checks.drift: None,
    serving.serve: serving.serving,
    notebooks.notebooks: notebooks.writing,
    notebooks.refresh: notebooks.refreshing,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    sys.stdout, sys.stderr = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()  # None if they are closed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a character
    given = _parser().parse_args(arguments)
    result = _run(given)
    try:
        output.write(result, given.run.__name__, given.json, given.junit, given.annotations)
    except OSError as error:
        sys.stderr.write(output.printable(f"Cannot write the result. {said(error)}") + "\n")
        sys.stdout = io.StringIO()  # Python would try again, at its end, to write what is left in the old one
        return result.status or Status.FAILED
    return result.status


def _run(given: argparse.Namespace) -> Result:
    """Run a command; an error that its user can do something about is a result."""
    from bwp_nb.displays.short_errors import MissingExtra
    from bwp_nb.errors import BwpError, InvalidSettings

    try:
        result: Result = given.run(given)
    except (BwpError, MissingExtra, ValueError, OSError, KeyboardInterrupt) as error:
        problems = " ".join(error.problems) if isinstance(error, InvalidSettings) else ""
        message = f"Settings are missing or malformed. {problems}" if problems else said(error) or "Interrupted."
        known = {OSError: Status.FAILED, ValueError: Status.USAGE, KeyboardInterrupt: Status.INTERRUPTED}
        status = next((status for kind, status in known.items() if isinstance(error, kind)), Status.MISCONFIGURED)
        data = {"error": {"type": type(error).__name__, "message": message}}
        return Result(status, message, data, [Case(given.run.__name__, "error", message)], is_error=True)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bwp-nb",
        description="Check and send tables of events to the Buy with Prime API, check the way to it, compare it with "
        "what is known of it, serve a sandbox of it, or write and refresh notebooks.",
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
    add = command.add_argument
    add("--json", action="store_true", help="print one JSON object; of an error its type and message, as error")
    add("--junit", metavar="FILE", help="write the result to this file, as JUnit does in XML")
    add("--annotations", action="store_true", help="show failures in the log of GitHub Actions, by standard error")
    command.set_defaults(run=run)
    return command


if __name__ == "__main__":
    sys.exit(main())
