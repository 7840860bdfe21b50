"""`faults()`: every way to fail that the sandbox can play, and what a send then comes to."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, MutationRejected, Receipt, RequestFailed, Sandbox
from tests.strategies import event

#: More than any call makes attempts.
PERSISTENT = 50


@dataclass(frozen=True)
class Outcome:
    """What a send comes to: what is returned or raised, the state, the numbers, and what the sandbox accepted."""

    kind: type
    state: str
    attempts: int
    accepted: int
    status_code: int | None = None
    retryable: bool = False
    may_have_arrived: bool = False


def _outcome(client: Client) -> Outcome:
    """Send one event, and return what came of it."""
    assert client.sandbox is not None
    try:
        found: Receipt | BwpError = client.send(event())
    except BwpError as error:
        found = error
    told = {name: getattr(found, name, False) for name in ("retryable", "may_have_arrived")}
    status_code = getattr(found, "status_code", None)
    return Outcome(type(found), found.state, found.attempts, len(client.sandbox.accepted), status_code, **told)


def _sent(attempts: int = 1, accepted: int = 1) -> Outcome:
    return Outcome(Receipt, "sent", attempts, accepted)


def _failed(status_code: int | None, attempts: int = 1) -> Outcome:
    """No answer, and known not to have arrived; retryable if it was tried more than once."""
    return Outcome(RequestFailed, "failed", attempts, 0, status_code, retryable=attempts > 1)


def _unknown(status_code: int | None, attempts: int, accepted: int) -> Outcome:
    """No answer, and perhaps arrived; retryable if it was tried more than once."""
    return Outcome(RequestFailed, "unknown", attempts, accepted, status_code, attempts > 1, may_have_arrived=True)


#: Of each fault: what a send comes to if it befalls one request, and if it befalls all.
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
    "http_503": (_sent(2), _unknown(503, 4, 0)),
    "throttled": (_sent(2), Outcome(MutationRejected, "failed", 4, 0, 200, retryable=True)),
    "internal_error": (
        _sent(2),
        Outcome(MutationRejected, "unknown", 4, 0, 200, retryable=True, may_have_arrived=True),
    ),
    "access_denied": (_sent(), Outcome(MutationRejected, "rejected", 1, 0, 200)),
    "expired_token": (_sent(), _failed(401)),
    "expired_token_error": (_sent(), Outcome(MutationRejected, "rejected", 1, 0, 200)),
    "http_413": (_failed(413), _failed(413)),
    "html": (_unknown(200, 1, 0), _unknown(200, 1, 0)),
    "cut_off": (_unknown(200, 1, 1), _unknown(200, 1, 1)),
    "invalid_utf8": (_unknown(200, 1, 1), _unknown(200, 1, 1)),
    "wrong_content_type": (_sent(), _sent()),
    "data_and_errors": (_sent(), _sent()),
    "other_status": (_sent(), _sent()),
    "huge": (_unknown(200, 1, 1), _unknown(200, 1, 1)),
    "redirect": (_failed(307), _failed(307)),
    "duplicate": (_sent(accepted=2), _sent(accepted=2)),
    "message": (
        Outcome(MutationRejected, "rejected", 1, 0, 200),
        Outcome(MutationRejected, "rejected", 1, 0, 200),
    ),
}

#: Of each option of a fault: what a send comes to if the fault so set befalls one request.
OPTIONS: list[tuple[str, dict[str, Any], Outcome]] = [
    ("slow", {"seconds": 0}, _sent()),
    ("slow", {"seconds": 9.9}, _sent()),
    ("slow", {"seconds": 10}, _sent(2, accepted=2)),
    ("slow", {"seconds": 1e9}, _sent(2, accepted=2)),
    ("http_429_seconds", {"seconds": 59}, _sent(2)),
    ("http_429_seconds", {"seconds": 61}, Outcome(RequestFailed, "failed", 1, 0, 429, retryable=True)),
    ("http_429_date", {"seconds": 59}, _sent(2)),
    ("http_429_date", {"seconds": 61}, Outcome(RequestFailed, "failed", 1, 0, 429, retryable=True)),
    ("data_and_errors", {"status": "successful"}, _sent()),
    ("data_and_errors", {"status": "partial"}, _unknown(200, 1, 1)),
    ("other_status", {"status": "queued"}, _sent()),
    ("huge", {"mebibytes": 1}, _unknown(200, 1, 1)),
    ("redirect", {"location": "https://elsewhere.invalid/"}, _failed(307)),
    ("message", {"text": "Come back tomorrow"}, Outcome(MutationRejected, "rejected", 1, 0, 200)),
]


def test_every_fault_has_its_outcome_in_the_table() -> None:
    """A new fault is a new row, made here."""
    assert list(EXPECTED) == [fault.name for fault in bwp.faults()]


def test_every_option_has_its_outcome_in_the_table() -> None:
    """So is a new option."""
    assert {(fault.name, option) for fault in bwp.faults() for option in fault.options} == {
        (name, option) for name, how, _ in OPTIONS for option in how
    }


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(("times", "place"), [(1, 0), (PERSISTENT, 1)], ids=["once", "always"])
def test_a_send_through_a_fault_ends_as_the_table_says(name: str, times: int, place: int) -> None:
    """What is raised or returned, its state and numbers, and what arrived."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, times=times)
    assert EXPECTED[name][place] == _outcome(client)
    assert client.sandbox.clock.monotonic() <= client.retries.deadline + client.timeout


