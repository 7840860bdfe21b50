"""The commands that check the way to the API: doctor, drift."""

import argparse
import sys
from collections.abc import Collection
from contextlib import redirect_stdout
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from bwp_nb.commands.result import Case, Result, Status

if TYPE_CHECKING:
    from bwp_nb.checks.doctor import Step
    from bwp_nb.checks.drift import Change

#: The exit status for each result of a check; the first one that occurs counts.
_STATUSES = {"misconfigured": Status.MISCONFIGURED, "changed": Status.FAILED, "not answered": Status.NOT_ANSWERED}


def _status(results: Collection[str]) -> Status:
    return next((status for result, status in _STATUSES.items() if result in results), Status.OK)


def doctor(_: argparse.Namespace) -> Result:
    """Check everything that must be right before the first send.

    These are environment, settings, network, token, clock and schema of where the settings point. No event is sent.
    With --json it prints ok and steps, each with name, outcome, found, next_step and cause.

    Exit statuses: 0 no step failed; 1 the schema has no sendUserEvents; 2 wrong usage; 3 a server did not answer;
    4 settings are missing or malformed, the server refuses the credentials or the target, or the clock is wrong.
    """
    from bwp_nb.checks.doctor import doctor

    with redirect_stdout(sys.stderr):  # where a question goes
        diagnosis = doctor()
    status = _status([step.cause for step in diagnosis.steps])
    data = {"ok": diagnosis.ok, "steps": [asdict(step) for step in diagnosis.steps]}
    return Result(status, repr(diagnosis), data, list(map(_step_case, diagnosis.steps)))


def _step_case(step: "Step") -> Case:
    is_unknown = step.cause in ("not answered", "misconfigured")
    return Case(step.name, "error" if is_unknown else step.outcome, f"{step.found} {step.next_step}".rstrip())


def drift(_: argparse.Namespace) -> Result:
    """Compare the API with what this package knows of it.

    This is done with the schema, and the response to the documented invalid event. No valid event is sent. With --json
    it prints ok and changes, each with place, result, concerns, severity, path, before and after.

    Exit statuses: 0 nothing has changed; 1 something has changed; 2 wrong usage; 3 nothing has changed, but something
    was not answered; 4 settings are missing or malformed, sending was not confirmed, or the server refuses the
    credentials or the target.
    """
    from bwp_nb.checks.drift import drift
    from bwp_nb.connection import connect

    with redirect_stdout(sys.stderr), connect() as client:
        found = drift(client)
    status = _status([change.result for change in found.changes])
    data = {"ok": found.ok, "changes": [asdict(change) for change in found.changes]}
    cases = [_drift_case(place, list(rows)) for place, rows in groupby(found.changes, lambda change: change.place)]
    return Result(status, repr(found), data, cases)


def _drift_case(place: str, rows: "list[Change]") -> Case:
    from bwp_nb.text import counted

    if rows[0].result == "changed":
        return Case(place, "failed", counted(len(rows), "change"), "\n".join(map(str, rows)))
    return Case(place) if rows[0].result == "same" else Case(place, "error", str(rows[0]))
