"""Sends a table in processes that are killed at random moments, and in a last one that ends: python -m tests.killing.

The arguments are the table, the ledger, the number of kills, the workers and the seed of the moments. For each kill it
prints the number of rows in each state of the ledger, and at the end the counts of the report.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import bwp_nb as bwp
from bwp_nb.tables.ledger import STATES, Ledger


def killed(source: str, ledger: str, workers: int, chance: random.Random) -> bool:
    """Fork a process that sends, kill it after it has written some bytes, and return whether it was alive."""
    began, bytes_written, seconds = _size(ledger), chance.randint(0, 600), chance.uniform(0, 0.02)
    if not (child := os.fork()):
        bwp.send_table(bwp.connect(), source, ledger=ledger, workers=workers, progress=False)
        os._exit(0)
    while _size(ledger) < began + bytes_written and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def _size(ledger: str) -> int:
    return Path(ledger).stat().st_size if Path(ledger).exists() else 0


def killed_run(source: Path, ledger: Path) -> int:
    """Send a table in a process that signal 9 kills when the response to its sixth request is lost."""
    program = f"""
import os
import bwp_nb as bwp
sandbox = bwp.Sandbox()
sandbox.fail_next("slow", times=5, seconds=0)
sandbox.fail_next("reset_after")
client = bwp.connect(sandbox, retries=bwp.Retries(uniform=lambda *_: os.kill(os.getpid(), 9)))
bwp.send_table(client, {str(source)!r}, ledger={str(ledger)!r}, workers=1, progress=False)
"""
    return subprocess.run([sys.executable, "-c", program], check=False).returncode


def main(source: str, ledger: str, kills: int, workers: int, seed: int) -> None:
    """Kill, look, and at last let it end."""
    chance = random.Random(seed)  # noqa: S311
    bwp.dry_run(source)  # so that all is imported, and the moments fall into the sending
    for _ in range(kills):
        was_alive = killed(source, ledger, workers, chance)
        states = b""
        if Path(ledger).exists():
            book = Ledger(ledger)
            states = bytes(book.states)
            book.close()
        count = {state: states.count(code) for code, state in enumerate(STATES)}
        print(json.dumps({"killed": was_alive, **count}), flush=True)
    report = bwp.send_table(bwp.connect(), source, ledger=ledger, workers=workers, progress=False)
    print(json.dumps(report.counts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
