"""`faults()`: every failure that the sandbox can simulate, and the outcome of a send."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, MutationRejected, OutcomeUnknown, Receipt, RequestFailed, Sandbox
from tests.strategies import event

#: More than any call makes attempts.
PERSISTENT = 50


@dataclass(frozen=True)
class Outcome:
    """The outcome of a send: what is returned or raised, the state, the counts, and what the sandbox accepted."""

    kind: type
    state: str
    attempts: int
    accepted: int
    status_code: int | None = None
    retryable: bool = False
    may_have_arrived: bool = False


def _outcome(client: Client) -> Outcome:
    """Send one event, and return the outcome."""
    assert client.sandbox is not None
    try:
        found: Receipt | BwpError = client.send(event())
    except BwpError as error:
        found = error
    flags = {name: getattr(found, name, False) for name in ("retryable", "may_have_arrived")}
    status_code = getattr(found, "status_code", None)
    return Outcome(type(found), found.state, found.attempts, len(client.sandbox.accepted), status_code, **flags)


def _sent(attempts: int = 1, accepted: int = 1) -> Outcome:
    return Outcome(Receipt, "sent", attempts, accepted)


def _failed(status_code: int | None, attempts: int = 1) -> Outcome:
    """The request is known not to have been processed; it is retryable if it was retried."""
    return Outcome(RequestFailed, "failed", attempts, 0, status_code, retryable=attempts > 1)


def _unknown(status_code: int | None, attempts: int, accepted: int) -> Outcome:
    """The request may have been processed; it is retryable if it was retried."""
    return Outcome(RequestFailed, "unknown", attempts, accepted, status_code, attempts > 1, may_have_arrived=True)


#: A GraphQL response that proves neither success nor failure; the event was accepted.
UNPROVEN = Outcome(OutcomeUnknown, "unknown", 1, 1, 200, may_have_arrived=True)

#: For each fault: the outcome of a send if it affects one request, and if it affects all.
EXPECTED: dict[str, tuple[Outcome, Outcome]] = {
    "refused": (_sent(2), _failed(None, 4)),
    "reset_before": (_sent(2), _unknown(None, 4, 0)),
    "reset_after": (_sent(2, accepted=2), _unknown(None, 4, 4)),
    "timeout_before": (_sent(2), _unknown(None, 4, 0)),
    "timeout_after": (_sent(2, accepted=2), _unknown(None, 4, 4)),
    "slow": (_sent(), _sent()),
    "http_429": (_sent(2), _failed(429, 4)),
    "http_429_seconds": (_sent(2), _failed(429, 4)),
    "http_429_date": (_sent(2), _failed(429, 4)),
    "http_500": (_sent(2), _unknown(500, 4, 0)),
    "http_502": (_sent(2), _unknown(502, 4, 0)),
    "http_502_after": (_sent(2, accepted=2), _unknown(502, 4, 4)),
    "http_503": (_sent(2), _unknown(503, 4, 0)),
    "throttled": (_sent(2), Outcome(MutationRejected, "failed", 4, 0, 200, retryable=True)),
    "internal_error": (
        _sent(2),
        Outcome(MutationRejected, "unknown", 4, 0, 200, retryable=True, may_have_arrived=True),
    ),
    "access_denied": (_sent(), Outcome(MutationRejected, "failed", 1, 0, 200)),
    "expired_token": (_sent(), _failed(401)),
    "expired_token_error": (_sent(), Outcome(MutationRejected, "failed", 1, 0, 200)),
    "http_400": (_failed(400), _failed(400)),
    "http_413": (_failed(413), _failed(413)),
    "html": (_unknown(200, 1, 0), _unknown(200, 1, 0)),
    "cut_off": (_unknown(200, 1, 1), _unknown(200, 1, 1)),
    "invalid_utf8": (_unknown(200, 1, 1), _unknown(200, 1, 1)),
    "wrong_content_type": (_sent(), _sent()),
    "data_and_errors": (UNPROVEN, UNPROVEN),
    "other_status": (UNPROVEN, UNPROVEN),
    "huge": (_unknown(200, 1, 1), _unknown(200, 1, 1)),
    "redirect": (_failed(307), _failed(307)),
    "http_303": (_unknown(303, 1, 1), _unknown(303, 1, 1)),
    "http_308": (_failed(308), _failed(308)),
    "duplicate": (_sent(accepted=2), _sent(accepted=2)),
    "message": (
        Outcome(MutationRejected, "rejected", 1, 0, 200),
        Outcome(MutationRejected, "rejected", 1, 0, 200),
    ),
}

#: For each option of a fault: the outcome of a send if that fault affects one request.
OPTIONS: list[tuple[str, dict[str, Any], Outcome]] = [
    ("slow", {"seconds": 0}, _sent()),
    ("slow", {"seconds": 9.9}, _sent()),
    ("slow", {"seconds": 10}, _sent(2, accepted=2)),
    ("slow", {"seconds": 1e9}, _sent(2, accepted=2)),
    ("http_429_seconds", {"seconds": 59}, _sent(2)),
    ("http_429_seconds", {"seconds": 61}, Outcome(RequestFailed, "failed", 1, 0, 429, retryable=True)),
    ("http_429_date", {"seconds": 59}, _sent(2)),
    ("http_429_date", {"seconds": 61}, Outcome(RequestFailed, "failed", 1, 0, 429, retryable=True)),
    ("data_and_errors", {"status": "successful"}, UNPROVEN),
    ("data_and_errors", {"status": "partial"}, UNPROVEN),
    ("other_status", {"status": "queued"}, UNPROVEN),
    ("huge", {"mebibytes": 1}, _unknown(200, 1, 1)),
    ("redirect", {"location": "https://elsewhere.invalid/"}, _failed(307)),
    ("http_303", {"location": "https://elsewhere.invalid/"}, _unknown(303, 1, 1)),
    ("http_308", {"location": "https://elsewhere.invalid/"}, _failed(308)),
    ("message", {"text": "Come back tomorrow"}, Outcome(MutationRejected, "rejected", 1, 0, 200)),
    ("message", {"value": "page-load"}, Outcome(MutationRejected, "rejected", 1, 0, 200)),
    ("message", {"value": "click"}, _sent()),
]


def test_every_fault_has_its_outcome_in_the_table() -> None:
    """A new fault needs a new row."""
    assert list(EXPECTED) == [fault.name for fault in bwp.faults()]


def test_every_option_has_its_outcome_in_the_table() -> None:
    """A new option needs a new row."""
    assert {(fault.name, option) for fault in bwp.faults() for option in fault.options} == {
        (name, option) for name, how, _ in OPTIONS for option in how
    }


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(("times", "place"), [(1, 0), (PERSISTENT, 1)], ids=["once", "always"])
def test_a_send_through_a_fault_ends_as_the_table_says(name: str, times: int, place: int) -> None:
    """The table gives what is raised or returned, its state and counts, and what arrived."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, times=times)
    assert EXPECTED[name][place] == _outcome(client)
    assert client.sandbox.clock.monotonic() <= client.retries.deadline + client.timeout


