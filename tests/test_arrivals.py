"""What arrives at a sandbox, and what is wrong in it."""

import contextlib

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb.checks import arrivals as module
from bwp_nb.checks.arrivals import Arrival, Arrivals

RIGHT = bwp.UserEvent("click", "11c7e59a-d462-4254-bc7e-3e44528ef6d0", "2024-12-03T10:15:30Z", "SERVER_CLIENT", "1.0")
WRONG = bwp.UserEvent("page-load", "b8a0f1de-4e0c-4e56-8e46-6f3b7b2f1f0e", "2023", "SERVER_CLIENT", "1.0")


def _send(client: bwp.Client, *events: bwp.UserEvent) -> None:
    with contextlib.suppress(bwp.BwpError):
        client.send(events, check=False)


def test_events_of_a_batch_have_a_state_each() -> None:
    """In the order in which the sandbox processes them."""
    client = bwp.connect()
    seen: list[Arrival] = []
    Arrivals(client.sandbox, seen.append)
    _send(client, RIGHT, WRONG)
    assert [("accepted", RIGHT.input), ("rejected", WRONG.input)] == [(item.state, item.event) for item in seen]


def test_right_events_are_valid_and_wrong_ones_are_named_with_the_reason() -> None:
    """The message has one line for each, in this package's words."""
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    _send(client, RIGHT)
    arrivals.assert_valid()
    _send(client, WRONG)
    with pytest.raises(AssertionError) as caught:
        arrivals.assert_valid()
    assert [
        "2 events arrived, 1 of them not accepted or with hints",
        f"  page-load {WRONG.event_id}, rejected: eventTime: '2023' is not a UTC date-time; expected e.g. "
        "'2023-12-03T10:15:30Z'",
    ] == str(caught.value).splitlines()


def test_no_event_is_not_valid() -> None:
    """A test that sends nothing has shown nothing."""
    with pytest.raises(AssertionError, match="No event arrived at the sandbox"):
        Arrivals(bwp.Sandbox()).assert_valid()


def test_hints_count_unless_they_are_ignored() -> None:
    """They name the field and the certainty."""
    client = bwp.connect()
    counted, ignored = Arrivals(client.sandbox), Arrivals(client.sandbox, ignore_hints=["clientType"])
    _send(client, bwp.UserEvent("click", RIGHT.event_id, RIGHT.event_time, "WEBSITE_CLIENT", "1.0"))
    ignored.assert_valid()
    with pytest.raises(AssertionError, match=r"accepted: hint: clientType: .*inferred"):
        counted.assert_valid()


def test_the_time_of_the_computer_is_not_in_the_future() -> None:
    """A shop takes its own time, and not the simulated one of the sandbox."""
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    _send(client, bwp.UserEvent("click", RIGHT.event_id, module.datetime.now(module.UTC), "SERVER_CLIENT", "1.0"))
    arrivals.assert_valid()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("mutation { sendUserEvent(input: {events: []}) { status } }", "Did you mean 'sendUserEvents'?"),
        ("mutation { sendUserEvents(input: {events: [{eventType: 1}]}) { status } }", "String cannot represent"),
        ("mutation {", "Syntax Error"),
    ],
)
def test_a_request_that_is_refused_as_a_whole_counts(query: str, words: str) -> None:
    """Also if no event can be read in it."""
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    client.execute(query)
    (found,) = arrivals.wrong
    assert ("refused", None, True) == (found.state, found.event, words in found.reason)
    assert {"": (1, 1)} == arrivals.counts()


def test_a_query_is_not_an_event() -> None:
    """Tools ask for the schema."""
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    client.execute("{ __typename }")
    assert {} == arrivals.counts()


def test_an_event_that_was_denied_and_then_accepted_is_valid() -> None:
    """A client that gets a new token after the old one has expired is right."""
    client = bwp.connect()
    seen: list[str] = []
    arrivals = Arrivals(client.sandbox, lambda arrival: seen.append(arrival.state))
    _send(client, bwp.UserEvent("click", "other", RIGHT.event_time, "SERVER_CLIENT", "1.0"))
    client.sandbox.expire_tokens()
    _send(client, RIGHT)
    assert ["accepted", "refused", "accepted"] == seen
    assert {"click": (2, 1)} == arrivals.counts()  # an id that is not a UUID


@pytest.mark.parametrize("by_status", [False, True])
def test_an_event_that_was_denied_is_not_valid(by_status: bool) -> None:
    """However the sandbox denies it."""
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    client.sandbox.expire_tokens(by_status)
    client.sandbox.handle_request(httpx.Request("POST", client.sandbox.endpoint, json=bwp.Mutation(RIGHT).payload))
    with pytest.raises(AssertionError, match=f"click {RIGHT.event_id}, refused: "):
        arrivals.assert_valid()


def test_a_simulated_rejection_is_logged_and_does_not_count() -> None:
    """Somebody ordered it to see what the shop does."""
    client = bwp.connect()
    seen: list[Arrival] = []
    arrivals = Arrivals(client.sandbox, seen.append)
    client.sandbox.fail_next("message")
    _send(client, RIGHT)
    assert [("rejected", True, "Not today")] == [(item.state, item.simulated, item.reason) for item in seen]
    arrivals.assert_valid()


def test_lost_responses_do_not_hide_events() -> None:
    """The event arrived, whatever happened to the response."""
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    client.sandbox.fail_next("reset_after")
    _send(client, RIGHT)
    assert {"click": (2, 0)} == arrivals.counts()


def test_arrivals_outlive_a_reset_and_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit they are counted only."""
    monkeypatch.setattr(module, "MOST", 3)
    client = bwp.connect()
    arrivals = Arrivals(client.sandbox)
    for _ in range(5):
        client.sandbox.reset()
        _send(client, WRONG)
    assert (3, {"page-load": (5, 5)}) == (len(arrivals.wrong), arrivals.counts())
