"""`compare`: two answers, told apart by JSON path."""

from typing import Any

import pytest

from bwp_nb import Difference, compare


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
