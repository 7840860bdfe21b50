"""Sends mutations, and raises or returns their outcome."""

import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from bwp_nb.displays.html import Html, card, chip, html_table
from bwp_nb.errors import BwpError, InvalidEvent, MutationRejected, RequestFailed
from bwp_nb.event import UNICODE_RULE, UserEvent, check_keywords, encode_event
from bwp_nb.history import Exchange, History
from bwp_nb.mutation import COUNT_RULE, Mutation, body, encode_payload
from bwp_nb.wire.answer import Answer, Receipt, receipt
from bwp_nb.wire.auth import TokenAuth, answered, redacted
from bwp_nb.wire.platform import Clock, fork_safe_lock
from bwp_nb.wire.retries import Retries

if TYPE_CHECKING:
    from bwp_nb.sandbox.api import Sandbox

#: The version of the API that is documented in “sendUserEvents”.
API_VERSION = "2024-11-01"

#: The retries of a client, after which failures are taken for an outage; each success returns one.
RETRY_QUOTA = 20


_Wait = Callable[[BwpError, float], None]


class Client:
    """Sends events through an httpx transport, and keeps a history of its calls. `connect` makes one.

    Threads can share a client. Close it, or use it in a `with` statement.

    Parameters
    ----------
    transport : httpx.BaseTransport
        A `Sandbox`, or a transport that reaches a server.
    endpoint : str
        The address to post to.
    auth : TokenAuth, optional
        Gets a token and signs each request with it. Default: requests are not signed.
    sandbox : Sandbox, optional
        The sandbox behind the transport, if there is one; then `client.sandbox`.
    clock : Clock, optional
        The time of `new_event`, of the history and of waits. Default: the computer's.
    new_id : callable returning str, optional
        The ids of `new_event`. Default: random UUIDs of version 4.
    retries : Retries, optional
        How often, and for how long, a send is retried. Default: `Retries()`.
    timeout : float, default 10.0
        The most seconds that one attempt takes.
    api_version : str, default "2024-11-01"
        The header `x-api-version` (documented in “Call the Buy with Prime API”).
    confirm : callable of str to bool, optional
        Called once with the endpoint, before the first send; if it returns false, nothing is sent.

    Attributes
    ----------
    history : History
        The latest calls, those included that sent nothing because a rule was broken.
    sandbox : Sandbox or None
        The simulated API: `accepted`, `fail_next()`, …
    clock : Clock
        The time of new events and of the history.
    last_error : BwpError or None
        The last error that a call raised, also after later successes; None until a call fails.
    target : str
        Where the events go: the sandbox, or an address and the target id of a store.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> with bwp.connect() as client:
    ...     client.send(client.new_event("click")).status
    'successful'
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        endpoint: str,
        *,
        auth: TokenAuth | None = None,
        sandbox: "Sandbox | None" = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
        retries: Retries | None = None,
        timeout: float = 10.0,
        api_version: str = API_VERSION,
        confirm: Callable[[str], bool] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.sandbox = sandbox
        self.clock = clock or Clock()
        self.new_id = new_id or (lambda: str(uuid.uuid4()))
        self.retries = retries or Retries()
        self.timeout = timeout
        self.history = History()
        self.last_error: BwpError | None = None
        self._retries_left = deque(range(RETRY_QUOTA), maxlen=RETRY_QUOTA)  # which threads change without a lock
        self.confirm = confirm
        self._confirming = fork_safe_lock()
        self._auth = auth
        self._transport = transport
        self._url = httpx.URL(endpoint)
        headers = {"Content-Type": "application/json", "Accept": "*/*", "Accept-Encoding": "identity"}
        headers |= {"User-Agent": f"bwp_nb python-httpx/{httpx.__version__}", "x-api-version": api_version}
        self._headers = httpx.Headers(headers)

    def __repr__(self) -> str:
        return "Client(sandbox)" if self.sandbox is not None else f"Client(live, {self.endpoint})"

    def _repr_html_(self) -> str:
        """Return where the client points, and its latest calls."""
        target = ("live", self.target) if self.sandbox is None else ("sandbox", "the API, simulated in this process")
        return card(html_table([[chip(target[0]), target[1]]]), Html(self.history._repr_html_()))

    @property
    def target(self) -> str:
        """Where the events go: the sandbox, or an address and the target id of a store."""
        if self.sandbox is not None:
            return "sandbox"
        return self.endpoint if self._auth is None else f"{self.endpoint} for the store {self._auth.target_id}"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def new_event(
        self,
        event_type: str,
        *,
        event_id: str | None = None,
        event_time: str | datetime | None = None,
        client_type: str = "WEBSITE_CLIENT",
        client_version: str = "1.0",
        schema_name: str | None = None,
        schema_version: str | None = None,
        additional_properties: Mapping[str, str] | None = None,
        **properties: str,
    ) -> UserEvent:
        """Return an event with a new id and the current time of the client's clock.

        Parameters
        ----------
        event_type : str
            One of `bwp.EVENT_TYPES`, or another text of 3 to 64 characters.
        event_id : str, optional
            The id. Default: a new one; of a sandbox, one that counts up.
        event_time : str or aware datetime, optional
            When it happened, in UTC. Default: now.
        client_type : str, default "WEBSITE_CLIENT"
            `WEBSITE_CLIENT` or `SERVER_CLIENT` (documented in “User Event Schema”).
        client_version : str, default "1.0"
            The version of the client that sends the event.
        schema_name, schema_version : str, optional
            The schema that the event conforms to. Default: none is sent; the API then takes a schema with all
            attributes, in its latest version (documented in “User Event Schema”).
        additional_properties : mapping of str to str, optional
            Additional properties, also with names that Python has no keyword for, or that are nearly a field's.
        **properties : str
            Every other keyword becomes an additional property, by the name that is given.

        Returns
        -------
        UserEvent
            The event. It is not checked; `problems()` checks it, and so does `send`.

        Raises
        ------
        InvalidEvent
            If a value is not a str, or a keyword is nearly the name of a field.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> bwp.connect().new_event("page-load", current_url="https://example.com").additional_properties["current_url"]
        'https://example.com'
        """
        check_keywords(properties)
        event_id = self.new_id() if event_id is None else event_id
        event_time = self.clock.now() if event_time is None else event_time
        fields = (event_type, event_id, event_time, client_type, client_version, schema_name, schema_version)
        return UserEvent(*fields, additional_properties={**(additional_properties or {}), **properties})

    def send(self, events: UserEvent | Iterable[UserEvent] | Mutation, *, check: bool = True) -> Receipt:
        """Send one event, or up to 50, in one request, and retry it with the same ids where that may help.

        Parameters
        ----------
        events : UserEvent, iterable of UserEvent, or Mutation
            What to send: 1 to 50 events (the maximum is documented in “Analytics Interface”). For a table use
            `send_table`.
        check : bool, default True
            Whether to refuse events that break a rule. With `False` they are sent, to see the API's response.

        Returns
        -------
        Receipt
            The proof that all events of the request were accepted.

        Raises
        ------
        InvalidEvent
            If an event breaks a rule, or something is not a `UserEvent`; nothing was sent.
        InvalidSettings
            If a proxy variable, such as `HTTPS_PROXY`, is not an address; nothing was sent.
        RequestFailed
            If no GraphQL response came back, or the send was not confirmed.
        MutationRejected
            If the API answered with errors; `error.states` has the state of each event.
        OutcomeUnknown
            If the response proves neither success nor failure.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> client = bwp.connect()
        >>> client.send([client.new_event("click"), client.new_event("page-load")])
        Receipt(status='successful', events=2, attempts=1)
        """
        mutation = events if isinstance(events, Mutation) else Mutation(events)
        return self._send(mutation, "send", check)

    def resend(self, exchange: Exchange, *, new_ids: bool = False) -> Receipt:
        """Send the events of an exchange again, unchecked.

        In the history the operation is `resend` or `resend with new ids`.

        Parameters
        ----------
        exchange : Exchange
            A call of this or another client, such as `client.history[-1]`.
        new_ids : bool, default False
            Whether the events get new ids. Use it only if the first send is known to have failed: with the same ids the
            API can recognise a repetition (whether it does is unknown).

        Returns
        -------
        Receipt
            The proof that all events of the request were accepted.

        Raises
        ------
        InvalidEvent
            If the exchange contains no events that can be read.
        RequestFailed, MutationRejected, OutcomeUnknown
            As `send` does.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> client = bwp.connect()
        >>> receipt = client.send(client.new_event("click"))
        >>> client.resend(client.history[-1], new_ids=True)
        Receipt(status='successful', events=1, attempts=1)
        """
        events = Mutation.parse(json.dumps(exchange.request)).events
        if new_ids:
            events = tuple(replace(event, event_id=self.new_id()) for event in events)
        return self._send(Mutation(events), "resend with new ids" if new_ids else "resend", check=False)

    def execute(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a GraphQL text once, unchanged, and return the JSON of the response.

        Nothing is checked or retried.

        Parameters
        ----------
        query : str
            The GraphQL document.
        variables : dict, optional
            Its variables; anything that JSON can represent.

        Returns
        -------
        dict
            The response as it came, with `data`, `errors` or both.

        Raises
        ------
        InvalidEvent
            If query or variables cannot be encoded as JSON; nothing was sent.
        RequestFailed
            If no GraphQL response came back.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> bwp.connect().execute("{ __typename }")["data"]
        {'__typename': 'Query'}
        """
        payload: dict[str, Any] = {"query": query} | ({} if variables is None else {"variables": variables})
        kept = query if isinstance(query, str) else type(query).__name__  # the arguments may be anything
        with self._call("execute", unwritten=lambda: {"query": kept}) as call:
            call.body = encode_payload(payload)
            given = self._attempt(call, self.timeout).json()
            call.outcome = "answered"
        return given

    def _deliver(self, content: bytes, events: int, wait: "_Wait") -> Receipt:
        """Post a body with a number of checked events, as `send` does: `send_table` encodes its own.

        `wait` is called with an error and the seconds until the next attempt, instead of the clock's `sleep`; an error
        that it raises ends the call.
        """
        with self._call("send_table", events=events, body=content) as call:
            return self._attempts(call, wait)

    def _send(self, mutation: Mutation, operation: str, check: bool) -> Receipt:
        with self._call(operation, events=len(mutation.events), unwritten=lambda: mutation.payload) as call:
            _refuse(mutation, check)
            call.body = body(map(encode_event, mutation.events))
            return self._attempts(call)

    @contextmanager
    def _call(
        self, operation: str, events: int = 0, body: bytes = b"", unwritten: Callable[[], dict[str, Any]] = dict
    ) -> Iterator["_Call"]:
        """Make a call, which goes into the history however it ends, and remember its error."""
        call = _Call(operation, self.clock, events, body, unwritten)
        try:
            yield call
        except BwpError as error:
            call.error = self.last_error = error
            if isinstance(error, InvalidEvent):
                error.is_unsent = True
            raise
        finally:
            self.history.add(call.exchange())

    def _attempts(self, call: "_Call", wait: "_Wait | None" = None) -> Receipt:
        """Make as many attempts as the policy allows; return the receipt or raise the last error."""
        while True:
            try:
                return self._judged(call)
            except BwpError as error:
                seconds = self._retried_after(call, error)
                failed = error
            try:
                wait(failed, seconds) if wait else self.clock.sleep(seconds)
            except BaseException:
                self._retries_left.append(0)
                raise

    def _retried_after(self, call: "_Call", error: BwpError) -> float:
        """Take a retry and return the seconds to wait before it; raise the error, with the reason, if none follows."""
        if not error.retryable:
            raise error
        seconds, left = self.retries.wait(call.attempts, error), self.retries.deadline - call.elapsed
        error.stop_reason = self.retries.stop_reason(call.attempts, error, seconds, left, self.clock.now())
        if error.stop_reason:
            raise error
        try:
            self._retries_left.pop()
        except IndexError:
            used_up = f"this client has used all of its {RETRY_QUOTA} retries, and gets one back with each success"
            error.stop_reason = f"Not tried again: {used_up}. "
            raise error from None
        return seconds

    def _judged(self, call: "_Call") -> Receipt:
        """Make one attempt; return its receipt or raise its error, with what is known of earlier attempts."""
        seconds = max(0.1, min(self.timeout, self.retries.deadline - call.elapsed))
        try:
            found = receipt(self._attempt(call, seconds), call.events, call.inputs)
        except BwpError as error:
            is_lost = error.may_have_arrived
            if call.copies:
                error.follow_lost_attempt()
            call.copies += is_lost
            error.copies = call.copies if error.may_have_arrived else 0
            error.attempts = call.attempts
            if call.answer is not None and error.retry_after is None:
                error.retry_after = call.answer.retry_after(self.clock.now())
            raise
        call.outcome = found.state
        self._retries_left.append(0)
        return replace(found, attempts=call.attempts, copies=call.copies + 1, elapsed=call.elapsed)

    def _attempt(self, call: "_Call", seconds: float) -> Answer:
        """Post a body once; a second time, with a new token, if the token was refused."""
        self._confirm()
        call.attempts += 1
        call.answer = None
        extensions = {"timeout": httpx.Timeout(seconds).as_dict(), "deadline": time.monotonic() + seconds}
        request = httpx.Request("POST", self._url, headers=self._headers, content=call.body, extensions=extensions)
        call.answer = self._post(request)
        if self._auth is not None and call.answer.is_denied:
            self._auth.forget(request)
            call.answer = self._post(request)
        return call.answer

    def _confirm(self) -> None:
        """Ask once whether to send at all; if not, raise `RequestFailed`, and ask again before the next send."""
        with self._confirming:
            if self.confirm is not None and not self.confirm(self.endpoint):
                raise RequestFailed(f"Sending to {self.endpoint} was not confirmed.")
            self.confirm = None

    def _post(self, request: httpx.Request) -> Answer:
        """Post a request through the transport: httpx.Client doubles the cost, for redirects and cookies."""
        if self._auth is None:
            return answered(self._transport, request, ())
        self._auth.sign(request)
        answer = answered(self._transport, request, self._auth.secrets)
        return redacted(answer, self._auth.secrets)


