"""`History` and `compare`: exchanges are kept, saved, loaded, sent again and compared."""

import csv
import json
import threading
from dataclasses import replace
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
    """Equal values give an empty list."""
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
    """A missing value is `...`, and true is not 1."""
    assert [Difference(*expected)] == compare(before, after)


def test_every_difference_is_listed() -> None:
    """First the names that were there before, in their order, then the new ones."""
    assert ["$.b", "$.a", "$.c"] == [found.path for found in compare({"b": 1, "a": 1}, {"c": 1, "a": 2})]


def test_the_order_of_names_does_not_matter() -> None:
    """JSON objects are unordered."""
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
    """Return an exchange with some changes."""
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
    values |= changes
    return Exchange(**values | {name: json.dumps(values[name]).encode() for name in ("sent", "received")})


def _busy() -> Client:
    """Return a client after calls with different outcomes."""
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
    """With its operation, its outcome and the reason."""
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


def test_an_exchange_has_time_sizes_message_request_and_response() -> None:
    """Of an accepted and of a rejected request."""
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
    """A slow response, a wait of seven seconds, and another response."""
    sandbox = Sandbox(latency=0.5)
    sandbox.fail_next("http_429_seconds", seconds=7)
    client = bwp.connect(sandbox)
    assert client.send(event()).elapsed == client.history[0].elapsed == 0.5 + 7 + 0.5


def test_a_history_has_a_length_and_items() -> None:
    """Items are found by iteration, by an index or by a slice, which gives a history."""
    history = History([_exchange(events=count) for count in range(5)])
    assert ("History(5 exchanges)", 5) == (repr(history), len(history))
    assert [0, 1, 2, 3, 4] == [exchange.events for exchange in history]
    assert (0, 4) == (history[0].events, history[-1].events)
    assert ("History(2 exchanges)", [3, 4]) == (repr(history[-2:]), [exchange.events for exchange in history[-2:]])
    expected = "Exchange(2024-11-22T09:00:00.000+00:00, send, 0 events, rejected, ValidationError)"
    assert expected == repr(history[0])


def test_a_history_keeps_the_latest_of_a_limit() -> None:
    """The oldest are dropped first."""
    history = History(limit=3)
    for count in range(10):
        history.add(_exchange(events=count))
    assert [7, 8, 9] == [exchange.events for exchange in history]


def test_a_history_is_limited_by_bytes() -> None:
    """Requests and responses count; the latest exchange is always kept."""
    history = History(bytes_limit=1000)
    for count in range(5):
        history.add(_exchange(events=count, sent="x" * 200, received="x" * 200))
    assert [3, 4] == [exchange.events for exchange in history]
    history.add(_exchange(events=5, received="x" * 10_000))
    assert [5] == [exchange.events for exchange in history]
    history.add(_exchange(events=6))
    assert [6] == [exchange.events for exchange in history]


def test_requests_that_were_not_sent_count() -> None:
    """Large invalid events are limited as well."""
    client = bwp.connect()
    client.history.bytes_limit = 2**20
    for _ in range(20):
        with pytest.raises(BwpError):
            client.send(event(event_time="2023", client_version="x" * 2**18))
    assert 3 == len(client.history)


def test_the_history_of_a_client_is_bounded() -> None:
    """By a thousand exchanges, and by 16 MiB of requests and responses."""
    client = bwp.connect(Sandbox(fault_rates={"huge": 1.0}))
    for _ in range(20):
        with pytest.raises(BwpError):
            client.send(event())
    assert 10 < len(client.history) < 17
    assert (1000, 16 * 2**20) == (client.history.limit, client.history.bytes_limit)


@pytest.mark.parametrize("rows", [True, False], ids=["some", "none"])
def test_the_frame_always_has_the_same_columns_and_types(rows: bool) -> None:
    """An empty history gives an empty frame with the same columns."""
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


