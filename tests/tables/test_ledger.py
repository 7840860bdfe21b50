"""The ledger: what it records through kills, full disks and other files."""

import itertools
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.tables.ledger import STATES, Ledger, Line, Run, ranges
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from tests.strategies import PROPERTY, VALID

RUN = Run(events="s", target="sandbox", rows=100, run="r", time="2024-11-22T09:00:00Z")


def _send(path: Path, source: Any, client: bwp.Client | None = None, **options: Any) -> bwp.Report:
    return bwp.send_table(client or bwp.connect(), source, ledger=path, workers=1, progress=False, **options)


@given(st.sets(st.integers(0, 300)))
@PROPERTY
def test_ranges_are_the_rows(rows: set[int]) -> None:
    """As few as possible."""
    found = ranges(sorted(rows))
    assert sorted(rows) == [row for first, end in found for row in range(first, end)]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(found))


def test_what_is_written_is_known_when_it_is_opened_again(tmp_path: Path) -> None:
    """The last line on each row counts."""
    first = Ledger(tmp_path / "a")
    first.begin(RUN)
    first.write(Line([[0, 50]], "in_flight", 1), Line([[60, 61], [70, 71]], "invalid", reason=["why", "why not"]))
    first.write(Line([[0, 10], [20, 50]], "sent", 1, 2))
    first.close()
    second = Ledger(tmp_path / "a")
    second.close()
    expected = ["sent"] * 10 + ["in_flight"] * 10 + ["sent"] * 30 + ["untried"] * 10 + ["invalid"] + ["untried"] * 39
    expected[70] = "invalid"
    assert (RUN, 1, expected) == (second.run, second.batches, [STATES[code] for code in second.states])
    assert ["why", "why not"] == list(second.account()["reason"][[60, 70]])


@pytest.mark.parametrize("kept", range(1, 40, 3))
def test_a_torn_last_line_is_as_if_it_had_not_been_written(kept: int, tmp_path: Path) -> None:
    """At any byte; the next line begins on a line of its own."""
    path = tmp_path / "a"
    ledger = Ledger(path)
    ledger.begin(RUN)
    whole = path.read_bytes()
    ledger.write(Line([[0, 50]], "in_flight", 1))
    ledger.close()
    path.write_bytes((whole + path.read_bytes()[len(whole) :])[: len(whole) + kept])
    again = Ledger(path)
    assert [0, 0, 0] == list(again.account()["batch"][:3])
    again.write(Line([[1, 2]], "in_flight", 1))
    again.close()
    assert [0, 1, 0] == list(again.account()["batch"][:3])


@pytest.mark.parametrize("kept", [0, 1, 10, 60])
def test_a_torn_first_line_is_a_ledger_that_has_not_begun(kept: int, tmp_path: Path) -> None:
    """Nothing can have been sent yet."""
    ledger = Ledger(tmp_path / "a")
    ledger.begin(RUN)
    ledger.close()
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:kept])
    again = Ledger(tmp_path / "a")
    again.close()
    assert again.run is None


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "no ledger", '{"bwp_ledger":4}\n', '{"bwp_ledger":3}\n'])
def test_a_file_that_is_not_a_ledger_is_unchanged(content: str, tmp_path: Path) -> None:
    """It may be other data."""
    (tmp_path / "a").write_text(content)
    with pytest.raises(bwp.LedgerError, match="use a new ledger path"):
        Ledger(tmp_path / "a")
    assert content == (tmp_path / "a").read_text()


def test_an_unreadable_line_is_named_by_its_number(tmp_path: Path) -> None:
    """A guess would send rows twice, or not at all."""
    ledger = Ledger(tmp_path / "a")
    ledger.begin(RUN)
    ledger.close()
    with (tmp_path / "a").open("a") as file:
        file.write("\x00\x00\nrubbish\n")
    with pytest.raises(bwp.LedgerError, match=r"Cannot read line 2 of the ledger a: '.+x00"):
        Ledger(tmp_path / "a")


