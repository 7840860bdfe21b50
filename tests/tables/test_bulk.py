"""Many events: every row has an outcome, whatever happens on the way."""

import itertools
import signal
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.errors import InvalidEvent
from bwp_nb.sandbox.api import SandboxClock
from bwp_nb.tables.chunks import CHUNK
from tests.strategies import VALID, event

SUCCESS = {"data": {"sendUserEvents": {"status": "successful"}}}


def _send(source: Any, sandbox: bwp.Sandbox | None = None, workers: int = 1, **options: Any) -> bwp.Report:
    return bwp.send_table(bwp.connect(sandbox), source, workers=workers, progress=False, **options)


def _ids(sandbox: bwp.Sandbox) -> list[str]:
    return [event["eventId"] for event in sandbox.accepted]


def _server(answer: Callable[[httpx.Request], httpx.Response]) -> bwp.Client:
    """Return a client of a server that answers in this way, with a clock that does not wait."""
    return bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock())


SEVEN_BAD = {
    11: ({"event_time": "2023"}, "eventTime: '2023' is not a UTC date-time"),
    222: ({"event_type": "pl"}, "eventType: expected 3 to 64 characters, got 2: 'pl'"),
    333: ({"client_type": "ANDROID"}, "got 'ANDROID' (of the older API version 2024-01-01)"),
    444: ({"client_version": None}, "clientVersion: must be a str, got None"),
    555: ({"product_sku": 12}, "['product_sku']: must be a str, got int, e.g. 12; turn it into a str"),
    666: ({"page_type": "\ud800"}, "additionalProperties['page_type']: 'page_type\\ud800' contains a lone surrogate"),
    999: ({"event_time": pd.Timestamp("2024-01-01")}, "has no time zone"),
}


@pytest.mark.parametrize("workers", [1, 8])
def test_of_a_thousand_rows_with_seven_bad_ones_the_others_are_sent(workers: int) -> None:
    """Each bad one is named by row and reason."""
    day = traffic.shop_day(1_000, invalid_rate=0).astype(object)
    for row, (changes, _) in SEVEN_BAD.items():
        for name, value in changes.items():
            day.loc[row, name] = value
    sandbox = bwp.Sandbox()
    report = _send(day, sandbox, workers)
    assert {"sent": 993, "rejected": 0, "invalid": 7, "failed": 0, "unknown": 0} == report.counts
    found = report.frame()
    assert dict.fromkeys(SEVEN_BAD, "invalid") == found[found["reason"] != ""]["state"].to_dict()
    assert [] == [row for row, (_, words) in SEVEN_BAD.items() if words not in found["reason"][row]]
    assert set(day["event_id"].drop(list(SEVEN_BAD))) == set(_ids(sandbox))
    assert 993 == len(_ids(sandbox))


@pytest.mark.parametrize("refuses", ["event", "call"])
@pytest.mark.parametrize("name_it", [True, False])
def test_one_poison_row_that_our_checks_cannot_see_is_found(name_it: bool, refuses: Any) -> None:
    """499 of 500 are sent, and that one is named, whether the API's text names it or not."""
    day = traffic.shop_day(500, invalid_rate=0)
    sandbox = bwp.Sandbox(refuses=refuses)
    sandbox.refuse(day["event_id"][123], name_it=name_it)
    report = _send(day, sandbox, workers=4)
    assert {"sent": 499, "rejected": 1, "invalid": 0, "failed": 0, "unknown": 0} == report.counts
    assert [123] == list(report.quarantine().index)
    assert "an event is invalid" in report.frame()["reason"][123] or name_it
    assert set(day["event_id"].drop(123)) == set(_ids(sandbox))
    assert (499 if refuses == "call" else 548) == len(_ids(sandbox))


def test_several_poison_rows_in_a_batch_are_all_found() -> None:
    """And no other one is refused."""
    day = traffic.shop_day(100, invalid_rate=0)
    sandbox = bwp.Sandbox(refuses="call")
    for row in (3, 4, 30, 77):
        sandbox.refuse(day["event_id"][row], name_it=False)
    report = _send(day, sandbox)
    assert ([3, 4, 30, 77], 96) == (list(report.quarantine().index), report.counts["sent"])
    assert Counter(day["event_id"].drop([3, 4, 30, 77])) == Counter(_ids(sandbox))


