"""The command that serves the sandbox."""

import argparse
import contextlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from bwp_nb.commands.result import Case, Result, Status
from bwp_nb.commands.welcome import described, welcome

if TYPE_CHECKING:
    from bwp_nb.checks.arrivals import Arrival, Arrivals
    from bwp_nb.sandbox.server import Server


def serve(given: argparse.Namespace) -> Result:
    """Serve a sandbox of the API on this machine, for example beside the tests of a shop.

    It is served until Ctrl-C or SIGTERM. It accepts its own credentials only, and only programs of this machine can
    reach it. With --json it prints endpoint, token_endpoint, credentials, control and control_token, then serves; with
    --log or --fail-on-invalid it prints, at the end, events, invalid, types and findings. A line of the log has time,
    request, state, event, reason, problems, hints and simulated; the state is accepted, duplicate, rejected for what
    the event contains, or refused with its request. An event that is refused because of its token counts unless it is
    accepted later.

    Exit statuses: 0 it was stopped; 1 the port or the log cannot be used, or, with --fail-on-invalid, an event was not
    accepted or has hints; 2 wrong usage; 3 with --fail-on-invalid, no event arrived.
    """
    from bwp_nb.checks.arrivals import Arrivals

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    with _Log(given.log, stopped) as log, _served(given) as server:
        arrivals = Arrivals(server.sandbox, log.write, given.ignore_hint)
        sys.stdout.write(described(server) if given.json else welcome(server))
        sys.stdout.flush()
        while not stopped.wait(0.5):  # on Windows no signal would end a longer wait
            pass
    if given.log or given.fail_on_invalid or given.junit:
        return _result(arrivals, given)
    return Result(Status.OK)


def _served(given: argparse.Namespace) -> "Server":
    from bwp_nb.sandbox.server import serve

    try:
        return serve(port=given.port, host=given.host, allow_origins=given.allow_origin)
    except OSError as error:
        raise OSError(f"Cannot serve on {given.host} port {given.port}: {error}.") from None


class _Log:
    """A file with a line for each arrival, if a path is given; where it cannot be written, the server stops."""

    def __init__(self, path: str | None, stopped: threading.Event) -> None:
        self._path = path
        self._stopped = stopped
        self._fault: OSError | None = None
        self._file: TextIO | None = None

    def __enter__(self) -> "_Log":
        with self._named():
            self._file = open(self._path, "w", encoding="utf-8") if self._path else None
        return self

    def __exit__(self, *_: object) -> None:
        with self._named():
            if self._file:
                self._file.close()
            if self._fault:
                raise self._fault

    def write(self, arrival: "Arrival") -> None:
        """Write a line, and note a fault: this is called while a client waits."""
        if not self._file or self._fault:
            return
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **arrival.line()}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            self._fault = error
            self._stopped.set()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(f"Cannot write {self._path}: {error.strerror or error}.") from None


def _result(arrivals: "Arrivals", given: argparse.Namespace) -> Result:
    """Return what arrived: a case for each event type."""
    from bwp_nb.text import counted, quoted

    counts = arrivals.counts()
    events, wrong = (sum(pair[place] for pair in counts.values()) for place in (0, 1))
    lines = {
        name: [item.shown(given.ignore_hint) for item in arrivals.wrong if item.event_type == name] for name in counts
    }
    cases = [
        Case(
            quoted(name) if name else "requests without an event",
            "failed" if bad else "passed",
            f"{bad} of {counted(total, 'event')} not accepted, or with hints" if bad else "",
            "\n".join(lines[name]),
        )
        for name, (total, bad) in counts.items()
    ]
    cases = cases or [Case("events", "error", "No event arrived at the sandbox.")]
    head = f"{counted(events, 'event')} arrived; {wrong} not accepted, or with hints"
    text = "\n  ".join([head if events else cases[0].message, *(line for found in lines.values() for line in found)])
    types = {name: {"events": total, "invalid": bad} for name, (total, bad) in counts.items()}
    findings = [item.line() for item in arrivals.wrong]
    data = {"events": events, "invalid": wrong, "types": types, "findings": findings}
    status = Status.OK
    if given.fail_on_invalid:
        status = Status.FAILED if wrong else Status.OK if events else Status.NOT_ANSWERED
    return Result(status, text, data, cases)


def serving(command: argparse.ArgumentParser) -> None:
    """Add where to serve, to whom, and what to do with the events that arrive."""
    add = command.add_argument
    add("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    hosts = ("127.0.0.1", "::1")
    add("--host", choices=hosts, default=hosts[0], help=f"where to listen (default: {hosts[0]})")
    repeated: dict[str, Any] = {"action": "append", "default": []}
    origin = "let web pages of this origin, such as http://localhost:3000, use the API"
    add("--allow-origin", metavar="ORIGIN", help=origin, **repeated)
    add("--log", metavar="FILE", help="write a JSON line for each event as it arrives, to this file")
    add("--fail-on-invalid", action="store_true", help="end with status 1 if an event was not accepted or has hints")
    add("--ignore-hint", metavar="FIELD", help="let hints on this field not count, such as clientType", **repeated)
