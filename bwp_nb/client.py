"""Sends mutations and tells what became of them: the only module that talks to a network."""

import json
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from bwp_nb.blame import blame
from bwp_nb.errors import InvalidEvent, MutationRejected, Problem, RequestFailed, quoted, readable
from bwp_nb.event import UNICODE_RULE, UserEvent
from bwp_nb.mutation import MAX_EVENTS, Mutation

if TYPE_CHECKING:
    from bwp_nb.sandbox import Sandbox

#: The date that names the API's version (MUT).
API_VERSION = "2024-11-01"

#: The only status that is documented (MUT).
SUCCESSFUL = "successful"

_TIMEOUT = 10.0
_COUNT_RULE = f"1 to {MAX_EVENTS} events a call (the most: documented, IFACE; that none is refused: our own rule)"
_ALWAYS_REFUSED = (_COUNT_RULE, UNICODE_RULE)


class Clock(Protocol):
    """What a client reads the time from."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()


@dataclass(frozen=True)
class Receipt:
    """Proof that a mutation was accepted: the answer held a status and no error.

    `events` is their number, `elapsed` is in seconds. `warnings` are messages of errors that came beside a status.
    `notes` is what the sandbox says of its own answer: what is inferred in it, what unknown.
    """

    state = "sent"

    status: str
    events: int
    attempts: int = 1
    elapsed: float = field(default=0.0, repr=False, compare=False)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = {"status": self.status, "events": self.events, "attempts": self.attempts}
        shown |= {name: value for name in ("warnings", "notes") if (value := getattr(self, name))}
        return f"Receipt({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Client:
    """Sends events through one httpx transport: a `Sandbox`, or one that reaches a server.

    `clock` and `new_id` give `new_event` its times and ids. Close it, or use it in a `with` statement.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        endpoint: str,
        *,
        sandbox: "Sandbox | None" = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.sandbox = sandbox
        self.clock = clock or SystemClock()
        self.new_id = new_id or (lambda: str(uuid.uuid4()))
        headers = {"Content-Type": "application/json", "x-api-version": API_VERSION}
        self._http = httpx.Client(transport=transport, headers=headers, timeout=_TIMEOUT, follow_redirects=False)

    def __repr__(self) -> str:
        return "Client(sandbox)" if self.sandbox is not None else f"Client(live, {self.endpoint})"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def new_event(
        self,
        event_type: str,
        *,
        client_type: str = "WEBSITE_CLIENT",
        client_version: str = "1.0",
        schema_name: str | None = None,
        schema_version: str | None = None,
        **additional_properties: str,
    ) -> UserEvent:
        """Return an event that happened now, with a new id; further keywords are its additional properties."""
        return UserEvent(
            event_type=event_type,
            event_id=self.new_id(),
            event_time=self.clock.now(),
            client_type=client_type,
            client_version=client_version,
            schema_name=schema_name,
            schema_version=schema_version,
            additional_properties=additional_properties,
        )

    def send(self, events: UserEvent | Iterable[UserEvent] | Mutation, *, check: bool = True) -> Receipt:
        """Send one event, or up to 50, in one request.

        With `check=False` what our own checks hold against them is let through, to see what the API says. Raises
        `InvalidEvent`, `RequestFailed` or `MutationRejected`.
        """
        mutation = events if isinstance(events, Mutation) else Mutation(events)
        problems = _problems(mutation)
        refused = problems if check else [problem for problem in problems if problem.rule in _ALWAYS_REFUSED]
        if refused:
            raise InvalidEvent(refused)
        started = self.clock.monotonic()
        response = self._post(_encoded(mutation.payload))
        receipt = _receipt(response, mutation)
        return replace(receipt, elapsed=self.clock.monotonic() - started)

    def execute(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a GraphQL text as it stands and return the answer as it came, errors and all.

        Nothing is checked or judged. Raises `RequestFailed` if what comes back is no JSON object.
        """
        payload = {"query": query} if variables is None else {"query": query, "variables": variables}
        return _answer(self._post(_encoded(payload)))

    def _post(self, body: bytes) -> httpx.Response:
        try:
            return self._http.post(self.endpoint, content=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RequestFailed(f"No connection to {self.endpoint}: {_said(error)}.", retryable=True) from error
        except httpx.RequestError as error:
            message = f"The answer of {self.endpoint} was lost: {_said(error)}."
            raise RequestFailed(message, retryable=True, may_have_arrived=True) from error


def connect(sandbox: "Sandbox | None" = None) -> Client:
    """Return a client of the given sandbox, or of a new one."""
    from bwp_nb.sandbox import Sandbox

    sandbox = sandbox or Sandbox()
    return Client(sandbox, sandbox.endpoint, sandbox=sandbox, clock=sandbox.clock, new_id=sandbox.new_id)


def _problems(mutation: Mutation) -> list[Problem]:
    """Return what our own checks hold against a request; each problem tells the event's place in it."""
    count = len(mutation.events)
    if not 1 <= count <= MAX_EVENTS:
        message = f"one call takes 1 to {MAX_EVENTS} events, and here are {count}"
        return [Problem("events", count, _COUNT_RULE, message)]
    found = enumerate(event.problems() for event in mutation.events)
    return [replace(problem, index=index) for index, problems in found for problem in problems]


def _encoded(payload: dict[str, Any]) -> bytes:
    try:
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        message = "holds half a surrogate pair, which no request can carry"
        raise InvalidEvent([Problem("text", payload["query"], UNICODE_RULE, message)]) from None


def _receipt(response: httpx.Response, mutation: Mutation) -> Receipt:
    """Return the receipt that an answer is, or raise what it is instead."""
    answer = _answer(response)
    errors = [error if isinstance(error, dict) else {"message": str(error)} for error in answer.get("errors") or ()]
    status = _status(answer)
    if status is not None and (not errors or status == SUCCESSFUL):
        return Receipt(status, len(mutation.events), warnings=_messages(errors), notes=_notes(answer))
    if status is not None:
        message = f"The answer holds the status {quoted(status)} and errors: {readable('; '.join(_messages(errors)))}."
        raise RequestFailed(message, status_code=response.status_code, may_have_arrived=True)
    if errors:
        inputs = [event.input for event in mutation.events]
        raise MutationRejected(errors, blame(_messages(errors), inputs))
    raise _no_answer(response, "JSON without data.sendUserEvents.status and without errors")


def _answer(response: httpx.Response) -> dict[str, Any]:
    """Return a response's JSON object, or raise `RequestFailed` saying what came instead."""
    if response.is_redirect:
        target = readable(response.headers.get("location", "nowhere"), 200)
        message = f"The server wants to redirect to {target}, which is not followed."
        raise RequestFailed(message, status_code=response.status_code)
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
        raise _no_answer(response, f"{_media_type(response)}: {readable(response.text.strip(), 120)}")
    return answer


def _no_answer(response: httpx.Response, what: str) -> RequestFailed:
    """Return the error for a response that is no GraphQL answer; an error status below 500 means a refusal."""
    code = response.status_code
    return RequestFailed(
        f"HTTP {code} came with no GraphQL answer, but with {what}.",
        status_code=code,
        retryable=code == 429 or code >= 500,
        may_have_arrived=code < 300 or code >= 500,
    )


def _media_type(response: httpx.Response) -> str:
    return readable(response.headers.get("content-type", "no content type").partition(";")[0], 60)


def _status(answer: dict[str, Any]) -> str | None:
    data = answer.get("data")
    output = data.get("sendUserEvents") if isinstance(data, dict) else None
    status = output.get("status") if isinstance(output, dict) else None
    return status if isinstance(status, str) else None


def _messages(errors: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(error.get("message", error)) for error in errors)


def _notes(answer: dict[str, Any]) -> tuple[str, ...]:
    extensions = answer.get("extensions")
    notes = extensions.get("sandbox") if isinstance(extensions, dict) else None
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


def _said(error: httpx.RequestError) -> str:
    return readable(f"{type(error).__name__} {error}".strip(), 200)
