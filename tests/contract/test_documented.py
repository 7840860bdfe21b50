"""The documentation's examples: kept as printed."""

import hashlib
from importlib.resources import files

import pytest
from graphql import build_schema, parse, validate

from bwp_nb import documented
from bwp_nb.contract.documented import Example

ALL = [documented.PAGE_LOAD, documented.INVALID_EVENT_TIME, documented.PRE_ORDER_PAGE_LOAD]
SCHEMA = build_schema(files("bwp_nb").joinpath("contract/schema.graphql").read_text("utf-8"))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("page_load.graphql", "f399f1e54231e61c"),
        ("page_load.json", "c44b90f1285711de"),
        ("invalid_event_time.graphql", "1a30ca26ecf1777a"),
        ("invalid_event_time.json", "87dabcf239c8fc26"),
        ("pre_order_page_load.graphql", "38bea841e68fb06b"),
        ("pre_order_page_load.json", "c44b90f1285711de"),
    ],
)
def test_no_character_of_a_documented_example_changes(file: str, expected: str) -> None:
    """Whoever changes one, because the documentation did, changes its SHA-256 here too."""
    assert expected == hashlib.sha256(files(documented).joinpath(file).read_bytes()).hexdigest()[:16]


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_a_documented_request_fits_the_schema(example: Example) -> None:
    """The contract allows what the documentation shows."""
    assert [] == validate(SCHEMA, parse(example.request))


def test_the_slips_of_the_page_are_kept() -> None:
    """A comma is missing in the one request and one too many in the other; GraphQL minds neither."""
    assert 'eventTime: "2023-12-03T10:15:30Z"\n' in documented.PAGE_LOAD.request
    assert 'clientVersion: "1.0",\n            }' in documented.INVALID_EVENT_TIME.request


def test_the_refusal_is_the_one_that_is_printed() -> None:
    """Text, place, classification and order of the documented error."""
    (error,) = documented.INVALID_EVENT_TIME.response["errors"]
    expected = "issues were encountered: [eventTime 2023 is invalid local ISO 8601 UTC time format.]"
    assert error["message"].endswith(expected)
    assert [{"line": 2, "column": 68}] == error["locations"]
    assert ["errors", "data"] == list(documented.INVALID_EVENT_TIME.response)
    assert ["type", "code", "details", "errorType", "errorCode"] == list(error["extensions"]["classification"])


@pytest.mark.parametrize("example", [documented.PAGE_LOAD, documented.PRE_ORDER_PAGE_LOAD], ids=lambda e: e.name)
def test_the_success_is_the_one_that_is_printed(example: Example) -> None:
    """One status, and nothing beside it."""
    assert {"data": {"sendUserEvents": {"status": "successful"}}} == example.response


def test_a_changed_response_changes_for_nobody_else() -> None:
    """Each reading is afresh."""
    documented.PAGE_LOAD.response.clear()
    assert documented.PAGE_LOAD.response


def test_the_pre_order_example_is_marked_as_read_from_another_page() -> None:
    """Its values are those of an older guide, and it says so."""
    assert documented.PAGE_LOAD.source == documented.INVALID_EVENT_TIME.source
    assert documented.PAGE_LOAD.source != documented.PRE_ORDER_PAGE_LOAD.source
    assert ["2024-11-01", "2024-11-01", "2024-04-01"] == [example.version for example in ALL]
    assert "April 2024" in documented.PRE_ORDER_PAGE_LOAD.request.splitlines()[0]
