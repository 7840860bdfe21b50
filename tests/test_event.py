"""`UserEvent`: a value that takes any text, and the checks that are held against it."""

import copy
import dataclasses
import enum
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from hypothesis import given

from bwp_nb import InvalidEvent, UserEvent
from tests.strategies import BAD_TIMES, GOOD_TIMES, PROPERTY, VALID, any_events, event

FULL = event(schema_name="sfcc-schema", schema_version="1", additional_properties={"ubid": "b", "current_url": "a"})


def _fields(**changes: Any) -> list[str]:
    return [problem.field for problem in event(**changes).problems()]


def test_no_field_can_be_set_again() -> None:
    """An event does not change once it is built."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.event_type = "click"  # type: ignore[misc]
    with pytest.raises(TypeError):
        FULL.additional_properties["ubid"] = "c"  # type: ignore[index]


def test_what_becomes_of_the_callers_mapping_does_not_change_the_event() -> None:
    """The properties are the event's own."""
    properties = {"ubid": "b"}
    built = event(additional_properties=properties)
    properties["ubid"] = "c"
    assert {"ubid": "b"} == dict(built.additional_properties)


@PROPERTY
@given(any_events)
def test_the_repr_of_an_event_of_any_text_reads_back(built: UserEvent) -> None:
    """Whatever its texts, an event is built, and is its own recipe."""
    assert built == eval(repr(built), {"UserEvent": UserEvent})  # noqa: S307


def test_the_repr_leaves_out_what_is_absent() -> None:
    """A short event has a short repr."""
    expected = (
        "UserEvent(event_type='page-load', event_id='11c7e59a-d462-4254-bc7e-3e44528ef6d0', "
        "event_time='2023-12-03T10:15:30Z', client_type='WEBSITE_CLIENT', client_version='1.0')"
    )
    assert expected == repr(event())


@pytest.mark.parametrize("text", ["", "\x00", "\n", "\ud800", "😀", "\u202e", "a" * 1_000_000])
def test_no_text_is_too_bad_to_build_an_event_of(text: str) -> None:
    """A wrong text is taken as it stands, in every field, to see what the API says to it."""
    built = UserEvent(*[text] * 7, {text: text})
    assert {text} == {*built.additional_properties, *list(built.input.values())[:-1]}


@pytest.mark.parametrize(
    "twin",
    [
        pickle.loads(pickle.dumps(FULL)),  # noqa: S301
        copy.copy(FULL),
        copy.deepcopy(FULL),
        dataclasses.replace(FULL),
    ],
    ids=["pickled", "copied", "deeply copied", "replaced"],
)
def test_a_copied_event_is_the_same_value(twin: UserEvent) -> None:
    """Pickles and copies equal the event, and hash as it does."""
    assert (FULL, repr(FULL), hash(FULL)) == (twin, repr(twin), hash(twin))


def test_events_that_differ_in_a_property_differ() -> None:
    """Properties count, though they take no part in the hash."""
    assert FULL != dataclasses.replace(FULL, additional_properties={"ubid": "b"})


def test_the_input_has_the_names_and_the_nesting_of_the_api() -> None:
    """`.input` is what will be sent, properties in their order."""
    expected = {
        "eventType": "page-load",
        "eventId": "11c7e59a-d462-4254-bc7e-3e44528ef6d0",
        "eventTime": "2023-12-03T10:15:30Z",
        "clientType": "WEBSITE_CLIENT",
        "clientVersion": "1.0",
        "schemaName": "sfcc-schema",
        "schemaVersion": "1",
        "additionalProperties": {
            "additionalProperties": [{"property": "ubid", "value": "b"}, {"property": "current_url", "value": "a"}]
        },
    }
    assert expected == FULL.input


