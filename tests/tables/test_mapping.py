"""Rows are checked by the column: the verdicts of `UserEvent.problems()`, and the bodies of a `Mutation`."""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS, rule
from bwp_nb.mutation import body
from bwp_nb.tables.encoding import EncodedRows, encode_rows
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds
from bwp_nb.tables.source import table
from tests.strategies import BAD_TIMES, GOOD_TIMES, VALID, any_events, event, nearly_valid_events

TEXT_RULE = rule("clientVersion")
GENERATED = GeneratedIds("a-run", "2024-11-22T09:00:00Z")


def _encoded(source: Any, generated: GeneratedIds = GENERATED, **options: Any) -> EncodedRows:
    """Return a source of one chunk, checked and encoded."""
    whole = table(source)
    (chunk,) = whole.chunks
    return encode_rows(ColumnMapping(whole, **options).mapped(chunk, generated))


def _row(given: bwp.UserEvent) -> dict[str, Any]:
    values = {name: getattr(given, name) for name in TEXT_FIELDS}
    return {**values, "additional_properties": dict(given.additional_properties)}


def _frame(events: list[bwp.UserEvent]) -> pd.DataFrame:
    return pd.DataFrame([_row(given) for given in events], dtype=object)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(nearly_valid_events() | any_events, min_size=1, max_size=40))
def test_columns_get_the_verdict_of_events(events: list[bwp.UserEvent]) -> None:
    """The same problems with the same messages, and the same input where there are none; on thousands of rows."""
    found = _encoded(_frame(events))
    expected = {row: problems for row, given in enumerate(events) if (problems := given.problems())}
    assert _sorted(expected) == _sorted(found.problems)
    for given_event, text in zip(events, found.texts, strict=True):
        assert (None if given_event.problems() else _by_name(given_event.input)) == (
            None if text is None else _by_name(json.loads(text))
        )


def _sorted(problems: dict[int, list[Problem]]) -> dict[int, list[str]]:
    """Return the problems of each row in one order: a table has one order of properties for all rows."""
    return {row: sorted(map(repr, found)) for row, found in problems.items()}


def _by_name(given: dict[str, Any]) -> dict[str, Any]:
    """Return an input with its properties in the order of their names: a table has one order for all rows."""
    pairs = given.get("additionalProperties", {}).get("additionalProperties", [])
    return {**given, "additionalProperties": sorted(pairs, key=lambda pair: str(pair["property"]))}


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(nearly_valid_events(), min_size=1, max_size=20))
def test_a_list_of_events_is_written_as_its_mutation_is(events: list[bwp.UserEvent]) -> None:
    """Event by event; a table has one order of properties for all rows."""
    found = _encoded(events)
    valid = [given_event for given_event in events if not given_event.problems()]
    sent = json.loads(body(text for text in found.texts if text))["variables"]["input"]["events"]
    expected = bwp.Mutation(valid).payload["variables"]["input"]["events"]
    assert list(map(_by_name, expected)) == list(map(_by_name, sent))


@pytest.mark.parametrize("text", GOOD_TIMES + BAD_TIMES)
def test_times_get_the_verdict_of_events(text: str) -> None:
    """At the borders too."""
    assert bool(event(event_time=text).problems()) == bool(_encoded(_frame([event(event_time=text)])).problems)


VALUES = [1, 1.5, True, b"bytes", ["a"], {"a": 1}, pd.Timestamp("2024-01-01")]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("name", [*TEXT_FIELDS, "product_sku"])
def test_a_value_that_is_not_text_is_a_problem_of_its_row(name: str, value: Any) -> None:
    """It has the same field, value and rule as the event's own; the message has an example and the remedy."""
    row = VALID | {"product_sku": "a", name: value}
    values = {field: row[field] for field in TEXT_FIELDS if field in row}
    with pytest.raises(InvalidEvent) as caught:
        bwp.UserEvent(**values, additional_properties={"product_sku": row["product_sku"]})
    found = _encoded(pd.DataFrame([VALID | {"product_sku": "a"}, row, VALID], dtype=object))
    (expected,), (problem,) = caught.value.problems, found.problems[1]
    assert (expected.field, expected.value, problem.rule) == (problem.field, problem.value, TEXT_RULE)
    assert problem.message.startswith(f"must be a str, got {type(value).__name__}, e.g. ")
    assert [False, True, False] == [text is None for text in found.texts]