def test_another_source_is_refused(tmp_path: Path) -> None:
    """So is the same one with another mapping, and the ledger is unchanged."""
    day = traffic.shop_day(60, invalid_rate=0)
    _send(tmp_path / "a", day)
    before = (tmp_path / "a").read_bytes()
    client = bwp.connect()
    with pytest.raises(bwp.LedgerError, match=r"belongs to different data than the DataFrame.* use a new ledger path"):
        _send(tmp_path / "a", day[:50], client)
    with pytest.raises(bwp.LedgerError, match="it was made with other columns=, properties= or fields="):
        _send(tmp_path / "a", day, client, properties=["product_sku"])
    assert (before, []) == ((tmp_path / "a").read_bytes(), client.sandbox.requests)  # type: ignore[union-attr]


def test_another_target_is_refused(tmp_path: Path) -> None:
    """A trial in the sandbox is not mistaken for the live run."""
    day = traffic.shop_day(60, invalid_rate=0)
    _send(tmp_path / "a", day)
    live = bwp.Client(bwp.Sandbox(), "https://api.invalid/graphql")
    with pytest.raises(bwp.LedgerError, match=r"sent to sandbox; this client sends to https://api\.invalid/graphql"):
        _send(tmp_path / "a", day, live)


def _client_of_store(target_id: str) -> bwp.Client:
    """Return a live client that sends for a store."""
    sandbox = bwp.Sandbox()
    credentials = Credentials(sandbox.client_id, Secret(sandbox.client_secret), target_id)
    auth = TokenAuth(credentials, sandbox.token_endpoint, sandbox, sandbox.clock)
    return bwp.Client(sandbox, sandbox.endpoint, auth=auth)


def test_another_store_is_refused(tmp_path: Path) -> None:
    """What was sent for one merchant is not recorded as sent for the other."""
    day = traffic.shop_day(60, invalid_rate=0)
    assert 60 == _send(tmp_path / "a", day, _client_of_store(bwp.Sandbox.target_id)).counts["sent"]
    with pytest.raises(
        bwp.LedgerError, match=r"this client sends to https://sandbox\.invalid/graphql for the store bp-2"
    ):
        _send(tmp_path / "a", day, _client_of_store("bp-2"))


def _run_for_long(path: str, begun: Any, end: Any) -> None:
    ledger = Ledger(path)
    begun.set()
    end.wait(60)
    ledger.close()


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """In another process or in this one, until the first has ended in any way."""
    context = multiprocessing.get_context("spawn")
    begun, end = context.Event(), context.Event()
    process = context.Process(target=_run_for_long, args=(str(tmp_path / "a"), begun, end))
    process.start()
    assert begun.wait(60)
    with pytest.raises(bwp.LedgerError, match="Another run is writing the ledger a"):
        _send(tmp_path / "a", traffic.shop_day(60, invalid_rate=0))
    process.kill()
    process.join()
    locked = Ledger(tmp_path / "a")
    with pytest.raises(bwp.LedgerError, match="in this process or another"):
        _send(tmp_path / "a", traffic.shop_day(60, invalid_rate=0))
    locked.close()
    assert 60 == _send(tmp_path / "a", traffic.shop_day(60, invalid_rate=0)).counts["sent"]


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    resource = pytest.importorskip("resource")  # which Windows lacks
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("size", range(150, 900, 75))
def test_a_full_disk_stops_the_run_and_loses_nothing(size: int, tmp_path: Path) -> None:
    """Nothing is sent that could not be recorded before; with space again, the same call sends the rest."""
    day, path, client = traffic.shop_day(1_000, invalid_rate=0), tmp_path / "a", bwp.connect()
    with _full_disk(size), pytest.raises(bwp.LedgerError, match=r"Cannot write the ledger a: .+File too large") as full:
        _send(path, day, client)
    known = [event["eventId"] for event in client.sandbox.accepted]  # type: ignore[union-attr]
    if report := getattr(full.value, "report", None):  # else not even the first line could be written
        assert str(full.value).startswith(f"Stopped: {report.stopped} ")
        frame = report.frame()
        assert set(known) == set(frame["event_id"][frame["state"].isin(["sent", "unknown"])])
    assert not path.read_bytes() or path.read_bytes().endswith(b"\n")
    report = _send(path, day, client)
    assert 1_000 == report.counts["sent"]
    arrived = [event["eventId"] for event in client.sandbox.accepted]  # type: ignore[union-attr]
    assert set(day["event_id"]) == set(arrived)
    assert len(arrived) <= 1_050


