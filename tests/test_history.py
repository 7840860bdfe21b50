"""`History` and `compare`: what was sent and what came back, kept, written down, sent again, and told apart."""

import csv
import json
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, Difference, Exchange, History, Sandbox, compare
from tests.hostile import HOSTILE
from tests.strategies import event


@pytest.mark.parametrize("value", [None, 1, "a", [], {}, {"a": [1, {"b": None}]}])
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    """Equal answers give an empty list."""
    assert [] == compare(value, value)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1, 2, ("$", 1, 2)),
        (1, True, ("$", 1, True)),
        (0, False, ("$", 0, False)),
        (1, 1.0, ("$", 1, 1.0)),
        (1, "1", ("$", 1, "1")),
        ([], {}, ("$", [], {})),
        ({"a": None}, {}, ("$.a", None, ...)),
        ({}, {"a": None}, ("$.a", ..., None)),
        ([1], [1, 2], ("$[1]", ..., 2)),
        ([1, 2], [1], ("$[1]", 2, ...)),
        ({"a": {"b": [0, {"c": 1}]}}, {"a": {"b": [0, {"c": 2}]}}, ("$.a.b[1].c", 1, 2)),
        ({"a": {"b": 1}}, {"a": [1]}, ("$.a", {"b": 1}, [1])),
    ],
)
def test_a_difference_is_named_by_its_path(before: Any, after: Any, expected: tuple[str, Any, Any]) -> None:
    """What is absent shows as `...`, and true is not 1."""
    assert [Difference(*expected)] == compare(before, after)


def test_every_difference_is_listed() -> None:
    """First what was there before, in its order, then what is new."""
    assert ["$.b", "$.a", "$.c"] == [found.path for found in compare({"b": 1, "a": 1}, {"c": 1, "a": 2})]


def test_the_order_of_keys_is_no_difference() -> None:
    """JSON objects have none."""
    assert [] == compare({"a": 1, "b": 2}, {"b": 2, "a": 1})


COLUMNS = {
    "time": "datetime64[ns, UTC]",
    "operation": "text",
    "events": "int64",
    "attempts": "int64",
    "outcome": "text",
    "classification": "text",
    "fields": "object",
    "status_code": "Int64",
    "elapsed": "float64",
    "bytes_sent": "int64",
    "bytes_received": "int64",
    "message": "text",
}


def _exchange(**changes: Any) -> Exchange:
    """Return an exchange, but for the changes."""
    values: dict[str, Any] = {
        "time": "2024-11-22T09:00:00.000+00:00",
        "operation": "send",
        "events": 1,
        "attempts": 1,
        "outcome": "rejected",
        "classification": "ValidationError",
        "fields": ("eventTime",),
        "status_code": 200,
        "elapsed": 0.1,
        "bytes_sent": 400,
        "bytes_received": 300,
        "message": "No.",
        "sent": {"query": "{nothing}"},
        "received": {"errors": [{"message": "No."}]},
    }
    return Exchange(**values | changes)


def _busy() -> Client:
    """Return a client that has sent, been refused, executed, failed, been lost and sent again."""
    client = bwp.connect(Sandbox(latency=0.25))
    assert client.sandbox is not None
    client.send([event(event_id="first"), event(event_id="second")])
    for check in (True, False):
        with pytest.raises(BwpError):
            client.send(event(event_time="2023", event_type="x"), check=check)
    client.execute("{nothing}")
    client.sandbox.fail_next("refused", times=client.retries.attempts)
    with pytest.raises(BwpError):
        client.send(event())
    client.sandbox.fail_next("cut_off")
    with pytest.raises(BwpError):
        client.execute("{nothing}")
    client.resend(client.history[0])
    client.resend(client.history[0], new_ids=True)
    return client