def test_batches_that_are_too_large_are_halved_until_they_fit() -> None:
    """And the next ones are sent in the smaller size; one event that is too large is failed."""
    tried: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tried.append(len(request.content))
        return httpx.Response(413) if len(request.content) > 6_000 else httpx.Response(200, json=SUCCESS)

    day = traffic.shop_day(200, invalid_rate=0)
    day.loc[150, "current_url"] = "x" * 7_000
    report = bwp.send_table(_server(answer), day, workers=1, progress=False)
    assert {"sent": 199, "rejected": 0, "invalid": 0, "failed": 1, "unknown": 0} == report.counts
    assert [150] == list(report.events("failed").index)
    assert "HTTP 413" in report.frame()["reason"][150]
    assert 2 == sum(length > 6_000 for length in tried[:12])


def test_throttling_makes_half_of_the_workers_stop() -> None:
    """Eight were sending; when one is asked to wait, at most four continue."""
    together, counting = threading.Barrier(8), threading.Lock()
    state = {"started": 0, "now": 0, "most": 0}

    def answer(_: httpx.Request) -> httpx.Response:
        with counting:
            state["started"] += 1
            number = state["started"]
        if number <= 8:
            together.wait(60)
            return httpx.Response(429) if number == 8 else _after_a_while(number)
        with counting:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        time.sleep(0.05)
        with counting:
            state["now"] -= 1
        return httpx.Response(200, json=SUCCESS)

    def _after_a_while(number: int) -> httpx.Response:
        time.sleep(0.2 if number < 8 else 0)  # so that the others are still sending
        return httpx.Response(200, json=SUCCESS)

    report = bwp.send_table(_server(answer), traffic.shop_day(1_500, invalid_rate=0), workers=8, progress=False)
    assert (1_500, True) == (report.counts["sent"], 1 <= state["most"] <= 4)


