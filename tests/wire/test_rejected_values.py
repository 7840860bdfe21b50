"""`rejected_values`: which sent events the text of a refusal means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwp_nb import MutationRejected, connect
from bwp_nb.wire.answer import rejected_values
from tests.strategies import PROPERTY, event


def _time_issue(value: str) -> str:
    return f"eventTime {value} is invalid local ISO 8601 UTC time format."


def _message(*issues: str) -> str:
    return f"Input request is not valid, the following issues were encountered: [{', '.join(issues)}]"


def _named(message: str, *events: dict[str, Any]) -> list[tuple[int, str]]:
    found = rejected_values([message], [event(**changes).input for changes in events])
    return [(named.index, named.field) for named in found]


def test_blame_tells_event_id_field_and_value() -> None:
    """All that is needed to find the row."""
    (found,) = rejected_values([_message(_time_issue("2023"))], [event(event_time="2023").input])
    expected = (0, "11c7e59a-d462-4254-bc7e-3e44528ef6d0", "eventTime", "2023")
    assert expected == (found.index, found.event_id, found.field, found.value)


TWO = ({"event_time": "2023"}, {"event_time": "2024"})


@pytest.mark.parametrize(
    ("message", "events", "expected"),
    [
        (_message(_time_issue("2024")), TWO, [(1, "eventTime")]),
        (_message(_time_issue("2024"), _time_issue("2023")), TWO, [(0, "eventTime"), (1, "eventTime")]),
        (_message(_time_issue("2023")), (TWO[0], {}, TWO[0]), [(0, "eventTime"), (2, "eventTime")]),
        (_message(_time_issue("")), ({"event_time": ""}, {}), [(0, "eventTime")]),
        (_message("/sendUserEvents/input/events[1]/eventType size must be between 3 and 64"), TWO, [(1, "eventType")]),
        ("Variable '$input' got invalid value 'A' at 'input.events[1].clientType'; …", TWO, [(1, "clientType")]),
        (_message("clientVersion 1.0 must match"), ({}, {}), [(0, "clientVersion"), (1, "clientVersion")]),
    ],
)
def test_events_are_named_by_their_values_or_their_paths(
    message: str, events: tuple[dict[str, Any], ...], expected: list[tuple[int, str]]
) -> None:
    """Two events with the same bad value are both named, in the order of the events."""
    assert expected == _named(message, *events)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Something went wrong.",
        _message("schemaName x is unknown"),
        _message(_time_issue("2025")),
        _message(_time_issue("20230")),
        _message("myeventTime 2023 is invalid"),
        _message("/sendUserEvents/input/events[2]/eventType size must be between 3 and 64"),
        _message("/sendUserEvents/input/events[0]/schemaName size must be between 3 and 256"),
        "events[" + "9" * 5000 + "]/eventTime",
        "events[-1]/eventTime and events[]/eventTime and events[٣]/eventTime",
    ],
)
def test_an_unmatched_text_blames_nobody(message: str) -> None:
    """It cannot tell, so it does not guess."""
    assert [] == _named(message, *TWO)


@pytest.mark.parametrize(
    ("culprit", "bystander"),
    [
        ("2023-12-03T10:15:30Z x", {}),
        ("2023 is", {"event_time": "2023"}),
        ("2023, eventTime 2024", {"event_time": "2024"}),
        ("x eventTime 2024 is invalid", {"event_time": "2024"}),
        ("] eventTime 2024, ", {"event_time": "2024"}),
        ("x eventType page-load is invalid", {}),
        ("x /sendUserEvents/input/events[1]/eventType size", {}),
        ("x events[1].eventId", {}),
    ],
)
def test_a_value_that_imitates_the_message_blames_no_bystander(culprit: str, bystander: dict[str, Any]) -> None:
    """What stands inside a quoted value is the value's, however it reads."""
    assert [(0, "eventTime")] == _named(_message(_time_issue(culprit)), {"event_time": culprit}, bystander)


_PARTS = [
    "2023",
    "eventTime ",
    "page-load",
    "eventType ",
    " is ",
    ", ",
    "]",
    "events[0]/eventType",
    "events[1].eventId",
]
_imitations = st.lists(st.sampled_from(_PARTS), max_size=4).map("".join)


@PROPERTY
@given(st.lists(st.just("2023-12-03T10:15:30Z") | _imitations, min_size=1, max_size=3))
def test_only_events_with_a_problem_are_ever_named(times: list[str]) -> None:
    """However the values read, a blameless event is not named."""
    events = [event(event_time=time) for time in times]
    expected = {(index, problem.field) for index, built in enumerate(events) for problem in built.problems()}
    with connect() as client:
        try:
            client.send(events, check=False)
            found = set()
        except MutationRejected as error:
            found = {(named.index, named.field) for named in error.rejected_values}
    assert found <= expected


@pytest.mark.parametrize(
    "message",
    ["events[" * 150_000, "eventTime " * 100_000, _time_issue("2023") * 20_000, "events[0]/" + "x" * 1_000_000],
)
def test_a_megabyte_of_hostile_text_is_read_to_its_end(message: str) -> None:
    """Reading takes time in proportion to the text, so this test ends."""
    assert set(_named(message, *TWO * 25)) <= {(index, "eventTime") for index in range(50)}