@pytest.mark.parametrize(("name", "how", "expected"), OPTIONS)
def test_an_option_of_a_fault_does_what_it_says(name: str, how: dict[str, Any], expected: Outcome) -> None:
    """The option applies to one request."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, **how)
    assert expected == _outcome(client)


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("html", {}, ["HTTP 200", "text/html", "Sign in"]),
        ("http_413", {}, ["HTTP 413", "Payload Too Large"]),
        ("http_500", {}, ["HTTP 500", "no body", "4 attempts"]),
        ("redirect", {"location": "https://elsewhere.invalid/"}, ["HTTP 307", "https://elsewhere.invalid/"]),
        ("message", {"text": "Come back tomorrow"}, ["Come back tomorrow", "ValidationError"]),
        ("data_and_errors", {"status": "partial"}, ["'partial'", "beside the point"]),
        ("huge", {"mebibytes": 2}, ["HTTP 200", "longer than 1048576 bytes"]),
        ("access_denied", {}, ["AccessDeniedError", "do not have sufficient access"]),
        ("expired_token", {}, ["HTTP 401", "Unauthorized"]),
        ("throttled", {}, ["ThrottlingError", "Rate exceeded"]),
        ("reset_after", {}, ["ReadError", "may have been accepted", "same ids"]),
        ("refused", {}, ["ConnectError", "not accepted"]),
    ],
)
def test_the_error_of_a_fault_says_what_happened(name: str, how: dict[str, Any], words: list[str]) -> None:
    """The message names what the network or the API did."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, times=PERSISTENT, **how)
    with pytest.raises(BwpError) as caught:
        client.send(event())
    assert [] == [word for word in words if word not in str(caught.value)]


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("data_and_errors", {}, ["'successful'", "Something beside the point failed"]),
        ("other_status", {"status": "queued"}, ["'queued'"]),
    ],
)
def test_an_unproven_outcome_shows_the_status_and_the_errors(name: str, how: dict[str, Any], words: list[str]) -> None:
    """Neither is hidden."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, **how)
    with pytest.raises(OutcomeUnknown) as caught:
        client.send(event())
    assert [] == [word for word in words if word not in str(caught.value)]


@pytest.mark.parametrize(
    ("refuses", "value", "accepted"),
    [
        ("event", "b", ["a", "c"]),
        ("event", None, []),
        ("event", "other", ["a", "b", "c"]),
        ("call", "b", []),
        ("call", None, []),
        ("call", "other", ["a", "b", "c"]),
    ],
)
def test_the_fault_message_rejects_events_by_their_content(
    refuses: Any, value: str | None, accepted: list[str]
) -> None:
    """It rejects those with the value, or all; by the reading of the documentation, their call with them."""
    sandbox = Sandbox(refuses=refuses)
    sandbox.fail_next("message", text="Come back tomorrow", value=value)
    answer = bwp.connect(sandbox).execute(bwp.Mutation([event(event_id=name) for name in "abc"]).text)
    assert accepted == [item["eventId"] for item in sandbox.accepted]
    assert ["Come back tomorrow"] * (3 - len(accepted)) == [item["reason"] for item in sandbox.rejected]
    assert ["Come back tomorrow"] * (len(accepted) < 3) == [error["message"] for error in answer.get("errors", [])]


@pytest.mark.parametrize("refuses", ["event", "call"])
def test_the_fault_message_does_not_reject_what_was_accepted_before(refuses: Any) -> None:
    """Validation depends on an event's content only, so a lost response is not followed by a rejection."""
    sandbox = Sandbox(refuses=refuses)
    sandbox.fail_next("reset_after")
    sandbox.fail_next("message")
    assert 2 == bwp.connect(sandbox).send([event(event_id="a"), event(event_id="b")]).attempts
    assert (4, 0) == (len(sandbox.accepted), len(sandbox.rejected))


