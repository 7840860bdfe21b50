"""The command line: `bwp-nb doctor | drift | serve`, or `python -m bwp_nb …`."""

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

#: Exit statuses; argparse itself exits with 2.
OK, FAILED, NOT_ANSWERED, MISCONFIGURED = 0, 1, 3, 4

#: The most lines that are printed of a result.
MOST_LINES = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    from bwp_nb.errors import InvalidSettings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a character
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except InvalidSettings as error:
        sys.stderr.write(f"{_printable(str(error))}\n")
        return MISCONFIGURED
    return status


def _doctor(given: argparse.Namespace) -> int:
    from bwp_nb.doctor import doctor

    with redirect_stdout(sys.stderr):  # where a question goes
        diagnosis = doctor()
    _show(given, diagnosis, {"ok": diagnosis.ok, "steps": [asdict(step) for step in diagnosis.steps]})
    failed = [step.name for step in diagnosis.steps if step.outcome == "failed"]
    return MISCONFIGURED if "settings" in failed else FAILED if failed else OK


def _drift(given: argparse.Namespace) -> int:
    from bwp_nb.connection import connect
    from bwp_nb.drift import drift

    with redirect_stdout(sys.stderr), connect() as client:
        found = drift(client)
    _show(given, found, {"ok": found.ok, "changes": [asdict(change) for change in found.changes]})
    results = {change.result for change in found.changes}
    statuses = {"misconfigured": MISCONFIGURED, "changed": FAILED, "not answered": NOT_ANSWERED}
    return next((status for result, status in statuses.items() if result in results), OK)


def _serve(given: argparse.Namespace) -> int:
    from bwp_nb.sandbox.server import run

    try:
        run(given.port, given.host, given.json)
    except OSError as error:
        sys.stderr.write(f"Cannot serve on {given.host} port {given.port}: {_printable(str(error))}.\n")
        return FAILED
    return OK


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
        description="Check the way to the Buy with Prime API, compare the API with what is known of it, or serve a "
        "sandbox of it.",
        epilog="Exit statuses: 0 success; 1 a step failed, or something has changed; 2 wrong usage; 3 the API did not "
        "answer; 4 settings are missing or malformed. Each command's help says more.",
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

    def add(run: Callable[[argparse.Namespace], int], summary: str, about: str, statuses: str, prints: str) -> Any:
        command = commands.add_parser(
            run.__name__.removeprefix("_"), help=summary, description=about, epilog=f"Exit statuses: {statuses}."
        )
        command.add_argument("--json", action="store_true", help=f"print one JSON object with {prints}")
        command.set_defaults(run=run)
        return command

    add(
        _doctor,
        "check everything that must be right before the first send",
        "Check environment, settings, network, token, clock and schema of where the settings point. No event is sent.",
        "0 no step failed; 1 a step failed; 2 wrong usage; 4 settings are missing or malformed",
        "ok and steps, each with name, outcome, found and next_step",
    )
    add(
        _drift,
        "compare the API with what this package knows of it",
        "Compare the schema, and the response to the documented invalid event, with what this package knows of them. "
        "No valid event is sent.",
        "0 nothing has changed; 1 something has changed; 2 wrong usage; 3 nothing has changed, but something was not "
        "answered; 4 settings are missing or malformed, or the server refuses the credentials or the target",
        "ok and changes, each with place, result, concerns, severity, path, before and after",
    )
    serve = add(
        _serve,
        "serve a sandbox of the API on this machine",
        "Serve a sandbox of the API until Ctrl-C. It accepts its own credentials only, and only programs of this "
        "machine can reach it.",
        "0 it was stopped; 1 the port cannot be used; 2 wrong usage",
        "endpoint, token_endpoint, credentials, control and control_token, then serve",
    )
    serve.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    hosts = ("127.0.0.1", "::1")
    serve.add_argument("--host", choices=hosts, default=hosts[0], help=f"where to listen (default: {hosts[0]})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
