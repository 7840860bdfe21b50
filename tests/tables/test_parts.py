"""Partitioned data sets: parts, their names and ledgers, executors that break, and one report of all."""

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.util import find_spec
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import httpx
import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import traffic
from bwp_nb.tables import parts as sending
from bwp_nb.tables import source
from bwp_nb.wire.auth import Secret
from tests import parting
from tests.connecting import connect_and_note, connect_or_end

ROWS = 60


def _export(folder: Path, *names: str, rows: int = ROWS, **more: str) -> Path:
    """Write a day of events without ids for each name, and return their folder."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        day = traffic.shop_day(rows, invalid_rate=0, seed=number).drop(columns="event_id").assign(**more)
        day.to_csv(folder / name, index=False) if name.endswith(".csv") else day.to_parquet(folder / name)
    return folder


def _sent(client: bwp.Client, sources: Any, ledgers: Path, **options: Any) -> bwp.PartsReport:
    return bwp.send_parts(lambda: client, sources, ledgers, **{"workers": 1, "progress": False} | options)


def _names(report: bwp.PartsReport) -> list[str]:
    return list(report.frame(ids=False)["part"].unique())


def _pool(processes: int = 2) -> ProcessPoolExecutor:
    """Return a pool whose processes are not forks, so that they share nothing with this one."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


def test_each_part_is_sent_and_reported(tmp_path: Path) -> None:
    """The report has the rows of all parts, with the name of each and what was done with the columns."""
    export = _export(tmp_path / "export", "b.csv", "a.csv")
    (export / "c.csv").write_text((export / "a.csv").read_text().replace("2024-11-22T", "", 1))
    client = bwp.connect()
    report = _sent(client, export, tmp_path / "ledgers")
    assert (3 * ROWS, 3 * ROWS - 1, 1) == (report.rows, report.counts["sent"], report.counts["invalid"])
    frame = report.frame()
    assert [name for name in ("a.csv", "b.csv", "c.csv") for _ in range(ROWS)] == list(frame["part"])
    assert [*range(ROWS)] * 3 == list(frame["row"])
    assert [event["eventId"] for event in client.sandbox.accepted] == list(frame[frame["state"] == "sent"]["event_id"])
    assert [2 * ROWS] == list(report.quarantine().index)
    assert {"event_id": 3 * ROWS, "event_time": 0} == report.columns.generated
    assert ["3", "180"] == [f"{len(_names(report))}", str(bwp.plots.rows(report).table.to_numpy().sum())]
    assert 1 == bwp.plots.reasons(report).table["rows"].sum()
    first, reason, *notes = repr(report).splitlines()
    assert f"{3 * ROWS} rows of 3 parts: {3 * ROWS - 1} sent, 1 invalid" == first
    assert reason.startswith("  row 0 of c.csv: invalid, eventTime: ")
    assert "Ids were not checked between parts; check_ids=True does it before anything is sent." in notes
    assert "row 0 of c.csv" in report._repr_html_()
    report.save_spreadsheet(tmp_path / "fix.csv")
    assert ["c.csv"] == list(pd.read_csv(tmp_path / "fix.csv")["part"])


def test_one_part_is_reported_like_several(tmp_path: Path) -> None:
    """Its frame has the name, too."""
    _export(tmp_path / "export", "a.csv")
    report = _sent(bwp.connect(), tmp_path / "export" / "a.csv", tmp_path / "ledgers", check_ids=True)
    assert (["a.csv"], True, {}) == (_names(report), report.ok, report.unfinished)
    assert f"{ROWS} rows of 1 part: {ROWS} sent" == repr(report).splitlines()[0]
    assert "not checked" not in repr(report)


