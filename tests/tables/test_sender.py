"""The outcome of each request of a run, and what follows for its rows, the other workers and the run."""

import json
import signal
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.client import RETRY_QUOTA
from bwp_nb.sandbox.api import SandboxClock
from bwp_nb.tables.sender import MAX_CONSECUTIVE_REFUSALS
from bwp_nb.tables.throttle import RECOVERY
from tests.strategies import PROPERTY

SUCCESS = {"data": {"sendUserEvents": {"status": "successful"}}}


def _send(source: Any, sandbox: bwp.Sandbox | None = None, workers: int = 1, **options: Any) -> bwp.Report:
    return bwp.send_table(bwp.connect(sandbox), source, workers=workers, progress=False, **options)


def _ids(sandbox: bwp.Sandbox) -> list[str]:
    return [event["eventId"] for event in sandbox.accepted]


def _always(status_code: int, **response: Any) -> bwp.Client:
    """Return a client of a server with one answer, and a clock that does not wait."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status_code, **response))
    return bwp.Client(transport, "https://api.invalid/graphql", clock=SandboxClock())


@PROPERTY
@given(st.integers(2, 60), st.sets(st.integers(0, 59), max_size=12), st.booleans(), st.sampled_from(["event", "call"]))
def test_whatever_rows_are_refused_the_report_says_what_arrived(
    size: int, refused: set[int], name_it: bool, refuses: Any
) -> None:
    """Each of the others, and none that was refused; once and in order if the API refuses whole calls."""
    day, sandbox = traffic.shop_day(size, invalid_rate=0), bwp.Sandbox(refuses=refuses)
    for row in refused & set(range(size)):
        sandbox.refuse(day["event_id"][row], name_it=name_it)
    frame = _send(day, sandbox).frame()
    is_sent = frame["state"] == "sent"
    assert {row: "rejected" for row in refused if row < size} == frame["state"][~is_sent].to_dict()
    arrived = _ids(sandbox)
    assert list(day["event_id"][is_sent]) == sorted(set(arrived), key=arrived.index)
    assert refuses == "event" or len(arrived) == len(set(arrived))
    assert refuses == "call" or list(frame["copies"]) == [arrived.count(event_id) for event_id in frame["event_id"]]


@PROPERTY
@given(st.integers(1, 60), st.dictionaries(st.integers(0, 59), st.booleans(), max_size=8), st.sampled_from([50, 7, 1]))
def test_no_row_is_in_more_than_three_requests_because_of_refusals(
    size: int, refused: dict[int, bool], batch_size: int
) -> None:
    """Whether the API names the rows that it refuses or not."""
    day, sandbox = traffic.shop_day(size, invalid_rate=0), bwp.Sandbox()
    for row, name_it in refused.items():
        if row < size:
            sandbox.refuse(day["event_id"][row], name_it=name_it)
    report = _send(day, sandbox, batch_size=batch_size)
    requests = Counter(event_id for request in sandbox.requests for event_id in _ids_in(request))
    assert max(requests.values()) <= 3
    assert [requests[event_id] for event_id in day["event_id"]] == list(report.frame()["attempts"])
    assert {"rejected": sum(row < size for row in refused)} == {
        state: count for state, count in report.counts.items() if state != "sent" and count
    } or not any(row < size for row in refused)


def _ids_in(request: Any) -> list[str]:
    return [event["eventId"] for event in json.loads(request["body"])["variables"]["input"]["events"]]


def test_rows_that_a_refusal_does_not_name_are_resent_together_then_alone() -> None:
    """With the same ids; a request without any named row is followed by single ones."""
    day, sandbox = traffic.shop_day(4, invalid_rate=0), bwp.Sandbox()
    named, unnamed = day["event_id"][1], day["event_id"][3]
    sandbox.refuse(named)
    sandbox.refuse(unnamed, name_it=False)
    report = _send(day, sandbox)
    sizes = [len(_ids_in(request)) for request in sandbox.requests]
    assert ([4, 3, 1, 1, 1], {"sent": 2, "rejected": 2}) == (sizes, {s: n for s, n in report.counts.items() if n})
    assert [3, 1, 3, 3] == list(report.frame()["attempts"])


def test_rows_that_a_refusal_does_not_name_can_be_skipped() -> None:
    """They stay unknown, since they may have been accepted; the report says so."""
    day, sandbox = traffic.shop_day(4, invalid_rate=0), bwp.Sandbox()
    sandbox.refuse(day["event_id"][1])
    report = _send(day, sandbox, on_refused="skip")
    assert (["unknown", "rejected", "unknown", "unknown"], 1) == (list(report.frame()["state"]), len(sandbox.requests))
    assert [1, 0, 1, 1] == list(report.frame()["copies"])
    assert "its request was refused, and it may have been accepted: " in report.frame()["reason"][0]


@pytest.mark.parametrize("batch_size", [1, 7, 50])
def test_the_size_of_a_batch_can_be_chosen(batch_size: int) -> None:
    """Every request but the last has it, and a dry run counts with it."""
    day, sandbox = traffic.shop_day(60, invalid_rate=0), bwp.Sandbox()
    assert 60 == _send(day, sandbox, batch_size=batch_size).counts["sent"]
    sizes = [len(_ids_in(request)) for request in sandbox.requests]
    assert [*[batch_size] * (60 // batch_size), *([60 % batch_size] if 60 % batch_size else [])] == sizes
    assert len(sizes) == bwp.dry_run(day, batch_size=batch_size).requests


def test_copies_count_the_requests_that_may_have_been_accepted(tmp_path: Path) -> None:
    """Retries and earlier runs included; a rejected row has none, and the summary counts the rows with several."""
    day, sandbox = traffic.shop_day(53, invalid_rate=0), bwp.Sandbox()
    sandbox.fail_next("reset_after", times=2)
    sandbox.fail_next("http_429")
    first = _send(day[:50], sandbox, ledger=tmp_path / "a")
    assert {3} == set(first.frame()["copies"])
    assert "50 rows may have been stored more than once; see copies in report.frame()." in repr(first)
    assert "50 rows may have been stored more than once" in first._repr_html_()
    sandbox.fail_next("refused", times=4)
    assert {0} == set(_send(day[50:52], sandbox, ledger=tmp_path / "b").frame()["copies"])
    assert {1} == set(_send(day[50:52], sandbox, ledger=tmp_path / "b").frame()["copies"])
    sandbox.fail_next("timeout_after", times=4)
    assert {4} == set(_send(day[50:52], sandbox, ledger=tmp_path / "c").frame()["copies"])
    assert {5} == set(_send(day[50:52], sandbox, ledger=tmp_path / "c").frame()["copies"])


def test_a_run_that_is_asked_to_wait_for_too_long_stops(tmp_path: Path) -> None:
    """At once; it says until when, and the same call sends the rest."""
    sandbox = bwp.Sandbox(latency=0)
    sandbox.fail_next("slow", seconds=0)
    sandbox.fail_next("http_429_seconds", seconds=3600)
    day, client = traffic.shop_day(200, invalid_rate=0), bwp.connect(sandbox)
    began = client.clock.now()
    report = bwp.send_table(client, day, workers=1, ledger=tmp_path / "a", progress=False)
    assert {"sent": 50, "failed": 150} == {state: count for state, count in report.counts.items() if count}
    until = f"{began + timedelta(seconds=3600):%Y-%m-%dT%H:%M:%SZ}"
    assert (
        f"the API asks to wait until {until}, longer than max_wait=60 seconds. Make the same call again after that."
        == report.stopped
    )
    assert (client.clock.now() - began).total_seconds() < 60
    assert 200 == _send(day, sandbox, ledger=tmp_path / "a").counts["sent"]


def test_waits_show_in_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that waits does not look like one that hangs."""
    sandbox = bwp.Sandbox(latency=0)
    sandbox.fail_next("http_429_seconds", seconds=30)
    bwp.send_table(bwp.connect(sandbox), traffic.shop_day(10, invalid_rate=0), workers=1)
    shown = capsys.readouterr().err
    assert ("waiting=30 s" in shown, "waiting=2 s" in shown) == (True, True)


