"""The documented API, played in this process: an httpx transport that answers as the documentation prints.

It is a second reading of the documentation: it shares `schema.graphql` with the rest of the package, and no code. Where
it had to infer, it says so under `extensions.sandbox` of the answer or of the error.
"""

import json
import random
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Any, cast
from urllib.parse import parse_qs

import httpx
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLDirective,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    GraphQLSyntaxError,
    InputValueDefinitionNode,
    Source,
    build_schema,
    execute_sync,
    get_directive_values,
    parse,
    validate,
)

from bwp_nb.contract import schema_text
from bwp_nb.sandbox.faults import FAULTS, Play
from bwp_nb.wire.clock import Clock

#: A host that can never exist (RFC 2606), so that nothing meant for the sandbox reaches a real one.
ENDPOINT = "https://sandbox.invalid/graphql"
TOKEN_ENDPOINT = "https://sandbox.invalid/token"  # noqa: S105

#: The only credentials that the sandbox takes; they open nothing else.
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105
TARGET_ID = "bp-00000000-0000-4000-8000-000000000000"

_TOKEN_LIFETIME = 900

_START = datetime(2024, 11, 22, 9, tzinfo=UTC)
_MAX_TOKENS = 200_000

_WHOLE_CALL = "inferred: that one bad event refuses the whole call; no page shows it"
_ONE_BRACKET = "inferred: that several issues stand in one bracket, separated by commas; no page shows it"
_SIZE = "inferred: the wording of a size limit, from the validation library that the API seems to use"
_ZONE = "inferred: that a date-time is refused unless it is in UTC and ends in Z; only the text `2023` is documented"
_UNEXECUTED = (
    "inferred: a request that does not fit the schema is answered without data, its classification a plain text"
)
_DENIED = "inferred: how a missing or expired token, or another target id, is answered"
_NO_TOKEN = "unknown: how the token endpoint refuses"  # noqa: S105
_REFUSED_VALUE = "not the API's doing: this sandbox was told to refuse it"
_BAD_BODY = "inferred: how a body that is no GraphQL request is answered"
_DUPLICATE = "unknown: whether the API keeps an event whose eventId it has seen; this sandbox {} {} of them"


class SandboxClock:
    """Time as the sandbox plays it: it starts at a fixed instant and passes only while requests are answered."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Go back to the fixed instant."""
        with self._lock:
            self._passed = 0.0

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return _START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Return the seconds that have passed since the fixed instant."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Let seconds pass, without waiting."""
        with self._lock:
            self._passed += seconds


