"""The documented API, simulated in this process: an httpx transport with the responses that the documentation shows.

Where something had to be inferred, `extensions.sandbox` of the response or of the error says so.
"""

import json
import random
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx
from graphql import ExecutionResult, execute_sync

from bwp_nb.displays.html import card, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.sandbox import responses, validation
from bwp_nb.sandbox.faults import FaultyRequest, Rejection, check_fault
from bwp_nb.sandbox.validation import Events, Issue
from bwp_nb.wire.platform import Clock, read_json

#: What a sandbox keeps: its events by what happened to them, and the requests that they came in.
KINDS = ("accepted", "duplicates", "rejected", "requests")

_BYTES_PER_ENTRY = 4096
_START = datetime(2024, 11, 22, 9, tzinfo=UTC)
_TOKEN_LIFETIME = 900

#: What the body of a request contains: the type of each parameter, and what to call it.
_PARAMETERS = {
    "query": (str, "a string"),
    "operationName": (str | None, "a string"),
    "variables": (dict | None, "an object"),
    "extensions": (dict | None, "an object"),
}


_DUPLICATE = "unknown: whether the API keeps an event whose eventId it has seen; this sandbox {} {} of them"
_WRONG_CREDENTIALS = (
    "This is a sandbox: it accepts only its own credentials. Live ones do not belong here; nothing of these was kept."
)


class SandboxClock(Clock):
    """Simulated time: it starts at a fixed instant, and advances with each response, timeout and wait."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Go back to the fixed instant."""
        with self._lock:
            self._passed = 0.0

    def now(self) -> datetime:
        """Return the current simulated time, in UTC."""
        return _START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Return the seconds since the fixed instant."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Advance the clock without waiting."""
        with self._lock:
            self._passed += seconds


