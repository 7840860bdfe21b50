"""A table through every fault, under both readings of the documentation: the state of each row is true."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import traffic
from tests.strategies import VALID

#: The number of runs for each reading; set it to 200 for a long test.
SEEDS = 20

FAULTS = [fault.name for fault in bwp.faults()]
READINGS = ("event", "call")


def _table(chance: random.Random) -> pd.DataFrame:
    """Return valid rows, and a few that our checks or the API refuse: by name, without naming them, or for their id."""
    rows = [VALID | {"event_id": f"id-{number}"} for number in range(chance.randint(1, 220))]
    wrong = [{"event_time": "2023"}, {"event_type": "poison"}, {"note": "riddle"}] * 2 + [{"event_id": "poison"}]
    for row, changes in zip(chance.sample(rows, len(rows)), wrong, strict=False):
        row.update(changes)
    return pd.DataFrame(rows)


def _sandbox(chance: random.Random, fault: str, refuses: Any) -> bwp.Sandbox:
    others = chance.sample([name for name in FAULTS if name != "duplicate"], 3)
    rates = {fault: 0.2} | {name: 0.08 for name in others if name != fault}
    sandbox = bwp.Sandbox(refuses=refuses, fault_rates=rates, seed=chance.randrange(10**6))
    sandbox.refuse("poison")
    sandbox.refuse("riddle", name_it=False)
    return sandbox


def _wrong(report: bwp.Report, sandbox: bwp.Sandbox) -> list[str]:
    """Return the rows whose state or number of copies is not true."""
    arrived = Counter(event["eventId"] for event in [*sandbox.accepted, *sandbox.duplicates])
    is_counted = "duplicate" not in sandbox.fault_rates
    found = []
    for row in report.frame().itertuples():
        times = arrived[str(row.event_id)]
        is_true = {"sent": times > 0, "unknown": True}.get(str(row.state), times == 0)
        if not is_true or (is_counted and times > int(str(row.copies))):
            found.append(f"row {row.Index}: {row.state}, {row.copies} copies, accepted {times} times: {row.reason}")
    return found


def _run(seed: int, refuses: str, folder: Path) -> Counter[str]:
    """Send a table twice with one ledger; check the states after each run, and return their numbers."""
    chance = random.Random(f"{seed} {refuses}")  # noqa: S311
    fault = FAULTS[(2 * seed + READINGS.index(refuses)) % len(FAULTS)]
    sandbox, table = _sandbox(chance, fault, refuses), _table(chance)
    seen: Counter[str] = Counter()
    for run in range(2):
        report = bwp.send_table(
            bwp.connect(sandbox),
            table,
            ledger=folder / f"{refuses} {seed}",
            workers=chance.randint(1, 16),
            batch_size=chance.choice([50, 50, 7, 1]),
            on_refused=chance.choice(["resend", "resend", "skip"]),
            on_unknown=chance.choice(["resend", "skip"]),
            progress=False,
        )
        assert [] == _wrong(report, sandbox), f"seed {seed}, run {run}, {sandbox.fault_rates}"
        assert len(table) == sum(report.counts.values()) == report.frame()["state"].isin(list(report.counts)).sum()
        seen.update(report.counts)
    return seen


@pytest.mark.parametrize("refuses", READINGS)
def test_the_state_of_each_row_is_true(refuses: str, tmp_path: Path) -> None:
    """Sent rows were accepted; rejected, failed and invalid ones never; none more often than the report says."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += _run(seed, refuses, tmp_path)
    assert {"sent", "rejected", "invalid", "failed", "unknown"} == set(+seen), "all states must occur"


@pytest.mark.parametrize("refuses", READINGS)
@pytest.mark.parametrize("workers", [1, 16])
def test_a_run_without_faults_leaves_nothing_unknown(refuses: Any, workers: int) -> None:
    """Also with rows that the API refuses."""
    rows = [VALID | {"event_id": str(number)} for number in range(2_000)]
    for number, changes in ((100, {"event_type": "poison"}), (101, {"note": "riddle"}), (1_500, {"note": "riddle"})):
        rows[number] |= changes
    sandbox = bwp.Sandbox(refuses=refuses)
    sandbox.refuse("poison")
    sandbox.refuse("riddle", name_it=False)
    report = bwp.send_table(bwp.connect(sandbox), pd.DataFrame(rows), workers=workers, progress=False)
    assert {"sent": 1_997, "rejected": 3, "invalid": 0, "failed": 0, "unknown": 0} == report.counts
    assert [] == _wrong(report, sandbox)


def test_a_run_without_faults_has_no_unknown_row() -> None:
    """`unknown` is the exception: of 100,000 rows all are sent, each in one request."""
    report = bwp.send_table(bwp.connect(), traffic.shop_day(100_000, invalid_rate=0), progress=False)
    assert {"sent": 100_000, "rejected": 0, "invalid": 0, "failed": 0, "unknown": 0} == report.counts
    assert {1} == set(report.frame(ids=False)["copies"])
