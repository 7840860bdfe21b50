"""The onboarding checklist: which documented events a client has sent, with which properties, and what was refused."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bwp_nb.client import Client
from bwp_nb.contract.classifications import message_of
from bwp_nb.displays.frames import frame
from bwp_nb.displays.html import Shown, card, chip, document, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.displays.sources import facts
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import PROPERTY_NAMES, UserEvent
from bwp_nb.history import Exchange
from bwp_nb.mutation import Mutation
from bwp_nb.text import counted, readable, typed
from bwp_nb.wire.answer import SUCCESSFUL, errors_of, status_of

if TYPE_CHECKING:
    import pandas as pd

_STATES = ("sent", "unknown", "rejected", "invalid", "failed")
_NEXT = (
    "A sent event is processed and stored within 15 minutes (documented in “Analytics Interface”). To find it, start"
    " a report of the type USER_EVENTS (“startReportTask”) and poll it (“reportTask”); no page that could be read"
    " says how the report is downloaded, or which columns it has."
)


@dataclass
class Item(Shown):
    """What happened to the events of one type.

    `counts` has the number of events by their state, each once for each call. `properties` are the documented
    properties of those that were sent, `reasons` what was said about those that were not.
    """

    event_type: str
    when: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    properties: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """`sent` if an event of this type was accepted, else the gravest state of one, or `not sent`."""
        return next((state for state in _STATES if self.counts[state]), "not sent")

    @property
    def is_documented(self) -> bool:
        """Whether this is an event type of the documentation."""
        return bool(self.when)

    def add(self, event: UserEvent, exchange: Exchange) -> None:
        """Count an event of a call."""
        state, reasons = _end(event, exchange)
        self.counts[state] += state in _STATES
        self.reasons += [reason for reason in reasons if reason not in self.reasons]
        names = event.additional_properties if state == "sent" else ()
        self.properties += [name for name in PROPERTY_NAMES if name in names and name not in self.properties]


@dataclass(frozen=True)
class Checklist:
    """The documented event types, and the others that were sent, each with what happened to its events.

    Attributes
    ----------
    target : str
        Where they went.
    items : list of Item
        One for each event type.
    note : str
        What is missing in the numbers; empty if nothing is.
    ok : bool
        Whether an event of each documented type was accepted.
    """

    target: str
    items: list[Item]
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether an event of each documented type was accepted."""
        return all(item.state == "sent" for item in self.items if item.is_documented)

    def frame(self) -> "pd.DataFrame":
        """Return one row for each event type."""
        return frame({"state": item.state, **vars(item)} for item in self.items).drop(columns="when")

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
        lines = [f"  {item.state:8}  {readable(item.event_type, 64)}" for item in self.items]
        return "\n".join([self._head, *lines, *filter(None, [self.note])])

    def _repr_html_(self) -> str:
        rows = [
            (
                item.event_type if item.is_documented else f"{item.event_type} (not documented)",
                chip(item.state),
                ", ".join(f"{count} {state}" for state, count in item.counts.items() if count),
                ", ".join(item.properties),
                "; ".join(item.reasons),
                item.when,
            )
            for item in self.items
        ]
        head = ("event type", "state", "events", "documented properties", "not sent because", "when to send it")
        return card(self._head, html_table(rows, head), self.note, _NEXT)

    @property
    def _head(self) -> str:
        documented = [item for item in self.items if item.is_documented]
        sent = sum(item.state == "sent" for item in documented)
        return f"{sent} of {counted(len(documented), 'documented event type')} sent to and accepted by: {self.target}"


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
    items = {fact["name"]: Item(fact["name"], fact["when"]) for fact in facts()["event_types"]}
    for exchange in client.history:
        for event in _events(exchange):
            items.setdefault(event.event_type, Item(event.event_type)).add(event, exchange)
    return Checklist(client.target, list(items.values()), client.history.note)


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