def test_the_input_leaves_out_what_is_absent() -> None:
    """What is not given is not sent, not even as null."""
    assert ["eventType", "eventId", "eventTime", "clientType", "clientVersion"] == list(event().input)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("eventType", {"event_type": None}),
        ("eventId", {"event_id": b"x"}),
        ("eventTime", {"event_time": 2023}),
        ("eventTime", {"event_time": pd.NaT}),
        ("eventTime", {"event_time": datetime(2023, 12, 3)}),  # noqa: DTZ001, RUF100
        ("eventTime", {"event_time": pd.Timestamp("2023-12-03")}),
        ("eventTime", {"event_time": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))}),
        ("eventTime", {"event_time": pd.Timestamp("9999-12-31T23:30", tz="-02:00")}),
        ("eventTime", {"event_time": pd.Timestamp("0001-01-01T00:30", tz="+02:00")}),
        ("clientType", {"client_type": True}),
        ("clientVersion", {"client_version": 1.0}),
        ("schemaName", {"schema_name": float("nan")}),
        ("schemaVersion", {"schema_version": []}),
        ("eventType", {"event_type": pd.DataFrame({"a": [1, 2]})}),
        ("additionalProperties", {"additional_properties": [("ubid", "b")]}),
        ("additionalProperties['ubid']", {"additional_properties": {"ubid": None}}),
        ("additionalProperties[5]", {"additional_properties": {5: "b"}}),
    ],
)
def test_a_value_that_is_no_text_is_refused_by_its_fields_name(field: str, changes: dict[str, Any]) -> None:
    """What no request could carry is refused at once, in one paragraph that names the field."""
    with pytest.raises(InvalidEvent) as caught:
        event(**changes)
    assert [field] == [problem.field for problem in caught.value.problems]
    assert field in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


def test_all_values_that_are_no_text_are_named_at_once() -> None:
    """Nobody mends one field only to hear of the next."""
    expected = [
        "eventType",
        "eventId",
        "eventTime",
        "clientType",
        "clientVersion",
        "schemaName",
        "schemaVersion",
        "additionalProperties['a']",
        "additionalProperties['b']",
    ]
    with pytest.raises(InvalidEvent) as caught:
        UserEvent(None, b"", 5, 5, 5, 5, 5, {"a": 5, "b": None})  # type: ignore[arg-type,dict-item]
    assert expected == [problem.field for problem in caught.value.problems]


def test_a_missing_time_is_not_called_a_time_without_a_zone() -> None:
    """What pandas has for an empty cell cannot be mended by a zone."""
    with pytest.raises(InvalidEvent, match="must be a str, got NaTType NaT"):
        event(event_time=pd.NaT)


def test_a_time_without_a_zone_is_refused_with_what_to_do() -> None:
    """The message gives the line that mends it, for datetime and for pandas."""
    with pytest.raises(InvalidEvent, match=r"replace\(tzinfo=datetime.UTC\).*tz_localize\('UTC'\)"):
        event(event_time=datetime(2023, 12, 3))  # noqa: DTZ001, RUF100


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2023, 12, 3, 10, 15, 30, tzinfo=UTC), "2023-12-03T10:15:30Z"),
        (datetime(2023, 12, 3, 10, 15, 30, 999, tzinfo=UTC), "2023-12-03T10:15:30Z"),
        (datetime(2023, 12, 3, 10, 15, 30, 123999, tzinfo=UTC), "2023-12-03T10:15:30.123Z"),
        (datetime(2023, 12, 3, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2023-12-02T19:30:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (pd.Timestamp("2023-12-03T10:15:30", tz="America/New_York"), "2023-12-03T15:15:30Z"),
        (pd.Timestamp("2023-07-03T10:15:30.123456789", tz="Europe/Berlin"), "2023-07-03T08:15:30.123Z"),
        (pd.Timestamp("2023-12-03T10:15:30.000000999Z"), "2023-12-03T10:15:30Z"),
    ],
)
def test_an_aware_moment_becomes_utc_text_cut_to_milliseconds(moment: datetime, expected: str) -> None:
    """Moments of any zone go out in the documented form."""
    built = event(event_time=moment)
    assert (expected, []) == (built.event_time, built.problems())


class _Kind(str, enum.Enum):  # noqa: UP042
    WEB = "WEBSITE_CLIENT"