def test_without_a_path_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file goes with the report."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    report = bwp.send_table(bwp.connect(), traffic.shop_day(60, invalid_rate=0), progress=False)
    assert 60 == len(report.frame())
    assert [] == list(tmp_path.iterdir())


def test_without_a_path_a_long_ledger_is_in_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays flat, and the report is the same."""
    monkeypatch.setattr("bwp_nb.tables.ledger._IN_MEMORY", 1)
    day = traffic.shop_day(60, invalid_rate=0)
    assert {"sent"} == {*bwp.send_table(bwp.connect(), day, progress=False).frame()["state"]}
    with _full_disk(150), pytest.raises(bwp.LedgerError, match=r"Cannot write the ledger: .+File too large"):
        bwp.send_table(bwp.connect(), day, progress=False)


def test_generated_ids_are_the_same_after_a_resume(tmp_path: Path) -> None:
    """The ledger records what they are generated from."""
    day = traffic.shop_day(120, invalid_rate=0).drop(columns=["event_id", "event_time"])
    sandbox = bwp.Sandbox()
    sandbox.fail_next("timeout_after", times=12)
    first = _send(tmp_path / "a", day, bwp.connect(sandbox))
    assert {"sent": 0, "rejected": 0, "invalid": 0, "failed": 0, "unknown": 120} == first.counts
    second = _send(tmp_path / "a", day, bwp.connect(sandbox))
    assert 120 == second.counts["sent"]
    assert 120 == len({(event["eventId"], event["eventTime"]) for event in sandbox.accepted})
    pd.testing.assert_series_equal(first.frame()["event_id"], second.frame()["event_id"])


def test_a_ledger_is_jsonl_of_one_line_a_batch_before_and_after(tmp_path: Path) -> None:
    """So that other programs can read it."""
    _send(tmp_path / "a", traffic.shop_day(100, invalid_rate=0))
    _, *lines = map(json.loads, (tmp_path / "a").read_text().splitlines())
    assert [
        {"rows": [[0, 50]], "state": "in_flight", "batch": 1, "copies": 4},
        {"rows": [[0, 50]], "state": "sent", "batch": 1, "attempts": 1, "copies": 1},
        {"rows": [[50, 100]], "state": "in_flight", "batch": 2, "copies": 4},
        {"rows": [[50, 100]], "state": "sent", "batch": 2, "attempts": 1, "copies": 1},
    ] == lines


@pytest.mark.parametrize(
    "line",
    [
        '{"rows":[[0,1]],"state":"gone","batch":1}',
        '{"rows":[[0,9]],"state":"in_flight","batch":2}',
        '{"state":"sent","batch":1}',
        '{"rows":[[0,1]],"state":"untried","batch":1}',
        '{"rows":[[0,1]],"state":"sent"}',
        '{"rows":[[0,1]],"state":"invalid","batch":1}',
        '{"rows":[[0,1]],"state":"sent","batch":2}',
        '{"rows":[[0.0,1]],"state":"sent","batch":1}',
        '{"rows":[[0,1]],"state":"sent","batch":1,"attempts":"1"}',
        '{"rows":[[0,1]],"state":"sent","batch":1,"copies":-1}',
        '{"rows":[[0,1]],"state":"sent","batch":1,"reason":1}',
        '{"rows":[[0,1]],"state":"in_flight","batch":1e30}',
        f'{{"rows":[[0,1]],"state":"in_flight","batch":{10**30}}}',
        '{"rows":[[0,3]],"state":"invalid","reason":[5,6,7]}',
        '{"rows":[[0,1]],"state":"invalid","reason":{"a":1}}',
        '{"rows":[[0,1]],"state":"in_flight","batch":2,"split":7}',
        "[]",
    ],
)
def test_an_invalid_line_is_named_by_its_number(line: str, tmp_path: Path) -> None:
    """The counts never include rows that do not exist."""
    day = traffic.shop_day(3, invalid_rate=0)
    _send(tmp_path / "a", day)
    with (tmp_path / "a").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(bwp.LedgerError, match=r"Cannot read line 4 of the ledger a"):
        _send(tmp_path / "a", day)


def test_a_ledger_has_one_lock_by_any_name(tmp_path: Path) -> None:
    """A link to it is the same ledger."""
    (tmp_path / "b").symlink_to(tmp_path / "a")
    first = Ledger(tmp_path / "a")
    with pytest.raises(bwp.LedgerError, match="Another run is writing the ledger a"):
        Ledger(tmp_path / "b")
    first.close()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "Is a directory"),
        ("nowhere/a", "the folder 'nowhere' does not exist"),
        ("a-file/a", "the folder 'a-file' does not exist"),
        ("a\0b", "null (byte|character in path)"),
    ],
)
def test_a_path_that_cannot_be_a_ledger_is_refused(path: str, reason: str, tmp_path: Path) -> None:
    """In a sentence, before anything is sent, and nothing is written."""
    (tmp_path / "a-file").touch()
    client = bwp.connect()
    with pytest.raises(bwp.LedgerError, match=rf"Cannot open the ledger .*: .*{reason}\. Nothing was sent\."):
        _send(tmp_path / path, traffic.shop_day(3, invalid_rate=0), client)
    assert ([], ["a-file"]) == (client.sandbox.requests, [found.name for found in tmp_path.iterdir()])  # type: ignore[union-attr]


def test_a_report_is_read_from_a_read_only_ledger(tmp_path: Path) -> None:
    """Reading needs no lock, and writes nothing beside the ledger."""
    day = traffic.shop_day(60, invalid_rate=0)
    folder = tmp_path / "archive"
    folder.mkdir()
    _send(folder / "a", day)
    for left in folder.glob("*.lock"):
        left.unlink()
    (folder / "a").chmod(0o400)
    folder.chmod(0o500)
    assert 60 == bwp.Report.read(folder / "a", day).counts["sent"]
    assert ["a"] == [found.name for found in folder.iterdir()]


def test_a_report_is_read_while_a_run_is_writing(tmp_path: Path) -> None:
    """It has what is known at that moment, without a line that is being written, and does not change later."""
    day, path = traffic.shop_day(100, invalid_rate=0), tmp_path / "a"
    reports: list[bwp.Report] = []
    sandbox = bwp.Sandbox()

    def answer(request: httpx.Request) -> httpx.Response:
        if sandbox.accepted and not reports:
            whole = path.read_bytes()
            with path.open("ab") as file:
                file.write(b'{"rows":[[0,5')
            reports.append(bwp.Report.read(path, day))
            assert whole + b'{"rows":[[0,5' == path.read_bytes()
            os.truncate(path, len(whole))
        return sandbox.handle_request(request)

    played = bwp.connect(sandbox)
    client = bwp.Client(
        httpx.MockTransport(answer), sandbox.endpoint, auth=played._auth, sandbox=sandbox, clock=sandbox.clock
    )
    assert 100 == _send(path, day, client).counts["sent"]
    assert {"sent": 50, "rejected": 0, "invalid": 0, "failed": 0, "unknown": 50} == reports[0].counts
    assert [1] * 50 + [4] * 50 == list(reports[0].frame()["copies"])


def test_a_row_that_is_sent_is_never_called_invalid(tmp_path: Path) -> None:
    """A later change of the source does not change what was accepted."""
    rows = [VALID, VALID | {"event_id": "b", "event_time": "2023"}]
    _send(tmp_path / "a", pd.DataFrame(rows))
    with (tmp_path / "a").open("a") as file:
        for number, (row, state) in enumerate([(1, "sent"), (0, "failed")], 2):
            for outcome in ("in_flight", state):
                file.write(json.dumps({"rows": [[row, row + 1]], "state": outcome, "batch": number}) + "\n")
    assert 2 == _send(tmp_path / "a", pd.DataFrame(rows)).counts["sent"]
