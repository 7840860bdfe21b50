"""Check and send tables of events, check the way to the Buy with Prime API, or serve a sandbox of it.

Further commands compare the API with what is known of it, and write and refresh notebooks.

Exit statuses: 0 success; 1 a step failed, something has changed, or rows are invalid or rejected; 2 wrong usage; 3 the
API did not answer, or rows are left to send; 4 settings, table or ledger cannot be used; 130 interrupted. Each
command's help says more.
"""

import argparse
import inspect
import io
import sys
from collections.abc import Callable, Sequence

from bwp_nb.commands import notebooks, result, sending, serving
from bwp_nb.commands.result import Case, Result, said
from bwp_nb.displays.short_errors import MissingExtra
from bwp_nb.errors import BwpError, InvalidSettings

#: The commands: the function that each runs, and what adds its arguments.
COMMANDS: dict[Callable[[argparse.Namespace], Result], Callable[[argparse.ArgumentParser], None] | None] = {
    sending.check: sending.reading,
    sending.send: sending.sending,
    sending.doctor: None,
    sending.drift: None,
    serving.serve: serving.serving,
    notebooks.notebooks: notebooks.writing,
    notebooks.refresh: notebooks.refreshing,
}

#: The outcome of a command that raised an error.
_OUTCOMES = {OSError: "failed", ValueError: "wrong usage", KeyboardInterrupt: "interrupted"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    sys.stdout, sys.stderr = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()  # None if they are closed
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack a character
    given = _parser().parse_args(arguments)
    found = _run(given)
    try:
        result.write(found, given.run.__name__, given.json, given.junit, given.annotations)
    except OSError as error:
        sys.stderr.write(result.printable(f"Cannot write the result. {said(error)}") + "\n")
        sys.stdout = io.StringIO()  # Python would try again, at its end, to write what is left in the old one
        return found.status or 1
    return found.status


def _run(given: argparse.Namespace) -> Result:
    """Run a command; an error that its user can do something about is a result."""
    try:
        found: Result = given.run(given)
    except (BwpError, MissingExtra, ValueError, OSError, KeyboardInterrupt) as error:
        message = said(error) or "Interrupted."
        if isinstance(error, InvalidSettings):  # whose text is about sending
            message = f"Settings are missing or malformed. {' '.join(error.problems)}"
        outcome = next((_OUTCOMES[kind] for kind in _OUTCOMES if isinstance(error, kind)), "misconfigured")
        data = {"error": {"type": type(error).__name__, "message": message}}
        return Result(message, data, [Case(given.run.__name__, outcome, message)], is_error=True)
    return found


def _parser() -> argparse.ArgumentParser:
    description, statuses = _described(__doc__)
    parser = argparse.ArgumentParser(prog="bwp-nb", description=description, epilog=statuses)
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for run, add_arguments in COMMANDS.items():
        about, statuses = _described(run.__doc__)
        summary = about.partition(".")[0]
        command = commands.add_parser(run.__name__, help=summary, description=about, epilog=statuses)
        add = command.add_argument
        add("--json", action="store_true", help="print one JSON object; of an error its type and message, as error")
        add("--junit", metavar="FILE", help="write the result to this file, as JUnit does in XML")
        add("--annotations", action="store_true", help="show failures in the log of GitHub Actions, by standard error")
        command.set_defaults(run=run)
        if add_arguments:
            add_arguments(command)
    return parser


def _described(docstring: str | None) -> tuple[str, str]:
    """Return what a docstring says, and the exit statuses at its end."""
    about, _, statuses = inspect.cleandoc(docstring or "").partition("\n\nExit statuses: ")
    return about, f"Exit statuses: {statuses}"


if __name__ == "__main__":
    sys.exit(main())
