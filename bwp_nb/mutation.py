"""One `sendUserEvents` request as a value: its body, its text, and parsing it back from text."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bwp_nb import contract
from bwp_nb.displays.html import Html, Listing, card, code, folded
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS, UNICODE_RULE, UserEvent
from bwp_nb.text import readable, typed

#: The largest number of events in one request (documented in “Analytics Interface”).
MAX_EVENTS = 50

#: The rule on the number of events, with its source.
COUNT_RULE = f"1 to {MAX_EVENTS} events (the maximum: documented in “Analytics Interface”; the minimum: our own rule)"

#: The GraphQL document of every request.
QUERY = contract.text_of("send_events.graphql")

_BODY = '{"query":' + json.dumps(QUERY) + ',"variables":{"input":{"events":[%s]}}}'
_NAME = re.compile("[_A-Za-z][_0-9A-Za-z]*")
_NO_ENUM_VALUE = ("true", "false", "null")


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
        given: Any = (events,) if isinstance(events, UserEvent) else events
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping) or hasattr(given, "columns"):
            raise _unexpected(given)
        object.__setattr__(self, "events", tuple(given))
        for index, event in enumerate(self.events):
            if not isinstance(event, UserEvent):
                raise _unexpected(event, index)

    @property
    def payload(self) -> dict[str, Any]:
        """The body to post: the GraphQL document, and the events as its variables."""
        return {"query": QUERY, "variables": {"input": {"events": [event.input for event in self.events]}}}

    @property
    def text(self) -> str:
        """The request as one GraphQL document in the style of the documentation, with the events as literals."""
        events = ",\n".join(_indented(_event_text(event), 3) for event in self.events)
        return (
            "mutation sendEvents {\n"
            "    sendUserEvents(input : {\n"
            f"        events:[\n{events}\n        ]\n"
            "    }\n"
            "    ) {\n"
            "        status\n"
            "    }\n"
            "}\n"
        )

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
    except UnicodeEncodeError:
        message = "contains a lone surrogate and cannot be encoded as UTF-8"
        raise InvalidEvent([Problem("text", payload["query"], UNICODE_RULE, message)]) from None
    except (TypeError, ValueError, RecursionError) as error:
        message = f"cannot be encoded as JSON: {readable(str(error), 120)}"
        raise InvalidEvent([Problem("variables", payload.get("variables"), "JSON (RFC 8259)", message)]) from None


def _event_text(event: UserEvent) -> str:
    from graphql.language.print_string import print_string

    lines = []
    for name, api_name in TEXT_FIELDS.items():
        value = getattr(event, name)
        if value is not None:
            bare = api_name == "clientType" and _NAME.fullmatch(value) and value not in _NO_ENUM_VALUE
            lines.append(f"{api_name}: {value if bare else print_string(value)}")
    if event.additional_properties:
        pairs = ",\n".join(
            f"{{\n    property: {print_string(name)},\n    value: {print_string(value)}\n}}"
            for name, value in event.additional_properties.items()
        )
        lines.append(f"additionalProperties: {{\n    additionalProperties: [\n{_indented(pairs, 2)}\n    ]\n}}")
    return "{\n" + _indented(",\n".join(lines), 1) + "\n}"


def _indented(text: str, levels: int) -> str:
    return "\n".join("    " * levels + line for line in text.split("\n"))


def _unexpected(given: Any, index: int | None = None) -> InvalidEvent:
    expected = "a UserEvent or an iterable of them" if index is None else "a UserEvent"
    got = f"{type(given).__name__}; use send_table for a table" if hasattr(given, "columns") else typed(given)
    field = "events" if index is None else f"events[{index}]"
    return InvalidEvent([Problem(field, given, expected, f"expected {expected}, got {got}")])