def test_what_is_missing_is_left_out() -> None:
    """A property, the schema; an event without any property has no list of them."""
    rows = [VALID | {"a": "1", "b": "2"}, VALID | {"b": "2"}, VALID | {"a": "1"}, VALID | {"schema_name": "abc"}]
    found = [json.loads(text) for text in _encoded(pd.DataFrame(rows)).texts if text]
    pairs = [event.pop("additionalProperties", {}).get("additionalProperties") for event in found]
    one, two = {"property": "a", "value": "1"}, {"property": "b", "value": "2"}
    assert [[one, two], [two], [one], None] == pairs
    assert [event().input] * 3 + [event(schema_name="abc").input] == found


def test_a_value_that_looks_like_the_json_that_is_removed_is_kept() -> None:
    """Only our own commas and empty lists are removed."""
    text = '[,{"property":"x"}],"additionalProperties":{"additionalProperties":[]}'
    rows = [VALID | {"b": text}, VALID | {"a": text, "b": text}]
    found = [
        json.loads(text)["additionalProperties"]["additionalProperties"]
        for text in _encoded(pd.DataFrame(rows)).texts
        if text
    ]
    assert [[text], [text, text]] == [[pair["value"] for pair in pairs] for pairs in found]


def test_missing_ids_and_times_are_generated_for_run_and_row() -> None:
    """The same each time, different for another row or run; an id has the form that the guide asks for."""
    frame = pd.DataFrame([{"event_type": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1.0"}] * 3)
    first, again, other = (
        [json.loads(text or "") for text in _encoded(frame, made).texts]
        for made in (GENERATED, GENERATED, GeneratedIds("b", GENERATED.time))
    )
    assert first == again
    assert 6 == len({found["eventId"] for found in first + other})
    assert {4} == {uuid.UUID(found["eventId"]).version for found in first}
    assert {GENERATED.time} == {found["eventTime"] for found in first}


def test_columns_are_mapped_to_fields_and_properties() -> None:
    """By our names, the API's, or the given ones; some fields have one value for all rows."""
    frame = pd.DataFrame([{"kind": "click", "eventId": "an-id", "when": VALID["event_time"], "sku": "s", "note": "n"}])
    fields = {"client_type": "WEBSITE_CLIENT", "client_version": "2"}
    mapped = {"kind": "event_type", "when": "event_time"}
    (text,) = _encoded(frame, columns=mapped, properties={"sku": "product_sku"}, fields=fields).texts
    expected = event(
        event_type="click", event_id="an-id", client_version="2", additional_properties={"product_sku": "s"}
    )
    assert expected.input == json.loads(text or "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Missing column event_type"),
        ({"columns": {"kind": "type"}}, "Unknown field 'type'"),
        ({"columns": {"sort": "event_type"}}, "Missing column 'sort'"),
        ({"columns": {"kind": "event_type"}, "properties": ["sku"]}, "Missing column 'sku'"),
        (
            {"columns": {"kind": "event_type"}, "fields": {"event_type": "click"}},
            r"The field event_type is given twice, by the column 'kind' and fields=\. Keep one of them\.",
        ),
        ({"fields": {"colour": "red"}}, "Unknown field 'colour'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_with_the_columns(options: dict[str, Any], words: str) -> None:
    """Before anything is read, and the message says what to write instead."""
    frame = pd.DataFrame([{"kind": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1.0"}])
    with pytest.raises(bwp.InvalidTable, match=words):
        _encoded(frame, **options)


def _jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _sent(source: Any, **options: Any) -> tuple[bwp.Report, list[dict[str, Any]]]:
    sandbox = bwp.Sandbox()
    report = bwp.send_table(bwp.connect(sandbox), source, workers=1, progress=False, **options)
    return report, sandbox.accepted


def test_rows_may_call_a_field_by_either_name(tmp_path: Path) -> None:
    """Each row's own id goes out, and ids are compared whatever they are called; a row with both is broken."""
    theirs = {"eventId": "B", **{name: text for name, text in VALID.items() if name != "event_id"}}
    report, arrived = _sent(_jsonl(tmp_path / "a.jsonl", VALID | {"event_id": "A"}, theirs, VALID | {"eventId": "C"}))
    assert ["A", "B"] == [event["eventId"] for event in arrived]
    assert "event_id is given twice" in report.frame()["reason"][2]
    with pytest.raises(bwp.InvalidEvent, match="'B' is a duplicate of event 0"):
        _sent(_jsonl(tmp_path / "b.jsonl", VALID | {"event_id": "B"}, theirs))


def test_a_property_may_be_in_a_column_or_in_a_mapping_but_not_in_both(tmp_path: Path) -> None:
    """Rows of both kinds may be mixed in a file."""
    rows = [VALID | {"event_id": "0", "sku": "a"}, VALID | {"event_id": "1", "additional_properties": {"sku": "b"}}]
    both = VALID | {"event_id": "2", "sku": "a", "additional_properties": {"sku": "b"}}
    report, arrived = _sent(_jsonl(tmp_path / "a.jsonl", *rows, both))
    found = [event["additionalProperties"]["additionalProperties"] for event in arrived]
    assert [[{"property": "sku", "value": "a"}], [{"property": "sku", "value": "b"}]] == found
    assert "sku is given twice" in report.frame()["reason"][2]


def test_properties_chooses_among_those_of_a_mapping_too(tmp_path: Path) -> None:
    """What is left out for privacy is left out of both."""
    rows = VALID | {"sku": "a", "ip": "b", "additional_properties": {"currentUrl": "c", "userAgent": "d"}}
    _, (arrived,) = _sent(_jsonl(tmp_path / "a.jsonl", rows), properties={"sku": "product_sku", "currentUrl": "url"})
    found = arrived["additionalProperties"]["additionalProperties"]
    assert [{"property": "product_sku", "value": "a"}, {"property": "url", "value": "c"}] == found


def test_two_columns_of_one_property_lose_nothing() -> None:
    """A row with a value in both is invalid."""
    frame = pd.DataFrame([VALID | {"event_id": "0", "a": "1"}, VALID | {"event_id": "1", "a": "1", "b": "2"}])
    report, (arrived,) = _sent(frame, properties={"a": "x", "b": "x"})
    assert [{"property": "x", "value": "1"}] == arrived["additionalProperties"]["additionalProperties"]
    assert "x is given twice" in report.frame()["reason"][1]


@pytest.mark.parametrize("options", [{"columns": {"tss": "event_time"}}, {"properties": ["skuu"]}])
def test_a_column_that_no_line_of_jsonl_has_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    """Before anything is sent, and the message lists the columns."""
    with pytest.raises(
        bwp.BwpError,
        match=r"Missing column '(tss|skuu)', which columns= or properties= names\. "
        r"The columns of a\.jsonl are 'client_type'",
    ):
        _sent(_jsonl(tmp_path / "a.jsonl", VALID), **options)


def test_a_value_for_all_rows_does_not_change_one_that_has_its_own(tmp_path: Path) -> None:
    """The row is broken instead; one without gets the value."""
    lacking = {name: text for name, text in VALID.items() if name != "client_type"} | {"event_id": "b"}
    report, (arrived,) = _sent(_jsonl(tmp_path / "a.jsonl", VALID, lacking), fields={"client_type": "SERVER_CLIENT"})
    assert ("b", "SERVER_CLIENT") == (arrived["eventId"], arrived["clientType"])
    assert "client_type is given twice" in report.frame()["reason"][0]


def test_the_quarantine_has_both_values_by_their_names(tmp_path: Path) -> None:
    """So that the right one can be chosen, and nothing has to be guessed from the order of values."""
    twice = VALID | {"clientType": "SERVER_CLIENT", "sku": "a", "additional_properties": {"sku": "b"}}
    source = _jsonl(tmp_path / "source.jsonl", twice, VALID | {"additional_properties": "no dict"})
    report, _ = _sent(source, on_duplicates="send")
    report.save_quarantine(tmp_path / "a.jsonl")
    first, second = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert [{"clientType": "SERVER_CLIENT"}, {"sku": "b"}] == first.pop("unreadable_row")
    assert VALID | {"additional_properties": {"sku": "a"}} == first
    assert VALID | {"unreadable_row": [{"additional_properties": "no dict"}]} == second


def test_a_quarantine_may_be_sent_as_a_frame(tmp_path: Path) -> None:
    """Rows that could be read have NaN where the others have what was lost, which is never sent or listed as such."""
    lost = VALID | {"event_id": None, "unreadable_row": [{"clientType": "SERVER_CLIENT"}]}
    for source in (pd.DataFrame([lost, VALID]), pd.DataFrame([lost, VALID | {"unreadable_row": float("nan")}])):
        report, (arrived,) = _sent(source)
        assert VALID["event_id"] == arrived["eventId"]
        assert "it could not be read before; fix it, and remove unreadable_row" in report.frame()["reason"][0]
        assert ([], {"event_id": 0, "event_time": 0}) == (report.columns.properties, report.columns.generated)
        assert "unreadable_row" in source


def test_an_array_as_an_id_is_a_problem_of_its_row() -> None:
    """The others are sent."""
    report, (arrived,) = _sent([VALID | {"event_id": np.arange(2)}, VALID])
    assert VALID["event_id"] == arrived["eventId"]
    assert "eventId: must be a str, got ndarray" in report.frame()["reason"][0]


def test_events_are_rows_like_others() -> None:
    """Properties are chosen and values added as in any table; a value that an event has is not replaced."""
    given = [event(additional_properties={"sku": "a", "ip": "b"})]
    _, (arrived,) = _sent(given, properties={"sku": "product_sku"}, fields={"schema_name": "sfcc-schema"})
    assert event(schema_name="sfcc-schema", additional_properties={"product_sku": "a"}).input == arrived
    report, arrived_too = _sent(given, fields={"client_type": "SERVER_CLIENT"})
    assert (1, []) == (report.counts["invalid"], arrived_too)


@pytest.mark.parametrize("name", [" event_id", "Event_ID", "EVENTTIME ", "clientversion"])
def test_a_column_with_nearly_the_name_of_a_field_is_refused(name: str) -> None:
    """Unless the caller maps it to a field or lists it as a property."""
    field = {" event_id": "event_id", "Event_ID": "event_id", "EVENTTIME ": "event_time"}.get(name, "client_version")
    frame = pd.DataFrame([VALID]).rename(columns={field: name})
    with pytest.raises(bwp.InvalidTable, match=f"did you mean {field}"):
        _sent(frame, fields={"client_version": "1.0"} if field == "client_version" else {})
    _, (arrived,) = _sent(frame, columns={name: field})
    assert VALID["event_id"] == arrived["eventId"]


def test_a_property_with_a_name_that_is_not_a_str_is_a_problem_of_its_row() -> None:
    """The others are sent."""
    rows = [VALID | {"additional_properties": {1: "a"}}, VALID | {"event_id": "b"}]
    report, arrived = _sent(pd.DataFrame(rows))
    assert ["b"] == [event["eventId"] for event in arrived]
    assert "expected a dict of str to str, got {1: 'a'}" in report.frame()["reason"][0]
    with pytest.raises(bwp.InvalidTable, match="properties: expected a str as the name of a property, got int 1"):
        _sent(pd.DataFrame([VALID | {"a": "b"}]), properties={"a": 1})


def test_the_properties_of_a_ledger_may_be_listed_in_any_order(tmp_path: Path) -> None:
    """A run is resumed with the same ones, not with others."""
    frame = pd.DataFrame([VALID | {"a": "1", "b": "2"}])
    _sent(frame, properties=["a", "b"], ledger=tmp_path / "a")
    for names in (["b", "a"], {"a": "a", "b": "b"}, None):
        assert _sent(frame, properties=names, ledger=tmp_path / "a")[0].ok
    with pytest.raises(bwp.LedgerError, match="it was made with other columns=, properties= or fields="):
        _sent(frame, properties=["a"], ledger=tmp_path / "a")
