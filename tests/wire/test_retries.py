"""`Retries`: when a send is tried again, how long it waits, and when it gives up."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, MutationRejected, Receipt, RequestFailed, Sandbox
from bwp_nb.client import RETRY_QUOTA
from bwp_nb.sandbox.api import SandboxClock
from bwp_nb.wire.retries import Retries
from tests.servers import SUCCESS
from tests.strategies import event

#: What a server may do with a request: answer, or raise what the network does.
Act = Callable[[httpx.Request], httpx.Response]


class RecordingClock(SandboxClock):
    """A clock that waits for nobody and keeps how long each wait was."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note a wait."""
        self.waits.append(seconds)
        super().sleep(seconds)


def _raises(error: Exception) -> Act:
    def act(_: httpx.Request) -> httpx.Response:
        raise error

    return act


def _answers(status_code: int = 200, **response: Any) -> Act:
    return lambda _: httpx.Response(status_code, **response)


def _refusal(kind: str, message: str = "No.") -> Act:
    errors = [{"message": message, "extensions": {"classification": {"type": kind}}}]
    return _answers(json={"errors": errors, "data": {"sendUserEvents": None}})


LOST = _raises(httpx.ReadError("reset"))
REFUSED = _raises(httpx.ConnectError("refused"))
BUSY = _answers(429)
ACCEPTED = _answers(json=SUCCESS)
INVALID = _refusal("ValidationError")
DENIED = _refusal("AccessDeniedError")
THROTTLED = _refusal("ThrottlingError")


def _longest(_: float, longest: float) -> float:
    return longest


def _client(*acts: Act, clock: SandboxClock | None = None, **policy: Any) -> Client:
    """Return a client of a server that does one thing after the other, and then the last one always."""
    todo = list(acts)

    def answer(request: httpx.Request) -> httpx.Response:
        return (todo.pop(0) if len(todo) > 1 else todo[0])(request)

    retries = Retries(**{"uniform": _longest, **policy})
    transport = httpx.MockTransport(answer)
    return Client(transport, "https://api.invalid/graphql", clock=clock or RecordingClock(), retries=retries)


def _waits(client: Client) -> list[float]:
    assert isinstance(client.clock, RecordingClock)
    return client.clock.waits


def _error(client: Client) -> BwpError:
    with pytest.raises(BwpError) as caught:
        client.send(event())
    return caught.value