def test_every_call_is_a_row() -> None:
    """With what it was, how it ended, and why."""
    found = [
        (row.operation, row.events, row.attempts, row.outcome, row.classification, row.fields, row.status_code)
        for row in _busy().history
    ]
    assert found == [
        ("send", 2, 1, "sent", "", (), 200),
        ("send", 1, 0, "invalid", "InvalidEvent", ("eventType", "eventTime"), None),
        ("send", 1, 1, "rejected", "ValidationError", ("eventType", "eventTime"), 200),
        ("execute", 0, 1, "answered", "", (), 200),
        ("send", 1, 4, "failed", "RequestFailed", (), None),
        ("execute", 0, 1, "unknown", "RequestFailed", (), 200),
        ("resend", 2, 1, "sent", "", (), 200),
        ("resend with new ids", 2, 1, "sent", "", (), 200),
    ]


def test_a_row_holds_time_bytes_message_body_and_answer() -> None:
    """Whatever is needed to look at it again."""
    sandbox = Sandbox(latency=0.25)
    client = bwp.connect(sandbox)
    client.send(event())
    with pytest.raises(BwpError) as caught:
        client.send(event(event_time="2023"), check=False)
    first, second = client.history
    assert ["2024-11-22T09:00:00.000+00:00", "2024-11-22T09:00:00.250+00:00"] == [first.time, second.time]
    assert (0.25, "") == (first.elapsed, first.message)
    assert bwp.Mutation(event()).payload == first.request
    assert {"data": {"sendUserEvents": {"status": "successful"}}} == first.answer
    assert len(sandbox.requests[0]["body"].encode()) == first.bytes_sent
    assert len(json.dumps(first.answer)) == first.bytes_received
    assert (str(caught.value), caught.value.errors) == (second.message, second.answer["errors"])  # type: ignore[attr-defined]


def test_elapsed_counts_all_attempts_and_the_waits_between() -> None:
    """As whoever waited would."""
    sandbox = Sandbox(latency=0.5)
    sandbox.fail_next("http_429_seconds", seconds=7)
    client = bwp.connect(sandbox)
    assert client.send(event()).elapsed == client.history[0].elapsed == 0.5 + 7 + 0.5


def test_a_history_shows_how_much_it_holds_and_gives_each() -> None:
    """By its place, from either end, or one after the other."""
    history = History([_exchange(events=count) for count in range(5)])
    assert ("History(5 exchanges)", 5) == (repr(history), len(history))
    assert [0, 1, 2, 3, 4] == [exchange.events for exchange in history]
    assert (0, 4) == (history[0].events, history[-1].events)
    expected = "Exchange(2024-11-22T09:00:00.000+00:00, send, 0 events, rejected, ValidationError)"
    assert expected == repr(history[0])


def test_a_history_keeps_the_latest_of_a_limit() -> None:
    """The oldest go first."""
    history = History(limit=3)
    for count in range(10):
        history.add(_exchange(events=count))
    assert [7, 8, 9] == [exchange.events for exchange in history]


def test_a_history_keeps_the_latest_of_so_many_bytes() -> None:
    """Bodies and answers count; the latest is kept however large."""
    history = History(bytes_limit=1000)
    for count in range(5):
        history.add(_exchange(events=count, bytes_sent=200, bytes_received=200))
    assert [3, 4] == [exchange.events for exchange in history]
    history.add(_exchange(events=5, bytes_received=10_000))
    assert [5] == [exchange.events for exchange in history]
    history.add(_exchange(events=6))
    assert [6] == [exchange.events for exchange in history]


def test_what_was_not_sent_counts_too() -> None:
    """A thousand large events that our own checks refuse are not all kept."""
    client = bwp.connect()
    client.history.bytes_limit = 2**20
    for _ in range(20):
        with pytest.raises(BwpError):
            client.send(event(event_time="2023", client_version="x" * 2**18))
    assert 3 == len(client.history)


def test_the_history_of_a_client_is_bounded() -> None:
    """By a thousand exchanges, and by 16 MiB of large answers."""
    client = bwp.connect(Sandbox(fault_rates={"huge": 1.0}))
    for _ in range(20):
        with pytest.raises(BwpError):
            client.send(event())
    assert 10 < len(client.history) < 17
    assert (1000, 16 * 2**20) == (client.history.limit, client.history.bytes_limit)