class Sandbox(httpx.BaseTransport):
    """The API in this process. Give it to `connect`, or let `connect` make one.

    `accepted`, `duplicates` and `rejected` list the events as they arrived, the last with the reason; `requests` lists
    every request with its answer. With `deduplicate` it keeps an event only once for each `eventId`; whether the API
    does is unknown. `latency` is the seconds that pass on its clock for each answer, or the shortest and the longest.
    `fault_rates` maps names of `faults()` to how often each befalls a request, from 0 to 1; `seed` decides when. Its
    `clock` plays time, unless it is given another, such as the computer's.
    """

    endpoint = ENDPOINT
    token_endpoint = TOKEN_ENDPOINT
    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET
    target_id = TARGET_ID

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
        self.fault_rates = {name: rate for name, rate in (fault_rates or {}).items() if _known(name, {})}
        if not 0 <= sum(self.fault_rates.values()) <= 1 or min(self.fault_rates.values(), default=0) < 0:
            raise ValueError(f"Fault rates lie between 0 and 1, also together: {self.fault_rates}")
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
        """Forget all that arrived and all that was ordered, and begin again at the fixed instant with the first id.

        Tokens stay good, so that clients notice nothing.
        """
        with self._lock:
            self._random = random.Random(self.seed)  # noqa: S311  # plays chance, guards nothing
            self.token_requests = 0
            self._denies_by_status = False
            self._ordered: deque[tuple[str, dict[str, Any]]] = deque()
            self._refused_values: dict[str, bool] = {}
            if isinstance(self.clock, SandboxClock):
                self.clock.reset()
            self._ids = 0
            self._accepted: list[dict[str, Any]] = []
            self._duplicates: list[dict[str, Any]] = []
            self._rejected: list[dict[str, Any]] = []
            self._requests: list[dict[str, Any]] = []
            self._seen: set[str] = set()

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """The events accepted and kept, as they arrived, by the API's own names."""
        return deepcopy(self._accepted)

    @property
    def duplicates(self) -> list[dict[str, Any]]:
        """The events accepted but not kept, since their `eventId` was seen before; only with `deduplicate`."""
        return deepcopy(self._duplicates)

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """The events refused: `event` as it arrived, `reason` as it was answered."""
        return deepcopy(self._rejected)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request: its body, the HTTP status of the answer, and the answer."""
        return deepcopy(self._requests)

    def uniform(self, smallest: float, largest: float) -> float:
        """Return a number between two, by the sandbox's seeded chance."""
        with self._lock:
            return self._random.uniform(smallest, largest)

    def new_id(self) -> str:
        """Return the next id: a version 4 UUID that counts."""
        with self._lock:
            self._ids += 1
            return f"00000000-0000-4000-8000-{self._ids:012}"

    def fail_next(self, name: str, times: int = 1, **how: Any) -> None:
        """Order a fault of `faults()` for the next request, or the next few; `how` is what that fault takes."""
        _known(name, how)
        with self._lock:
            self._ordered.extend([(name, how)] * times)

    def refuse(self, value: str, *, name_it: bool = True) -> None:
        """Refuse, from now on, events that hold a value in any field or property, though no known rule is broken.

        The refusal quotes field and value, unless `name_it` is false.
        """
        self._refused_values[value] = name_it

    @property
    def pending_faults(self) -> list[str]:
        """The faults that are ordered and not played yet, the next one first."""
        with self._lock:
            return [name for name, _ in self._ordered]

    def expire_tokens(self, by_status: bool = False) -> None:
        """Let every token so far expire; they are refused by HTTP 401 if `by_status`, else by a GraphQL error."""
        with self._lock:
            self._tokens.clear()
            self._denies_by_status = by_status

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one HTTP request, or play what was ordered for it; httpx calls this."""
        request.read()
        if request.url.path == httpx.URL(self.token_endpoint).path:
            return self._token_answer(request)
        # Whoever serves this sandbox to others waits for them in a way of its own, and not while holding the lock.
        wait = request.extensions.get("wait", self.clock.sleep)
        with self._lock:
            latency = self._random.uniform(*self.latency)
            name, how = self._next_fault()
        wait(latency)
        if name is None:
            return self._graphql_answer(request)
        play = Play(request, lambda: self._graphql_answer(request), self.clock, wait, self.expire_tokens)
        return FAULTS[name].play(play, **how)

    def _next_fault(self) -> tuple[str | None, dict[str, Any]]:
        if self._ordered:
            return self._ordered.popleft()
        if self.fault_rates:
            drawn = self._random.random()
            for name, rate in self.fault_rates.items():
                drawn -= rate
                if drawn < 0:
                    return name, {}
        return None, {}

    def _token_answer(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[-1] for name, values in parse_qs(request.content.decode("utf-8", "replace")).items()}
        wanted = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        with self._lock:
            self.token_requests += 1
            if form != wanted:
                return _json(401, {"error": "invalid_client", "sandbox": [_NO_TOKEN]})
            token = f"sandbox-token-{self.token_requests}"
            self._tokens[token] = self.clock.monotonic() + _TOKEN_LIFETIME
            return _json(200, {"access_token": token, "expires_in": _TOKEN_LIFETIME})

    def _graphql_answer(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            status_code, answer = self._answer(request.content) if self._admits(request.headers) else self._denial()
            body = request.content.decode("utf-8", "replace")
            self._requests.append({"body": body, "status_code": status_code, "answer": answer})
        return _json(status_code, answer)

    def _admits(self, headers: httpx.Headers) -> bool:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        target_id = headers.get("x-api-target-id") or headers.get("X-Omni-TargetId")
        return self._tokens.get(token, -1.0) > self.clock.monotonic() and target_id == self.target_id

    def _denial(self) -> tuple[int, dict[str, Any]]:
        if self._denies_by_status:
            return 401, {"message": "Unauthorized", "sandbox": [_DENIED]}
        classification = {"type": "AccessDeniedError", "errorType": "AccessDeniedException", "errorCode": 403}
        error = {
            "message": "You do not have sufficient access to perform this action.",
            "path": ["sendUserEvents"],
            "extensions": {"classification": classification, "sandbox": [_DENIED]},
        }
        return 200, {"errors": [error], "data": {"sendUserEvents": None}}

    def _answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return 400, _refused_body("The body is not JSON.")
        if not isinstance(given, dict) or not isinstance(given.get("query"), str):
            return 400, _refused_body("The body is no object with a query.")
        variables = given.get("variables") or {}
        if not isinstance(variables, dict):
            return 400, _refused_body("The variables are no object.")
        notes: list[str] = []
        result = self._execute(given["query"], variables, given.get("operationName"), notes)
        return 200, _formatted(result, notes)

    def _execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, notes: list[str]
    ) -> ExecutionResult:
        try:
            document, errors = _read(query)
        except GraphQLSyntaxError as error:
            return ExecutionResult(None, [error])
        except RecursionError:
            return ExecutionResult(None, [GraphQLSyntaxError(Source(""), 0, "The text is nested too deeply")])
        if errors:
            return ExecutionResult(None, errors)

        def resolve(_info: object, **arguments: Any) -> Any:
            return self._send_user_events(arguments["input"]["events"], notes)

        return execute_sync(
            _schema(), document, {"sendUserEvents": resolve}, variable_values=variables, operation_name=operation_name
        )

    def _send_user_events(self, events: list[dict[str, Any]], notes: list[str]) -> dict[str, str]:
        """Accept all events or none (inferred) and return the documented output."""
        found = list(_too_many(events)) + [
            issue
            for index, event in enumerate(events)
            for issue in (*_event_issues(index, event), *self._ordered_issues(event))
        ]
        if found:
            message = _issues_message([issue for issue, _ in found])
            self._rejected += [{"event": event, "reason": message} for event in events]
            labels = {label for _, label in found if label}
            labels |= {_ONE_BRACKET} if len(found) > 1 else set()
            labels |= {_WHOLE_CALL} if len(events) > 1 else set()
            raise GraphQLError(message, extensions={"classification": _validation_error(), **_labelled(labels)})
        self._keep(events, notes)
        return {"status": "successful"}

    def _ordered_issues(self, event: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the issues that `refuse` ordered."""
        if not self._refused_values:
            return
        values = {name: value for name, value in event.items() if isinstance(value, str)}
        for pair in (event.get("additionalProperties") or {}).get("additionalProperties") or ():
            values[f"additionalProperties.{pair['property']}"] = pair["value"]
        for name, value in values.items():
            if value in self._refused_values:
                named = f"{name} {value} is invalid" if self._refused_values[value] else "an event is invalid"
                yield named, _REFUSED_VALUE

    def _keep(self, events: list[dict[str, Any]], notes: list[str]) -> None:
        repeated = 0
        for event in events:
            known = event["eventId"] in self._seen
            self._seen.add(event["eventId"])
            repeated += known
            (self._duplicates if known and self.deduplicate else self._accepted).append(event)
        if repeated:
            notes.append(_DUPLICATE.format("dropped" if self.deduplicate else "kept", repeated))