def test_waits_are_drawn_from_nought_to_a_bound_that_doubles() -> None:
    """Full jitter, whose draw is an argument; the bound has a bound."""
    drawn: list[tuple[float, float]] = []

    def uniform(smallest: float, longest: float) -> float:
        drawn.append((smallest, longest))
        return longest / 4

    client = _client(BUSY, attempts=9, deadline=1000, uniform=uniform)
    _error(client)
    longest = [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert [(0, bound) for bound in longest] == drawn[: len(longest)]
    assert [bound / 4 for bound in longest] == _waits(client)


def test_the_waits_of_a_sandbox_are_the_same_on_every_run() -> None:
    """Its seed draws them."""

    def elapsed() -> list[float]:
        client = bwp.connect(Sandbox(fault_rates={"http_503": 1.0}))
        for _ in range(3):
            _error(client)
        return [exchange.elapsed for exchange in client.history]

    assert elapsed() == elapsed()


@pytest.mark.parametrize("attempts", [1, 2, 4, 7])
def test_attempts_are_bounded(attempts: int) -> None:
    """No more than the policy allows, and the error says how many and why it ended."""
    error = _error(_client(BUSY, attempts=attempts))
    assert (attempts, True) == (error.attempts, error.retryable)
    assert f"Stopped after {attempts} attempt" in str(error)


def test_waiting_is_bounded_by_the_deadline() -> None:
    """A wait that would pass it is not begun."""
    client = _client(BUSY, attempts=100, deadline=10)
    error = _error(client)
    assert "This call may take no more than 10 s." in str(error)
    assert [0.5, 1, 2, 4] == _waits(client)
    assert error.attempts == 5


def test_slow_attempts_are_bounded_by_the_deadline_too() -> None:
    """The last one gets what is left."""
    sandbox = Sandbox(latency=0, fault_rates={"timeout_before": 1.0})
    client = bwp.connect(sandbox)
    client.retries = Retries(attempts=100, deadline=25, uniform=lambda *_: 1.0)
    assert "no more than 25 s" in str(_error(client))
    assert 25 <= client.history[-1].elapsed + 1
    assert client.history[-1].elapsed <= 25


NOW = datetime(2024, 11, 22, 9, tzinfo=UTC)


def _date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0.5),
        ("59", 59),
        (_date(7), 7),
        (_date(-7), 0.5),
        ("Friday, 22-Nov-24 09:00:07 GMT", 7),
        ("Fri Nov 22 09:00:07 2024", 7),
        ("Fri, 22 Nov 2024 10:00:07 +0100", 7),
        ("-7", 0.5),
        ("7.5", 0.5),
        ("1e3", 0.5),
        ("", 0.5),
        ("soon", 0.5),
        ("٧", 0.5),
        ("Fri, 32 Nov 2024 09:00:07 GMT", 0.5),
        ("x" * 10_000, 0.5),
        ("Mon, 01 Jan 2024 00:00:00 +9999999999999999", 0.5),
        ("Mon, 01 Jan 99999999999999999999999 00:00:00 GMT", 0.5),
    ],
)
@pytest.mark.parametrize("status_code", [429, 503])
def test_retry_after_is_honoured(text: str, expected: float, status_code: int) -> None:
    """In seconds or as a date, if it asks for more than the policy would wait; what cannot be read asks for nothing."""
    client = _client(_answers(status_code, headers={"Retry-After": text.encode()}), ACCEPTED)
    assert 2 == client.send(event()).attempts
    assert [expected] == _waits(client)


#: A moment after the last that a date-time can hold.
LAST = "Fri, 31 Dec 9999 23:59:59 -2359"


@pytest.mark.parametrize("text", ["60", "3600", "999999999", "9" * 500, _date(60), _date(86_400 * 365 * 1000), LAST])
def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once_and_names_the_moment(text: str) -> None:
    """Nobody waits for nothing; whoever reads the error knows when to come back."""
    client = _client(_answers(429, headers={"Retry-After": text}), ACCEPTED)
    error = _error(client)
    assert ([], 1) == (_waits(client), error.attempts)
    assert "The server asks to wait until " in str(error)
    if text in ("60", _date(60)):
        assert "until 2024-11-22T09:01:00+00:00, longer than this call may take (60 s)" in str(error)


def test_retry_after_beside_a_graphql_error_is_honoured() -> None:
    """Whatever form the refusal has."""
    errors = {"errors": [{"message": "Rate", "extensions": {"classification": {"type": "ThrottlingError"}}}]}
    client = _client(_answers(200, json=errors, headers={"Retry-After": "9"}), ACCEPTED)
    assert 2 == client.send(event()).attempts
    assert [9] == _waits(client)


def test_retry_after_of_one_answer_does_not_hold_for_the_next() -> None:
    """A lost answer says nothing about when to come back."""
    client = _client(_answers(429, headers={"Retry-After": "9"}), LOST, ACCEPTED)
    assert 3 == client.send(event()).attempts
    assert [9, 1] == _waits(client)


@pytest.mark.parametrize("seconds", [5, 30])
def test_the_ordered_retry_after_is_honoured_on_the_clock_of_the_sandbox(seconds: int) -> None:
    """In both forms."""
    for name in ("http_429_seconds", "http_429_date"):
        sandbox = Sandbox(latency=0)
        sandbox.fail_next(name, seconds=seconds)
        assert seconds == bwp.connect(sandbox).send(event()).elapsed