@pytest.mark.parametrize(("name", "how", "expected"), OPTIONS)
def test_an_option_of_a_fault_does_what_it_says(name: str, how: dict[str, Any], expected: Outcome) -> None:
    """Once set so, for one request."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, **how)
    assert expected == _outcome(client)


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("html", {}, ["HTTP 200", "text/html", "Sign in"]),
        ("http_413", {}, ["HTTP 413", "Payload Too Large"]),
        ("http_500", {}, ["HTTP 500", "no body", "Given up after 4 attempts"]),
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
def test_the_error_of_a_fault_says_what_came(name: str, how: dict[str, Any], words: list[str]) -> None:
    """Whoever reads it knows what the network or the API did."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name, times=PERSISTENT, **how)
    with pytest.raises(BwpError) as caught:
        client.send(event())
    assert [] == [word for word in words if word not in str(caught.value)]


def test_errors_beside_the_status_are_warnings_and_another_status_is_shown() -> None:
    """A receipt hides neither."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next("data_and_errors")
    client.sandbox.fail_next("other_status", status="queued")
    assert ("Something beside the point failed",) == client.send(event()).warnings
    assert "queued" == client.send(event()).status


@pytest.mark.parametrize(("deduplicate", "kept", "dropped"), [(False, 2, 0), (True, 1, 1)])
@pytest.mark.parametrize("name", ["duplicate", "reset_after", "timeout_after"])
def test_what_is_delivered_twice_is_kept_twice_or_once(name: str, deduplicate: bool, kept: int, dropped: int) -> None:
    """As the sandbox was told; the receipt says that an id was seen before."""
    sandbox = Sandbox(deduplicate=deduplicate)
    sandbox.fail_next(name)
    (note,) = bwp.connect(sandbox).send(event()).notes
    assert note.startswith("unknown: whether the API keeps an event whose eventId it has seen")
    assert (kept, dropped) == (len(sandbox.accepted), len(sandbox.duplicates))


@pytest.mark.parametrize("name", ["data_and_errors", "other_status"])
def test_no_fault_calls_accepted_what_is_refused(name: str) -> None:
    """A bad event gets the refusal that it would get without."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next(name)
    with pytest.raises(MutationRejected):
        client.send(event(event_time="2023"), check=False)