def test_the_same_call_sends_nothing_again(tmp_path: Path) -> None:
    """The report is the same, although it is a new process in effect."""
    export, client = _export(tmp_path / "export", "a.csv", "b.csv"), bwp.connect()
    first = _sent(client, export, tmp_path / "ledgers")
    second = _sent(client, export, tmp_path / "ledgers")
    assert 2 * ROWS == len(client.sandbox.accepted)
    pd.testing.assert_frame_equal(first.frame(), second.frame())
    assert repr(first) == repr(second)


@pytest.mark.parametrize("ids_from", ["run", "content"])
def test_generated_ids_differ_between_parts(ids_from: str, tmp_path: Path) -> None:
    """Although the parts have the same content, and the clients of both calls count their ids from 1."""
    export = _export(tmp_path / "export", "a.csv")
    (export / "b.csv").write_bytes((export / "a.csv").read_bytes())
    found: list[str] = []
    for name in ("a.csv", "b.csv"):
        report = _sent(bwp.connect(), export / name, tmp_path / name, ids_from=ids_from)
        again = bwp.Report.read(tmp_path / name / f"{name}.ledger", export / name, ids_from=ids_from)
        assert list(again.frame()["event_id"]) == list(report.frame()["event_id"])
        found += list(report.frame()["event_id"])
    assert 2 * ROWS == len(set(found))


