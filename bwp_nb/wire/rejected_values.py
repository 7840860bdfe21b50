"""Finds the sent values that the errors of a response name.

An error has no event id, but its text quotes field and value (“sendUserEvents”: `eventTime 2023 is invalid …`). The
validation library that the API seems to use (inferred) gives the path instead: `…/events[0]/eventType size …`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bwp_nb.event import rule
from bwp_nb.problems import RejectedValue

_PATH = r"\bevents\[(?P<index>[0-9]{1,9})\][/.](?P<field>\w+)"


def rejected_values(messages: Sequence[str], events: Sequence[dict[str, Any]]) -> list[RejectedValue]:
    """Return the sent values that the messages name, in the order of the events; none if they identify no event.

    `events` are `UserEvent` inputs, by the API's names. Two events with the same rejected value are both named.
    """
    named: dict[tuple[int, str], str] = {}
    for message in messages:
        for place in _named(message, events):
            named.setdefault(place, message)
    return [
        RejectedValue(index, str(event.get("eventId")), field, str(event[field]), rule(field), named[index, field])
        for index, event in enumerate(events)
        for field in event
        if (index, field) in named
    ]


def _named(message: str, events: Sequence[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yield the event and field of each value in the text, from the left; where several values fit, the longest."""
    places: dict[str, list[tuple[int, str]]] = {}
    for index, event in enumerate(events):
        for field, value in event.items():
            if isinstance(value, str) and f"{field} {value}" in message:
                places.setdefault(f"{field} {value}", []).append((index, field))
    quotes = [re.escape(quote) for quote in sorted(places, key=len, reverse=True)]
    quoted = rf"(?<![\w/.-])(?P<quote>{'|'.join(quotes)})(?=$| is | must |, |\])|" if quotes else ""
    for match in re.finditer(quoted + _PATH, message):
        found = match.groupdict()
        if found.get("quote"):
            yield from places[found["quote"]]
        elif int(found["index"]) < len(events):
            yield int(found["index"]), found["field"]