def _known(name: str, how: Mapping[str, Any]) -> bool:
    """Return true for a fault's name and options, or raise `ValueError` listing those that there are."""
    if name not in FAULTS:
        raise ValueError(f"There is no fault {name!r}; there are {', '.join(FAULTS)}")
    unknown = set(how) - set(FAULTS[name].options)
    if unknown:
        options = ", ".join(FAULTS[name].options) or "no options"
        raise ValueError(f"The fault {name!r} takes {options}, not {', '.join(sorted(unknown))}")
    return True


def _json(status_code: int, answer: dict[str, Any]) -> httpx.Response:
    content = json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return httpx.Response(status_code, content=content, headers={"Content-Type": "application/json"})


@cache
def _schema() -> GraphQLSchema:
    return build_schema(schema_text())


@lru_cache(maxsize=8)
def _read(query: str) -> tuple[DocumentNode, list[GraphQLError]]:
    """Parse and validate a text; who sends events as variables sends the same one again and again."""
    document = parse(query, max_tokens=_MAX_TOKENS)
    return document, validate(_schema(), document)


@cache
def _limit(type_name: str, field: str, directive_name: str) -> dict[str, int]:
    """Return what a limiting directive of the schema says of an input's field."""
    schema = _schema()
    node = cast(GraphQLInputObjectType, schema.type_map[type_name]).fields[field].ast_node
    directive = cast(GraphQLDirective, schema.get_directive(directive_name))
    return get_directive_values(directive, cast(InputValueDefinitionNode, node)) or {}


