"""The command that serves the sandbox."""

import argparse
import contextlib
import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import bwp_nb as bwp
from bwp_nb.commands.result import Case, Result
from bwp_nb.text import readable

if TYPE_CHECKING:
    from bwp_nb.checks.arrivals import Arrival, Arrivals
    from bwp_nb.sandbox.server import Server


def serve(given: argparse.Namespace) -> Result:
    """Serve a sandbox of the API on this machine, for example beside the tests of a shop.

    It is served until Ctrl-C or SIGTERM. It accepts its own credentials only, and only programs of this machine can
    reach it. With --json it prints endpoint, token_endpoint, credentials, control and control_token, then serves. With
    --log, --fail-on-invalid or --junit it prints, at the end, what arrived; with --json too this is ok, types and
    invalid. A line of the log has time, state, event, reason, problems, hints and simulated; the state is accepted,
    duplicate, rejected for what the event contains, or refused with its request. A simulated rejection does not count,
    and an event that was refused with its token does not if it is accepted later.

    Exit statuses: 0 it was stopped; 1 the port or the log cannot be used, or, with --fail-on-invalid, an event was not
    accepted or has hints; 2 wrong usage; 3 with --fail-on-invalid, no event arrived.
    """
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    from bwp_nb.checks.arrivals import Arrivals

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    opened = bwp.serve(port=given.port, host=given.host, allow_origins=given.allow_origin)
    with opened as server, _log(given.log, stopped) as write:
        arrivals = Arrivals(server.sandbox, write, given.ignore_hint)
        sys.stdout.write(json.dumps(_addresses(server)) + "\n" if given.json else _welcome(server))
        sys.stdout.flush()
        while not stopped.wait(0.5):  # on Windows no signal would end a longer wait
            pass
    is_checked = given.log or given.fail_on_invalid or given.junit
    return _result(arrivals, is_report=not given.fail_on_invalid) if is_checked else Result()


def _addresses(server: "Server") -> dict[str, Any]:
    credentials = {name: getattr(server.sandbox, name) for name in ("client_id", "client_secret", "target_id")}
    names = ("endpoint", "token_endpoint", "control", "control_token")
    return {**{name: getattr(server, name) for name in names}, "credentials": credentials}


def _welcome(server: "Server") -> str:
    """Return what a person needs to start: the address, the credentials, and commands to paste into a shell."""
    body = shlex.quote(json.dumps({"query": bwp.documented.PAGE_LOAD.request}))
    text = files("bwp_nb.commands").joinpath("welcome.txt").read_text("utf-8")
    return text.format(server=server, sandbox=server.sandbox, body=body)


@contextlib.contextmanager
def _log(path: str | None, stopped: threading.Event) -> Iterator[Callable[["Arrival"], None]]:
    """Give what writes an arrival as a line of a file, if there is a path; a fault of the file ends the command."""
    faults: list[OSError] = []
    with open(path or os.devnull, "wb", buffering=0) as file:

        def write(arrival: "Arrival") -> None:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            try:
                file.write(json.dumps({"time": time, **asdict(arrival)}).encode() + b"\n")
            except OSError as error:  # a client is waiting meanwhile
                faults.append(error)
                stopped.set()

        yield write
    if faults:
        raise OSError(f"Cannot write {path}: {faults[0].strerror}. It does not have all events.")


def _result(arrivals: "Arrivals", is_report: bool) -> Result:
    """Return what arrived: a case for each event type."""
    counts = arrivals.counts()
    cases = [_case(name, wrong, total, arrivals.wrong) for name, (total, wrong) in counts.items()]
    types = {name: {"events": total, "invalid": wrong} for name, (total, wrong) in counts.items()}
    data = {"ok": not arrivals.wrong, "types": types, "invalid": list(map(asdict, arrivals.wrong))}
    nothing = Case("events", "not answered", arrivals.summary())
    return Result(arrivals.summary(), data, cases or [nothing], is_report=is_report)


def _case(event_type: str, wrong: int, total: int, arrivals: "list[Arrival]") -> Case:
    lines = [str(arrival) for arrival in arrivals if arrival.event_type == event_type]
    message = f"{wrong} of {total} not accepted, or with hints"
    name = readable(event_type) or "requests in which no event can be read"
    return Case(name, "failed", message, "\n".join(lines)) if wrong else Case(name)


def serving(command: argparse.ArgumentParser) -> None:
    """Add where to serve, to whom, and what to do with the events that arrive."""
    add = command.add_argument
    add("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    add("--host", choices=("127.0.0.1", "::1"), default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    repeated: dict[str, Any] = {"action": "append", "default": []}
    origin = "let web pages of this origin, such as http://localhost:3000, use the API"
    add("--allow-origin", metavar="ORIGIN", help=origin, **repeated)
    add("--log", metavar="FILE", help="write a JSON line for each event as it arrives, to this file")
    add("--fail-on-invalid", action="store_true", help="end with status 1 if an event was not accepted or has hints")
    add("--ignore-hint", metavar="FIELD", help="give no hints on this field, such as clientType", **repeated)