@pytest.mark.parametrize(("deduplicate", "kept", "dropped"), [(False, 2, 0), (True, 1, 1)])
@pytest.mark.parametrize("name", ["duplicate", "reset_after", "timeout_after"])
def test_an_event_delivered_twice_is_kept_twice_or_once(name: str, deduplicate: bool, kept: int, dropped: int) -> None:
    """It depends on `deduplicate`; the receipt says that the id was seen before."""
    sandbox = Sandbox(deduplicate=deduplicate)
    sandbox.fail_next(name)
    (note,) = bwp.connect(sandbox).send(event()).notes
    assert note.startswith("unknown: whether the API keeps an event whose eventId it has seen")
    assert (kept, dropped) == (len(sandbox.accepted), len(sandbox.duplicates))


@pytest.mark.parametrize("name", ["data_and_errors", "other_status"])
def test_no_fault_turns_a_rejection_into_a_success(name: str) -> None:
    """An invalid event gets the same rejection as without the fault."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name)
    with pytest.raises(MutationRejected):
        client.send(event(event_time="2023"), check=False)


def test_faults_happen_to_the_next_requests_in_order() -> None:
    """After them the sandbox responds normally."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next("http_500", times=2)
    client.sandbox.fail_next("http_413")
    with pytest.raises(RequestFailed) as caught:
        client.send(event())
    assert (413, 3) == (caught.value.status_code, caught.value.attempts)
    assert 1 == client.send(event()).attempts