def _event_issues(index: int, event: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield what is wrong with an event, and a label where it is not documented that it is refused in these words."""
    for field in ("eventType", "schemaName"):
        limit = _limit("UserEvent", field, "length")
        value = event.get(field)
        if value is not None and not limit["min"] <= _java_length(value) <= limit["max"]:
            path = f"/sendUserEvents/input/events[{index}]/{field}"
            yield f"{path} size must be between {limit['min']} and {limit['max']}", _SIZE
    text = event["eventTime"]
    if not _is_instant(text):
        label = None if _is_no_date_time(text) else _ZONE
        yield f"eventTime {text} is invalid local ISO 8601 UTC time format.", label


def _too_many(events: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    most = _limit("SendUserEventInput", "events", "maxItems")["max"]
    if len(events) > most:
        yield f"/sendUserEvents/input/events size must be between 0 and {most}", _SIZE


def _java_length(text: str) -> int:
    """Count as Java does: a character beyond U+FFFF is two."""
    return len(text) + sum(character > "\uffff" for character in text)


def _is_instant(text: str) -> bool:
    """Tell whether a text is a UTC date-time such as `2023-12-03T10:15:30Z`, with or without a fraction of a second."""
    whole, dot, fraction = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or (dot and not (_are_digits(fraction) and len(fraction) <= 9)):
        return False
    if len(whole) != 19 or not _are_digits(
        whole[:4] + whole[5:7] + whole[8:10] + whole[11:13] + whole[14:16] + whole[17:]
    ):
        return False
    try:
        return f"{date.fromisoformat(whole[:10])}T{time.fromisoformat(whole[11:])}" == whole
    except ValueError:
        return False


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_no_date_time(text: str) -> bool:
    """Tell whether a text is no date and time in any form, so that refusing it follows from the documentation."""
    try:
        datetime.fromisoformat(text.upper().replace(":60", ":59"))
    except ValueError:
        return True
    return len(text) <= len("2023-12-03")


def _issues_message(issues: list[str]) -> str:
    return f"Input request is not valid, the following issues were encountered: [{', '.join(issues)}]"


def _validation_error() -> dict[str, Any]:
    return {
        "type": "ValidationError",
        "code": "UnspecifiedError",
        "details": {},
        "errorType": "ValidationException",
        "errorCode": 400,
    }


def _labelled(labels: set[str]) -> dict[str, list[str]]:
    return {"sandbox": sorted(labels)} if labels else {}


def _refused_body(message: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"classification": "InvalidSyntax", "sandbox": [_BAD_BODY]}}]}


def _formatted(result: ExecutionResult, notes: list[str]) -> dict[str, Any]:
    """Return an answer in the documentation's key order: errors before data, and no data if nothing was executed."""
    if not result.errors:
        return {"data": result.data, **({"extensions": {"sandbox": notes}} if notes else {})}
    if result.data is None:
        return {"errors": [_unexecuted(error) for error in result.errors]}
    return {"errors": [error.formatted for error in result.errors], "data": result.data}


def _unexecuted(error: GraphQLError) -> dict[str, Any]:
    kind = "InvalidSyntax" if isinstance(error, GraphQLSyntaxError) else "ValidationError"
    return {**error.formatted, "extensions": {"classification": kind, "sandbox": [_UNEXECUTED]}}
