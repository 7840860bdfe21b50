"""Checks by the column: the verdicts of `UserEvent.problems()`, and the bodies of a `Mutation`."""

import json
import uuid
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb.columns import Layout, Made, Written, written
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.mutation import body
from bwp_nb.table import table
from tests.strategies import BAD_TIMES, GOOD_TIMES, VALID, any_events, event, nearly_valid_events

MADE = Made("a-run", "2024-11-22T09:00:00Z")


def _written(source: Any, made: Made = MADE, **layout: Any) -> Written:
    """Return a source of one chunk, checked and written."""
    whole = table(source)
    (chunk,) = whole.chunks()
    options = {"columns": None, "properties": None, "fields": None} | layout
    return written(chunk, Layout.of(whole, **options), made)


def _row(given: bwp.UserEvent) -> dict[str, Any]:
    values = {name: getattr(given, name) for name in TEXT_FIELDS}
    return {**values, "additional_properties": dict(given.additional_properties)}


def _frame(events: list[bwp.UserEvent]) -> pd.DataFrame:
    return pd.DataFrame([_row(given) for given in events], dtype=object)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(nearly_valid_events() | any_events, min_size=1, max_size=40))
def test_columns_get_the_verdict_of_events(events: list[bwp.UserEvent]) -> None:
    """The same problems, in the same words, and the same input where there are none; on thousands of rows."""
    found = _written(_frame(events))
    assert {row: problems for row, e in enumerate(events) if (problems := e.problems())} == found.problems
    for given_event, text in zip(events, found.texts, strict=True):
        assert (None if given_event.problems() else _by_name(given_event.input)) == (
            None if text is None else _by_name(json.loads(text))
        )


def _by_name(given: dict[str, Any]) -> dict[str, Any]:
    """Return an input with its properties in the order of their names: a table has one order for all rows."""
    pairs = given.get("additionalProperties", {}).get("additionalProperties", [])
    return {**given, "additionalProperties": sorted(pairs, key=lambda pair: str(pair["property"]))}


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(nearly_valid_events(), min_size=1, max_size=20))
def test_a_list_of_events_is_written_as_its_mutation_is(events: list[bwp.UserEvent]) -> None:
    """To the byte, but for the spaces that JSON may have."""
    found = _written(events)
    valid = [given_event for given_event in events if not given_event.problems()]
    assert bwp.Mutation(valid).payload == json.loads(body(text for text in found.texts if text))


@pytest.mark.parametrize("text", GOOD_TIMES + BAD_TIMES)
def test_times_get_the_verdict_of_events(text: str) -> None:
    """Those at the border most of all."""
    assert bool(event(event_time=text).problems()) == bool(_written(_frame([event(event_time=text)])).problems)


VALUES = [
    1,
    1.5,
    True,
    b"bytes",
    ["a"],
    {"a": 1},
    pd.Timestamp("2024-01-01"),
    pd.Timestamp("2024-01-01", tz="UTC"),
    "é",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("name", [*TEXT_FIELDS, "product_sku"])
def test_a_value_that_is_no_text_gets_the_verdict_of_an_event(name: str, value: Any) -> None:
    """Nothing is turned into text but a time that knows its zone."""
    row = VALID | {"product_sku": "a", name: value}
    values = {field: row[field] for field in TEXT_FIELDS if field in row}
    expected: list[Problem] = []
    try:
        expected = bwp.UserEvent(**values, additional_properties={"product_sku": row["product_sku"]}).problems()
    except InvalidEvent as error:
        expected = error.problems
    found = _written(pd.DataFrame([VALID | {"product_sku": "a"}, row, VALID], dtype=object))
    assert ({1: expected} if expected else {}) == found.problems
    assert [False, bool(expected), False] == [text is None for text in found.texts]


def test_what_is_missing_is_left_out() -> None:
    """A property, the schema; an event without any property has no list of them."""
    rows = [VALID | {"a": "1", "b": "2"}, VALID | {"b": "2"}, VALID | {"a": "1"}, VALID | {"schema_name": "abc"}]
    found = [json.loads(text) for text in _written(pd.DataFrame(rows)).texts if text]
    pairs = [event.pop("additionalProperties", {}).get("additionalProperties") for event in found]
    one, two = {"property": "a", "value": "1"}, {"property": "b", "value": "2"}
    assert [[one, two], [two], [one], None] == pairs
    assert [event().input] * 3 + [event(schema_name="abc").input] == found


def test_a_property_of_the_pattern_that_is_tidied_away_survives() -> None:
    """A value may look like JSON."""
    text = '[,{"property":"x"}],"additionalProperties":{"additionalProperties":[]}'
    rows = [VALID | {"b": text}, VALID | {"a": text, "b": text}]
    found = [
        json.loads(text)["additionalProperties"]["additionalProperties"]
        for text in _written(pd.DataFrame(rows)).texts
        if text
    ]
    assert [[text], [text, text]] == [[pair["value"] for pair in pairs] for pairs in found]


def test_ids_and_times_that_are_missing_are_made_for_run_and_row() -> None:
    """The same each time, other ones for another row and another run; of the form that the guide asks for."""
    frame = pd.DataFrame([{"event_type": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1.0"}] * 3)
    first, again, other = (
        [json.loads(text or "") for text in _written(frame, made).texts] for made in (MADE, MADE, Made("b", MADE.time))
    )
    assert first == again
    assert 6 == len({found["eventId"] for found in first + other})
    assert {4} == {uuid.UUID(found["eventId"]).version for found in first}
    assert {MADE.time} == {found["eventTime"] for found in first}


def test_columns_are_mapped_to_fields_and_properties() -> None:
    """By our names, the API's, or the given ones; values for all rows as well."""
    frame = pd.DataFrame([{"kind": "click", "eventId": "an-id", "when": VALID["event_time"], "sku": "s", "note": "n"}])
    fields = {"client_type": "WEBSITE_CLIENT", "client_version": "2"}
    mapped = {"kind": "event_type", "when": "event_time"}
    (text,) = _written(frame, columns=mapped, properties={"sku": "product_sku"}, fields=fields).texts
    expected = event(
        event_type="click", event_id="an-id", client_version="2", additional_properties={"product_sku": "s"}
    )
    assert expected.input == json.loads(text or "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "No column holds event_type"),
        ({"columns": {"kind": "type"}}, "no field 'type'"),
        ({"columns": {"sort": "event_type"}}, "no column 'sort'"),
        ({"columns": {"kind": "event_type"}, "properties": ["sku"]}, "no column 'sku'"),
        ({"columns": {"kind": "event_type"}, "fields": {"event_type": "click"}}, "Two columns hold event_type"),
        ({"fields": {"colour": "red"}}, "no field 'colour'"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_with_the_columns(options: dict[str, Any], words: str) -> None:
    """Before anything is read, and with what to write instead."""
    frame = pd.DataFrame([{"kind": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1.0"}])
    with pytest.raises(bwp.BwpError, match=words):
        _written(frame, **options)
