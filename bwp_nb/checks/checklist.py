"""The onboarding checklist: which documented events a client has sent, with which properties, and what was refused."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bwp_nb.checks.findings import Findings
from bwp_nb.client import Client
from bwp_nb.contract.classifications import message_of
from bwp_nb.displays.html import Shown, card, chip, document, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.displays.sources import facts
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import PROPERTY_NAMES, UserEvent
from bwp_nb.history import Exchange
from bwp_nb.mutation import Mutation
from bwp_nb.text import counted, readable, typed
from bwp_nb.wire.answer import SUCCESSFUL, errors_of, status_of

_STATES = ("sent", "unknown", "rejected", "invalid", "failed")
#: An event of a call, its state, and why it was not sent.
_End = tuple[UserEvent, str, list[str]]

_NEXT = (
    "A sent event is processed and stored within 15 minutes (documented in “Analytics Interface”). To find it, start"
    " a report of the type USER_EVENTS (“startReportTask”) and poll it (“reportTask”); no page that could be read"
    " says how the report is downloaded, or which columns it has."
)


@dataclass(frozen=True)
class Item(Shown):
    """What happened to the events of one type.

    `state` is `sent` if one of them was accepted, else the gravest state of one, or `not sent`. `events` has the number
    of events in each state, each once for each call. `properties` are the documented properties of those that were
    sent, `reasons` what was said about those that were not. `when` says when to send the event; it is empty for a type
    that is not documented.
    """

    event_type: str
    state: str
    events: dict[str, int]
    properties: list[str]
    reasons: list[str]
    when: str

    def __str__(self) -> str:
        return f"  {self.state:8}  {readable(self.event_type, 64)}"


@dataclass(frozen=True, repr=False)
class Checklist(Findings):
    """The documented event types, and the others that were sent, each with what happened to its events.

    Attributes
    ----------
    items : list of Item
        One for each event type.
    target : str
        Where they went.
    note : str
        What is missing in the numbers; empty if nothing is.
    ok : bool
        Whether an event of each documented type was accepted.
    """

    items: list[Item]
    target: str
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether an event of each documented type was accepted."""
        return all(item.state == "sent" for item in self.items if item.when)

    def save(self, path: str | Path) -> None:
        """Write the checklist as a page that needs nothing else, for example for the merchant.

        Parameters
        ----------
        path : str or Path
            The path of an `.html` file, which is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        OSError
            If the file cannot be written.
        """
        if Path(path).suffix != ".html":
            raise InvalidArgument(f"save: expected the path of an .html file, got {Path(path).name!r}")
        Path(path).write_text(document("Buy with Prime: event checklist", self._repr_html_()), "utf-8")

    def __repr__(self) -> str:
        return "\n".join(filter(None, [self._head, super().__repr__(), self.note]))

    def _repr_html_(self) -> str:
        rows = []
        for item in self.items:
            events = [f"{count} {state}" for state, count in item.events.items()]
            reasons, when = "; ".join(item.reasons), item.when or "not documented"
            rows.append((item.event_type, chip(item.state), events, item.properties, reasons, when))
        head = ("event type", "state", "events", "documented properties", "not sent because", "when to send it")
        return card(self._head, html_table(rows, head), self.note, _NEXT)

    @property
    def _head(self) -> str:
        documented = [item.state == "sent" for item in self.items if item.when]
        count = counted(len(documented), "documented event type")
        return f"{sum(documented)} of {count} sent to and accepted by: {self.target}"


def checklist(client: Client) -> Checklist:
    """Return which documented event types a client has sent, which were accepted, with what, and what was refused.

    Parameters
    ----------
    client : Client
        Its history is read; nothing is sent.

    Returns
    -------
    Checklist
        Displays itself as a table; `save("checklist.html")` writes a page for the merchant.

    Raises
    ------
    ValueError
        For something that is not a client.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> client = bwp.connect()
    >>> client.send(client.new_event("click", product_sku="example-sku"))
    Receipt(status='successful', events=1, attempts=1)
    >>> bwp.checklist(client).ok
    False
    """
    if not isinstance(client, Client):
        raise InvalidArgument(f"checklist: expected a Client, got {typed(client)}")
    when = {fact["name"]: fact["when"] for fact in facts()["event_types"]}
    ends: dict[str, list[_End]] = {name: [] for name in when}
    for exchange in client.history:
        for event in _events(exchange):
            ends.setdefault(event.event_type, []).append((event, *_end(event, exchange)))
    items = [_item(name, when.get(name, ""), found) for name, found in ends.items()]
    return Checklist(items, client.target, client.history.note)


def _item(event_type: str, when: str, ends: list[_End]) -> Item:
    counts = Counter(state for _, state, _ in ends)
    events = {state: counts[state] for state in _STATES if counts[state]}
    state = next(iter(events), "not sent")
    names = {name for event, state, _ in ends if state == "sent" for name in event.additional_properties}
    reasons = dict.fromkeys(reason for *_, reasons in ends for reason in reasons)
    return Item(event_type, state, events, [name for name in PROPERTY_NAMES if name in names], [*reasons], when)


def _events(exchange: Exchange) -> tuple[UserEvent, ...]:
    """Return the events of a call; of one that sent something else, none."""
    try:
        return Mutation.parse(json.dumps(exchange.request)).events
    except (InvalidEvent, TypeError, ValueError):
        return ()


def _end(event: UserEvent, exchange: Exchange) -> tuple[str, list[str]]:
    """Return the state of an event of a call, and why it was not sent."""
    if exchange.outcome == "invalid":  # the call was not sent because of some of its events
        problems = list(map(str, event.problems()))
        return ("invalid" if problems else "not sent"), problems
    answer = exchange.answer if isinstance(exchange.answer, dict) else {}
    messages = list(map(message_of, errors_of(answer)))
    if exchange.outcome == "answered":
        is_proof = exchange.status_code in range(200, 300) and status_of(answer) == SUCCESSFUL and not messages
        return ("sent" if is_proof else "unknown"), messages
    return exchange.outcome, [] if exchange.outcome == "sent" else messages or [exchange.message]