def test_the_frame_has_the_values_of_the_exchanges() -> None:
    """Row by row; a missing status code is missing."""
    history = _busy().history
    frame = history.frame()
    assert [exchange.outcome for exchange in history] == list(frame["outcome"])
    assert [exchange.elapsed for exchange in history] == list(frame["elapsed"])
    assert [exchange.fields for exchange in history] == list(frame["fields"])
    assert [None, None] == [code if pd.notna(code) else None for code in frame["status_code"][[1, 4]]]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_history_that_is_saved_and_loaded_is_the_same(suffix: str, tmp_path: Path) -> None:
    """With every field of every exchange, requests and responses included, down to the byte."""
    history = _busy().history
    for received in (b"<html>\xff", b"", None):
        history.add(replace(history[-1], received=received))
    history.save(tmp_path / f"history{suffix}")
    loaded = History.load(tmp_path / f"history{suffix}")
    assert list(history) == list(loaded)
    assert [] == compare(history, loaded)
    pd.testing.assert_frame_equal(history.frame(), loaded.frame())


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if "megabyte" not in name])
def test_hostile_texts_are_saved_and_loaded_unchanged(suffix: str, name: str, tmp_path: Path) -> None:
    """The file has one line for each exchange."""
    text = HOSTILE[name][0]
    history = History([_exchange(message=text, classification=text, fields=(text,), sent={text: text}, received=text)])
    path = tmp_path / f"history{suffix}"
    history.save(str(path))
    assert list(history) == list(History.load(str(path)))
    assert (1 if suffix == ".jsonl" else 2) == len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_an_empty_history_is_saved_and_loaded(suffix: str, tmp_path: Path) -> None:
    """It is empty again."""
    History().save(tmp_path / f"history{suffix}")
    assert [] == list(History.load(tmp_path / f"history{suffix}"))


