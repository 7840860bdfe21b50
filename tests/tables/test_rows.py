"""Events as rows of a table, and a row as an event."""

import io
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given

import bwp_nb as bwp
from bwp_nb.tables import rows
from tests.strategies import PROPERTY, any_events, event

DEFAULT = event(event_id="made", schema_name="sfcc-schema")


@PROPERTY
@given(events=any_events)
def test_any_event_written_as_json_is_read_back(events: bwp.UserEvent) -> None:
    """The JSON rows hold whole events, whatever their texts."""
    assert [events] == rows.events_of(rows.to_json([events]), event)


def test_csv_has_a_column_for_each_field_and_each_property() -> None:
    """Pandas reads the rows back; what an event lacks is an empty cell, and a text stays text."""
    events = [event(additional_properties={"sku": "00123"}), event(additional_properties={"note": 'a,"b"\nc'})]
    frame = pd.read_csv(io.StringIO(rows.to_csv(events)), dtype=str)
    assert ["schema_version", "sku", "note"] == list(frame.columns[-3:])
    assert events == rows.events_of(frame, event)


@pytest.mark.parametrize("name", ["event_type", "eventType", "additional_properties", "additionalProperties"])
def test_a_property_called_like_a_field_has_no_csv(name: str) -> None:
    """A table could not tell the two, so that is refused and not guessed."""
    with pytest.raises(bwp.InvalidEvent, match="is called like a field"):
        rows.to_csv([event(additional_properties={name: "a"})])


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_what_a_row_lacks_is_taken_from_the_default_but_properties_are_left_out(missing: Any) -> None:
    """A missing cell is no text, whatever the table's word for it."""
    made = rows.from_row({"event_id": missing, "schemaName": missing, "sku": missing, "ubid": "b"}, DEFAULT)
    assert event(event_id="made", schema_name="sfcc-schema", additional_properties={"ubid": "b"}) == made


def test_a_row_may_use_the_apis_own_shape() -> None:
    """An event as it stands in a request body is a row too."""
    given = event(additional_properties={"a": "1", "b": "2"})
    assert given == rows.from_row(given.input, event())
    assert [given] == rows.events_of(json.dumps(given.input), event)


@pytest.mark.parametrize("source", [1, None, [1], {"event_type": 1}, {"additional_properties": []}])
def test_what_is_no_row_is_refused(source: Any) -> None:
    """Nothing is guessed from a number, a list of numbers, or a field that is no text."""
    with pytest.raises(bwp.InvalidEvent):
        rows.events_of(source, event)
