"""The made-up day: the same for the same seed, and wrong where it is meant to be."""

import bwp_nb as bwp
from bwp_nb import traffic


def test_a_seed_makes_one_day() -> None:
    """Another seed makes another."""
    assert traffic.shop_day(50, seed=1).equals(traffic.shop_day(50, seed=1))
    assert not traffic.shop_day(50, seed=1).equals(traffic.shop_day(50, seed=2))


def test_a_day_has_as_many_mistakes_as_were_asked_for() -> None:
    """Our own checks find exactly those."""
    events = [traffic.user_event(row) for row in traffic.shop_day(100, invalid_rate=0.2).to_dict("records")]
    assert 20 == sum(bool(event.problems()) for event in events)


def test_ids_are_uuids_of_version_4_and_no_two_are_the_same() -> None:
    """As the documentation asks for (SCH-new)."""
    import uuid

    ids = list(traffic.shop_day(200)["event_id"])
    assert {4} == {uuid.UUID(event_id).version for event_id in ids}
    assert len(set(ids)) == len(ids)


def test_a_replay_tells_the_state_of_every_row() -> None:
    """Each row ends in one state, and what was sent has arrived, at its own time."""
    client = bwp.connect()
    day = traffic.shop_day(40, invalid_rate=0.1)
    states = traffic.replay(client, day)
    assert {"sent": 36, "invalid": 4} == states.value_counts().to_dict()
    assert [event["eventId"] for event in client.sandbox.accepted] == list(day[states == "sent"]["event_id"])
    assert client.clock.now() >= traffic.START


def test_an_unchecked_replay_leaves_the_refusal_to_the_api() -> None:
    """The same rows, refused one step later."""
    states = traffic.replay(bwp.connect(), traffic.shop_day(40, invalid_rate=0.1), check=False)
    assert {"sent": 36, "rejected": 4} == states.value_counts().to_dict()
