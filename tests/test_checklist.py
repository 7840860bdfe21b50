"""The checklist: which documented events were sent and accepted, with which properties, and what was refused."""

from pathlib import Path

import pytest

import bwp_nb as bwp
from tests.hostile import HOSTILE, page


def _shop() -> bwp.Client:
    """Return a client that has sent some events of each kind."""
    client = bwp.connect()
    client.send([client.new_event("click", product_sku="1", mine="2"), client.new_event("purchase")])
    with pytest.raises(bwp.MutationRejected):
        client.send(client.new_event("page-load", event_time="2023"), check=False)
    with pytest.raises(bwp.InvalidEvent):
        client.send([client.new_event("widget-viewed", event_time="2023"), client.new_event("click", ip="1.2.3.4")])
    client.sandbox.fail_next("timeout_after", times=9)
    with pytest.raises(bwp.RequestFailed):
        client.send(client.new_event("bwp-widget-promise-loaded"))
    return client


def test_each_documented_type_has_its_state() -> None:
    """And other types are listed behind them."""
    expected = {
        "page-load": "rejected",
        "click": "sent",
        "widget-viewed": "invalid",
        "bwp-widget-promise-loaded": "unknown",
        "purchase": "sent",
    }
    found = bwp.checklist(_shop())
    assert expected == {item.event_type: item.state for item in found.items}
    assert "1 of 4 documented event types sent to and accepted by: sandbox" == repr(found).split("\n")[0]
    assert list(expected.values()) == list(found.frame()["state"])


def test_a_new_client_has_sent_nothing() -> None:
    """Each documented type is still to come."""
    found = bwp.checklist(bwp.connect())
    assert dict.fromkeys(bwp.EVENT_TYPES, "not sent") == {item.event_type: item.state for item in found.items}
    assert not found.ok


def test_documented_properties_of_sent_events_are_listed() -> None:
    """Others are not, and those of events that were not sent are not either."""
    assert [["product_sku"]] == [item.properties for item in bwp.checklist(_shop()).items if item.event_type == "click"]


def test_refusals_have_their_reasons() -> None:
    """The API's words, or those of the check."""
    reasons = {item.event_type: item.reasons for item in bwp.checklist(_shop()).items}
    assert "eventTime 2023 is invalid local ISO 8601 UTC time format" in reasons["page-load"][0]
    assert reasons["widget-viewed"][0].startswith("eventTime: '2023' is not a UTC date-time")
    assert ": ReadTimeout" in reasons["bwp-widget-promise-loaded"][0]
    assert [] == reasons["click"]


def test_it_is_done_when_each_documented_type_was_accepted() -> None:
    """By `send`, by `execute` or from a table."""
    client = bwp.connect()
    client.send([client.new_event("click"), client.new_event("widget-viewed")])
    client.execute(bwp.documented.PAGE_LOAD.request)
    table = [client.new_event("bwp-widget-promise-loaded")]
    assert not bwp.checklist(client).ok
    bwp.send_table(client, table, workers=1, progress=False)
    assert bwp.checklist(client).ok


def test_an_event_that_execute_sent_in_vain_is_not_accepted() -> None:
    """The response has an error."""
    client = bwp.connect()
    client.execute(bwp.documented.INVALID_EVENT_TIME.request)
    client.execute("{ __typename }")
    assert ["unknown"] + ["not sent"] * 3 == [item.state for item in bwp.checklist(client).items]


def test_events_are_counted_by_their_state() -> None:
    """A valid event of a call that was not sent because of another one has none."""
    client = bwp.connect()
    with pytest.raises(bwp.InvalidEvent):
        client.send([client.new_event("click"), client.new_event("click", event_time="2023")])
    click = next(item for item in bwp.checklist(client).items if item.event_type == "click")
    assert ("invalid", {"invalid": 1}) == (click.state, click.events)


def test_the_page_for_the_merchant_needs_nothing_else(tmp_path: Path) -> None:
    """One HTML file with the table and the steps that follow."""
    bwp.checklist(_shop()).save(tmp_path / "checklist.html")
    html = (tmp_path / "checklist.html").read_text("utf-8")
    assert html.startswith("<!doctype html>")
    assert "<script" not in html + " src="
    for text in (*bwp.EVENT_TYPES, "purchase", "not documented", "product_sku", "startReportTask", "within 15 minutes"):
        assert text in html
    with pytest.raises(ValueError, match=r"an \.html file, got 'checklist\.pdf'"):
        bwp.checklist(_shop()).save("checklist.pdf")


@pytest.mark.parametrize("name", ["image", "script", "style", "TeX", "direction", "megabyte"])
def test_hostile_types_and_reasons_are_shown_as_text(name: str) -> None:
    """In the display and in the page."""
    client = bwp.connect()
    text, _ = HOSTILE[name]
    client.sandbox.fail_next("message", text=text)
    with pytest.raises(bwp.MutationRejected):
        client.send(client.new_event(text), check=False)
    assert [] == page(bwp.checklist(client)._repr_html_()).harm


def test_dropped_calls_are_noted() -> None:
    """A history is bounded."""
    client = bwp.connect()
    client.history.limit = 1
    client.send(client.new_event("click"))
    client.send(client.new_event("page-load"))
    assert "1 of 2 exchanges kept; events dropped: 1" in repr(bwp.checklist(client))