@pytest.mark.parametrize("fault", ["access_denied", "http_413"])
def test_a_lost_answer_stays_unknown_whatever_comes_after_it(fault: str) -> None:
    """Access denied or a body too large proves nothing about the first attempt."""
    for size in (1, 3):
        sandbox = bwp.Sandbox()
        sandbox.fail_next("reset_after")
        sandbox.fail_next(fault, times=2)
        report = _send(traffic.shop_day(size, invalid_rate=0), sandbox)
        assert (size, size) == (report.counts["unknown"], len(sandbox.accepted))


def _once_unknown(tmp_path: Path) -> tuple[pd.DataFrame, bwp.Sandbox]:
    """Return a table whose rows were all accepted, in a run whose ledger cannot know it."""
    day, sandbox = traffic.shop_day(3, invalid_rate=0), bwp.Sandbox()
    sandbox.fail_next("reset_after")
    sandbox.fail_next("timeout_before", times=3)
    assert 3 == _send(day, sandbox, ledger=tmp_path / "a").counts["unknown"]
    return day, sandbox


def test_what_an_earlier_run_left_unknown_is_not_known_by_a_later_failure(tmp_path: Path) -> None:
    """It was accepted, so that skipping unknown rows must still skip it."""
    day, sandbox = _once_unknown(tmp_path)
    sandbox.fail_next("refused", times=4)
    second = _send(day, sandbox, ledger=tmp_path / "a")
    assert 3 == second.counts["unknown"]
    assert "it may have been accepted earlier; in its last request: Cannot connect" in repr(second)
    assert 3 == _send(day, sandbox, ledger=tmp_path / "a", on_unknown="skip").counts["unknown"]
    assert list(day["event_id"]) == _ids(sandbox)


