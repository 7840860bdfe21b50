"""The commands that check the way to the API: doctor, drift."""

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict

from bwp_nb.commands.result import Result, Status


def doctor(_: argparse.Namespace) -> Result:
    """Check everything that must be right before the first send.

    These are environment, settings, network, token, clock and schema of where the settings point. No event is sent.
    With --json it prints ok and steps, each with name, outcome, found and next_step.

    Exit statuses: 0 no step failed; 1 a step failed; 2 wrong usage; 4 settings are missing or malformed.
    """
    from bwp_nb.checks.doctor import doctor

    with redirect_stdout(sys.stderr):  # where a question goes
        diagnosis = doctor()
    failed = [step.name for step in diagnosis.steps if step.outcome == "failed"]
    status = Status.MISCONFIGURED if "settings" in failed else Status.FAILED if failed else Status.OK
    return Result(status, repr(diagnosis), {"ok": diagnosis.ok, "steps": [asdict(step) for step in diagnosis.steps]})


def drift(_: argparse.Namespace) -> Result:
    """Compare the API with what this package knows of it.

    This is done with the schema, and the response to the documented invalid event. No valid event is sent. With --json
    it prints ok and changes, each with place, result, concerns, severity, path, before and after.

    Exit statuses: 0 nothing has changed; 1 something has changed; 2 wrong usage; 3 nothing has changed, but something
    was not answered; 4 settings are missing or malformed, or the server refuses the credentials or the target.
    """
    from bwp_nb.checks.drift import drift
    from bwp_nb.connection import connect

    with redirect_stdout(sys.stderr), connect() as client:
        found = drift(client)
    results = {change.result for change in found.changes}
    statuses = {"misconfigured": Status.MISCONFIGURED, "changed": Status.FAILED, "not answered": Status.NOT_ANSWERED}
    status = next((status for result, status in statuses.items() if result in results), Status.OK)
    return Result(status, repr(found), {"ok": found.ok, "changes": [asdict(change) for change in found.changes]})
