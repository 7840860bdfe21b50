"""Events as rows of a table, and a row as an event."""

import io
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given

import bwp_nb as bwp
from bwp_nb.tables import rows
from bwp_nb.tables.source import TextFile
from tests.strategies import PROPERTY, any_events, event

DEFAULT = event(event_id="default", schema_name="sfcc-schema")


@PROPERTY
@given(events=any_events)
def test_any_event_written_as_json_is_read_back(events: bwp.UserEvent) -> None:
    """The JSON rows contain whole events, whatever their texts."""
    assert [events] == rows.events_of(rows.to_json([events]), event)


def test_csv_has_a_column_for_each_field_and_each_property() -> None:
    """Pandas reads the rows back; what an event lacks is an empty cell, and a text stays text."""
    events = [event(additional_properties={"sku": "00123"}), event(additional_properties={"note": 'a,"b"\nc'})]
    frame = pd.read_csv(io.StringIO(rows.to_csv(events)), dtype=str)
    assert ["schema_version", "sku", "note"] == list(frame.columns[-3:])
    assert events == rows.events_of(frame, event)


@pytest.mark.parametrize("name", ["event_type", "eventType", "additional_properties", "additionalProperties"])
def test_a_property_with_the_name_of_a_field_is_refused_in_csv(name: str) -> None:
    """A table has one column for each name, so that is refused and not guessed."""
    with pytest.raises(bwp.InvalidEvent, match="has the name of a field"):
        rows.to_csv([event(additional_properties={name: "a"})])


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_only_an_id_and_a_time_are_generated(missing: Any) -> None:
    """Another required field that a row lacks is empty, whatever value pandas uses for a missing cell."""
    row = {"event_id": missing, "schemaName": missing, "sku": missing, "ubid": "b"}
    lacking = {"event_type": "", "client_type": "", "client_version": "", "event_time": DEFAULT.event_time}
    expected = event(event_id="default", additional_properties={"ubid": "b"}, **lacking)
    assert [expected] == rows.events_of(row, lambda: DEFAULT)


def test_a_row_may_use_the_apis_own_shape() -> None:
    """An event copied from a request body is a row too."""
    given = event(additional_properties={"a": "1", "b": "2"})
    assert [given] == rows.events_of(given.input, event)
    assert [given] == rows.events_of(json.dumps(given.input), event)


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_quoted_cells_are_rows(between: str) -> None:
    """As spreadsheets copy them; the first quoted cell is not taken for JSON."""
    lines = [["event_type", "client_type", "client_version"], ["click", "web", "1"]]
    text = "\n".join(between.join(f'"{cell}"' for cell in line) for line in lines)
    expected = event(event_type="click", client_type="web", client_version="1")
    assert [expected] == rows.events_of(text, event)


@pytest.mark.parametrize("source", [1, None, [1], {"event_type": 1}, {"additional_properties": []}])
def test_other_values_are_refused(source: Any) -> None:
    """Nothing is guessed from a number, a list of numbers, or a field that is not a str."""
    with pytest.raises(bwp.InvalidEvent):
        rows.events_of(source, event)


def test_a_row_that_gives_a_field_twice_is_refused() -> None:
    """Neither value is dropped silently."""
    with pytest.raises(bwp.InvalidEvent, match="event_type is given twice"):
        rows.events_of([{}, {"event_type": "click", "eventType": "page-load"}], event)


def test_a_csv_row_of_another_width_is_refused() -> None:
    """No cell is dropped silently."""
    file = TextFile("day.csv", lambda: io.BytesIO(b"event_type,client_type,client_version\nclick,a,b,c\n"))
    with pytest.raises(bwp.InvalidEvent, match="event 0, row: line 2: expected 3 cells, got 4"):
        rows.events_of(file, event)