class HeldClock(SandboxClock):
    """A clock on which nobody's wait ends before `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.waiting: set[int] = set()

    def sleep(self, seconds: float) -> None:
        """Wait with the others."""
        self.waiting.add(threading.get_ident())
        self.go.wait(60)
        super().sleep(seconds)


def test_all_workers_wait_when_one_is_told_to() -> None:
    """One waits for its own turn, and the other that may go on waits with it; the table is not sent meanwhile."""
    clock, together = HeldClock(), threading.Barrier(4)
    numbers = itertools.count()
    arrived: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        arrived.append(number := next(numbers))
        if number == 0:
            together.wait(60)
            return httpx.Response(429, headers={"Retry-After": "30"})
        if number < 4:
            together.wait(60)
            time.sleep(0.2)  # so that they are still sending when the first is asked to wait
        return httpx.Response(200, json=SUCCESS)

    client = bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=clock)
    reports: list[bwp.Report] = []
    day = traffic.shop_day(1_000, invalid_rate=0)
    run = threading.Thread(target=lambda: reports.append(bwp.send_table(client, day, workers=4, progress=False)))
    run.start()
    for _ in range(6_000):
        if len(clock.waiting) == 2 or len(arrived) == 20:
            break
        time.sleep(0.01)
    assert (2, 4) == (len(clock.waiting), len(arrived))
    clock.go.set()
    run.join(60)
    assert (1_000, 21) == (reports[0].counts["sent"], len(arrived))


@pytest.mark.parametrize("workers", [1, 4])
def test_an_outage_ends_the_run_soon(workers: int, tmp_path: Path) -> None:
    """What was not tried is failed, and the same call sends it later."""
    sandbox = bwp.Sandbox()
    sandbox.fail_next("refused", times=10_000)
    day = traffic.shop_day(2_000, invalid_rate=0.01)
    report = _send(day, sandbox, workers, ledger=tmp_path / "a")
    assert 0 == report.counts["sent"] + report.counts["unknown"] + report.counts["rejected"]
    assert report.stopped.startswith("5 consecutive requests failed; last error: Cannot connect to")
    assert "not sent: the run ended before its turn" in set(report.frame()["reason"])
    assert 1_980 == _send(day, bwp.Sandbox(), workers, ledger=tmp_path / "a").counts["sent"]


def test_no_access_ends_the_run_at_once(tmp_path: Path) -> None:
    """The events are not rejected; the same call sends them once there is access."""
    sandbox = bwp.Sandbox()
    sandbox.fail_next("access_denied", times=2)
    day = traffic.shop_day(200, invalid_rate=0)
    report = _send(day, sandbox, ledger=tmp_path / "a")
    assert {"sent": 0, "rejected": 0, "invalid": 0, "failed": 200, "unknown": 0} == report.counts
    assert report.stopped.startswith("the API denies access")
    assert 200 == _send(day, sandbox, ledger=tmp_path / "a").counts["sent"]


def test_an_interrupt_lets_what_is_under_way_end(tmp_path: Path) -> None:
    """It says how many are sent and how to go on; going on sends each of the others once."""
    sandbox, seen = bwp.Sandbox(), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 4:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if 4 <= len(seen) <= 20:
            time.sleep(0.1)  # and let the main thread hear of it
        return sandbox.handle_request(request)

    played = bwp.connect(sandbox)
    client = bwp.Client(httpx.MockTransport(answer), sandbox.endpoint, auth=played._auth, clock=sandbox.clock)
    day = traffic.shop_day(1_000, invalid_rate=0)
    with pytest.raises(KeyboardInterrupt) as caught:
        bwp.send_table(client, day, ledger=tmp_path / "a", workers=2, progress=False)
    sent = len(_ids(sandbox))
    assert 150 <= sent < 1_000
    expected = f"Stopped. {sent} of 1000 rows are sent; the ledger a records which. Make the same call again to send "
    assert f"{expected}the others." == str(caught.value)
    assert sent == bwp.Report.read(tmp_path / "a", day).counts["sent"]
    assert 1_000 == bwp.send_table(client, day, ledger=tmp_path / "a", workers=2, progress=False).counts["sent"]
    assert Counter(day["event_id"]) == Counter(_ids(sandbox))


def test_a_lost_answer_leaves_a_row_unknown_until_it_is_sent_again(tmp_path: Path) -> None:
    """With the same ids."""
    sandbox = bwp.Sandbox()
    sandbox.fail_next("reset_after", times=4)
    day = traffic.shop_day(100, invalid_rate=0)
    assert 50 == _send(day, sandbox, ledger=tmp_path / "a").counts["unknown"]
    assert 100 == _send(day, sandbox, ledger=tmp_path / "a").counts["sent"]
    assert Counter(list(day["event_id"][:50]) * 5 + list(day["event_id"][50:])) == Counter(_ids(sandbox))


def test_nothing_is_sent_twice_by_calling_again(tmp_path: Path) -> None:
    """A ledger of a run that has ended has nothing left to do; what is refused is not tried again."""
    day, sandbox = traffic.shop_day(200, invalid_rate=0.1), bwp.Sandbox()
    sandbox.refuse(day["event_id"][7])
    first = _send(day, sandbox, ledger=tmp_path / "a")
    requests = len(sandbox.requests)
    second = _send(day, sandbox, ledger=tmp_path / "a")
    assert (requests, first.counts) == (len(sandbox.requests), second.counts)
    pd.testing.assert_frame_equal(first.frame(), second.frame())


def test_repeated_ids_are_refused_before_anything_is_sent() -> None:
    """Unless the caller allows it."""
    rows, sandbox = [event(), event(event_id="b"), event()], bwp.Sandbox()
    with pytest.raises(InvalidEvent, match=r"event 2, eventId: '11c7e59a.* is a duplicate of event 0"):
        _send(rows, sandbox)
    assert [] == sandbox.requests
    assert 3 == _send(rows, sandbox, on_duplicates="send").counts["sent"]


def test_no_rows_are_no_requests(tmp_path: Path) -> None:
    """And no error."""
    sandbox = bwp.Sandbox()
    for source in ([], pd.DataFrame([VALID])[:0]):
        assert 0 == _send(source, sandbox).rows
    (tmp_path / "a.csv").write_text(",".join(VALID) + "\n")
    assert "0 rows: none" == repr(_send(tmp_path / "a.csv", sandbox)).splitlines()[0]
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_unknown": "drop"}, "on_unknown: expected 'resend' or 'skip', got 'drop'"),
        ({"on_refused": "drop"}, "on_refused: expected 'resend' or 'skip', got 'drop'"),
        ({"on_duplicates": "drop"}, "on_duplicates: expected 'refuse' or 'send', got 'drop'"),
        ({"workers": 0}, "workers: expected an int from 1 to 9999, got 0"),
        ({"batch_size": 51}, "batch_size: expected an int from 1 to 50, got 51"),
        ({"batch_size": 2.5}, "batch_size: expected an int from 1 to 50, got 2.5"),
        ({"max_wait": -1}, "max_wait: expected 0 seconds or more, got -1"),
        ({"max_wait": float("nan")}, "max_wait: expected 0 seconds or more, got nan"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    """The message says which values are allowed."""
    with pytest.raises(ValueError, match=message):
        bwp.send_table(bwp.connect(), [event()], **options)


def test_progress_is_shown_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    """What is sent, refused and unknown; nothing at all without it."""
    bwp.send_table(bwp.connect(), traffic.shop_day(100, invalid_rate=0.1), workers=1)
    shown = capsys.readouterr()
    assert "" == shown.out
    assert "100%" in shown.err
    assert "sent=90, refused=10, unknown=0" in shown.err
    bwp.send_table(bwp.connect(), traffic.shop_day(100, invalid_rate=0.1), workers=1, progress=False)
    assert ("", "") == tuple(capsys.readouterr())


def test_a_dry_run_returns_what_a_send_takes() -> None:
    """Rows, requests, bytes and problems, to the byte."""
    day, client = traffic.shop_day(333, invalid_rate=0.1), bwp.connect()
    dry = bwp.dry_run(day)
    report = bwp.send_table(client, day, workers=1, progress=False)
    assert (333, report.counts["sent"]) == (dry.rows, dry.valid)
    assert (len(client.history), sum(exchange.bytes_sent for exchange in client.history)) == (dry.requests, dry.bytes)
    reasons = report.frame()["reason"]
    assert reasons[reasons != ""].to_dict() == {row: "; ".join(map(str, found)) for row, found in dry.problems.items()}
    assert dry.requests / 3.5 == dry.seconds(3.5)


def _csv(path: Path, chunks: int) -> Path:
    day = traffic.shop_day(CHUNK, invalid_rate=0.01).drop(columns="event_id")
    for chunk in range(chunks):
        day.to_csv(path, mode="a", header=not chunk, index=False)
    return path


def _peak(source: Any) -> int:
    """Return the most bytes that a send used at once, without the history's."""
    client = _server(lambda _: httpx.Response(200, json=SUCCESS))
    client.history = bwp.History(limit=1)
    tracemalloc.start()
    try:
        bwp.send_table(client, source, workers=1, progress=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """It needs less than a quarter of what the file has more; the benchmark measures a million rows.

    On Python 3.11, 3.12 and 3.13 the difference was 11, -50 and 8 kB of 480 kB, once two chunks had been sent: what is
    kept on first use is up to 250 kB, on 3.13 the most.
    """
    short, long = _csv(tmp_path / "short.csv", 2), _csv(tmp_path / "long.csv", 6)
    _peak(short)
    assert _peak(long) - _peak(short) < (long.stat().st_size - short.stat().st_size) / 4


def test_a_long_generator_takes_no_more_memory_than_a_short_one() -> None:
    """It grows by less than 40 bytes an event, which is less than its id: the events are in a temporary file."""

    def events(chunks: int) -> Iterator[bwp.UserEvent]:
        return (event(event_id=str(number)) for number in range(chunks * CHUNK))

    _peak(events(1))
    assert _peak(events(12)) - _peak(events(2)) < 10 * CHUNK * 40


KINDS = st.sampled_from(["good", "good", "good", "invalid", "poison", "riddle"])
#: Faults after which a row's state is still true; the others refuse or accept rows whatever their content.
TRUE_FAULTS = {fault.name for fault in bwp.faults()} - {
    "huge",
    "message",
    "http_413",
    "data_and_errors",
    "other_status",
}
FAULTS = st.sampled_from(sorted(TRUE_FAULTS))


class Replay(RuleBasedStateMachine):
    """A table that grows until it is sent, by runs that meet faults and are killed: the ledger goes back in time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Path(self.folder.name) / "ledger"
        self.sandbox = bwp.Sandbox()
        self.sandbox.refuse("poison")
        self.sandbox.refuse("riddle", name_it=False)
        self.rows: list[dict[str, Any]] = []
        self.kinds: list[str] = []
        self.report: bwp.Report | None = None

    @rule(kinds=st.lists(KINDS, min_size=1, max_size=70))
    def add(self, kinds: list[str]) -> None:
        """Add rows; once a run has begun the table is another one, which its ledger refuses."""
        wrong = {"invalid": {"event_time": "2023"}, "poison": {"event_type": "poison"}, "riddle": {"note": "riddle"}}
        rows = [
            VALID | wrong.get(kind, {}) | {"event_id": f"{len(self.rows) + place}"} for place, kind in enumerate(kinds)
        ]
        if self.report is None:
            self.rows, self.kinds = self.rows + rows, self.kinds + kinds
            return
        with pytest.raises(bwp.LedgerError, match="belongs to different data"):
            _send(pd.DataFrame(self.rows + rows), self.sandbox, ledger=self.ledger)

    @rule(name=FAULTS, times=st.integers(1, 6))
    def fault(self, name: str, times: int) -> None:
        """Order a fault."""
        self.sandbox.fail_next(name, times)

    @rule(workers=st.integers(1, 3))
    def run(self, workers: int) -> None:
        """Send, or send what is left."""
        if self.rows:
            self.report = _send(pd.DataFrame(self.rows), self.sandbox, workers, ledger=self.ledger)
            assert self._unions() == len(self.rows)

    @rule(share=st.floats(0, 1))
    def kill(self, share: float) -> None:
        """Let the ledger end at any byte, as after a kill at that moment."""
        if self.report is not None:
            content = self.ledger.read_bytes()
            begun = content.index(b"\n") + 1
            self.ledger.write_bytes(content[: begun + int(share * (len(content) - begun))])
            self.report = bwp.Report.read(self.ledger, pd.DataFrame(self.rows))

    @invariant()
    def every_row_is_in_one_state(self) -> None:
        """It was accepted if it is called sent, and never if the API refused it."""
        if self.report is None:
            return
        frame = self.report.frame()
        assert len(self.rows) == self._unions() == len(frame)
        arrived = set(_ids(self.sandbox))
        assert set(frame[frame["state"] == "sent"]["event_id"]) <= arrived
        assert not set(frame[frame["state"].isin(["invalid", "rejected"])]["event_id"]) & arrived

    def _unions(self) -> int:
        assert self.report is not None
        return sum(self.report.counts.values())

    def teardown(self) -> None:
        """Without more faults, a run ends with each row in the expected state.

        What is refused without being named may have been accepted before, if that was unknown, and stays so.
        """
        with self.folder:
            self.sandbox._pending.clear()
            if self.rows:
                before = ["failed"] * len(self.rows) if self.report is None else list(self.report.frame()["state"])
                final = _send(pd.DataFrame(self.rows), self.sandbox, 2, ledger=self.ledger)
                known = {"good": "sent", "invalid": "invalid", "poison": "rejected", "riddle": "rejected"}
                expected = [
                    "unknown" if (kind, state) == ("riddle", "unknown") else known[kind]
                    for kind, state in zip(self.kinds, before, strict=True)
                ]
                assert expected == list(final.frame()["state"])


Replay.TestCase.settings = settings(derandomize=True, deadline=None, max_examples=50, stateful_step_count=10)
TestReplay = Replay.TestCase