@pytest.mark.parametrize(
    ("field", "name_it", "state"),
    [("event_id", True, "unknown"), ("event_id", False, "unknown"), ("event_type", True, "rejected")],
)
def test_a_refusal_settles_doubt_only_where_it_names_what_was_always_wrong(
    field: str, name_it: bool, state: str, tmp_path: Path
) -> None:
    """An id may be refused because it is known already."""
    day, sandbox = _once_unknown(tmp_path)
    sandbox.refuse(day[field][0], name_it=name_it)
    report = _send(day, sandbox, ledger=tmp_path / "a")
    assert state == report.frame()["state"][0]
    assert set(report.counts) >= {"sent", state}


def test_what_was_unknown_is_sent_once_it_is_accepted(tmp_path: Path) -> None:
    """That proves it."""
    day, sandbox = _once_unknown(tmp_path)
    assert 3 == _send(day, sandbox, ledger=tmp_path / "a").counts["sent"]
    assert Counter(list(day["event_id"]) * 2) == Counter(_ids(sandbox))


@pytest.mark.parametrize(
    ("status_code", "state", "reason"),
    [
        (429, "failed", "5 consecutive requests failed"),
        (503, "unknown", "5 consecutive requests failed"),
        (401, "failed", "the API denies access"),
        (403, "failed", "the API denies access"),
    ],
)
def test_the_status_decides_about_undocumented_errors(status_code: int, state: str, reason: str) -> None:
    """The events are not rejected, and the run ends soon."""
    client = _always(status_code, json={"errors": [{"message": "Rate exceeded"}]})
    report = bwp.send_table(client, traffic.shop_day(1_000, invalid_rate=0), workers=1, progress=False)
    assert 0 == report.counts["rejected"] + report.counts["sent"]
    assert report.counts[state] >= 50
    assert report.stopped.startswith(reason)


def test_an_api_that_refuses_everything_ends_the_run() -> None:
    """A whole table is not sent a row at a time to find out."""
    refusal = {"errors": [{"message": "No.", "extensions": {"classification": {"type": "ValidationError"}}}]}
    client = _always(200, json=refusal)
    report = bwp.send_table(client, traffic.shop_day(2_000, invalid_rate=0), workers=1, progress=False)
    assert MAX_CONSECUTIVE_REFUSALS == len(client.history)
    assert report.stopped.startswith(f"{MAX_CONSECUTIVE_REFUSALS} consecutive requests were refused; last error: No.")
    assert 2_000 == report.counts["rejected"] + report.counts["failed"] + report.counts["unknown"]


