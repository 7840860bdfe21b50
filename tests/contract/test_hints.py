"""Hints: what is probably a mistake but not refused, with certainty and source; never a reason not to send."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb.contract import documented
from bwp_nb.displays.sources import pages
from tests.strategies import event

#: An event on which there is nothing to say.
PLAIN = {
    "event_type": "click",
    "event_id": "11c7e59a-d462-4254-bc7e-3e44528ef6d0",
    "event_time": "2024-11-22T09:00:00Z",
    "client_type": "SERVER_CLIENT",
    "client_version": "1.0",
}


def found(**changes: Any) -> list[tuple[str, str]]:
    """Return the fields and messages of the hints on an event."""
    return [(hint.field, hint.message) for hint in bwp.UserEvent(**(PLAIN | changes)).hints()]


def test_a_plain_event_has_no_hints() -> None:
    """Also with each property whose name the newest page writes so."""
    assert [] == found()
    assert [] == found(
        additional_properties={"current_url": "https://example.com/?a=b", "product_sku": "1", "mine": "x"}
    )


def _property(name: str, value: str) -> dict[str, Any]:
    return {"additional_properties": {name: value}}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"event_type": "page_load"}, "eventType", "did you mean 'page-load'?"),
        (
            {"event_type": "purchase"},
            "eventType",
            "they are page-load, click, widget-viewed",
        ),
        ({"event_id": "example-event-id"}, "eventId", "is not a UUID version 4"),
        ({"event_id": "11c7e59a-d462-1254-bc7e-3e44528ef6d0"}, "eventId", "is not a UUID version 4"),
        ({"event_id": "a@example.com"}, "eventId", "e-mail address"),
        ({"event_time": "2150-01-01T00:00:00Z"}, "eventTime", "is in the future"),
        ({"event_time": "1970-01-01T00:00:00Z"}, "eventTime", "is before 2024-01-01"),
        ({"client_type": "WEBSITE_CLIENT"}, "clientType", "SERVER_CLIENT is meant"),
        (_property("currentUrl", "x"), "additionalProperties['currentUrl']", "has current_url"),
        (
            {"additional_properties": {"productSku": "x"}},
            "additionalProperties['productSku']",
            "did you mean product_sku?",
        ),
        (
            {"additional_properties": {"user_agent": "x"}},
            "additionalProperties['user_agent']",
            "did you mean userAgent?",
        ),
        (_property("a", "me@example.com"), "additionalProperties['a']", "e-mail address"),
        (
            {"additional_properties": {"a": "https://e.com/?m=me%40e.com"}},
            "additionalProperties['a']",
            "e-mail address",
        ),
        (_property("a", "https://e.com/?access_token=x"), "additionalProperties['a']", "a token"),
        (_property("a", "https://me:secret@e.com/"), "additionalProperties['a']", "a token"),
        (_property("a", "https://e.com/#sid=12"), "additionalProperties['a']", "a token"),
    ],
)
def test_a_likely_mistake_is_hinted_at(changes: dict[str, Any], field: str, message: str) -> None:
    """At its field, in words."""
    assert [(field, True)] == [(name, message in said) for name, said in found(**changes) if message in said]


def test_both_spellings_of_the_address_are_named_together() -> None:
    """One of them is probably read by nobody."""
    both = {"currentUrl": "https://e.com", "current_url": "https://e.com"}
    assert ["this event has both"] == [said.partition("; ")[2] for _, said in found(additional_properties=both)]


@pytest.mark.parametrize("text", ["", "2023", "no time", "2024-11-22T09:00:00", "9999-99-99", "\ud800", "事件"])
def test_any_text_can_be_looked_at(text: str) -> None:
    """A hint does not depend on the checks."""
    assert found(event_time=text, event_id=text, event_type=text, additional_properties={text: text}) is not None


def test_a_hint_has_certainty_and_source() -> None:
    """Documented, inferred or unknown; and the page, where one says it."""
    hints = bwp.UserEvent(
        "purchase", "me@e.com", "2150-01-01T00:00:00Z", "WEBSITE_CLIENT", "1.0", None, None, {"currentUrl": "?token=1"}
    ).hints()
    assert 7 == len(hints)
    assert {"documented", "inferred", "unknown"} == {hint.certainty for hint in hints}
    assert [] == [hint for hint in hints if hint.certainty != "unknown" and not pages(hint.source)]
    assert [] == [hint for hint in hints if not hint.source]


def test_the_time_is_compared_with_a_given_one() -> None:
    """By default with that of this computer; five minutes of difference are none."""
    made = event(event_time="2025-01-01T00:00:00Z")
    early, late = datetime(2024, 12, 31, 23, 50, tzinfo=UTC), datetime(2024, 12, 31, 23, 56, tzinfo=UTC)
    assert ["eventTime"] == [hint.field for hint in made.hints(early) if hint.field == "eventTime"]
    assert [] == [hint.field for hint in made.hints(late) if hint.field == "eventTime"]


def test_an_event_with_hints_is_sent() -> None:
    """No hint is a problem."""
    client = bwp.connect()
    made = client.new_event("purchase", event_id="x", event_time="1970-01-01T00:00:00Z", currentUrl="?token=1")
    assert made.hints()
    assert [] == made.problems()
    assert "sent" == client.send(made).state


def test_the_documentation_s_own_examples_are_hinted_at() -> None:
    """An id that is not a UUID, and the older spelling."""
    made = bwp.Mutation.parse(documented.PRE_ORDER_PAGE_LOAD.request).events[0]
    assert ["eventId", "clientType", "additionalProperties['currentUrl']"] == [hint.field for hint in made.hints()]


def test_a_dry_run_counts_hints_by_field() -> None:
    """Of what is given: a missing id is made later. A hint is not a problem."""
    rows = [{"event_type": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1", "productSku": "a"}] * 3
    dry = bwp.dry_run(pd.DataFrame(rows).assign(event_type=["click", "purchase", "click"]))
    assert {"eventType": 1, "clientType": 3, "additionalProperties['productSku']": 3} == dry.hints
    assert 3 == dry.valid
    assert "additionalProperties[&#x27;productSku&#x27;]" in dry._repr_html_()