@dataclass(kw_only=True, repr=False, eq=False)
class Sandbox(httpx.BaseTransport):
    """The API, simulated in this process, as far as it is documented. Pass it to `connect`, or let `connect` make one.

    What is inferred or unknown is labelled in its responses, under `extensions.sandbox`. Limits that no page names are
    not enforced.

    Parameters
    ----------
    refuses : {"event", "call"}, default "event"
        What a broken rule refuses: only the events that do not conform (which is what “User Event Schema” says
        literally), or all events of their call. Which of them the API does is unknown.
    reports : {"all", "first"}, default "all"
        Whether an error names every issue, or only the first one (as an example of another operation does). Unknown for
        this one.
    deduplicate : bool, default False
        Whether to keep one event for each `eventId`. What the API does is unknown.
    latency : float or tuple of two floats, default 0.1
        The seconds that each response takes, or the smallest and the largest.
    fault_rates : mapping of str to float, optional
        Names of `bwp.faults()`, with the share of requests that they affect, from 0 to 1. Default: none.
    seed : int, default 0
        Makes faults and latencies repeatable.
    clock : Clock, optional
        Its time. Default: a simulated clock, which waits without waiting.
    keep : int, default 200,000
        The most events of each kind, and requests, that are kept; fewer if they are long. `dropped` counts the others.

    Raises
    ------
    ValueError
        If a fault is unknown, a share is not from 0 to 1, or an option has another value.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> sandbox = bwp.Sandbox(fault_rates={"throttled": 0.1}, seed=1)
    >>> client = bwp.connect(sandbox)
    >>> receipt = client.send(client.new_event("click"))
    >>> sandbox.accepted[0]["eventType"]
    'click'
    """

    #: Hosts under `.invalid` never exist (RFC 2606), so nothing meant for the sandbox reaches a real one.
    endpoint = "https://sandbox.invalid/graphql"
    token_endpoint = "https://sandbox.invalid/token"  # noqa: S105

    #: The only credentials that the sandbox accepts.
    client_id = "sandbox-client"
    client_secret = "sandbox-secret"  # noqa: S105
    target_id = "bp-00000000-0000-4000-8000-000000000000"

    #: The number of tokens that are valid at a time; older ones are refused.
    keep_tokens = 1_000

    refuses: Literal["event", "call"] = "event"
    reports: Literal["all", "first"] = "all"
    deduplicate: bool = False
    latency: float | tuple[float, float] = 0.1
    fault_rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    clock: Clock = field(default_factory=SandboxClock)
    keep: int = 200_000

    def __post_init__(self) -> None:
        if self.refuses not in ("event", "call"):
            raise InvalidArgument(f"refuses: expected 'event' or 'call', got {self.refuses!r}")
        if self.reports not in ("all", "first"):
            raise InvalidArgument(f"reports: expected 'all' or 'first', got {self.reports!r}")
        if self.keep < 1:
            raise InvalidArgument(f"keep: expected at least 1, got {self.keep}")
        for name in self.fault_rates:
            check_fault(name, {})
        if not 0 <= sum(self.fault_rates.values()) <= 1 or min(self.fault_rates.values(), default=0) < 0:
            must_be = "numbers between 0 and 1 that add up to at most 1"
            raise InvalidArgument(f"fault_rates: expected {must_be}, got {self.fault_rates}")
        self._lock = threading.RLock()
        self._tokens: OrderedDict[str, float] = OrderedDict()
        self._listeners: list[Callable[[str, bytes], None]] = []
        self.reset()

    def __repr__(self) -> str:
        counts = self.counts
        shown = [name for name in counts if counts[name] or name in ("accepted", "rejected", "requests")]
        return f"Sandbox({', '.join(f'{name}={counts[name]}' for name in shown)})"

    def _repr_html_(self) -> str:
        """Return how the sandbox behaves, what arrived, and the faults that are yet to happen."""
        behaviour = f"simulated; refuses the {self.refuses}, reports {self.reports}"
        rows = [["behaviour", behaviour + ", deduplicates" * self.deduplicate]]
        rows += [[name, str(count)] for name, count in self.counts.items() if count]
        rows += [["fault rates", ", ".join(f"{name} {rate:g}" for name, rate in self.fault_rates.items())]]
        rows += [["pending faults", ", ".join(self.pending_faults)]]
        return card(html_table(row for row in rows if row[1]))

    def reset(self) -> None:
        """Forget everything that arrived and every pending fault, and restart the clock, the ids and the seed.

        Tokens stay valid, so clients need not reconnect.
        """
        with self._lock:
            self._random = random.Random(self.seed)  # noqa: S311  # simulates chance, guards nothing
            self.token_requests = 0
            self._denies_by_status = False
            self._pending: deque[tuple[str, dict[str, Any]]] = deque()
            self._refused_values: dict[str, bool] = {}
            if isinstance(self.clock, SandboxClock):
                self.clock.reset()
            self._ids = count(1)
            self._seen: OrderedDict[str, None] = OrderedDict()
            self._logs: dict[str, deque[bytes]] = {kind: deque() for kind in KINDS}
            self._totals, self._sizes = Counter[str](), Counter[str]()

    def listen(self, listener: Callable[[str, bytes], None]) -> None:
        """Call a function with everything that arrives from now on.

        Parameters
        ----------
        listener : callable of str and bytes to None
            Called while the sandbox is locked, with `accepted`, `duplicates`, `rejected` or `requests`, and an entry
            of that list as JSON: first the events of a request, one by one, then the request.
        """
        self._listeners.append(listener)

    def _record(self, kind: str, entry: bytes) -> None:
        """Keep an entry, which is JSON, drop the oldest ones beyond the limits, and call the listeners."""
        log = self._logs[kind]
        self._totals[kind] += 1
        self._sizes[kind] += len(entry)
        log.append(entry)
        while len(log) > self.keep or self._sizes[kind] > self.keep * _BYTES_PER_ENTRY:
            self._sizes[kind] -= len(log.popleft())
        for listener in self._listeners:
            listener(kind, entry)

    def _kept(self, kind: str) -> list[Any]:
        """Return the entries that are kept; changing them changes nothing here."""
        return [json.loads(entry) for entry in self._logs[kind].copy()]

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """The events accepted and kept, as they arrived, with the API's field names."""
        return self._kept("accepted")

    @property
    def duplicates(self) -> list[dict[str, Any]]:
        """The events accepted but not kept, because their `eventId` was seen before; only with `deduplicate`."""
        return self._kept("duplicates")

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """The rejected events: `event` as it arrived, `reason` as it was returned."""
        return self._kept("rejected")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests for GraphQL, each with `body`, `status_code` and `answer`; a fault may respond instead."""
        return self._kept("requests")

    @property
    def dropped(self) -> int:
        """The number of events and requests that arrived and are not kept any more."""
        with self._lock:
            return self._totals.total() - sum(map(len, self._logs.values()))

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of events and of requests, and of those that were dropped since."""
        with self._lock:
            return {**{kind: self._totals[kind] for kind in KINDS}, "dropped": self.dropped}

    @property
    def pending_faults(self) -> list[str]:
        """The names of the faults that are yet to happen, the next one first."""
        return [name for name, _ in self._pending.copy()]

    def uniform(self, smallest: float, largest: float) -> float:
        """Return a random number from the sandbox's seed.

        Parameters
        ----------
        smallest, largest : float
            The range.

        Returns
        -------
        float
            A number in the range.
        """
        return self._random.uniform(smallest, largest)

    def new_id(self) -> str:
        """Return the next id: a version 4 UUID that counts up."""
        return f"00000000-0000-4000-8000-{next(self._ids):012}"

    def fail_next(self, name: str, times: int = 1, **options: Any) -> None:
        """Let a fault happen to the next requests.

        Parameters
        ----------
        name : str
            The name of one of `bwp.faults()`.
        times : int, default 1
            The number of requests of any kind, from 1 to 100,000.
        **options
            The options of the fault, such as `seconds` of `slow`; `bwp.reference("faults")` lists them.

        Raises
        ------
        ValueError
            If the fault does not exist, does not take an option, or `times` is out of its range.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> client = bwp.connect()
        >>> client.sandbox.fail_next("throttled")
        >>> client.send(client.new_event("click"))
        Receipt(status='successful', events=1, attempts=2)
        """
        check_fault(name, options)
        if not isinstance(times, int) or times not in range(1, 100_001):
            raise InvalidArgument(f"times: expected 1 to 100,000, got {times!r}")
        self._pending.extend([(name, options)] * times)

    def refuse(self, value: str, *, name_it: bool = True) -> None:
        """Reject, from now on, events with a value in any field or property, although no known rule is broken.

        Parameters
        ----------
        value : str
            The value.
        name_it : bool, default True
            Whether the error quotes the field and the value.
        """
        self._refused_values[value] = name_it

    def expire_tokens(self, by_status: bool = False) -> None:
        """Let every token expire.

        Parameters
        ----------
        by_status : bool, default False
            Whether an expired token is refused with HTTP 401, or with a GraphQL error. Which of them the API does is
            unknown.
        """
        with self._lock:
            self._tokens.clear()
            self._denies_by_status = by_status

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to one HTTP request, or simulate a fault. httpx calls this.

        Parameters
        ----------
        request : httpx.Request
            A request to the GraphQL or token endpoint.

        Returns
        -------
        httpx.Response
            The response.

        Raises
        ------
        httpx.TransportError
            If a fault loses the connection or the response.
        """
        request.read()
        if request.url.path == "/token":
            return self._token_answer(request)
        # A server waits in its own way for each client, and not while this holds the lock.
        wait = request.extensions.get("wait", self.clock.sleep)
        with self._lock:
            low, high = self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)
            latency = self.uniform(low, high)
            name, options = self._next_fault()
        wait(latency)
        answer = partial(self._graphql_answer, request)
        if name is None:
            return answer()
        patience = request.extensions.get("timeout", {}).get("read") or 10.0
        faulty = FaultyRequest(answer, wait, patience, self.clock, self.expire_tokens)
        response: httpx.Response = getattr(faulty, name)(**options)
        return response

    def _next_fault(self) -> tuple[str | None, dict[str, Any]]:
        if self._pending:
            return self._pending.popleft()
        if not self.fault_rates:
            return None, {}
        names, rates = [*self.fault_rates, None], [*self.fault_rates.values()]
        return self._random.choices(names, [*rates, 1 - sum(rates)])[0], {}

    def _token_answer(self, request: httpx.Request) -> httpx.Response:
        own = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        with self._lock:
            self.token_requests += 1
            if parse_qs(request.content.decode("utf-8", "replace")) != {name: [text] for name, text in own.items()}:
                refusal: dict[str, Any] = {"error": "invalid_client", "error_description": _WRONG_CREDENTIALS}
                return responses.json_response(401, refusal | responses.labelled("no_token"))
            while len(self._tokens) >= self.keep_tokens:
                self._tokens.popitem(last=False)
            token = f"sandbox-token-{self.token_requests:08}"
            self._tokens[token] = self.clock.monotonic() + _TOKEN_LIFETIME
            return responses.json_response(200, {"access_token": token, "expires_in": _TOKEN_LIFETIME})

    def _graphql_answer(self, request: httpx.Request, rejection: Rejection | None = None) -> httpx.Response:
        with self._lock:
            response = self._answer(request.content, rejection) if self._admits(request.headers) else self._denial()
            self._record_request(request.content, response)
        return response

    def _record_request(self, body: bytes, response: httpx.Response) -> None:
        """Keep a request with its response, which is JSON; the server calls this for a request that it refuses."""
        text = json.dumps(body.decode("utf-8", "replace")).encode()
        entry = b'{"body": %b, "status_code": %d, "answer": %b}' % (text, response.status_code, response.content)
        with self._lock:
            self._record("requests", entry)

    def _admits(self, headers: httpx.Headers) -> bool:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        target_id = headers.get("x-api-target-id") or headers.get("X-Omni-TargetId")
        return self._tokens.get(token, -1.0) > self.clock.monotonic() and target_id == self.target_id

    def _denial(self) -> httpx.Response:
        if self._denies_by_status:
            return responses.json_response(401, {"message": "Unauthorized", **responses.labelled("denied")})
        return responses.error_response(responses.DENIED, "AccessDeniedError", 403, "denied")

    def _answer(self, body: bytes, rejection: Rejection | None) -> httpx.Response:
        try:
            given = read_json(body)
        except (ValueError, RecursionError):
            return responses.bad_body_response("The body is not JSON.")
        if not isinstance(given, dict):
            return responses.bad_body_response("The body is not a JSON object.")
        for name, (kind, expected) in _PARAMETERS.items():
            if not isinstance(given.get(name), kind):
                return responses.bad_body_response(f"{name} must be {expected}.")
        notes: list[str] = []

        def resolve(_info: object, **arguments: Any) -> dict[str, str]:
            return self._send_user_events(arguments["input"]["events"], rejection, notes)

        document, errors = validation.read(given["query"])
        if document is None or errors:
            return responses.graphql_response(ExecutionResult(None, errors), notes)
        root, variables, operation = {"sendUserEvents": resolve}, given.get("variables"), given.get("operationName")
        result = execute_sync(validation.schema(), document, root, variable_values=variables, operation_name=operation)
        return responses.graphql_response(result, notes)

    def _send_user_events(self, events: Events, rejection: Rejection | None, notes: list[str]) -> dict[str, str]:
        """Accept the events that conform and return the documented output, or raise the documented error."""
        issues = [[*self._issues(index, event, rejection)] for index, event in enumerate(events)]
        accepted, rejected, error = validation.verdict(events, issues, self.refuses, self.reports)
        self._keep(accepted, notes)
        if error is None:
            return {"status": "successful"}
        for event in rejected:
            self._record("rejected", json.dumps({"event": event, "reason": error.message}).encode())
        raise error

    def _issues(self, index: int, event: dict[str, Any], rejection: Rejection | None) -> Iterator[Issue]:
        """Yield what is wrong with an event; a fault finds nothing in one that was accepted before: it was valid."""
        yield from validation.event_issues(index, event, self._refused_values)
        if rejection and event["eventId"] not in self._seen and validation.contains(event, rejection.value):
            yield Issue(rejection.text, "fault", is_whole=True)

    def _keep(self, events: Events, notes: list[str]) -> None:
        repeated = 0
        for event in events:
            known = event["eventId"] in self._seen
            self._seen[event["eventId"]] = None
            repeated += known
            self._record("duplicates" if known and self.deduplicate else "accepted", json.dumps(event).encode())
        while len(self._seen) > self.keep:
            self._seen.popitem(last=False)
        if repeated:
            notes.append(_DUPLICATE.format("dropped" if self.deduplicate else "kept", repeated))
