"""Values become text by documented rules, from any source; what has no text is one problem with a remedy."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import bwp_nb as bwp
from tests.strategies import VALID

KOLKATA = timezone(timedelta(hours=5, minutes=30))

#: Values and their texts, by the rules in the docstring of `send_table`.
TEXTS: list[tuple[Any, str]] = [
    ("a", "a"),
    (0, "0"),
    (-12, "-12"),
    (10**30, "1" + "0" * 30),
    (1.0, "1.0"),
    (0.1, "0.1"),
    (-1e-7, "-1e-07"),
    (2.0**53 - 1, "9007199254740991.0"),
    (True, "true"),
    (False, "false"),
    (Decimal("1.10"), "1.10"),
    (Decimal("1E+5"), "100000"),
    (date(2024, 2, 29), "2024-02-29"),
    (time(10, 15, 30), "10:15:30"),
    (UUID("11c7e59a-d462-4254-bc7e-3e44528ef6d0"), "11c7e59a-d462-4254-bc7e-3e44528ef6d0"),
    (datetime(2024, 1, 1, 5, 30, tzinfo=KOLKATA), "2024-01-01T00:00:00Z"),
    (datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "2024-01-01T00:00:00.000001Z"),
    (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    (pd.Timestamp("2024-01-01T00:00:00.000000001Z"), "2024-01-01T00:00:00.000000001Z"),
    ([1, "é", None, 0.5, True], '[1,"é",null,0.5,true]'),
    ({"a": {"b": [date(2024, 1, 1)]}}, '{"a":{"b":["2024-01-01"]}}'),
    ((1, 2), "[1,2]"),
    (np.array([1, 2]), "[1,2]"),
    (np.int64(5), "5"),
    (np.float32(0.1), "0.1"),
    (np.bool_(True), "true"),
    (np.str_("b"), "b"),
]

#: Values that have no text, and words of the remedy.
REFUSED: list[tuple[Any, str]] = [
    (2.0**53, "not finite, or of 2**53 or more"),
    (math.inf, "not finite, or of 2**53 or more"),
    (Decimal("Infinity"), "not finite"),
    (b"bytes", "turn it into a str"),
    (timedelta(1), "turn it into a str"),
    (np.timedelta64(1, "s"), "turn it into a str"),
    (Fraction(1, 2), "turn it into a str"),
    (1j, "turn it into a str"),
    (datetime(2024, 1, 1), "it has no time zone; add one, or pass timezone='UTC'"),
    (np.datetime64("2024-01-01"), "it has no time zone"),
    ([datetime(2024, 1, 1)], "it has no time zone"),
    ([math.nan], "cannot be written as JSON"),
    ({"a": Fraction(1, 2)}, "turn it into a str"),
    (datetime(1, 1, 1, tzinfo=KOLKATA), "outside the years 1 to 9999"),
]

MISSING = [None, math.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "ns"), Decimal("NaN")]


def _sources(value: Any) -> list[Any]:
    """Return a row with a value as a frame of objects and as a list of dicts."""
    frame = pd.DataFrame([VALID]).astype(object)
    frame["a"] = pd.Series([None], dtype=object)
    frame.at[0, "a"] = value
    return [frame, [VALID | {"a": value}]]


def _sent(source: Any, **options: Any) -> list[dict[str, Any]]:
    """Return the inputs that the sandbox accepted."""
    sandbox = bwp.Sandbox()
    bwp.send_table(bwp.connect(sandbox), source, workers=1, progress=False, **options)
    return sandbox.accepted


@pytest.mark.parametrize(("value", "text"), TEXTS, ids=repr)
def test_a_value_becomes_its_text(value: Any, text: str) -> None:
    """In a frame as in a dict; aware times and texts without `convert` too."""
    for source in _sources(value):
        (arrived,) = _sent(source, convert=True)
        assert [{"property": "a", "value": text}] == arrived["additionalProperties"]["additionalProperties"]
        is_text_already = isinstance(value, str | datetime)
        assert [arrived] * is_text_already == _sent(source)


@pytest.mark.parametrize(("value", "words"), REFUSED, ids=repr)
def test_a_value_without_a_text_is_a_problem_of_its_row(value: Any, words: str) -> None:
    """With the remedy, with `convert` or without."""
    for source in _sources(value):
        ((problem,),) = bwp.dry_run(source, convert=True).problems.values()
        assert "additionalProperties['a']" == problem.field
        assert words in problem.message
        assert 0 == bwp.dry_run(source).valid


@pytest.mark.parametrize("value", MISSING, ids=repr)
def test_a_missing_value_leaves_the_property_out(value: Any) -> None:
    """Whatever a library calls it."""
    for source in _sources(value):
        (arrived,) = _sent(source)
        assert "additionalProperties" not in arrived


@pytest.mark.parametrize("value", [1700000000, 1.5, date(2024, 1, 1), True])
def test_only_times_and_text_are_an_event_time(value: Any) -> None:
    """A number could be seconds or milliseconds, and a date has no time of day: neither is guessed."""
    ((problem,),) = bwp.dry_run([VALID | {"event_time": value}], convert=True).problems.values()
    assert "pass aware datetimes, or text such as '2023-12-03T10:15:30Z'" in problem.message


def test_a_float_is_not_an_id() -> None:
    """A frame has floats instead of whole numbers where one is missing, and large ones lose digits."""
    ((problem,),) = bwp.dry_run([VALID | {"event_id": 12345.0}], convert=True).problems.values()
    assert "a float may have lost digits of an id; read the column as text" in problem.message
    assert 1 == bwp.dry_run([VALID | {"event_id": 12345}], convert=True).valid


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2024-01-01T12:00:00.25", "2024-01-01T11:00:00.250Z"),
        ("2024-07-01T12:00:00", "2024-07-01T10:00:00Z"),
        ("2024-03-31T02:30:00", None),  # skipped, when summer time begins
        ("2024-10-27T02:30:00", None),  # occurs twice, when it ends
    ],
)
def test_a_time_without_a_zone_is_in_the_given_one(local: str, expected: str | None) -> None:
    """As datetime, as Timestamp and in a column; where the clock changes it is refused."""
    moment = datetime.fromisoformat(local)
    for value in (moment, pd.Timestamp(moment), np.datetime64(moment)):
        for source in [
            pd.DataFrame([VALID | {"event_time": value}]),
            [VALID | {"event_time": value}],
            pa.Table.from_pylist([VALID | {"event_time": moment}]),
        ]:
            times = [event["eventTime"] for event in _sent(source, timezone="Europe/Berlin")]
            assert [expected] * (expected is not None) == times
            assert {} != bwp.dry_run(source).problems
            if expected is None:
                assert "twice or never" in str(bwp.dry_run(source, timezone="Europe/Berlin").problems[0][0])


def test_a_nested_time_without_a_zone_is_in_the_given_one_too() -> None:
    """As a time in a cell of its own."""
    (arrived,) = _sent([VALID | {"a": [datetime(2024, 1, 1)]}], convert=True, timezone="Europe/Berlin")
    (pair,) = arrived["additionalProperties"]["additionalProperties"]
    assert '["2023-12-31T23:00:00Z"]' == pair["value"]


def test_an_unknown_zone_is_refused() -> None:
    """Before anything is read."""
    with pytest.raises(ValueError, match="timezone: expected a name such as 'Europe/Berlin', got 'CET/Nowhere'"):
        bwp.dry_run([VALID], timezone="CET/Nowhere")


def test_a_column_of_numbers_is_one_line() -> None:
    """With the count, an example and the remedy, for many rows that all differ."""
    frame = pd.DataFrame([VALID] * 3_000).assign(event_id=[str(n) for n in range(3_000)], price=np.arange(3_000) + 0.5)
    expected = "must be a str, got float, e.g. 0.5; turn it into a str, or pass convert=True to send_table"
    line = f"row 0 and 2999 more: additionalProperties['price']: {expected}"
    assert line == repr(bwp.dry_run(frame)).splitlines()[1].strip()
    report = bwp.send_table(bwp.connect(), frame, workers=1, progress=False)
    assert {f"additionalProperties['price']: {expected}"} == set(report.frame()["reason"])
    assert 3_000 == bwp.dry_run(frame, convert=True).valid


def test_the_frame_that_pandas_reads_from_csv_is_sent_with_convert(tmp_path: Any) -> None:
    """`pd.read_csv` turns the client version into a number; one line names the argument, which sends what CSV sends."""
    bwp.traffic.shop_day(50, invalid_rate=0).to_csv(tmp_path / "day.csv", index=False)
    frame = pd.read_csv(tmp_path / "day.csv")
    dry = bwp.dry_run(frame)
    assert (0, 1) == (dry.valid, repr(dry).count("pass convert=True"))
    assert _sent(tmp_path / "day.csv") == _sent(frame, convert=True)


def test_a_quarantine_has_the_values_unchanged(tmp_path: Any) -> None:
    """They can be fixed, or sent with `convert`."""
    report = bwp.send_table(bwp.connect(), [VALID | {"n": 1, "b": True}], progress=False)
    report.save_quarantine(tmp_path / "fix.jsonl")
    assert {"n": 1, "b": True} == json.loads((tmp_path / "fix.jsonl").read_text())["additional_properties"]
    assert 1 == bwp.dry_run(tmp_path / "fix.jsonl", convert=True).valid
    assert 1 == bwp.dry_run(report.quarantine(), convert=True).valid