def test_ordered_faults_befall_the_next_requests_in_their_order() -> None:
    """Then the sandbox answers as ever."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next("http_500", times=2)
    client.sandbox.fail_next("http_413")
    with pytest.raises(RequestFailed) as caught:
        client.send(event())
    assert (413, 3) == (caught.value.status_code, caught.value.attempts)
    assert 1 == client.send(event()).attempts


def test_reset_cancels_what_was_ordered() -> None:
    """It begins again."""
    client = bwp.connect()
    assert client.sandbox is not None
    client.sandbox.fail_next("http_413", times=PERSISTENT)
    client.sandbox.reset()
    assert 1 == client.send(event()).attempts


def test_a_slow_answer_takes_its_seconds_on_the_clock_of_the_sandbox() -> None:
    """And nobody's time."""
    client = bwp.connect(Sandbox(latency=0))
    assert client.sandbox is not None
    client.sandbox.fail_next("slow", seconds=7.5)
    assert 7.5 == client.send(event()).elapsed


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda: Sandbox().fail_next("trottled"), ["'trottled'", *EXPECTED]),
        (lambda: Sandbox(fault_rates={"trottled": 0.1}), ["'trottled'", *EXPECTED]),
        (lambda: Sandbox().fail_next("slow", secs=3), ["'slow'", "secs", "seconds"]),
        (lambda: Sandbox().fail_next("slow", play=3), ["'slow'", "play", "seconds"]),
        (lambda: Sandbox().fail_next("http_500", seconds=3), ["'http_500'", "seconds", "no options"]),
        (lambda: Sandbox(fault_rates={"http_500": 1.5}), ["between 0 and 1", "http_500"]),
        (lambda: Sandbox(fault_rates={"http_500": -0.1}), ["between 0 and 1", "http_500"]),
        (lambda: Sandbox(fault_rates={"http_500": -0.1, "html": 0.5}), ["between 0 and 1", "http_500"]),
        (lambda: Sandbox(fault_rates={"http_500": 0.6, "html": 0.6}), ["between 0 and 1", "add up to at most 1"]),
        (lambda: Sandbox(fault_rates={"http_500": float("nan")}), ["between 0 and 1", "http_500"]),
    ],
)
def test_a_wrong_order_is_refused_with_a_list_of_what_there_is(order: Any, words: list[str]) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=r"[Ff]ault") as caught:
        order()
    assert [] == [word for word in words if word not in str(caught.value)]


def _played(seed: int, rates: dict[str, float], sends: int = 50) -> list[Outcome]:
    client = bwp.connect(Sandbox(fault_rates=rates, seed=seed))
    return [_outcome(client) for _ in range(sends)]


def test_faults_at_random_are_the_same_for_the_same_seed() -> None:
    """A notebook that shows them shows the same every time; another seed gives another day."""
    rates = {"http_500": 0.1, "refused": 0.1, "html": 0.1}
    assert _played(1, rates) == _played(1, rates)
    assert _played(1, rates) != _played(2, rates)


def test_reset_plays_the_same_chance_again() -> None:
    """It begins again with that, too."""
    sandbox = Sandbox(fault_rates={"html": 0.5})
    client = bwp.connect(sandbox)
    first = [_outcome(client) for _ in range(20)]
    sandbox.reset()
    assert first == [_outcome(client) for _ in range(20)]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (1.0, 50)])
def test_a_rate_of_none_or_all_is_exact(rate: float, expected: int) -> None:
    """0 befalls no request, 1 every one."""
    assert expected == sum(outcome.state == "unknown" for outcome in _played(0, {"html": rate}))


def test_rates_are_how_often_each_fault_befalls_a_request() -> None:
    """Within what chance allows."""
    found = [outcome.status_code for outcome in _played(0, {"html": 0.2, "http_413": 0.5}, sends=300)]
    assert abs(found.count(200) - 60) < 30
    assert abs(found.count(413) - 150) < 50


def test_faults_are_listed_with_one_line_each() -> None:
    """A name, what it does, and its options."""
    found = {fault.name: fault for fault in bwp.faults()}
    assert "Fault('refused', 'The connection is refused; nothing arrives')" == repr(found["refused"])
    assert ("seconds",) == found["slow"].options
    assert {1} == {len(fault.summary.splitlines()) for fault in found.values()}
    assert len(found) == len({fault.summary for fault in found.values()})


def test_no_fault_befalls_the_token_endpoint() -> None:
    """They are ordered for the events."""
    sandbox = Sandbox()
    sandbox.fail_next("refused")
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    with httpx.Client(transport=sandbox) as http:
        assert 200 == http.post(sandbox.token_endpoint, data=form).status_code