def test_each_row_gets_the_reason_that_names_it() -> None:
    """Not that of the first error in the response."""

    def answer(request: httpx.Request) -> httpx.Response:
        messages = [f"clientVersion {text} is old" for text in ("bad1", "bad2") if text in request.content.decode()]
        kind = {"classification": {"type": "ValidationError"}}
        errors = {"errors": [{"message": text, "extensions": kind} for text in messages]}
        return httpx.Response(200, json=errors if messages else SUCCESS)

    day = traffic.shop_day(4, invalid_rate=0)
    day.loc[1, "client_version"], day.loc[3, "client_version"] = "bad1", "bad2"
    client = bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql")
    reasons = bwp.send_table(client, day, workers=1, progress=False).frame()["reason"]
    assert {1: "clientVersion bad1 is old", 3: "clientVersion bad2 is old"} == reasons[reasons != ""].to_dict()


def test_a_body_too_large_after_a_refusal_is_halved_too() -> None:
    """No row is left out because of two errors, one after the other."""
    day, sandbox = traffic.shop_day(50, invalid_rate=0), bwp.Sandbox()
    sandbox.refuse(day["event_id"][7])
    sandbox.fail_next("slow", seconds=0)
    sandbox.fail_next("http_413")
    report = _send(day, sandbox)
    assert (49, 1, "") == (report.counts["sent"], report.counts["rejected"], report.stopped)


def test_a_row_of_a_refused_request_stays_unknown_if_it_fails_later() -> None:
    """It may have been accepted in the first request, whatever happens in the second."""
    day, sandbox = traffic.shop_day(3, invalid_rate=0), bwp.Sandbox()
    sandbox.refuse(day["event_id"][2])
    sandbox.fail_next("slow", seconds=0)
    sandbox.fail_next("refused", times=4)
    assert ["unknown", "unknown", "rejected"] == list(_send(day, sandbox).frame()["state"])


def test_a_wait_that_a_call_is_too_short_for_is_waited_by_the_sender() -> None:
    """The batch is failed, and the next one is sent when the server allows it."""
    sandbox = bwp.Sandbox(latency=0)
    sandbox.fail_next("http_429_seconds", seconds=120)
    client = bwp.connect(sandbox)
    report = bwp.send_table(client, traffic.shop_day(100, invalid_rate=0), workers=1, progress=False, max_wait=120)
    assert {"sent": 50, "failed": 50} == {state: count for state, count in report.counts.items() if count}
    first, second = (pd.Timestamp(exchange.time) for exchange in client.history)
    assert 120 <= (second - first).total_seconds() < 122


def test_an_interrupt_after_the_last_request_began_returns_the_report() -> None:
    """All rows have their outcome, and nothing is left to be sent by another call."""

    def answer(_: httpx.Request) -> httpx.Response:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.1)
        return httpx.Response(200, json=SUCCESS)

    client = bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql")
    report = bwp.send_table(client, traffic.shop_day(20, invalid_rate=0), workers=1, progress=False)
    assert (20, "", True) == (report.counts["sent"], report.stopped, report.ok)


@pytest.mark.parametrize("status_code", [429, 503])
def test_an_interrupt_is_heard_while_a_request_waits_to_be_sent_again(status_code: int) -> None:
    """The rest of the wait is not waited, the request is not sent again, and no retry is used up."""

    class Interrupted(SandboxClock):
        slept = 0.0

        def sleep(self, seconds: float) -> None:
            self.slept += seconds
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.1)  # so that the main thread hears it
            super().sleep(seconds)

    clock = Interrupted()
    transport = httpx.MockTransport(lambda _: httpx.Response(status_code, headers={"Retry-After": "50"}))
    client = bwp.Client(transport, "https://api.invalid/graphql", clock=clock)
    with pytest.raises(KeyboardInterrupt):
        bwp.send_table(client, traffic.shop_day(20, invalid_rate=0), workers=1, progress=False)
    assert clock.slept < 50
    assert [1] == [exchange.attempts for exchange in client.history]
    assert "The run was stopped before this was tried again." in str(client.last_error)
    assert RETRY_QUOTA == len(client._retries_left)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a signal that a timer sends")
