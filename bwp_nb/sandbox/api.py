"""The documented API, simulated in this process: an httpx transport with the responses that the documentation shows.

Where something had to be inferred, `extensions.sandbox` of the response or of the error says so.
"""

import json
import random
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qs

import httpx
from graphql import ExecutionResult, GraphQLError, GraphQLSyntaxError, execute_sync

from bwp_nb.sandbox import validation
from bwp_nb.sandbox.clock import SandboxClock
from bwp_nb.sandbox.faults import FAULTS, Play, check_fault
from bwp_nb.sandbox.responses import DENIED, error_response, json_response
from bwp_nb.sandbox.validation import Issue
from bwp_nb.wire.clock import Clock

_TOKEN_LIFETIME = 900

_WHOLE_CALL = "inferred: that one bad event refuses the whole call; no page shows it"
_ONE_BRACKET = "inferred: several issues share one pair of brackets, separated by commas; no page shows it"
_UNEXECUTED = "inferred: a request that does not match the schema gets no data, and a string as its classification"
_DENIED = "inferred: the response to a missing or expired token, or to another target id"
_NO_TOKEN = "unknown: how the token endpoint rejects credentials"  # noqa: S105
_REFUSED_VALUE = "not the API: this sandbox is configured to refuse this value"
_BAD_BODY = "inferred: the response to a body that is not a GraphQL request"
_DUPLICATE = "unknown: whether the API keeps an event whose eventId it has seen; this sandbox {} {} of them"