def test_parts_are_called_by_their_path(tmp_path: Path) -> None:
    """Below the folder or the fixed part of a glob; what is hidden is left out, and so are the ledgers."""
    export = _export(tmp_path / "export", "day=01/a.parquet", "day=02/a.parquet", "_old/a.csv", ".hidden.csv")
    expected = ["day=01/a.parquet", "day=02/a.parquet"]
    for number, sources in enumerate([export, str(export / "day=*" / "*.parquet"), export / "**" / "*.parquet"]):
        report = _sent(bwp.connect(), sources, export / f"ledgers-{number}")
        assert expected == _names(report)
        assert (True, "day") == (report.ok, report.columns.properties[-1]), "the folder's name is a value"
        for ledger in (export / f"ledgers-{number}").rglob("*"):
            assert ledger.is_dir() or ledger.name.startswith("a.parquet.ledger")
        for path in sorted((export / f"ledgers-{number}").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (export / f"ledgers-{number}").rmdir()
    report = _sent(bwp.connect(), [export / "day=02", export / "day=01" / "a.parquet"], tmp_path / "ledgers")
    assert (["a.parquet", "day=02"], True) == (_names(report), report.ok)


def test_a_part_may_have_any_name(tmp_path: Path) -> None:
    """Its name and its path are one in the report, in messages and among the ledgers."""
    names = ["Größe 1/donnees [a].csv", "Größe 1/é\n.csv", "Größe 2/donnees [a].csv", "Größe 2/x"]
    export = _export(tmp_path / "export", *names[:2])
    (export / "Größe 2").mkdir()
    (export / "Größe 2" / "donnees [a].csv").write_text("no,events\n1,2\n")
    (export / "Größe 2" / "x").symlink_to(_export(tmp_path / "elsewhere", "a.csv"))
    report = _sent(bwp.connect(), export, tmp_path / "ledgers")
    assert ["Größe 1/donnees [a].csv", "Größe 1/é\\n.csv"] == _names(report)
    assert names[2:] == list(report.unfinished)
    assert "Größe 2/donnees [a].csv" in report.unfinished[names[2]]
    assert report.unfinished[names[3]] == "InvalidTable: Größe 2/x contains no file ending in .parquet."
    ledgers = {path.relative_to(tmp_path / "ledgers").as_posix() for path in (tmp_path / "ledgers").rglob("*.ledger")}
    assert {f"{name}.ledger" for name in names[:2]} == ledgers
    assert 2 * ROWS == len(report.frame())


def test_ledgers_may_be_in_the_folder_of_the_parts(tmp_path: Path) -> None:
    """They are not taken for parts by the next call."""
    export = _export(tmp_path / "export", "a.csv")
    for _ in range(2):
        assert ["a.csv"] == _names(_sent(bwp.connect(), export, export / "ledgers"))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("export/*.jsonl", "no file found for .*jsonl"),
        ([], r"no file found for \[\]"),
        ("export/none.csv", r"no file found for .*none\.csv"),
        (["export/a.csv", "export/none.csv"], r"^sources: \S*none\.csv does not exist\. Nothing was sent\.$"),
        (["export/a.csv", "export/A.CSV/../a.csv"], r"two are called 'a\.csv': .*Pass their folder or a glob"),
        (["export/a.csv", "other/A.csv"], "two are called"),
        (["export/a.csv", "export"], r"a\.csv would be sent twice, also as .*export\. Pass one of them"),
        ("export/**", r"a\.csv would be sent twice, also as .*export\. Pass one of them"),
        ("linked", r"linked/\S+\.csv would be sent twice, also as .*linked/\S+\.csv\."),
        (["again", "export/a.csv"], r"export/a\.csv would be sent twice, also as .*again\."),
    ],
)
def test_sources_that_make_no_parts_are_refused(
    sources: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is made or sent."""
    monkeypatch.chdir(tmp_path)
    _export(tmp_path, "export/a.csv", "other/A.csv", "linked/b.csv")
    (tmp_path / "linked" / "latest.csv").symlink_to(tmp_path / "linked" / "b.csv")
    (tmp_path / "again").symlink_to(tmp_path / "export")
    with pytest.raises(bwp.InvalidTable, match=message):
        _sent(bwp.connect(), sources, tmp_path / "ledgers")
    assert not (tmp_path / "ledgers").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ledger": "x"}, TypeError, "ledger"),
        ({"worker": 2}, TypeError, "worker"),
        ({"workers": 0}, ValueError, "workers: expected an int"),
        ({"on_refused": "never"}, ValueError, "on_refused: expected 'resend' or 'skip'"),
        ({"ids_from": "row"}, ValueError, "ids_from"),
        ({"timezone": "Mars"}, ValueError, "timezone"),
        ({"columns": {"a": "event_tiem"}}, bwp.InvalidTable, "Unknown field"),
        ({"executor": "dask"}, ValueError, r"expected an Executor such as client\.get_executor\(\), got str 'dask'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    """They would be wrong for every part."""
    _export(tmp_path / "export", "a.csv")
    with pytest.raises(error, match=message):
        _sent(bwp.connect(), tmp_path / "export", tmp_path / "ledgers", **options)
    assert not (tmp_path / "ledgers").exists()


@pytest.mark.parametrize(
    ("connect", "message"),
    [
        (
            lambda: bwp.connect(timeout=1),
            "is not picklable: .*Define connect as a function of a module",
        ),
        (partial(bwp.connect, Secret("secret")), "a Secret cannot be pickled"),  # type: ignore[arg-type]
        (bwp.connect(), "expected a function such as bwp.connect, got Client"),
    ],
)
def test_what_a_worker_cannot_get_is_refused(connect: Any, message: str, tmp_path: Path) -> None:
    """With any executor, before anything is made or submitted."""
    _export(tmp_path / "export", "a.csv")
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match=message):
        bwp.send_parts(connect, tmp_path / "export", tmp_path / "ledgers", executor=executor)
    assert not (tmp_path / "ledgers").exists()


def test_an_option_that_can_be_read_once_is_read_once(tmp_path: Path) -> None:
    """Every part has the properties that a generator lists."""
    export = _export(tmp_path / "export", "a.csv", "b.csv")
    report = _sent(bwp.connect(), export, tmp_path / "ledgers", properties=(name for name in ["page_type"]))
    assert ["page_type"] == list(report.columns.properties)
    assert 2 * ROWS == report.counts["sent"]


def test_a_changed_part_is_reported_and_the_others_are_sent(tmp_path: Path) -> None:
    """A new one, too; one that is gone is refused, since it may have another name now."""
    export, client = _export(tmp_path / "export", "a.csv", "b.csv"), bwp.connect()
    _sent(client, export, tmp_path / "ledgers")
    _export(export, "c.csv", "a.csv", rows=ROWS - 1)
    report = _sent(client, export, tmp_path / "ledgers")
    assert ["a.csv"] == list(report.unfinished)
    assert "it belongs to different data than a.csv" in report.unfinished["a.csv"]
    assert (False, 3 * ROWS - 1) == (report.ok, len(client.sandbox.accepted))
    assert (
        "Note: 1 part did not finish (see report.unfinished): a.csv (LedgerError: Cannot use the ledger a.csv.ledger: "
        in repr(report)
    )
    (export / "b.csv").rename(export / "d.csv")
    with pytest.raises(bwp.LedgerError, match=r"/b\.csv\.ledger belongs to a part that is not among the sources"):
        _sent(client, export, tmp_path / "ledgers")
    assert 3 * ROWS - 1 == len(client.sandbox.accepted)


def test_ledgers_that_cannot_be_made_are_refused(tmp_path: Path) -> None:
    """A file is where their folder would be."""
    _export(tmp_path / "export", "a.csv")
    with pytest.raises(OSError, match=r"a\.csv"):
        _sent(bwp.connect(), tmp_path / "export", tmp_path / "export" / "a.csv" / "ledgers")


def test_a_part_that_cannot_be_sent_leaves_the_others_alone(tmp_path: Path) -> None:
    """A file that cannot be read, a damaged ledger, an id twice in a part, and a file of another kind."""
    export = _export(tmp_path / "export", "a.csv", "b.csv", "c.csv")
    (export / "a.csv").write_text("no,events\n1,2\n")
    (export / "notes.txt").write_text("-")
    (tmp_path / "ledgers").mkdir()
    (tmp_path / "ledgers" / "b.csv.ledger").write_text("-")
    traffic.shop_day(3, invalid_rate=0).assign(event_id="x").to_csv(export / "d.csv", index=False)
    client = bwp.connect()
    report = _sent(client, export, tmp_path / "ledgers")
    assert ["a.csv", "b.csv", "d.csv", "notes.txt"] == list(report.unfinished)
    for name, said in (
        ("a.csv", "Missing column"),
        ("b.csv", "is not a ledger"),
        ("d.csv", "is a duplicate of event 0"),
    ):
        assert said in report.unfinished[name]
    assert (["c.csv"], ROWS) == (_names(report), report.counts["sent"])
    assert report.stopped.startswith(
        "4 parts did not finish (see report.unfinished): a.csv (InvalidTable: Missing column"
    )
    assert report.stopped.endswith(". The same call goes on with what is left.")


def test_without_any_part_that_began_the_report_is_empty(tmp_path: Path) -> None:
    """It can be shown, and its tables are empty."""
    (tmp_path / "a.csv").write_text("no,events\n1,2\n")
    report = _sent(bwp.connect(), tmp_path / "a.csv", tmp_path / "ledgers")
    assert (0, False) == (report.rows, report.ok)
    assert "0 rows of 0 parts: none" in repr(report)
    assert "did not finish" in report._repr_html_()
    assert (0, 0) == (len(report.frame()), len(report.quarantine()))
    assert 0 == len(bwp.plots.outcomes(report).table)


@pytest.mark.parametrize(
    ("fault", "options", "said"),
    [
        ("access_denied", {"times": 2}, "the API denies access"),
        ("http_429_seconds", {"seconds": 3_600}, "the API asks to wait until"),
    ],
)
def test_a_part_that_is_stopped_is_reported(fault: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    """The others finish, and the same call sends the rest of it."""
    export, client = _export(tmp_path / "export", "a.csv", "b.csv"), bwp.connect()
    client.sandbox.fail_next(fault, **options)
    report = _sent(client, export, tmp_path / "ledgers")
    assert ["a.csv"] == list(report.unfinished)
    assert said in report.unfinished["a.csv"]
    assert ROWS == report.counts["sent"]
    assert "make the same call again; the ledger records what is done" in repr(report)
    assert _sent(client, export, tmp_path / "ledgers").ok
    assert 2 * ROWS == len(client.sandbox.accepted)


def test_ids_in_two_parts_are_found_before_anything_is_sent(tmp_path: Path) -> None:
    """Not those twice in one part, which are refused there; a part that cannot be read cannot be checked."""
    _export(tmp_path / "export", "c.csv")
    for number, name in enumerate(("a.csv", "b.csv")):
        day = traffic.shop_day(ROWS, invalid_rate=0, seed=number)
        day.to_csv(tmp_path / "export" / name, index=False)
    (tmp_path / "export" / "0.csv").write_text("no,events\n1,2\n")
    client = bwp.connect()
    with pytest.raises(bwp.InvalidTable, match=r"Missing column .* 0\.csv"):
        _sent(client, tmp_path / "export", tmp_path / "ledgers", check_ids=True)
    assert [] == client.sandbox.accepted
    (tmp_path / "export" / "0.csv").unlink()
    assert _sent(client, tmp_path / "export", tmp_path / "ledgers", check_ids=True).ok
    shared = day["event_id"][7]
    day.assign(event_id=shared).to_csv(tmp_path / "export" / "d.csv", index=False)
    with pytest.raises(bwp.InvalidTable, match=f"have the event_id '{shared}': row 7 of b.csv and row 0 of d.csv"):
        _sent(client, tmp_path / "export", tmp_path / "ledgers", check_ids=True)
    assert 3 * ROWS == len(client.sandbox.accepted)


def test_what_rows_contain_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    """The counts and states are those of the ledgers, also if the sources are gone."""
    export = _export(tmp_path / "export", "a.csv", "b.csv")
    report = _sent(bwp.connect(), export, tmp_path / "ledgers")
    (export / "a.csv").unlink()
    assert {"sent"} == set(report.frame(ids=False)["state"])
    assert (True, 2 * ROWS) == (report.ok, report.rows)
    with pytest.raises(bwp.InvalidTable, match=r"a\.csv cannot be read"):
        report.frame()


def test_a_process_connects_once_and_closes_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all of its parts; in this process the client is closed at the end of the call."""
    export = _export(tmp_path / "export", *[f"{number}.csv" for number in range(4)])
    for number, (make, processes) in enumerate([(ThreadPoolExecutor, 1), (_pool, 2)]):
        notes = tmp_path / f"notes-{number}"
        notes.mkdir()
        monkeypatch.setenv("NOTES", str(notes))
        with make(2) as executor:
            ledgers = tmp_path / f"ledgers-{number}"
            report = bwp.send_parts(connect_and_note, export, ledgers, executor=executor, progress=False)
            assert report.ok
        made = [path.name.split("-")[0] for path in notes.glob("*.made")]
        assert len(set(made)) == len(made) <= processes
        assert {str(os.getpid())} & set(made) == {path.stem for path in notes.glob("*.closed")}


def test_a_process_keeps_the_clients_of_the_latest_calls(tmp_path: Path) -> None:
    """A worker serves many calls, some side by side; it closes what earlier ones used."""
    made = [bwp.connect() for _ in range(6)]
    closed: list[int] = []
    for number, client in enumerate(made):
        client.close = partial(closed.append, number)  # type: ignore[method-assign]
        assert client is sending._client(lambda: client, tmp_path / str(number))  # noqa: B023  # called at once
    assert made[2] is sending._client(bwp.connect, tmp_path / "2")
    assert [0, 1] == closed
    for number in range(2, 6):
        del sending._clients[tmp_path / str(number)]


def test_what_connect_does_wrong_is_reported(tmp_path: Path) -> None:
    """For each part, since another process may have better settings."""
    _export(tmp_path / "export", "a.csv")
    for connect, said in ((lambda: None, "AttributeError: 'NoneType'"), (lambda: 1 / 0, "ZeroDivisionError: ")):
        report = bwp.send_parts(connect, tmp_path / "export", tmp_path / "ledgers", progress=False)  # type: ignore[arg-type]
        assert report.unfinished["a.csv"].startswith(said)


def test_a_broken_pool_keeps_what_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report says which parts did not finish; the same pool is refused then, and another one sends the rest."""
    export = _export(tmp_path / "export", "a.csv", "b.csv")
    monkeypatch.setenv("NOTES", str(tmp_path))
    with _pool(1) as executor:
        report = bwp.send_parts(connect_or_end, export, tmp_path / "ledgers", executor=executor, progress=False)
        assert ["a.csv", "b.csv"] == list(report.unfinished)
        assert report.unfinished["a.csv"].startswith("BrokenProcessPool: ")
        with pytest.raises(BrokenProcessPool) as raised:
            bwp.send_parts(connect_or_end, export, tmp_path / "ledgers", executor=executor, progress=False)
        assert ["a.csv", "b.csv"] == list(raised.value.report.unfinished)  # type: ignore[attr-defined]
    with _pool(1) as executor:
        assert bwp.send_parts(connect_or_end, export, tmp_path / "ledgers", executor=executor, progress=False).ok


class Cancelling(Executor):
    """Sends the first part, and cancels the others."""

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        """Return a future that is done or cancelled."""
        future: Future[Any] = Future()
        if given[0].name == "a.csv":
            call = pickle.dumps((function, given))
            assert os.environ["BWP_CLIENT_SECRET"].encode() not in call, "no secret is pickled"
            function, given = pickle.loads(call)  # noqa: S301  # written in the line above
            future.set_result(function(*given, **named))
        else:
            future.cancel()
            future.set_running_or_notify_cancel()
        return future


def test_cancelled_parts_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are sent; nothing that is pickled has a secret."""
    export = _export(tmp_path / "export", "a.csv", "b.csv")
    with bwp.serve() as server:
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        ledgers = tmp_path / "ledgers"
        report = bwp.send_parts(bwp.connect, export, ledgers, executor=Cancelling(), progress=False)
        assert {"b.csv": "it was interrupted or cancelled"} == report.unfinished
        assert ROWS == len(server.sandbox.accepted)
        assert bwp.send_parts(bwp.connect, export, ledgers, progress=False).ok
        assert 2 * ROWS == len(server.sandbox.accepted)


class Interrupting(httpx.BaseTransport):
    """Sends to a sandbox, and has the main thread interrupted at one request."""

    def __init__(self, sandbox: bwp.Sandbox, at: int) -> None:
        self._sandbox, self._left, self._until = sandbox, at, 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the sandbox does."""
        self._left -= 1
        if self._left == 0:
            self._until = time.monotonic() + 1
            _REACHED.set()
            if threading.current_thread() is threading.main_thread():
                signal.raise_signal(signal.SIGINT)
        time.sleep(max(0.0, self._until - time.monotonic()))  # no part ends before the call has noticed
        return self._sandbox.handle_request(request)


_SANDBOX = bwp.Sandbox()
_REACHED = threading.Event()


def connect_interrupted() -> bwp.Client:
    """Make a client whose third request interrupts."""
    return bwp.Client(Interrupting(_SANDBOX, 3), "https://api.invalid/graphql")


def connect_uninterrupted() -> bwp.Client:
    """Make a client of the same sandbox."""
    return bwp.Client(Interrupting(_SANDBOX, 0), "https://api.invalid/graphql")


def _waiting_interrupted(futures: Any, timeout: float | None = None) -> Any:
    """Wait as the driver does, but be interrupted once the request is reached: which thread gets a signal varies."""
    if _REACHED.wait(60):
        _REACHED.clear()
        sending.wait = wait  # type: ignore[attr-defined]
    raise KeyboardInterrupt


@pytest.mark.parametrize("in_threads", [False, True])
def test_an_interrupt_loses_nothing(in_threads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests that were being sent end; the error has the report; the same call sends the rest."""
    monkeypatch.setattr(_SANDBOX, "handle_request", _without_token(bwp.connect()))
    export = _export(tmp_path / "export", "a.csv", "b.csv", "c.csv", rows=1_100)
    ledgers = tmp_path / "ledgers"
    _REACHED.clear()
    monkeypatch.setattr(sending, "wait", _waiting_interrupted)
    with ThreadPoolExecutor(2) as threads:
        options: dict[str, Any] = {"executor": threads if in_threads else None, "workers": 1, "progress": False}
        with pytest.raises(KeyboardInterrupt) as raised:
            bwp.send_parts(connect_interrupted, export, ledgers, **options)
        report = raised.value.report  # type: ignore[attr-defined]
        assert 0 < report.counts["sent"] < 3_300
        assert report.counts["unknown"] == 0
        assert "c.csv" in report.unfinished
        assert [] == list(ledgers.glob(".running*"))
        left = bwp.send_parts(connect_uninterrupted, export, ledgers, **options)
    assert (True, 3_300) == (left.ok, left.rows)
    assert {1} == set(left.frame(ids=False)["copies"])


def test_an_interrupt_waits_for_a_minute_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the requests that are being sent; an engine that lost its processes never ends a part."""
    waited: list[float] = []

    def waiting(futures: Any, seconds: float) -> Any:
        waited.append(seconds)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return wait(futures, 0)

    monkeypatch.setattr(sending, "wait", waiting)
    monkeypatch.setattr(executor := Executor(), "submit", lambda *_: Future())
    export = _export(tmp_path / "export", "a.csv")
    with pytest.raises(KeyboardInterrupt) as raised:
        bwp.send_parts(bwp.connect, export, tmp_path / "ledgers", executor=executor, progress=False)
    assert {"a.csv": "it was interrupted or cancelled"} == raised.value.report.unfinished  # type: ignore[attr-defined]
    assert [0.5, 60] == waited


def _without_token(client: bwp.Client) -> Callable[[httpx.Request], httpx.Response]:
    """Return what answers requests that are not signed, by a client's sandbox."""

    def answered(request: httpx.Request) -> httpx.Response:
        client._auth.sign(request)  # type: ignore[union-attr]
        return client.sandbox.handle_request(request)

    return answered


def test_an_interrupt_of_a_process_can_be_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a terminal reaches the processes of a pool, too; the error of a table has its report, unlike this."""

    def interrupted(*_: Any, **__: Any) -> None:
        error = KeyboardInterrupt("Stopped. 0 of 60 rows are sent.")
        error.report = threading.Lock()  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(sending, "send_table", interrupted)
    (part,) = source.parts(_export(tmp_path / "export", "a.csv"), tmp_path / "ledgers")
    with pytest.raises(KeyboardInterrupt) as raised:
        sending._send(bwp.connect, {}, tmp_path, 0.0, part)
    sending._clients.pop(tmp_path).close()
    assert "Stopped. 0 of 60 rows are sent." == str(pickle.loads(pickle.dumps(raised.value)))  # noqa: S301  # ours


def connect_stopping() -> bwp.Client:
    """Make a client whose third request removes the file that marks its call."""
    client, requests = bwp.connect(), count(1)
    handle = client.sandbox.handle_request

    def answered(request: httpx.Request) -> httpx.Response:
        if next(requests) == 3:
            (mark,) = Path(os.environ["LEDGERS"]).glob(".running-*")
            mark.unlink()
        return handle(request)

    client.sandbox.handle_request = answered  # type: ignore[method-assign]
    return client


def test_removing_its_file_stops_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever its processes run; the same call sends the rest."""
    monkeypatch.setenv("LEDGERS", str(tmp_path / "ledgers"))
    export = _export(tmp_path / "export", "a.csv", "b.csv", rows=1_100)
    with ThreadPoolExecutor(1) as executor:
        options: dict[str, Any] = {"executor": executor, "workers": 1, "progress": False}
        report = bwp.send_parts(connect_stopping, export, tmp_path / "ledgers", **options)
        assert dict.fromkeys(["a.csv", "b.csv"], "InterruptedError: the call was interrupted") == report.unfinished
        assert 1_000 == report.counts["sent"]
        report = bwp.send_parts(bwp.connect, export, tmp_path / "ledgers", **options)
    assert (True, 2_200, {1}) == (report.ok, report.rows, set(report.frame(ids=False)["copies"]))


def test_a_process_stops_when_its_driver_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If `multiprocessing` started it: a fork notices it by its parent's id, a child of a fork server by a pipe."""
    parent = SimpleNamespace(is_alive=lambda: True)
    monkeypatch.setattr(sending, "parent_process", lambda: parent)
    sending._check(tmp_path)
    parent.is_alive = lambda: False
    with pytest.raises(InterruptedError, match="the call was interrupted"):
        sending._check(tmp_path)
    parent.is_alive = lambda: True
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(InterruptedError, match="the call was interrupted"):
        sending._check(tmp_path)
    monkeypatch.setattr(sending, "parent_process", lambda: None)
    sending._check(tmp_path)


def test_a_part_that_another_process_sends_is_waited_for(tmp_path: Path) -> None:
    """As long as `max_wait`, with an executor: an engine may take a living process for lost and run its part again."""
    export = _export(tmp_path / "export", "a.csv")
    (tmp_path / "ledgers").mkdir()
    lock = filelock.FileLock(tmp_path / "ledgers" / "a.csv.ledger.lock", thread_local=False)
    lock.acquire()
    with ThreadPoolExecutor(1) as executor:
        send = partial(bwp.send_parts, bwp.connect, export, tmp_path / "ledgers", executor=executor, progress=False)
        report = send(max_wait=0.05)
        assert "Another run is writing the ledger a.csv.ledger" in report.unfinished["a.csv"]
        threading.Timer(0.2, lock.release).start()
        assert send().ok


def test_the_progress_shows_parts_and_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all parts, with an executor; of each part in this process; on stderr."""
    export = _export(tmp_path / "export", "a.csv", "b.csv")
    with ThreadPoolExecutor(2) as executor:
        bwp.send_parts(bwp.connect, export, tmp_path / "ledgers", executor=executor)
    assert "2/2 [" in capsys.readouterr().err.split("\r")[-1]
    bwp.send_parts(bwp.connect, export, tmp_path / "ledgers-2", workers=1)
    said = capsys.readouterr()
    assert 2 == said.err.count("fields: ")
    assert f"{ROWS}/{ROWS} [" in said.err.split("\r")[-1]
    assert "" == said.out


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_killing_a_worker_and_the_driver_loses_nothing(engine: str, tmp_path: Path) -> None:
    """What arrived is what the ledgers and the report say; no event more often than they say. `parting` does more."""
    if engine == "dask" and find_spec("distributed") is None:
        assert os.environ.get("CI") != "true", "distributed must be installed in CI"
        pytest.skip("distributed is not installed")
    found = parting.ordeal(tmp_path, engine, 4, 500, parting.ALL)
    assert {"sent": 2_000} == found["states"]
    assert (2_000, 2_000) == (found["ledgers"]["sent"], found["ledgers"].total())
    assert set(found["reported"]) == set(found["arrived"])
    more = {event_id: times for event_id, times in found["arrived"].items() if times > found["reported"][event_id]}
    assert {} == more
