"""A sending process killed by signal 9, again and again, at random moments: nothing is lost."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.wire.platform import Clock
from tests.killing import killed_run

ROOT = Path(__file__).parent.parent.parent
KILLS = 50
WORKERS = 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that fifty processes start in a moment")
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    """Every row ends in one state; rows sent twice were being sent at a kill, at most workers x 50 each time."""
    day = traffic.shop_day(12_000, invalid_rate=0.01)
    path, ledger = tmp_path / "day.csv", tmp_path / "day.ledger"
    day.to_csv(path, index=False)
    with bwp.serve(bwp.Sandbox(clock=Clock(), latency=0.0)) as server:  # which keeps all of them
        command = [sys.executable, "-m", "tests.killing", str(path), str(ledger), str(KILLS), str(WORKERS), "0"]
        run = subprocess.run(
            command,
            env=os.environ | server.environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
    *moments, counts = map(json.loads, run.stdout.splitlines())
    assert [True] * KILLS == [moment["killed"] for moment in moments]
    assert {"sent": 11_880, "rejected": 0, "invalid": 120, "failed": 0, "unknown": 0} == counts
    arrived = Counter(event["eventId"] for event in server.sandbox.accepted)
    report = bwp.Report.read(ledger, path).frame()
    assert set(report[report["state"] == "sent"]["event_id"]) == set(arrived)
    copies = dict(zip(report["event_id"], report["copies"], strict=True))
    assert {} == {event_id: times for event_id, times in arrived.items() if times > copies[event_id]}
    under_way = [moment["in_flight"] for moment in moments]
    assert max(under_way) <= WORKERS * 50
    assert sum(arrived.values()) - len(arrived) <= sum(under_way)
    assert len({moment["sent"] for moment in moments}) > KILLS / 2, "the moments must fall into the sending"


def test_a_run_that_is_killed_during_a_request_is_resumed(tmp_path: Path) -> None:
    """The rows that were being sent are unknown and sent again with their ids; no other row is."""
    day, ledger = tmp_path / "day.csv", tmp_path / "day.ledger"
    traffic.shop_day(1_000, invalid_rate=0).drop(columns="event_id").to_csv(day, index=False)
    assert -9 == killed_run(day, ledger)
    first = bwp.Report.read(ledger, day)
    assert {"sent": 250, "rejected": 0, "invalid": 0, "failed": 700, "unknown": 50} == first.counts
    client = bwp.connect()
    second = bwp.send_table(client, day, ledger=ledger, workers=1, progress=False)
    assert 1_000 == second.counts["sent"]
    assert [1] * 250 + [5] * 50 + [1] * 700 == list(second.frame()["copies"]), "4 attempts may have been made before"
    assert list(first.frame()["event_id"]) == list(second.frame()["event_id"])
    assert list(first.frame()["event_id"][250:]) == [event["eventId"] for event in client.sandbox.accepted]


def test_unknown_rows_can_be_skipped(tmp_path: Path) -> None:
    """The same call with `on_unknown="skip"` sends the others."""
    day, ledger = tmp_path / "day.csv", tmp_path / "day.ledger"
    traffic.shop_day(1_000, invalid_rate=0).to_csv(day, index=False)
    killed_run(day, ledger)
    client = bwp.connect()
    report = bwp.send_table(client, day, ledger=ledger, on_unknown="skip", progress=False)
    assert {"sent": 950, "rejected": 0, "invalid": 0, "failed": 0, "unknown": 50} == report.counts
    assert 700 == len(client.sandbox.accepted)
    assert "row 250 and 49 more: unknown, sent, but the run ended before the response was recorded" in repr(report)