class Sandbox(httpx.BaseTransport):
    """The API, simulated in this process; pass it to `connect`, or let `connect` create one.

    `accepted`, `duplicates` and `rejected` list the events as they arrived, `requests` every request with its response.
    With `deduplicate` it keeps one event for each `eventId`; whether the API does is unknown. `latency` is the seconds
    that each response takes, or the smallest and the largest. `fault_rates` maps names of `faults()` to the share of
    requests that they affect, from 0 to 1; `seed` makes them repeatable. `clock` is simulated unless given.
    """

    #: Hosts under `.invalid` never exist (RFC 2606), so nothing meant for the sandbox reaches a real one.
    endpoint = "https://sandbox.invalid/graphql"
    token_endpoint = "https://sandbox.invalid/token"  # noqa: S105

    #: The only credentials that the sandbox accepts.
    client_id = "sandbox-client"
    client_secret = "sandbox-secret"  # noqa: S105
    target_id = "bp-00000000-0000-4000-8000-000000000000"

    def __init__(
        self,
        *,
        deduplicate: bool = False,
        latency: float | tuple[float, float] = 0.1,
        fault_rates: Mapping[str, float] | None = None,
        seed: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.deduplicate = deduplicate
        self.latency = latency if isinstance(latency, tuple) else (latency, latency)
        self.fault_rates = dict(fault_rates or {})
        for name in self.fault_rates:
            check_fault(name, {})
        if not 0 <= sum(self.fault_rates.values()) <= 1 or min(self.fault_rates.values(), default=0) < 0:
            raise ValueError(f"fault_rates must be between 0 and 1 and add up to at most 1, got {self.fault_rates}")
        self.seed = seed
        self.clock = clock or SandboxClock()
        self._lock = threading.RLock()
        self._tokens: dict[str, float] = {}
        self.reset()

    def __repr__(self) -> str:
        return (
            f"Sandbox(accepted={len(self._accepted)}, rejected={len(self._rejected)}, requests={len(self._requests)})"
        )

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
            self._ids = 0
            self._accepted: list[dict[str, Any]] = []
            self._duplicates: list[dict[str, Any]] = []
            self._rejected: list[dict[str, Any]] = []
            self._requests: list[tuple[bytes, int, bytes]] = []
            self._seen: set[str] = set()

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """The events accepted and kept, as they arrived, with the API's field names."""
        return deepcopy(self._accepted)

    @property
    def duplicates(self) -> list[dict[str, Any]]:
        """The events accepted but not kept, because their `eventId` was seen before; only with `deduplicate`."""
        return deepcopy(self._duplicates)

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """The rejected events: `event` as it arrived, `reason` as it was returned."""
        return deepcopy(self._rejected)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request: its body, the HTTP status of the response, and the response."""
        return [
            {"body": body.decode("utf-8", "replace"), "status_code": status_code, "answer": json.loads(answer)}
            for body, status_code, answer in list(self._requests)
        ]

    @property
    def pending_faults(self) -> list[str]:
        """The names of the faults that are yet to happen, the next one first."""
        with self._lock:
            return [name for name, _ in self._pending]

    def uniform(self, smallest: float, largest: float) -> float:
        """Return a random number between two, from the sandbox's seed."""
        with self._lock:
            return self._random.uniform(smallest, largest)

    def new_id(self) -> str:
        """Return the next id: a version 4 UUID that counts up."""
        with self._lock:
            self._ids += 1
            return f"00000000-0000-4000-8000-{self._ids:012}"

    def fail_next(self, name: str, times: int = 1, **options: Any) -> None:
        """Let a fault of `faults()` happen to the next request, or to the next `times` requests."""
        check_fault(name, options)
        with self._lock:
            self._pending.extend([(name, options)] * times)

    def refuse(self, value: str, *, name_it: bool = True) -> None:
        """Reject, from now on, events with this value in any field or property, although no known rule is broken.

        The error quotes the field and the value, unless `name_it` is false.
        """
        self._refused_values[value] = name_it

    def expire_tokens(self, by_status: bool = False) -> None:
        """Let every token expire; it is then refused with HTTP 401 if `by_status`, else with a GraphQL error."""
        with self._lock:
            self._tokens.clear()
            self._denies_by_status = by_status

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to one HTTP request, or simulate a fault; httpx calls this."""
        request.read()
        if request.url.path == httpx.URL(self.token_endpoint).path:
            return self._token_answer(request)
        # A server waits in its own way for each client, and not while this holds the lock.
        wait = request.extensions.get("wait", self.clock.sleep)
        with self._lock:
            latency = self._random.uniform(*self.latency)
            name, options = self._next_fault()
        wait(latency)
        if name is None:
            return self._graphql_answer(request)
        play = Play(request, lambda: self._graphql_answer(request), self.clock, wait, self.expire_tokens)
        return FAULTS[name].play(play, **options)

    def _next_fault(self) -> tuple[str | None, dict[str, Any]]:
        if self._pending:
            return self._pending.popleft()
        if self.fault_rates:
            drawn = self._random.random()
            for name, rate in self.fault_rates.items():
                drawn -= rate
                if drawn < 0:
                    return name, {}
        return None, {}

    def _token_answer(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[-1] for name, values in parse_qs(request.content.decode("utf-8", "replace")).items()}
        expected = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        with self._lock:
            self.token_requests += 1
            if form != expected:
                return json_response(401, {"error": "invalid_client", "sandbox": [_NO_TOKEN]})
            token = f"sandbox-token-{self.token_requests}"
            self._tokens[token] = self.clock.monotonic() + _TOKEN_LIFETIME
            return json_response(200, {"access_token": token, "expires_in": _TOKEN_LIFETIME})

    def _graphql_answer(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            response = self._answer(request.content) if self._admits(request.headers) else self._denial()
            self._requests.append((request.content, response.status_code, response.content))
        return response

    def _admits(self, headers: httpx.Headers) -> bool:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        target_id = headers.get("x-api-target-id") or headers.get("X-Omni-TargetId")
        return self._tokens.get(token, -1.0) > self.clock.monotonic() and target_id == self.target_id

    def _denial(self) -> httpx.Response:
        if self._denies_by_status:
            return json_response(401, {"message": "Unauthorized", "sandbox": [_DENIED]})
        return error_response(DENIED, "AccessDeniedError", 403, _DENIED)

    def _answer(self, body: bytes) -> httpx.Response:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return _bad_body("The body is not JSON.")
        if not isinstance(given, dict) or not isinstance(given.get("query"), str):
            return _bad_body("The body is not a JSON object with a query.")
        variables = given.get("variables") or {}
        if not isinstance(variables, dict):
            return _bad_body("The variables are not a JSON object.")
        notes: list[str] = []
        result = self._execute(given["query"], variables, given.get("operationName"), notes)
        return json_response(200, _formatted(result, notes))

    def _execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, notes: list[str]
    ) -> ExecutionResult:
        def resolve(_info: object, **arguments: Any) -> Any:
            return self._send_user_events(arguments["input"]["events"], notes)

        document, errors = validation.read(query)
        if document is None or errors:
            return ExecutionResult(None, errors)
        root = {"sendUserEvents": resolve}
        return execute_sync(
            validation.schema(), document, root, variable_values=variables, operation_name=operation_name
        )

    def _send_user_events(self, events: list[dict[str, Any]], notes: list[str]) -> dict[str, str]:
        """Accept all events or none (inferred) and return the documented output."""
        issues = list(validation.batch_issues(events))
        for index, event in enumerate(events):
            issues += [*validation.event_issues(index, event), *self._refused_value_issues(event)]
        if issues:
            message = validation.message(issues)
            self._rejected += [{"event": event, "reason": message} for event in events]
            labels = {issue.label for issue in issues if issue.label}
            labels |= {_ONE_BRACKET} if len(issues) > 1 else set()
            labels |= {_WHOLE_CALL} if len(events) > 1 else set()
            marked = {"sandbox": sorted(labels)} if labels else {}
            raise GraphQLError(message, extensions={"classification": validation.VALIDATION_ERROR, **marked})
        self._keep(events, notes)
        return {"status": "successful"}

    def _refused_value_issues(self, event: dict[str, Any]) -> Iterator[Issue]:
        """Yield the values of an event that `refuse` named."""
        if not self._refused_values:
            return
        values = {name: value for name, value in event.items() if isinstance(value, str)}
        for pair in (event.get("additionalProperties") or {}).get("additionalProperties") or ():
            values[f"additionalProperties.{pair['property']}"] = pair["value"]
        for name, value in values.items():
            if value in self._refused_values:
                text = f"{name} {value} is invalid" if self._refused_values[value] else "an event is invalid"
                yield Issue(text, _REFUSED_VALUE)

    def _keep(self, events: list[dict[str, Any]], notes: list[str]) -> None:
        repeated = 0
        for event in events:
            known = event["eventId"] in self._seen
            self._seen.add(event["eventId"])
            repeated += known
            (self._duplicates if known and self.deduplicate else self._accepted).append(event)
        if repeated:
            notes.append(_DUPLICATE.format("dropped" if self.deduplicate else "kept", repeated))


def _bad_body(message: str) -> httpx.Response:
    extensions = {"classification": "InvalidSyntax", "sandbox": [_BAD_BODY]}
    return json_response(400, {"errors": [{"message": message, "extensions": extensions}]})


def _formatted(result: ExecutionResult, notes: list[str]) -> dict[str, Any]:
    """Return a response in the documented key order: errors before data, and no data if nothing was executed."""
    if not result.errors:
        return {"data": result.data, **({"extensions": {"sandbox": notes}} if notes else {})}
    if result.data is None:
        return {"errors": [_unexecuted(error) for error in result.errors]}
    return {"errors": [error.formatted for error in result.errors], "data": result.data}


def _unexecuted(error: GraphQLError) -> dict[str, Any]:
    kind = "InvalidSyntax" if isinstance(error, GraphQLSyntaxError) else "ValidationError"
    return {**error.formatted, "extensions": {"classification": kind, "sandbox": [_UNEXECUTED]}}