def test_the_csv_has_a_head_and_a_row_for_each(tmp_path: Path) -> None:
    """Each cell is JSON."""
    history = _busy().history
    history.save(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert [*COLUMNS, "sent", "received", "dropped", "dropped_events"] == head
    assert [exchange.message for exchange in history] == [json.loads(row[head.index("message")]) for row in rows]


@pytest.mark.parametrize("name", ["history.txt", "history", "history.json", "history.csv.gz", ".jsonl"])
def test_another_kind_of_file_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is written, so that an existing file of that name is not changed."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="jsonl"):
        History().save(tmp_path / name)
    with pytest.raises(ValueError, match="jsonl"):
        History.load(tmp_path / name)
    assert "mine" == (tmp_path / name).read_text()


@pytest.mark.parametrize("line", ['{"event": "click"}', "[1]", "1", "text"])
def test_a_file_of_something_else_is_refused(line: str, tmp_path: Path) -> None:
    """As the documentation of `load` says."""
    path = tmp_path / "events.jsonl"
    path.write_text(line)
    with pytest.raises(ValueError, match=r"expected a file that History\.save wrote|Expecting value"):
        History.load(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_large_exchanges_are_saved_and_loaded(suffix: str, tmp_path: Path) -> None:
    """Requests above the limit of the csv module, nested responses, and more exchanges than the default limit."""
    deep = json.loads('{"a":' * 700 + "1" + "}" * 700)
    kept = [_exchange(sent={"query": "x" * 200_000}), _exchange(received=deep), *[_exchange()] * 1500]
    History(kept, limit=5000).save(tmp_path / f"history{suffix}")
    assert kept == list(History.load(tmp_path / f"history{suffix}"))


def test_variables_that_are_not_json_are_not_saved(tmp_path: Path) -> None:
    """They were not sent, so the history only has the query."""
    client = bwp.connect()
    with pytest.raises(bwp.InvalidEvent):
        client.execute("{nothing}", {"a": object()})
    client.history.save(tmp_path / "history.jsonl")
    assert {"query": "{nothing}"} == History.load(tmp_path / "history.jsonl")[0].request


def test_histories_are_compared() -> None:
    """By their responses, in their order."""
    history = _busy().history
    assert [] == compare(history, history)
    assert [] == compare(history, _busy().history)
    other = History(list(history)[:-1])
    assert ["$[7]"] == [found.path for found in compare(history, other)]


def test_exchanges_are_compared_by_their_responses() -> None:
    """Their requests and times do not matter."""
    before = _exchange(received={"data": {"a": 1}}, time="2024-11-22T09:00:00+00:00")
    after = _exchange(received={"data": {"a": 2}}, time="2024-11-22T10:00:00+00:00")
    assert [Difference("$.data.a", 1, 2)] == compare(before, after)
    assert [] == compare(before, before.answer)


def test_an_exchange_is_sent_again_with_the_same_ids() -> None:
    """The request is the same, and the history has the operation."""
    client = bwp.connect()
    client.send([event(event_id="first"), event(event_id="second")])
    assert 2 == client.resend(client.history[0]).events
    assert client.history[0].request == client.history[1].request
    assert ["send", "resend"] == [exchange.operation for exchange in client.history]
    assert client.sandbox is not None
    assert ["first", "second"] * 2 == [kept["eventId"] for kept in client.sandbox.accepted]


def test_an_exchange_is_sent_again_with_new_ids() -> None:
    """Only the ids differ, and the history has the operation."""
    client = bwp.connect()
    client.send([event(event_id="first"), event(event_id="second")])
    client.resend(client.history[0], new_ids=True)
    assert "resend with new ids" == client.history[1].operation
    found = compare(client.history[0].request, client.history[1].request)
    assert [f"$.variables.input.events[{i}].eventId" for i in (0, 1)] == [difference.path for difference in found]
    assert client.sandbox is not None
    assert 4 == len({kept["eventId"] for kept in client.sandbox.accepted})


def test_an_invalid_request_is_sent_again_unchanged() -> None:
    """It is not checked, so the API rejects it."""
    client = bwp.connect()
    bad = event(event_time="2023")
    with pytest.raises(BwpError):
        client.send(bad)
    with pytest.raises(bwp.MutationRejected):
        client.resend(client.history[0])
    assert ["invalid", "rejected"] == [exchange.outcome for exchange in client.history]
    assert client.history[0].request == client.history[1].request


def test_an_executed_text_that_is_a_mutation_is_sent_again() -> None:
    """Its events are parsed first."""
    client = bwp.connect()
    client.execute(bwp.documented.PAGE_LOAD.request)
    assert 1 == client.resend(client.history[0]).events


def test_an_executed_query_is_not_sent_again() -> None:
    """The error says why."""
    client = bwp.connect()
    client.execute("{nothing}")
    with pytest.raises(bwp.InvalidEvent, match="expected a mutation"):
        client.resend(client.history[0])


def test_a_loaded_exchange_is_sent_again(tmp_path: Path) -> None:
    """By another client."""
    client = bwp.connect()
    client.send(event())
    client.history.save(tmp_path / "history.jsonl")
    other = bwp.connect()
    assert 1 == other.resend(History.load(tmp_path / "history.jsonl")[0]).events
    assert other.sandbox is not None
    assert [event().input] == other.sandbox.accepted


def test_threads_share_a_history() -> None:
    """All of their exchanges are kept, and it can be read meanwhile."""
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
        except Exception as error:  # raised in the main thread
            trouble.append(error)

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ([], 80) == (trouble, len(client.history))
    sent = [exchange.request["variables"]["input"]["events"][0]["eventId"] for exchange in client.history]
    assert 80 == len(set(sent))


def test_a_limit_applies_to_threads() -> None:
    """Several threads add exchanges at once."""
    history = History(limit=50)
    threads = [threading.Thread(target=lambda: [history.add(_exchange()) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert 50 == len(history)


def test_a_history_says_what_was_dropped() -> None:
    """In its text, and visibly in its frame."""
    history = History([_exchange(events=count) for count in range(1200)])
    note = "1,000 of 1,200 exchanges kept; events dropped: 19,900"
    assert (200, 19_900, note) == (history.dropped, history.dropped_events, history.note)
    assert f"History({note})" == repr(history)
    assert note == history.frame().attrs["note"]
    assert note in history.frame().head(2).to_string()
    assert "" == History([_exchange()]).note
    assert {} == History([_exchange()]).frame().attrs


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_loaded_history_says_what_was_dropped(suffix: str, tmp_path: Path) -> None:
    """The file has the numbers, so that its charts say it, too."""
    history = History([_exchange()] * 5, limit=3)
    history.save(tmp_path / f"history{suffix}")
    assert (
        "3 of 5 exchanges kept; events dropped: 2" == history.note == History.load(tmp_path / f"history{suffix}").note
    )
