"""The made-up day and its replay."""

import uuid

import bwp_nb as bwp
from bwp_nb import traffic


def test_the_same_seed_makes_the_same_day() -> None:
    """Another seed makes another day."""
    assert traffic.shop_day(50, seed=1).equals(traffic.shop_day(50, seed=1))
    assert not traffic.shop_day(50, seed=1).equals(traffic.shop_day(50, seed=2))


def test_a_share_of_the_rows_is_invalid() -> None:
    """Our own checks find exactly these."""
    events = [traffic.user_event(row) for row in traffic.shop_day(100, invalid_rate=0.2).to_dict("records")]
    assert 20 == sum(bool(event.problems()) for event in events)


def test_ids_are_different_uuids_of_version_4() -> None:
    """They have the form that “User Event Schema” documents."""
    ids = list(traffic.shop_day(200)["event_id"])
    assert {4} == {uuid.UUID(event_id).version for event_id in ids}
    assert len(set(ids)) == len(ids)


def test_events_happen_on_the_pages_that_are_documented_for_their_type() -> None:
    """“User Event Schema” names a page load only for the order review page and the confirmation page."""
    day = traffic.shop_day(500, invalid_rate=0)
    expected = {
        "page-load": {"checkout", "confirmation"},
        "click": {"product", "cart"},
        "widget-viewed": {"product", "cart"},
        "bwp-widget-promise-loaded": {"product"},
    }
    assert expected == day.groupby("event_type")["page_type"].agg(set).to_dict()


def test_a_replay_returns_the_state_of_every_row() -> None:
    """The events with the state `sent` have arrived, in their order and at their time."""
    client = bwp.connect()
    day = traffic.shop_day(40, invalid_rate=0.1)
    states = traffic.replay(client, day)
    assert client.sandbox is not None
    assert {"sent": 36, "invalid": 4} == states.value_counts().to_dict()
    assert [event["eventId"] for event in client.sandbox.accepted] == list(day[states == "sent"]["event_id"])
    assert client.clock.now() >= traffic.START


def test_an_unchecked_replay_leaves_the_validation_to_the_api() -> None:
    """The invalid rows are rejected."""
    states = traffic.replay(bwp.connect(), traffic.shop_day(40, invalid_rate=0.1), check=False)
    assert {"sent": 36, "rejected": 4} == states.value_counts().to_dict()
