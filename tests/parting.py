"""Kills a worker and then the driver of an engine that sends parts: python -m tests.parting ENGINE PARTS ROWS TIMES.

The engine is `dask` or `processes`; its driver is the script that the site shows. For each time it prints what arrived,
what the report says, and how many events were sent twice.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.tables.ledger import STATES, Ledger
from bwp_nb.wire.platform import Clock

ROOT = Path(__file__).parent.parent
PAGE = ROOT / ".site" / "reference" / "parts.md"
WORDS = {"dask": "LocalCluster", "processes": "ProcessPoolExecutor"}

#: Faults after which the events of the request are sent again, although none was accepted.
HARMLESS = {"throttled": 0.01, "reset_before": 0.01, "http_503": 0.01}
#: The same, and faults after which events may be accepted twice.
ALL = HARMLESS | {"reset_after": 0.01, "http_502_after": 0.01}

_SAVE = """\
    report.frame().to_parquet("report.parquet")
"""


def recipe(engine: str) -> str:
    """Return the script for an engine that the site shows."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if WORDS[engine] in block)
    return str(found)


def ordeal(folder: Path, engine: str, parts: int, rows: int, fault_rates: Mapping[str, float]) -> dict[str, Any]:
    """Kill a worker and then the driver, let the last driver end, and return what arrived and what is recorded."""
    (folder / "export").mkdir(parents=True)
    for number in range(parts):
        day = traffic.shop_day(rows, invalid_rate=0, seed=number).drop(columns="event_id")
        day.to_csv(folder / "export" / f"{number}.csv", index=False)
    (folder / "send.py").write_text(recipe(engine) + _SAVE)
    sandbox = bwp.Sandbox(clock=Clock(), latency=0.005, fault_rates=fault_rates)
    with bwp.serve(sandbox) as server:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, **server.environment, "PYTHONPATH": path}

        def sent(share: float) -> Callable[[], bool]:
            return lambda: sandbox.counts["accepted"] >= share * parts * rows

        first = _started(folder, environment)
        _until(first, sent(0.2))
        os.kill(_workers(first)[0], signal.SIGKILL)
        if engine == "processes":  # its pool breaks, and the driver ends
            assert 0 == first.wait(timeout=120), "the driver reports what is left"
            first = _started(folder, environment)
        _until(first, sent(0.6))
        early = _twice(sandbox)
        left = [*psutil.Process(first.pid).children(recursive=True)]
        first.kill()
        first.wait()
        last = _started(folder, environment)  # while processes of the first one may still be sending
        assert 0 == last.wait(timeout=300)
        for process in left:
            _kill(process)
    arrived = Counter(event["eventId"] for event in sandbox.accepted)
    report = pd.read_parquet(folder / "report.parquet")
    return {
        "arrived": arrived,
        "reported": dict(zip(report["event_id"], report["copies"], strict=True)),
        "states": report["state"].value_counts().to_dict(),
        "ledgers": sum((_recorded(path) for path in (folder / "ledgers").rglob("*.ledger")), Counter()),
        "twice": (early, _twice(sandbox)),
        "tokens": sandbox.token_requests,
    }


def _twice(sandbox: bwp.Sandbox) -> int:
    arrived = [event["eventId"] for event in sandbox.accepted]
    return len(arrived) - len(set(arrived))


def _recorded(path: Path) -> "Counter[str]":
    book = Ledger(path, read_only=True)
    return Counter({state: book.count(state) for state in STATES})


def _started(folder: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "send.py"], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def _workers(driver: "subprocess.Popen[bytes]") -> list[int]:
    """Return the processes that send."""
    children = psutil.Process(driver.pid).children(recursive=True)
    return [child.pid for child in children if "resource_tracker" not in " ".join(child.cmdline())]


def _until(driver: "subprocess.Popen[bytes]", is_reached: Callable[[], bool]) -> None:
    for _ in range(30_000):
        if is_reached():
            return
        assert driver.poll() is None, "the driver ended before"
        time.sleep(0.004)
    raise AssertionError("It was never reached")


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # a worker of Dask notices that its driver has ended
        process.kill()


def main(engine: str, parts: int, rows: int, times: int) -> None:
    """Print a line each time."""
    for _ in range(times):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = ordeal(Path(folder), engine, parts, rows, HARMLESS)
        sent = {event_id for event_id, copies in found["reported"].items() if copies}
        shown = {
            "engine": engine,
            "accepted": len(found["arrived"]),
            "sent by the ledgers": found["ledgers"]["sent"],
            "the same ids": set(found["arrived"]) == sent,
            "sent twice before the driver was killed, and at the end": found["twice"],
            "more copies than reported": sum(
                times > found["reported"][event_id] for event_id, times in found["arrived"].items()
            ),
            "states": found["states"],
            "token requests": found["tokens"],
            "seconds": round(time.monotonic() - began, 1),
        }
        print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
