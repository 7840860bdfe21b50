"""500 events in batches, through every fault and mixes of them: the state of each event is true."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, Sandbox, UserEvent
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.retries import Retries
from tests.strategies import event

EVENTS = [event(event_id=f"00000000-0000-4000-8000-{count:012}", client_version=f"1.{count}") for count in range(500)]
BAD = event(event_id="bad", event_time="2023")

#: Sizes of batches: the limit, and others that do not divide 500.
SIZES = (50, 37, 17)

FAULTS = [fault.name for fault in bwp.faults()]

MIXES = {
    "everything": {name: 0.9 / len(FAULTS) for name in FAULTS},
    "answers lost": {"reset_after": 0.2, "timeout_after": 0.2, "cut_off": 0.1, "invalid_utf8": 0.1, "huge": 0.1},
    "lost before and after": {"reset_before": 0.2, "reset_after": 0.2, "timeout_before": 0.2, "timeout_after": 0.2},
    "lost, then busy": {"reset_after": 0.3, "http_429": 0.2, "throttled": 0.2, "refused": 0.2},
    "lost, then denied": {"timeout_after": 0.3, "expired_token": 0.2, "expired_token_error": 0.2, "access_denied": 0.2},
    "busy": {"throttled": 0.3, "http_429_seconds": 0.2, "http_503": 0.2, "slow": 0.2},
    "delivered twice": {"duplicate": 0.5, "http_502": 0.2, "reset_after": 0.2},
    "nothing works": {"http_500": 0.5, "reset_after": 0.5},
}


class Wire(httpx.BaseTransport):
    """The sandbox behind a wire that notes of each body whether each of its answers proved that it was accepted."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.proofs: dict[bytes, list[bool]] = defaultdict(list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, and look at its answer as far as it can be read at once."""
        noted = self.proofs[request.read()]
        noted.append(False)
        response = self.sandbox.handle_request(request)
        noted[-1] = response.is_closed and _proves(response)
        return response


def _proves(response: httpx.Response) -> bool:
    """Whether a response proves acceptance: read here independently of the package."""
    try:
        given = response.json()
    except ValueError:
        return False
    accepted = {"data": {"sendUserEvents": {"status": "successful"}}}
    return response.status_code == 200 and {name: given[name] for name in given if name != "extensions"} == accepted


def _connected(sandbox: Sandbox) -> tuple[Client, Wire]:
    """Return what `connect` returns, with a wire in between."""
    wire = Wire(sandbox)
    credentials = Credentials(sandbox.client_id, Secret(sandbox.client_secret), sandbox.target_id)
    auth = TokenAuth(credentials, sandbox.token_endpoint, sandbox, sandbox.clock)
    retries = Retries(uniform=sandbox.uniform)
    return Client(wire, sandbox.endpoint, auth=auth, sandbox=sandbox, clock=sandbox.clock, retries=retries), wire


@dataclass(frozen=True)
class Batch:
    """Some events, the state of the call and of each event, and whether each response proved acceptance."""

    events: Sequence[UserEvent]
    state: str
    states: Sequence[str]
    copies: int
    proofs: list[bool]


def _batches(size: int) -> list[list[UserEvent]]:
    """Return all events in batches; one also has a bad event, and is sent both checked and unchecked."""
    found = [EVENTS[start : start + size] for start in range(0, len(EVENTS), size)]
    return [*found, [event(event_id="beside a bad one"), BAD]]


def _sent(client: Client, wire: Wire, events: Sequence[UserEvent], check: bool = True) -> Batch:
    found: bwp.Receipt | BwpError
    try:
        found = client.send(events, check=check)
    except BwpError as error:
        found = error
    states = found.states if isinstance(found, bwp.MutationRejected) else [found.state] * len(events)
    body = [proofs for body, proofs in list(wire.proofs.items()) if events[0].event_id.encode() in body]
    assert len(body) <= 1, "an attempt had another body than the one before"
    return Batch(events, found.state, states, found.copies, body[0] if body else [])


def _wrong(batch: Batch, delivered: Counter[str], twice: bool) -> list[str]:
    """Return what is not true of a batch; `twice` if a request may be delivered twice by itself."""
    times = [delivered[sent.event_id] for sent in batch.events]
    found = f"{batch.states} events {batch.events[0].event_id}…, delivered {times} times: {batch.proofs}"
    arrived = {state for state, count in zip(batch.states, times, strict=True) if count}
    not_arrived = {state for state, count in zip(batch.states, times, strict=True) if not count}
    attempts = len(batch.proofs)
    wrongs = {
        "in no state": not set(batch.states) <= {"sent", "invalid", "rejected", "failed", "unknown"},
        "lost": "sent" in not_arrived,
        "called sent without proof": (batch.state == "sent") != (True in batch.proofs),
        "accepted in spite of its state": not arrived.isdisjoint({"invalid", "rejected", "failed"}),
        "sent again after its proof": True in batch.proofs[:-1],
        "more copies than it says": max(times) > batch.copies * (1 + twice),
        "more copies than attempts": batch.copies > attempts,
        "sent though invalid": batch.state == "invalid" and attempts > 0,
    }
    return [f"{wrong}: {found}" for wrong, is_so in wrongs.items() if is_so]