def test_reset_cancels_pending_faults() -> None:
    """The next request succeeds at once."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next("http_413", times=PERSISTENT)
    client.sandbox.reset()
    assert 1 == client.send(event()).attempts


def test_a_slow_response_takes_simulated_seconds() -> None:
    """The test itself does not wait."""
    client = bwp.connect(Sandbox(latency=0))
    assert client.sandbox is not None
    client.sandbox.fail_next("slow", seconds=7.5)
    assert 7.5 == client.send(event()).elapsed


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda: Sandbox().fail_next("trottled"), ["'trottled'", "did you mean 'throttled'?"]),
        (lambda: Sandbox(fault_rates={"no such": 0.1}), ["'no such'", "see bwp.faults()"]),
        (lambda: Sandbox().fail_next("slow", secs=3), ["'slow'", "secs", "seconds"]),
        (lambda: Sandbox().fail_next("slow", play=3), ["'slow'", "play", "seconds"]),
        (lambda: Sandbox().fail_next("http_500", seconds=3), ["'http_500'", "seconds", "no options"]),
        (lambda: Sandbox().fail_next("slow", seconds=float("nan")), ["expected 0 to 1,000,000,000 seconds", "nan"]),
        (lambda: Sandbox().fail_next("slow", seconds="x"), ["expected 0 to 1,000,000,000 seconds", "'x'"]),
        (lambda: Sandbox().fail_next("http_429_date", seconds=-1), ["expected 0 to 1,000,000,000 seconds", "-1"]),
        (lambda: Sandbox(fault_rates={"http_500": 1.5}), ["between 0 and 1", "http_500"]),
        (lambda: Sandbox(fault_rates={"http_500": -0.1}), ["between 0 and 1", "http_500"]),
        (lambda: Sandbox(fault_rates={"http_500": -0.1, "html": 0.5}), ["between 0 and 1", "http_500"]),
        (lambda: Sandbox(fault_rates={"http_500": 0.6, "html": 0.6}), ["between 0 and 1", "add up to at most 1"]),
        (lambda: Sandbox(fault_rates={"http_500": float("nan")}), ["between 0 and 1", "http_500"]),
    ],
)
def test_an_unknown_fault_or_option_is_an_error_that_lists_what_exists(order: Any, words: list[str]) -> None:
    """It is raised before anything is sent."""
    with pytest.raises(ValueError, match=r"[Ff]ault") as caught:
        order()
    assert [] == [word for word in words if word not in str(caught.value)]


def _played(seed: int, rates: dict[str, float], sends: int = 50) -> list[Outcome]:
    client = bwp.connect(Sandbox(fault_rates=rates, seed=seed))
    return [_outcome(client) for _ in range(sends)]


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    """A notebook shows the same every time; another seed gives other faults."""
    rates = {"http_500": 0.1, "refused": 0.1, "html": 0.1}
    assert _played(1, rates) == _played(1, rates)
    assert _played(1, rates) != _played(2, rates)


def test_reset_restarts_the_seed() -> None:
    """The same faults happen again."""
    sandbox = Sandbox(fault_rates={"html": 0.5})
    client = bwp.connect(sandbox)
    first = [_outcome(client) for _ in range(20)]
    sandbox.reset()
    assert first == [_outcome(client) for _ in range(20)]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (1.0, 50)])
def test_a_rate_of_none_or_all_is_exact(rate: float, expected: int) -> None:
    """0 affects no request, 1 affects every request."""
    assert expected == sum(outcome.state == "unknown" for outcome in _played(0, {"html": rate}))


def test_rates_are_the_share_of_requests_that_a_fault_affects() -> None:
    """They match within statistical limits."""
    found = [outcome.status_code for outcome in _played(0, {"html": 0.2, "http_413": 0.5}, sends=300)]
    assert abs(found.count(200) - 60) < 30
    assert abs(found.count(413) - 150) < 50


def test_faults_are_listed_with_one_line_each() -> None:
    """Each has a name, a summary and its options."""
    found = {fault.name: fault for fault in bwp.faults()}
    assert "Fault('refused', 'The connection is refused; nothing arrives')" == repr(found["refused"])
    assert ("seconds",) == found["slow"].options
    assert {1} == {len(fault.summary.splitlines()) for fault in found.values()}
    assert len(found) == len({fault.summary for fault in found.values()})


def test_no_fault_affects_the_token_endpoint() -> None:
    """Faults are for requests with events."""
    sandbox = Sandbox()
    sandbox.fail_next("refused")
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    with httpx.Client(transport=sandbox) as http:
        assert 200 == http.post(sandbox.token_endpoint, data=form).status_code