def test_any_other_end_of_the_main_thread_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """A test's time limit, for example: no more is begun, and nothing is sent once the call is over."""
    sandbox = bwp.Sandbox()

    def answer(request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        return sandbox.handle_request(request)

    def over(*_: object) -> None:
        raise TimeoutError("time is up")

    played = bwp.connect(sandbox)
    client = bwp.Client(httpx.MockTransport(answer), sandbox.endpoint, auth=played._auth, clock=sandbox.clock)
    day, usual = traffic.shop_day(2_000, invalid_rate=0), signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(TimeoutError, match="time is up"):
            bwp.send_table(client, day, workers=2, ledger=tmp_path / "a", progress=False)
    finally:
        signal.signal(signal.SIGALRM, usual)
    arrived = len(sandbox.accepted)
    time.sleep(0.2)
    assert arrived < 2_000
    assert arrived == len(sandbox.accepted) == bwp.Report.read(tmp_path / "a", day).counts["sent"]


def test_an_error_of_our_own_says_how_to_go_on(tmp_path: Path) -> None:
    """As a note; the error itself is unchanged."""
    numbers = iter(range(100))

    def answer(_: httpx.Request) -> httpx.Response:
        if next(numbers) == 2:
            raise RuntimeError("a defect")
        return httpx.Response(200, json=SUCCESS)

    client = bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql")
    with pytest.raises(RuntimeError, match="a defect") as caught:
        bwp.send_table(client, traffic.shop_day(200, invalid_rate=0), workers=1, ledger=tmp_path / "a", progress=False)
    assert caught.value.__notes__ == [
        "100 of 200 rows are sent; the ledger a records which. Make the same call again to send the others."
    ]


def test_a_status_that_is_not_the_documented_one_is_shown() -> None:
    """It proves nothing, so the rows are unknown, and the reason shows it."""
    client = _always(200, json={"data": {"sendUserEvents": {"status": "QUEUED"}}})
    report = bwp.send_table(client, traffic.shop_day(2, invalid_rate=0), workers=1, progress=False)
    assert 2 == report.counts["unknown"]
    assert "returned the status 'QUEUED'" in report.frame()["reason"][0]


def test_rows_that_are_refused_now_and_then_do_not_end_a_run() -> None:
    """The count begins anew with each request that is accepted."""
    day, sandbox = traffic.shop_day(1_500, invalid_rate=0), bwp.Sandbox()
    for event_id in day["event_id"][::10]:
        sandbox.refuse(event_id, name_it=False)
    report = _send(day, sandbox)
    assert (150, 1_350, "") == (report.counts["rejected"], report.counts["sent"], report.stopped)
    assert len(sandbox.requests) > MAX_CONSECUTIVE_REFUSALS


def _gateway(limit: int) -> tuple[bwp.Client, list[tuple[int, int]]]:
    """Return a client of a gateway that refuses larger bodies, and the number of events and the status of each one."""
    seen: list[tuple[int, int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        is_refused = len(request.content) > limit
        seen.append((request.content.count(b'"eventId"'), 413 if is_refused else 200))
        return httpx.Response(413) if is_refused else httpx.Response(200, json=SUCCESS)

    return bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock()), seen


def test_a_row_that_is_too_large_costs_one_row() -> None:
    """Its request is split until it is alone; the requests after it have fifty events again."""
    day = traffic.shop_day(1_000, invalid_rate=0)
    day.loc[310, "current_url"] = "x" * 1_100_000
    client, seen = _gateway(2**20)
    report = bwp.send_table(client, day, workers=1, progress=False)
    assert ({"sent": 999, "failed": 1}, False) == ({s: n for s, n in report.counts.items() if n}, report.ok)
    assert [310] == list(report.events("failed").index)
    split = sum(events > 1 and status == 413 for events, status in seen)
    assert (1, 1) == (split, report.split_requests)  # what is as large as the half is not tried
    assert len(seen) <= 20 + 2 * 6
    assert [(50, 200)] * 13 == seen[-13:]
    assert "Split because the server refused their size (HTTP 413): 1 request." in repr(report)


def test_a_gateway_with_a_low_limit_refuses_few_requests() -> None:
    """What it accepts is known soon; now and then a larger one is tried."""
    client, seen = _gateway(8_000)
    report = bwp.send_table(client, traffic.shop_day(3_000, invalid_rate=0), workers=1, progress=False)
    refused = [events for events, status in seen if status == 413]
    assert (True, report.split_requests) == (report.ok, len(refused))
    assert len(refused) <= 2 + len(seen) // RECOVERY


def test_a_size_that_was_refused_by_chance_is_tried_again() -> None:
    """Requests are as large as before again."""
    sandbox = bwp.Sandbox()
    sandbox.fail_next("http_413", times=4)
    report = _send(traffic.shop_day(1_000, invalid_rate=0), sandbox)
    sizes = [len(_ids_in(request)) for request in sandbox.requests]
    assert (True, 4) == (report.ok, report.split_requests)
    assert [50] * 5 == sizes[-5:]


def test_a_split_is_known_after_a_resume(tmp_path: Path) -> None:
    """The ledger records it."""
    day = traffic.shop_day(60, invalid_rate=0)
    client, _ = _gateway(8_000)
    first = bwp.send_table(client, day, workers=1, ledger=tmp_path / "a", progress=False)
    assert first.split_requests == bwp.Report.read(tmp_path / "a", day).split_requests >= 1


@pytest.mark.parametrize("workers", [1, 3])
def test_all_workers_together_send_no_more_events_a_second_than_the_rate(workers: int) -> None:
    """A request's events count at the moment at which it is sent."""
    sandbox = bwp.Sandbox(latency=0)
    client = bwp.connect(sandbox)
    began = client.clock.monotonic()
    report = bwp.send_table(client, traffic.shop_day(500, invalid_rate=0), workers=workers, rate=100, progress=False)
    assert report.ok
    assert 4.5 <= client.clock.monotonic() - began < 4.5 + workers


def test_what_is_sent_again_counts_for_the_rate_too() -> None:
    """The others wait for it."""
    sandbox = bwp.Sandbox(latency=0)
    sandbox.fail_next("http_503", times=3)
    client = bwp.connect(sandbox)
    began = client.clock.monotonic()
    bwp.send_table(client, traffic.shop_day(500, invalid_rate=0), workers=1, rate=100, progress=False)
    assert client.clock.monotonic() - began >= 4.5 + 3 * 0.5


@pytest.mark.parametrize("rate", [0, -1.0, float("nan")])
def test_a_rate_is_positive(rate: float) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="rate: expected more than 0 events a second, or None, got"):
        _send(traffic.shop_day(3, invalid_rate=0), rate=rate)


def test_an_interrupt_leaves_the_report() -> None:
    """With the rows that were sent before it."""

    def answer(request: httpx.Request) -> httpx.Response:
        if len(client.history) == 2:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.1)
        return httpx.Response(200, json=SUCCESS)

    client = bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql")
    with pytest.raises(KeyboardInterrupt) as caught:
        bwp.send_table(client, traffic.shop_day(1_000, invalid_rate=0), workers=1, progress=False)
    report = caught.value.report  # type: ignore[attr-defined]
    assert (150, 850) == (report.counts["sent"], report.counts["failed"])
    assert 1_000 == len(report.frame())
    assert "Stopped early: it was interrupted" in repr(report)