def test_an_outage_ends_in_one_clear_stop() -> None:
    """Once a client has used up its retries without success, each call makes one attempt, and says why."""
    client = _client(BUSY)
    errors = [_error(client) for _ in range(30)]
    retries = sum(error.attempts - 1 for error in errors)
    assert RETRY_QUOTA == retries
    assert {1} == {error.attempts for error in errors[-20:]}
    for error in errors[-20:]:
        assert (
            "Not tried again: this client has used all of its 20 retries, and gets one back with each success."
            in str(error)
        )
        assert ("failed", True) == (error.state, error.retryable)


def test_threads_share_the_retries() -> None:
    """Together they retry no more often than one would: each takes its retry before it waits."""

    class SlowClock(RecordingClock):
        def sleep(self, seconds: float) -> None:
            time.sleep(0.01)
            super().sleep(seconds)

    client = Client(httpx.MockTransport(BUSY), "https://api.invalid/graphql", clock=SlowClock())
    with ThreadPoolExecutor(16) as threads:
        errors = list(threads.map(lambda _: _error(client), range(16)))
    assert RETRY_QUOTA == sum(error.attempts - 1 for error in errors)


def test_success_gives_retries_back() -> None:
    """After an outage, a client is soon as patient as before."""
    weather = {"act": BUSY}

    def act(request: httpx.Request) -> httpx.Response:
        return weather["act"](request)

    client = _client(act)
    while _error(client).attempts > 1:
        pass
    weather["act"] = ACCEPTED
    for _ in range(RETRY_QUOTA):
        client.send(event())
    weather["act"] = BUSY
    assert 4 == _error(client).attempts


def test_success_saves_up_no_more_retries_than_there_were() -> None:
    """A thousand sends before an outage do not make it longer."""
    client = _client(*[ACCEPTED] * 1000, BUSY)
    for _ in range(1000):
        client.send(event())
    assert RETRY_QUOTA == sum(_error(client).attempts - 1 for _ in range(30))


def test_a_wait_that_is_interrupted_costs_no_retry() -> None:
    """Nothing was sent again."""
    client = _client(BUSY)

    def interrupt(error: BwpError, seconds: float) -> None:
        raise KeyboardInterrupt(f"{error}: {seconds} s")

    for _ in range(RETRY_QUOTA + 1):
        with pytest.raises(KeyboardInterrupt):
            client._deliver(b"{}", 1, interrupt)
    assert 4 == _error(client).attempts