def _check(sandbox: Sandbox, batches: Sequence[Batch], *, deduplicate: bool) -> None:
    """Assert that all states are true."""
    by_id = {sent.event_id: sent.input for batch in batches for sent in batch.events}
    arrived = [*sandbox.accepted, *sandbox.duplicates]
    assert [] == [found for found in arrived if found != by_id.get(found["eventId"])]
    delivered = Counter(found["eventId"] for found in arrived)
    twice = "duplicate" in sandbox.fault_rates
    assert [] == [wrong for batch in batches for wrong in _wrong(batch, delivered, twice)]
    if deduplicate:
        assert len(sandbox.accepted) == len({found["eventId"] for found in sandbox.accepted})


def _run(rates: dict[str, float], seed: int, *, deduplicate: bool = False) -> list[Batch]:
    """Send all events, and assert what is promised of each batch and of each call."""
    refuses: Literal["event", "call"] = "call" if seed % 2 else "event"
    sandbox = Sandbox(fault_rates=rates, seed=seed, deduplicate=deduplicate, refuses=refuses)
    client, wire = _connected(sandbox)
    batches = [_sent(client, wire, events) for events in _batches(SIZES[seed % len(SIZES)])]
    batches.append(_sent(client, wire, [BAD, event(event_id="beside it")], check=False))
    batches.append(_sent(client, wire, [event(event_id="bad by itself", event_time="2023")], check=False))
    _check(sandbox, batches, deduplicate=deduplicate)
    kept = list(client.history)
    longest = client.retries.deadline + client.timeout
    assert [] == [exchange for exchange in kept if exchange.elapsed > longest]
    assert [batch.state for batch in batches[-len(kept) :]] == [exchange.outcome for exchange in kept]
    assert [] == [exchange for exchange in kept if exchange.attempts > client.retries.attempts]
    return batches


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FAULTS)
def test_the_state_of_each_event_is_true_through_a_fault(name: str, seed: int) -> None:
    """With a fault in a third of the requests."""
    _run({name: 0.35}, seed)


@pytest.mark.parametrize("deduplicate", [False, True], ids=["kept twice", "kept once"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mix", MIXES)
def test_the_state_of_each_event_is_true_through_a_mix(mix: str, seed: int, deduplicate: bool) -> None:
    """Also if one fault follows another; an API that drops repeated ids keeps each event once."""
    _run(MIXES[mix], seed, deduplicate=deduplicate)


def test_the_runs_have_all_five_states_and_resends() -> None:
    """So that each state is tested."""
    rates = {"reset_after": 0.3, "http_429": 0.3, "timeout_after": 0.2}
    batches = [batch for seed in range(4) for batch in _run(rates, seed)]
    assert {"sent", "invalid", "rejected", "failed", "unknown"} == {
        state for batch in batches for state in batch.states
    }
    assert max(len(batch.proofs) for batch in batches) > 2


def test_without_a_lost_response_nothing_is_sent_twice() -> None:
    """Only a lost response makes the client resend what was accepted."""
    rates = dict.fromkeys(["refused", "http_429", "http_503", "throttled", "expired_token", "slow"], 0.12)
    for seed in range(4):
        sandbox = Sandbox(fault_rates=rates, seed=seed, deduplicate=True)
        client, wire = _connected(sandbox)
        states = {_sent(client, wire, [sent]).state for sent in EVENTS[:100]}
        assert ("sent" in states, set()) == (True, states - {"sent", "failed", "unknown"})
        assert [] == sandbox.duplicates


@pytest.mark.parametrize("mix", MIXES)
def test_the_state_of_each_event_is_true_for_threads_that_share_a_client(mix: str) -> None:
    """One client, eight threads, one sandbox, its faults at random."""
    sandbox = Sandbox(fault_rates=MIXES[mix], seed=5)
    client, wire = _connected(sandbox)
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda events: _sent(client, wire, events), _batches(20)))
    _check(sandbox, batches, deduplicate=False)
    assert len(batches) >= len(client.history)
