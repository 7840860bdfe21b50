"""One `sendUserEvents` request as a value: its body, its text, and parsing it back from text."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bwp_nb import contract
from bwp_nb.displays.html import Html, Listing, card, code, folded
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import UserEvent
from bwp_nb.text import readable, typed

#: The largest number of events in one request (documented in “Analytics Interface”).
MAX_EVENTS = 50

#: The rule on the number of events, with its source.
COUNT_RULE = f"1 to {MAX_EVENTS} events (the maximum: documented in “Analytics Interface”; the minimum: our own rule)"

#: The GraphQL document of every request.
QUERY = contract.text_of("send_events.graphql")

_BODY = '{"query":' + json.dumps(QUERY) + ',"variables":{"input":{"events":[%s]}}}'
_TEXT = """\
mutation sendEvents {
    sendUserEvents(input : {
        events:%s
    }
    ) {
        status
    }
}
"""
_ENUM_VALUE = re.compile("(?!(?:true|false|null)$)[_A-Za-z][_0-9A-Za-z]*")


@dataclass(frozen=True)
class Mutation:
    """A request with some events, in order, as a value. It is checked when it is sent; `problems()` checks it before.

    Parameters
    ----------
    events : UserEvent or iterable of UserEvent
        The events of the request.

    Raises
    ------
    InvalidEvent
        If something else is given.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> mutation = bwp.Mutation(bwp.connect().new_event("click"))
    >>> bwp.Mutation.parse(mutation.text) == mutation
    True
    """

    events: tuple[UserEvent, ...]

    def __init__(self, events: UserEvent | Iterable[UserEvent]) -> None:
        given: Any = events
        is_one = isinstance(given, str | bytes | Mapping) or hasattr(given, "columns")
        is_many = isinstance(given, Iterable) and not is_one
        object.__setattr__(self, "events", tuple(given if is_many else (given,)))
        for index, event in enumerate(self.events):
            if not isinstance(event, UserEvent):
                is_table = hasattr(event, "columns")
                got = f"a {type(event).__name__}; use send_table for a table" if is_table else typed(event)
                message = f"expected a UserEvent, got {got}"
                raise InvalidEvent([Problem(f"events[{index}]", event, "a UserEvent", message)])

    @property
    def payload(self) -> dict[str, Any]:
        """The body to post: the GraphQL document, and the events as its variables."""
        return {"query": QUERY, "variables": {"input": {"events": [event.input for event in self.events]}}}

    @property
    def text(self) -> str:
        """The request as one GraphQL document in the style of the documentation, with the events as literals."""
        return _TEXT % _literal([event.input for event in self.events]).replace("\n", "\n        ")

    def _repr_html_(self) -> str:
        """Return the request as highlighted GraphQL, with its problems, and the JSON body to unfold."""
        problems = self.problems()
        found = Html(problems._repr_html_() if problems else "")
        body = folded("The body to post, as JSON", code(self.payload, "json"))
        return card(code(self.text, "graphql"), found, body)

    def problems(self) -> Listing[Problem]:
        """Return the rules that the request breaks.

        Returns
        -------
        list of Problem
            The problems of all events, each with the position of its event as `index`; or one, if there are not 1 to 50
            events.
        """
        count = len(self.events)
        if not 1 <= count <= MAX_EVENTS:
            message = f"expected 1 to {MAX_EVENTS} events, got {count}"
            return Listing([Problem("events", count, COUNT_RULE, message)], "problem")
        found = enumerate(event.problems() for event in self.events)
        return Listing([replace(one, index=index) for index, problems in found for one in problems], "problem")

    @classmethod
    def parse(cls, text: str) -> "Mutation":
        """Return the request in a text. Values are not checked, and nothing is run.

        Parameters
        ----------
        text : str
            GraphQL with or without commas, a JSON body, a cURL command, or Python code: a call with `json=`, or one or
            more `UserEvent(…)`.

        Returns
        -------
        Mutation
            The request with the events of the text.

        Raises
        ------
        InvalidEvent
            For any other text, and for fields that a `UserEvent` does not have.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> len(bwp.Mutation.parse(bwp.documented.PAGE_LOAD.request).events)
        1
        """
        from bwp_nb import pasted

        return cls(pasted.events(text))


def body(events: Iterable[str]) -> bytes:
    """Return the body for events that are encoded as JSON: the same as `payload`, faster."""
    return (_BODY % ",".join(events)).encode()


def encode_payload(payload: dict[str, Any]) -> bytes:
    """Return a body as JSON in UTF-8, or raise `InvalidEvent`: the arguments of `execute` may be anything."""
    try:
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        message = f"cannot be encoded as JSON in UTF-8: {readable(str(error), 120)}"
        raise InvalidEvent([Problem("query and variables", payload, "JSON (RFC 8259)", message)]) from None


def _literal(value: Any, field: str = "") -> str:
    """Return a value as GraphQL, in the layout of the documentation."""
    from graphql.language.print_string import print_string

    if isinstance(value, str):
        return value if field == "clientType" and _ENUM_VALUE.fullmatch(value) else print_string(value)
    if isinstance(value, dict):
        return "{" + _lines(f"{name}: {_literal(item, name)}" for name, item in value.items()) + "}"
    return "[" + _lines(map(_literal, value)) + "]"


def _lines(parts: Iterable[str]) -> str:
    """Return the parts of a literal on lines of their own, between its brackets."""
    return "\n    " + ",\n".join(parts).replace("\n", "\n    ") + "\n"
