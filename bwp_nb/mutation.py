"""One `sendUserEvents` request as a value: its body, its inline text, and back from pasted text."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from bwp_nb import pasted
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.text import quoted

#: The most events of one call (IFACE).
MAX_EVENTS = 50

QUERY = """\
mutation sendEvents($input: SendUserEventInput!) {
    sendUserEvents(input: $input) {
        status
    }
}
"""

_BODY = '{"query":' + json.dumps(QUERY) + ',"variables":{"input":{"events":[%s]}}}'
_NAME = re.compile("[_A-Za-z][_0-9A-Za-z]*")
_NO_ENUM_VALUE = ("true", "false", "null")


@dataclass(frozen=True)
class Mutation:
    """A request for some events, in order. Whether they are valid, and how many, is looked at when it is sent."""

    events: tuple[UserEvent, ...]

    def __init__(self, events: UserEvent | Iterable[UserEvent]) -> None:
        given = (events,) if isinstance(events, UserEvent) else events
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
            raise InvalidEvent([_no_events(given)])
        object.__setattr__(self, "events", tuple(given))
        for index, event in enumerate(self.events):
            if not isinstance(event, UserEvent):
                raise InvalidEvent([_no_event(index, event)])

    @property
    def payload(self) -> dict[str, Any]:
        """The body to post: the document, and the events as its variables."""
        return {"query": QUERY, "variables": {"input": {"events": [event.input for event in self.events]}}}

    @property
    def text(self) -> str:
        """The request in the documentation's style, with the events written into the document."""
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

    @classmethod
    def parse(cls, text: str) -> "Mutation":
        """Return the request that a text holds: GraphQL with or without commas, a JSON body, a cURL line, Python code.

        Of Python it reads a call with `json=`, or each `UserEvent(…)`; nothing is run. Values are taken as they stand,
        however wrong. Raises `InvalidEvent`, saying where, for what is no
        `sendUserEvents` request or names a field that a `UserEvent` does not have.
        """
        return cls(pasted.events(text))


def body(events: Iterable[str]) -> bytes:
    """Return the body for events that are written as JSON: what `payload` holds, without making it."""
    return (_BODY % ",".join(events)).encode()


def encode_event(event: UserEvent) -> str:
    """Return an event's `input` as JSON, without making it: this is what a send spends its time on."""
    fields = [
        f'"{api_name}":{encode_basestring(value)}'
        for name, api_name in TEXT_FIELDS.items()
        if (value := getattr(event, name)) is not None
    ]
    if event.additional_properties:
        pairs = ",".join(
            f'{{"property":{encode_basestring(name)},"value":{encode_basestring(value)}}}'
            for name, value in event.additional_properties.items()
        )
        fields.append(f'"additionalProperties":{{"additionalProperties":[{pairs}]}}')
    return f"{{{','.join(fields)}}}"


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


def _no_events(given: Any) -> Problem:
    return Problem(
        "events",
        given,
        "UserEvent, or an iterable of them",
        f"{quoted(given)} is neither a UserEvent nor a list of them",
    )


def _no_event(index: int, given: Any) -> Problem:
    return Problem("events", given, "UserEvent", f"{quoted(given)} is no UserEvent", index)