class _Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


@pytest.mark.parametrize(("text", "expected"), [(_Kind.WEB, "WEBSITE_CLIENT"), (_Loud("a"), "a")])
def test_a_kind_of_text_is_taken_for_the_text_that_it_is(text: str, expected: str) -> None:
    """Of an enum's member or another subclass of str, the characters are sent, not what str() makes of it."""
    built = event(client_type=text, additional_properties={text: text})
    assert (expected, str) == (built.client_type, type(built.client_type))
    assert {expected: expected} == dict(built.additional_properties)


@pytest.mark.parametrize("text", GOOD_TIMES)
def test_a_utc_date_time_is_no_problem(text: str) -> None:
    """The documented form passes, with a fraction of up to nine digits."""
    assert [] == event(event_time=text).problems()


@pytest.mark.parametrize("text", BAD_TIMES)
def test_any_other_time_is_a_problem_and_is_kept_as_given(text: str) -> None:
    """Nothing is mended in secret."""
    built = event(event_time=text)
    assert (text, ["eventTime"]) == (built.event_time, [problem.field for problem in built.problems()])


@pytest.mark.parametrize(
    ("field", "text", "allowed"),
    [
        ("event_type", "", False),
        ("event_type", "ab", False),
        ("event_type", "abc", True),
        ("event_type", "a" * 64, True),
        ("event_type", "a" * 65, False),
        ("event_type", "😀", False),
        ("event_type", "😀a", True),
        ("event_type", "a" * 62 + "😀", True),
        ("event_type", "a" * 63 + "😀", False),
        ("event_type", "ab\n", True),
        ("schema_name", "", False),
        ("schema_name", None, True),
        ("schema_name", "a" * 254 + "😀", True),
        ("schema_name", "a" * 255 + "😀", False),
    ],
)
def test_length_is_counted_in_utf_16_units(field: str, text: str | None, allowed: bool) -> None:
    """A character beyond U+FFFF counts as two, as in Java."""
    assert allowed == (not event(**{field: text}).problems())


@pytest.mark.parametrize("name", ["web-view", "purchase", "PAGE-LOAD"])
def test_an_undocumented_event_type_is_no_problem(name: str) -> None:
    """Nothing says that the API refuses another text, so we do not."""
    assert [] == _fields(event_type=name)


@pytest.mark.parametrize("name", ["", "WEB_CLIENT", "website_client", "ClientType.WEBSITE_CLIENT", "WEBSITE_CLIENT "])
def test_only_the_documented_client_types_pass(name: str) -> None:
    """The enum's bare names, as the newer guides give them."""
    assert ["clientType"] == _fields(client_type=name)


def test_a_client_type_of_an_older_guide_is_called_one() -> None:
    """Who copied it learns where it came from."""
    assert "older API version 2024-01-01" in event(client_type="WEB_CLIENT").problems()[0].message


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("eventId", {"event_id": "a\ud800"}),
        ("schemaVersion", {"schema_version": "\udfff"}),
        ("additionalProperties['a']", {"additional_properties": {"a": "\ud83d"}}),
        ("additionalProperties['\\ud800']", {"additional_properties": {"\ud800": "b"}}),
    ],
)
def test_half_a_surrogate_pair_is_a_problem(field: str, changes: dict[str, Any]) -> None:
    """No request can carry it, so it is named before it is sent."""
    assert [field] == _fields(**changes)


def test_problems_lists_all_of_them() -> None:
    """One look tells all that is to mend, each with value, rule and message."""
    built = event(event_type="x", event_time="2023", client_type="IOS", schema_name="y")
    problems = built.problems()
    assert ["eventType", "eventTime", "clientType", "schemaName"] == [problem.field for problem in problems]
    assert ["x", "2023", "IOS", "y"] == [problem.value for problem in problems]
    assert all("documented" in problem.rule and repr(problem.value) in problem.message for problem in problems)


def test_the_documented_event_has_no_problem() -> None:
    """What the documentation sends, passes."""
    assert [] == UserEvent(**VALID).problems()