@dataclass
class _Call:
    """What is known of a call while it is in progress."""

    operation: str
    clock: Clock
    events: int = 0
    body: bytes = b""
    unwritten: Callable[[], dict[str, Any]] = dict
    attempts: int = 0
    outcome: str = "unknown"
    copies: int = 0
    answer: Answer | None = None
    error: BwpError | None = None

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()
        self.time = self.clock.now().isoformat(timespec="milliseconds")

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.clock.monotonic() - self.started

    def inputs(self) -> list[dict[str, Any]]:
        """Return the events in the body, for a response with errors."""
        return list(json.loads(self.body)["variables"]["input"]["events"])

    def exchange(self) -> Exchange:
        """Return the call as a row of the history."""
        error = self.error
        kind = error.classifications[0].name if isinstance(error, MutationRejected) else type(error).__name__
        return Exchange(
            time=self.time,
            operation=self.operation,
            events=self.events,
            attempts=self.attempts,
            outcome=error.state if error else self.outcome,
            classification=kind if error else "",
            fields=tuple(dict.fromkeys(row["field"] for row in error.rows() if row["field"])) if error else (),
            status_code=getattr(self.answer or error, "status_code", None),
            elapsed=self.elapsed,
            bytes_sent=len(self.body) if self.attempts else 0,
            bytes_received=len(self.answer.content) if self.answer else 0,
            message=str(error) if error else "",
            sent=self.body or json.dumps(self.unwritten()).encode(),
            received=self.answer.content if self.answer else None,
        )


def _refuse(mutation: Mutation, check: bool) -> None:
    """Raise `InvalidEvent` for the rules that a request breaks; unchecked, only for those that cannot be broken."""
    problems = mutation.problems()
    refused = problems if check else [problem for problem in problems if problem.rule in (COUNT_RULE, UNICODE_RULE)]
    if refused:
        raise InvalidEvent(refused)