@pytest.mark.parametrize("rows", [True, False], ids=["some", "none"])
def test_the_frame_has_the_same_columns_and_types_whatever_is_in_it(rows: bool) -> None:
    """An empty history gives an empty frame that can be worked with all the same."""
    frame = (_busy().history if rows else History()).frame()
    assert list(COLUMNS) == list(frame.columns)
    assert (8 if rows else 0) == len(frame)
    assert str(frame["time"].dt.tz) == "UTC"
    assert "Int64" == str(frame["status_code"].dtype)
    if rows:
        numbers = {name: kind for name, kind in COLUMNS.items() if kind in ("int64", "float64", "Int64")}
        assert numbers == {name: str(frame[name].dtype) for name in numbers}
    texts = [name for name, kind in COLUMNS.items() if kind == "text"]
    assert [] == [name for name in texts if not (pd.api.types.is_string_dtype(frame[name]) or not rows)]


def test_the_frame_says_what_the_exchanges_say() -> None:
    """Row by row; a status code that is missing is missing."""
    history = _busy().history
    frame = history.frame()
    assert [exchange.outcome for exchange in history] == list(frame["outcome"])
    assert [exchange.elapsed for exchange in history] == list(frame["elapsed"])
    assert [exchange.fields for exchange in history] == list(frame["fields"])
    assert [None, None] == [code if pd.notna(code) else None for code in frame["status_code"][[1, 4]]]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_history_that_is_saved_and_loaded_is_the_same(suffix: str, tmp_path: Path) -> None:
    """Every field of every exchange, bodies and answers among them."""
    history = _busy().history
    history.save(tmp_path / f"history{suffix}")
    loaded = History.load(tmp_path / f"history{suffix}")
    assert list(history) == list(loaded)
    assert [] == compare(history, loaded)
    pd.testing.assert_frame_equal(history.frame(), loaded.frame())


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if "megabyte" not in name])
def test_hostile_texts_are_saved_and_loaded_unchanged(suffix: str, name: str, tmp_path: Path) -> None:
    """A file for machines holds what came, and no more lines than exchanges."""
    text = HOSTILE[name][0]
    history = History([_exchange(message=text, classification=text, fields=(text,), sent={text: text}, received=text)])
    path = tmp_path / f"history{suffix}"
    history.save(str(path))
    assert list(history) == list(History.load(str(path)))
    assert (1 if suffix == ".jsonl" else 2) == len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_an_empty_history_is_saved_and_loaded(suffix: str, tmp_path: Path) -> None:
    """As an empty one."""
    History().save(tmp_path / f"history{suffix}")
    assert [] == list(History.load(tmp_path / f"history{suffix}"))


