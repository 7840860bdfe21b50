"""What is measured, and against which target."""

import gc
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, islice
from os import cpu_count
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.event import encode_event
from bwp_nb.mutation import body
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.transport import DeadlineTransport
from tests.benchmarks import rivals, shop

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 5
MIB = 2**20

_MEMORY = """
import re, sys
import bwp_nb as bwp, numpy, pandas, tqdm.auto
from tests.benchmarks.cases import client_of
def now(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
client = client_of(sys.argv[1])
client.send(client.new_event("click"))
before = now("VmRSS")
bwp.send_table(client, sys.argv[2], progress=False)
print(before, now("VmHWM"))
"""


def client_of(address: str) -> bwp.Client:
    """Return a client as `connect` makes it for a server, of the sink."""
    transport = DeadlineTransport()
    credentials = Credentials("benchmark", Secret("benchmark"), "benchmark")
    auth = TokenAuth(credentials, f"{address}/token", transport, Clock())
    return bwp.Client(transport, f"{address}/graphql", auth=auth)


@contextmanager
def sink(delay: float = 0.0) -> Iterator[str]:
    """Run a sink, and give its address."""
    command = [sys.executable, "-m", "tests.benchmarks.sink", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def measure(rows: int, *, quick: bool = False) -> Iterator[str]:
    """Yield the lines of a Markdown table: what, how much, the target, and whether it is met."""
    yield f"{platform.system()}, {cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    yield f"{rows} events a case, {4 * rows} for 16 workers\n"
    yield "| what | measured | target | met |\n| --- | --- | --- | --- |"
    with tempfile.TemporaryDirectory() as folder:
        day = traffic.shop_day(rows, invalid_rate=0)
        path = Path(folder) / "shop.csv"
        yield from _processor_time(list(islice(shop.rows(), rows)), path)
        yield from _throughput(day, [0, 0.02] if quick else [0, 0.02, 0.1])
        yield from _memory(day, Path(folder), [rows] if quick else [100_000, 1_000_000])
    yield from _reports(rows if quick else 1_000_000)
    yield from _imports()
    yield from _sandbox(rows)
    if not quick:
        yield from _notebooks()


def _line(what: str, measured: float, unit: str, target: float | None = None, *, at_least: bool = False) -> str:
    if target is None:
        return f"| {what} | {measured:.2f}{unit} | | |"
    met = measured >= target if at_least else measured <= target
    return f"| {what} | {measured:.2f}{unit} | {'≥' if at_least else '≤'} {target:g}{unit} | {'yes' if met else 'no'} |"


def _processor_time(rows: list[dict[str, str]], path: Path) -> Iterator[str]:
    day = pd.DataFrame(rows)
    day.to_csv(path, index=False)
    keywords = [shop.keywords(row) for row in rows]
    bodies = [
        body(encode_event(bwp.UserEvent(**given)) for given in keywords[start : start + 50])
        for start in range(0, len(rows), 50)
    ]
    with ExitStack() as stack:
        address = stack.enter_context(sink())
        floor = stack.enter_context(httpx.Client(headers={"Content-Type": "application/json"}))
        ours = stack.enter_context(client_of(address))
        others = {name: stack.enter_context(start(address, len(rows))) for name, start in rivals.installed().items()}
        cases: dict[str, Callable[[], object]] = {
            "floor": lambda: [floor.post(f"{address}/graphql", content=content) for content in bodies],
            "Client.send, with the making of its events": lambda: _send(ours, keywords),
            "send_table of a DataFrame": lambda: bwp.send_table(ours, day, workers=1, progress=False),
            "send_table of a CSV file": lambda: bwp.send_table(ours, path, workers=1, progress=False),
            "send_table of a CSV file with a ledger": lambda: _with_ledger(ours, path),
            **{name: partial(send, rows) for name, send in others.items()},
        }
        costs: dict[str, list[float]] = {name: [] for name in cases}
        gc.collect()
        gc.freeze()  # what the cases are given is not theirs to walk through
        for _ in range(ROUNDS):
            for name, case in cases.items():
                began = time.process_time()
                case()
                costs[name].append((time.process_time() - began) / len(rows))
        gc.unfreeze()
    floors, table = costs.pop("floor"), costs["send_table of a DataFrame"]
    theirs = {name: costs.pop(name) for name in others}
    yield _line("floor: httpx.Client.post of 50 ready events, µs an event", statistics.median(floors) * 1e6, "")
    for (name, found), target in zip(costs.items(), (2.4, 1.6, 2.0, None), strict=True):
        yield _line(f"{name}, processor time to the floor's", _ratio(found, floors), "×", target)
    for name, found in theirs.items():
        what = f"events a CPU second from a table, to those of {name}"
        yield _line(what, _ratio(found, table), "×", rivals.TARGETS[name], at_least=True)


def _ratio(costs: list[float], others: list[float]) -> float:
    """Return the median of the ratios within each round, since the machine is not equally fast in all."""
    return statistics.median(cost / other for cost, other in zip(costs, others, strict=True))


def _send(client: bwp.Client, keywords: list[dict[str, Any]]) -> None:
    for start in range(0, len(keywords), 50):
        client.send([bwp.UserEvent(**given) for given in keywords[start : start + 50]])


def _with_ledger(client: bwp.Client, path: Path) -> None:
    ledger = path.with_suffix(".ledger")
    bwp.send_table(client, path, workers=1, progress=False, ledger=ledger)
    ledger.unlink()


def _throughput(day: pd.DataFrame, delays: list[float]) -> Iterator[str]:
    long = pd.concat(_days(day, 4 * len(day)), ignore_index=True)  # else 16 workers have hardly begun when they end
    with ExitStack() as stack:
        clients = {delay: client_of(stack.enter_context(sink(delay))) for delay in delays}
        for client in clients.values():
            stack.enter_context(client)
            bwp.send_table(client, day[:800], workers=16, progress=False)
        times: dict[tuple[float, int], list[float]] = {(delay, workers): [] for delay in delays for workers in (1, 16)}
        floors: dict[float, list[float]] = {delay: [] for delay in delays[1:]}
        for _ in range(ROUNDS):
            for (delay, workers), found in times.items():
                part = long if workers == 16 else day[: 50 * 20] if delay else day
                began = time.perf_counter()
                bwp.send_table(clients[delay], part, workers=workers, progress=False)
                found.append((time.perf_counter() - began) / len(part))
            for delay, rates in floors.items():
                rates.append(_threads(clients[delay], len(long) // 50))
    for (delay, workers), found in times.items():
        rate = 1 / statistics.median(found)
        what = f"{workers} worker{'s' if workers > 1 else ''}, server's delay {delay * 1000:g} ms"
        yield _line(f"{what}, events a second", rate, "")
        if delay:
            share = 100 * rate * delay / workers / 50
            target = 85.0 if workers == 16 else None
            yield _line(f"{what}, share of what the delay allows", share, " %", target, at_least=True)
    for delay in delays[1:]:
        share = 100 * statistics.median(floors[delay]) * delay / 16 / 50
        yield _line(f"for comparison: the floor in 16 threads, {delay * 1000:g} ms, share", share, " %")


def _threads(client: bwp.Client, requests: int) -> float:
    """Return how many events a second 16 threads post that do nothing else, with bodies that are ready."""
    bodies = list(islice(cycle([exchange.sent for exchange in client.history][-160:]), requests))
    with httpx.Client(headers={"Content-Type": "application/json"}) as floor, ThreadPoolExecutor(16) as threads:
        began = time.perf_counter()
        list(threads.map(lambda body: floor.post(client.endpoint, content=body), bodies))
        return 50 * len(bodies) / (time.perf_counter() - began)


def _memory(day: pd.DataFrame, folder: Path, sizes: list[int]) -> Iterator[str]:
    peaks = []
    with sink() as address:
        for size in sizes:
            path = folder / f"{size}.csv"
            for number, part in enumerate(_days(day, size)):
                part.to_csv(path, mode="a", header=not number, index=False)
            command = [sys.executable, "-c", _MEMORY, address, str(path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
            before, peak = (1024 * int(number) for number in said.split())
            peaks.append(peak)
            yield _line(f"CSV of {size} rows, peak memory above imports", (peak - before) / MIB, " MiB", 80)
    if len(peaks) > 1:
        yield _line("peak memory for the longer file to that for the shorter", peaks[-1] / peaks[0], "×", 1.1)


def _days(day: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Yield the same day until there are so many rows, every row with an id of its own."""
    for start in range(0, size, len(day)):
        part = day[: size - start].copy()
        part["event_id"] = [f"{start + place:08x}-0000-4000-8000-000000000000" for place in range(len(part))]
        yield part


def _reports(rows: int) -> Iterator[str]:
    """Measure what an analyst does with a report in which every third row or so is invalid, each for its own reason."""
    day = pd.concat(_days(traffic.shop_day(min(rows, 10_000), invalid_rate=0), rows), ignore_index=True)
    is_wrong = day.index % 10 < 3
    day["event_time"] = day["event_time"].where(~is_wrong, day.index.astype(str))
    accepted = {"data": {"sendUserEvents": {"status": "successful"}}}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=accepted))
    with tempfile.TemporaryDirectory() as folder, bwp.Client(transport, "https://api.invalid/graphql") as client:
        report = bwp.send_table(client, day, workers=1, progress=False)
        cases: dict[str, Callable[[], object]] = {
            "frame()": report.frame,
            "repr()": report.__repr__,
            "HTML": report._repr_html_,
            "save_spreadsheet()": lambda: report.save_spreadsheet(Path(folder) / "refused.csv"),
        }
        for name, case in cases.items():
            began = time.process_time()
            case()
            seconds = time.process_time() - began
            yield _line(f"{name} of a report of {rows} rows, {sum(is_wrong)} invalid, seconds", seconds, "", 2)


def _imports() -> Iterator[str]:
    costs: dict[str, list[float]] = {"bwp_nb": [], "httpx": []}
    for _ in range(ROUNDS):
        for name, found in costs.items():
            code = f"import time; began = time.process_time(); import {name}; print(time.process_time() - began)"
            said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
            found.append(float(said.stdout))
    ours, theirs = (statistics.median(found) for found in costs.values())
    yield _line("import bwp_nb, to import httpx", ours / theirs, "×", 0.15)


def _sandbox(rows: int) -> Iterator[str]:
    events = [traffic.user_event(row) for row in traffic.shop_day(min(rows, 2_000), invalid_rate=0).to_dict("records")]
    client, began = bwp.connect(bwp.Sandbox()), time.process_time()
    for start in range(0, len(events), 50):
        client.send(events[start : start + 50])
    yield _line("the sandbox in this process, events a second", len(events) / (time.process_time() - began), "")


def _notebooks() -> Iterator[str]:
    command = [sys.executable, "-m", "pytest", "-q", "notebooks"]
    seconds = []
    for _ in range(ROUNDS):
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        seconds.append(float(re.findall(r" in ([\d.]+)s", said)[-1]))
    books = len(list((ROOT / "notebooks").glob("*.ipynb")))
    yield _line("notebook suite, seconds a notebook", statistics.median(seconds) / books, "", 2)