def test_a_broken_page_of_a_parquet_file_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    """The rows before it are not sent either."""
    pytest.importorskip("pyarrow")
    day = traffic.shop_day(3_000, invalid_rate=0)
    day.to_parquet(tmp_path / "day.parquet", row_group_size=500, compression="none", index=False)
    content = bytearray((tmp_path / "day.parquet").read_bytes())
    last = content.rindex(day["current_url"].iloc[-1].encode())
    content[last - 4_000 : last] = b"\xff" * 4_000
    (tmp_path / "day.parquet").write_bytes(content)
    sandbox = bwp.Sandbox()
    with pytest.raises(bwp.InvalidTable, match=r"^day\.parquet cannot be read: "):
        _send(tmp_path / "day.parquet", sandbox)
    assert [] == sandbox.requests


def test_an_error_of_a_worker_leaves_the_report() -> None:
    """It says what happened, and the rows that were sent."""

    def answer(_: httpx.Request) -> httpx.Response:
        if len(client.history) == 2:
            raise RuntimeError("a defect")
        return httpx.Response(200, json=SUCCESS)

    client = bwp.Client(httpx.MockTransport(answer), "https://api.invalid/graphql")
    with pytest.raises(RuntimeError, match="a defect") as caught:
        bwp.send_table(client, traffic.shop_day(200, invalid_rate=0), workers=1, progress=False)
    report = caught.value.report  # type: ignore[attr-defined]
    assert (100, 50, 50) == tuple(report.counts[state] for state in ("sent", "unknown", "failed"))
    assert "RuntimeError: a defect" == report.stopped