def test_the_csv_has_a_head_and_a_row_for_each(tmp_path: Path) -> None:
    """Each cell is JSON."""
    history = _busy().history
    history.save(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert [*COLUMNS, "request", "answer"] == head
    assert [exchange.message for exchange in history] == [json.loads(row[head.index("message")]) for row in rows]


@pytest.mark.parametrize("name", ["history.txt", "history", "history.json", "history.csv.gz", ".jsonl"])
def test_another_kind_of_file_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is written: a notebook of that name is spared."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="jsonl"):
        History().save(tmp_path / name)
    with pytest.raises(ValueError, match="jsonl"):
        History.load(tmp_path / name)
    assert "mine" == (tmp_path / name).read_text()


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_whatever_can_be_kept_can_be_saved_and_loaded(suffix: str, tmp_path: Path) -> None:
    """Bodies longer than csv reads by itself, answers nested deeply, and more exchanges than are kept by default."""
    deep = json.loads('{"a":' * 700 + "1" + "}" * 700)
    kept = [_exchange(sent={"query": "x" * 200_000}), _exchange(received=deep), *[_exchange()] * 1500]
    History(kept, limit=5000).save(tmp_path / f"history{suffix}")
    assert kept == list(History.load(tmp_path / f"history{suffix}"))


def test_variables_that_are_no_json_do_not_spoil_the_file(tmp_path: Path) -> None:
    """They were not sent, so there is no body to keep."""
    client = bwp.connect()
    with pytest.raises(bwp.InvalidEvent):
        client.execute("{nothing}", {"a": object()})
    client.history.save(tmp_path / "history.jsonl")
    assert {"query": "{nothing}"} == History.load(tmp_path / "history.jsonl")[0].request


def test_a_run_does_not_differ_from_itself_but_from_another() -> None:
    """Two runs are compared by their answers, in their order."""
    history = _busy().history
    assert [] == compare(history, history)
    assert [] == compare(history, _busy().history)
    other = History(list(history)[:-1])
    assert ["$[7]"] == [found.path for found in compare(history, other)]


def test_two_exchanges_are_compared_by_their_answers() -> None:
    """What was sent, and when, is no difference between answers."""
    before = _exchange(received={"data": {"a": 1}}, time="2024-11-22T09:00:00+00:00")
    after = _exchange(received={"data": {"a": 2}}, time="2024-11-22T10:00:00+00:00")
    assert [Difference("$.data.a", 1, 2)] == compare(before, after)
    assert [] == compare(before, before.answer)


def test_a_kept_request_is_sent_again_with_its_own_ids() -> None:
    """The same body, and the history says so."""
    client = bwp.connect()
    client.send([event(event_id="first"), event(event_id="second")])
    assert 2 == client.resend(client.history[0]).events
    assert client.history[0].request == client.history[1].request
    assert ["send", "resend"] == [exchange.operation for exchange in client.history]
    assert client.sandbox is not None
    assert ["first", "second"] * 2 == [kept["eventId"] for kept in client.sandbox.accepted]


def test_a_kept_request_is_sent_again_with_new_ids() -> None:
    """Only they differ, each from every other, and the history says so."""
    client = bwp.connect()
    client.send([event(event_id="first"), event(event_id="second")])
    client.resend(client.history[0], new_ids=True)
    assert "resend with new ids" == client.history[1].operation
    found = compare(client.history[0].request, client.history[1].request)
    assert [f"$.variables.input.events[{i}].eventId" for i in (0, 1)] == [difference.path for difference in found]
    assert client.sandbox is not None
    assert 4 == len({kept["eventId"] for kept in client.sandbox.accepted})


def test_a_refused_request_is_sent_again_as_it_was() -> None:
    """To see whether the API still says the same."""
    client = bwp.connect()
    bad = event(event_time="2023")
    with pytest.raises(BwpError):
        client.send(bad)
    with pytest.raises(bwp.MutationRejected):
        client.resend(client.history[0])
    assert ["invalid", "rejected"] == [exchange.outcome for exchange in client.history]
    assert client.history[0].request == client.history[1].request


def test_an_executed_text_that_is_a_mutation_is_sent_again() -> None:
    """It is read back first."""
    client = bwp.connect()
    client.execute(bwp.documented.PAGE_LOAD.request)
    assert 1 == client.resend(client.history[0]).events


def test_an_executed_text_that_is_none_is_not_sent_again() -> None:
    """The error says why."""
    client = bwp.connect()
    client.execute("{nothing}")
    with pytest.raises(bwp.InvalidEvent, match="expected a mutation"):
        client.resend(client.history[0])


def test_a_loaded_exchange_is_sent_again(tmp_path: Path) -> None:
    """By another client, on another day."""
    client = bwp.connect()
    client.send(event())
    client.history.save(tmp_path / "history.jsonl")
    other = bwp.connect()
    assert 1 == other.resend(History.load(tmp_path / "history.jsonl")[0]).events
    assert other.sandbox is not None
    assert [event().input] == other.sandbox.accepted


def test_threads_share_a_history() -> None:
    """None of their exchanges is lost, and it can be looked at meanwhile."""
    client = bwp.connect()
    barrier = threading.Barrier(8)
    trouble: list[Exception] = []

    def send(name: int) -> None:
        barrier.wait(20)
        try:
            for count in range(10):
                client.send(event(event_id=f"{name} {count}"))
                assert list(client.history)
                assert "History" in repr(client.history)
        except Exception as error:  # told in the main thread
            trouble.append(error)

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ([], 80) == (trouble, len(client.history))
    sent = [exchange.request["variables"]["input"]["events"][0]["eventId"] for exchange in client.history]
    assert 80 == len(set(sent))


def test_a_limit_holds_for_threads_too() -> None:
    """However many add at once."""
    history = History(limit=50)
    threads = [threading.Thread(target=lambda: [history.add(_exchange()) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert 50 == len(history)