def test_every_attempt_sends_the_same_bytes() -> None:
    """The same ids, the same times, the same everything."""
    bodies: list[bytes] = []

    def act(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        raise httpx.ReadError("reset")

    client = _client(act)
    assert 4 == _error(client).attempts
    assert (4, 1) == (len(bodies), len(set(bodies)))
    assert event() == bwp.Mutation.parse(bodies[0].decode()).events[0]


@pytest.mark.parametrize(
    ("acts", "state", "attempts"),
    [
        ([LOST, ACCEPTED], "sent", 2),
        ([REFUSED, ACCEPTED], "sent", 2),
        ([BUSY, LOST, THROTTLED, ACCEPTED], "sent", 4),
        ([REFUSED], "failed", 4),
        ([BUSY], "failed", 4),
        ([THROTTLED], "failed", 4),
        ([BUSY, THROTTLED, REFUSED], "failed", 4),
        ([LOST], "unknown", 4),
        ([LOST, REFUSED], "unknown", 4),
        ([LOST, BUSY], "unknown", 4),
        ([LOST, THROTTLED], "unknown", 4),
        ([REFUSED, LOST, REFUSED], "unknown", 4),
        ([_answers(502), REFUSED], "unknown", 4),
        ([LOST, _answers(413)], "unknown", 2),
        ([LOST, _answers(307, headers={"Location": "/"})], "unknown", 2),
        ([LOST, DENIED], "unknown", 2),
        ([LOST, _refusal("NobodyKnowsThis")], "unknown", 2),
        ([LOST, INVALID], "unknown", 2),
        ([LOST, _refusal("ValidationError", f"eventTime {event().event_time} is invalid")], "rejected", 2),
        ([LOST, _refusal("ValidationError", f"eventId {event().event_id} is known")], "unknown", 2),
        ([INVALID], "rejected", 1),
        ([_refusal("NobodyKnowsThis")], "unknown", 1),
        ([_refusal("ConflictError")], "unknown", 1),
        ([_answers(409)], "unknown", 1),
        ([REFUSED, INVALID], "rejected", 2),
        ([REFUSED, DENIED], "failed", 2),
    ],
)
def test_what_was_once_ambiguous_stays_so_until_an_answer_tells(acts: list[Act], state: str, attempts: int) -> None:
    """A later refusal tells of the first attempt only where it names what was wrong in both, and no id."""
    client = _client(*acts)
    found: Receipt | BwpError
    try:
        found = client.send(event())
    except BwpError as error:
        found = error
    assert (state == "unknown") == getattr(found, "may_have_arrived", False)
    assert (state == "unknown") == ("may have been accepted" in str(found))
    assert (state, attempts) == (found.state, found.attempts)
    assert (state, attempts) == (client.history[-1].outcome, client.history[-1].attempts)
    assert (found.copies > 0) == (state in ("sent", "unknown"))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_passes_through(interrupt: type[BaseException]) -> None:
    """Whoever presses Ctrl-C is obeyed, at once, and the history says that nothing is known."""
    calls: list[int] = []

    def act(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        raise interrupt

    client = _client(act)
    with pytest.raises(interrupt):
        client.send(event())
    assert 1 == len(calls)
    assert ["unknown"] == [exchange.outcome for exchange in client.history]


@pytest.mark.parametrize("error", [httpx.LocalProtocolError("Illegal b'Bearer x '"), httpx.UnsupportedProtocol("a")])
def test_a_request_that_cannot_be_written_was_not_sent(error: Exception) -> None:
    """It will not get better, nothing arrived, and what it holds is not shown."""
    found = _error(_client(_raises(error)))
    assert ("failed", False, False, 1) == (found.state, found.retryable, found.may_have_arrived, found.attempts)
    assert "Bearer" not in str(found)


def test_an_interrupt_of_a_wait_passes_through() -> None:
    """A call can be stopped between its attempts, too."""

    class Impatient(SandboxClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt(f"{seconds} s")

    client = _client(BUSY, clock=Impatient())
    with pytest.raises(KeyboardInterrupt):
        client.send(event())
    assert [1] == [exchange.attempts for exchange in client.history]


@pytest.mark.parametrize("act", [INVALID, DENIED, _answers(413), _answers(200, text="<html>"), _answers(404)])
def test_what_will_not_get_better_is_not_tried_again(act: Act) -> None:
    """One attempt, no wait, and no reason for giving up."""
    client = _client(act)
    error = _error(client)
    assert (1, False, []) == (error.attempts, error.retryable, _waits(client))
    assert "" == error.stop_reason


def test_execute_makes_one_attempt() -> None:
    """Nothing is tried again that the caller did not ask for."""
    client = _client(BUSY)
    with pytest.raises(RequestFailed):
        client.execute("{nothing}")
    assert ([], 1) == (_waits(client), client.history[-1].attempts)


def test_a_call_that_needed_no_retry_says_so() -> None:
    """One attempt, no waiting."""
    client = _client(ACCEPTED)
    assert 1 == client.send(event()).attempts
    assert [] == _waits(client)


def test_the_error_of_the_last_attempt_is_the_one_that_is_raised() -> None:
    """As it came last."""
    error = _error(_client(BUSY, REFUSED, THROTTLED, _answers(503)))
    assert (503, 4) == (error.status_code, error.attempts)
    assert isinstance(_error(_client(BUSY, BUSY, BUSY, THROTTLED)), MutationRejected)


def test_retries_of_many_calls_do_not_wait_for_each_other() -> None:
    """Each call has its own deadline, counted from its own beginning."""
    client = _client(BUSY, deadline=5)
    first, second = _error(client), _error(client)
    assert first.attempts == second.attempts
