"""The documented API, played in this process: an httpx transport that answers as the documentation prints.

It is a second reading of the documentation: it shares `schema.graphql` with the rest of the package, and no code. Where
it had to infer, it says so under `extensions.sandbox` of the answer or of the error.
"""

import json
import threading
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, cast

import httpx
from graphql import (
    ExecutionResult,
    GraphQLDirective,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    GraphQLSyntaxError,
    InputValueDefinitionNode,
    build_schema,
    execute_sync,
    get_directive_values,
    parse,
    validate,
)

#: A host that can never exist (RFC 2606), so that nothing meant for the sandbox reaches a real one.
ENDPOINT = "https://sandbox.invalid/graphql"

_START = datetime(2024, 11, 22, 9, tzinfo=UTC)
_MAX_TOKENS = 200_000

_WHOLE_CALL = "inferred: that one bad event refuses the whole call; no page shows it"
_ONE_BRACKET = "inferred: that several issues stand in one bracket, separated by commas; no page shows it"
_SIZE = "inferred: the wording of a size limit, from the validation library that the API seems to use"
_ZONE = "inferred: that a date-time is refused unless it is in UTC and ends in Z; only the text `2023` is documented"
_UNEXECUTED = (
    "inferred: a request that does not fit the schema is answered without data, its classification a plain text"
)
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
    does is unknown. `latency` is the seconds that pass on its clock for each answer.
    """

    endpoint = ENDPOINT

    def __init__(self, *, deduplicate: bool = False, latency: float = 0.1) -> None:
        self.deduplicate = deduplicate
        self.latency = latency
        self.clock = SandboxClock()
        self._lock = threading.RLock()
        self.reset()

    def __repr__(self) -> str:
        return (
            f"Sandbox(accepted={len(self._accepted)}, rejected={len(self._rejected)}, requests={len(self._requests)})"
        )

    def reset(self) -> None:
        """Forget all that arrived, and begin again at the fixed instant with the first id."""
        with self._lock:
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

    def new_id(self) -> str:
        """Return the next id: a version 4 UUID that counts."""
        with self._lock:
            self._ids += 1
            return f"00000000-0000-4000-8000-{self._ids:012}"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one HTTP request; httpx calls this."""
        body = request.read()
        with self._lock:
            self.clock.sleep(self.latency)
            status_code, answer = self._answer(body)
            self._requests.append(
                {"body": body.decode("utf-8", "replace"), "status_code": status_code, "answer": answer}
            )
        content = json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return httpx.Response(status_code, content=content, headers={"Content-Type": "application/json"})

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
            document = parse(query, max_tokens=_MAX_TOKENS)
        except GraphQLSyntaxError as error:
            return ExecutionResult(None, [error])
        errors = validate(_schema(), document)
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
            (issue, label) for index, event in enumerate(events) for issue, label in _event_issues(index, event)
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

    def _keep(self, events: list[dict[str, Any]], notes: list[str]) -> None:
        repeated = 0
        for event in events:
            known = event["eventId"] in self._seen
            self._seen.add(event["eventId"])
            repeated += known
            (self._duplicates if known and self.deduplicate else self._accepted).append(event)
        if repeated:
            notes.append(_DUPLICATE.format("dropped" if self.deduplicate else "kept", repeated))


@cache
def _schema() -> GraphQLSchema:
    return build_schema(files("bwp_nb").joinpath("schema.graphql").read_text("utf-8"))


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
    """Tell whether a text is no date and time in any zone, so that refusing it follows from the documentation."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return True
    return "T" not in text.upper()


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
