"""Hints: what in an event is probably a mistake although no check refuses it. No hint keeps an event from a send."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from bwp_nb.contract import EVENT_TYPES, PROPERTY_NAMES
from bwp_nb.displays.html import Html, Shown, chip, text
from bwp_nb.text import quoted

#: Times before the first version of the API are long ago.
FIRST_VERSION = "2024-01-01"

_SCHEMA = "“User Event Schema”"
_PRIVACY = "our own advice; which data may be sent is a matter of your agreement and the law"
_SKEW = timedelta(minutes=5)
_UUID4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,64}\.[\w.-]{2,64}", re.IGNORECASE)
_SIGNS = re.compile(r"[?&#;@]|%40|\bey[\w-]{10}")  # without which there is neither an address nor a token
_TOKEN = re.compile(
    r"[?&#;](?:[\w-]{0,40}token|auth\w{0,20}|session\w{0,20}|sid|jwt|pass\w{0,8}|pwd|secret|api_?key|signature)=[^&\s]"
    r"|\bey[\w-]{10,}\.ey[\w-]{10,}|://[^/\s:@]{1,100}:[^/\s@]{1,100}@",
    re.IGNORECASE,
)


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


@dataclass(frozen=True)
class Hint(Shown):
    """What is probably a mistake in an event, but not refused.

    Attributes
    ----------
    field : str
        The API's name of the field, or `additionalProperties[name]`.
    value : str
        The value.
    message : str
        What is probably wrong, and what to do.
    certainty : str
        How sure the statement behind the hint is: `documented`, `inferred` or `unknown`.
    source : str
        Where the statement comes from.
    """

    field: str
    value: str
    message: str
    certainty: str
    source: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message} ({self.certainty}; {self.source})"

    @property
    def shown(self) -> Html:
        """The hint as HTML, without its field."""
        return Html(f"{chip('hint')} {text(self.message)} ({self.certainty}; {text(self.source)})")


def hints(fields: Mapping[str, str | None], properties: Mapping[str, str], now: datetime | None = None) -> list[Hint]:
    """Return the hints on an event, or on what is given of it: its fields by the API's names, and its properties.

    `now` is the time against which event times are compared, by default that of this computer.
    """
    found = [*_type(fields.get("eventType")), *_id(fields.get("eventId")), *_client_type(fields.get("clientType"))]
    found += _time(fields.get("eventTime") or "", now)
    for name in properties:
        found += _name(name, properties)
    if _SIGNS.search("\n".join(properties.values())):
        found += [hint for name, value in properties.items() for hint in _private(property_place(name), value)]
    return found


def property_place(name: str) -> str:
    """Return the place of a property as problems and hints name it."""
    return f"additionalProperties[{name!a:.80}]"


def _type(value: str | None) -> Iterator[Hint]:
    if value is not None and value not in EVENT_TYPES:
        near = get_close_matches(value.lower().replace("_", "-"), EVENT_TYPES, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"they are {', '.join(EVENT_TYPES)}"
        message = f"{quoted(value)} is not a documented event type; {meant}"
        yield Hint("eventType", value, message, "documented", f"{_SCHEMA}; whether others are refused is unknown")


def _id(value: str | None) -> Iterator[Hint]:
    if value is not None and not _UUID4.fullmatch(value):
        message = f"{quoted(value)} is not a UUID version 4"
        yield Hint("eventId", value, message, "documented", f"{_SCHEMA}; “Send User Events” prints one that is not")
        yield from _private("eventId", value)


def _client_type(value: str | None) -> Iterator[Hint]:
    if value == "WEBSITE_CLIENT":
        message = "if a server sends this event and not the shopper's browser, SERVER_CLIENT is meant"
        source = "“UserEvent” calls it the client that sends; every documented example has WEBSITE_CLIENT"
        yield Hint("clientType", value, message, "inferred", source)


def _time(value: str, now: datetime | None) -> Iterator[Hint]:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return
    if moment.tzinfo and moment > (now or datetime.now(UTC)) + _SKEW:
        message, source = f"{quoted(value)} is in the future", "no page says what happens to such events"
        yield Hint("eventTime", value, message, "unknown", source)
    if value < FIRST_VERSION:
        message = f"{quoted(value)} is before {FIRST_VERSION}, the date of the API's first version"
        yield Hint("eventTime", value, message, "unknown", "no page says how old an event may be")


def _name(name: str, properties: Mapping[str, str]) -> Iterator[Hint]:
    near = " or ".join(known for known in PROPERTY_NAMES if _letters(known) == _letters(name))
    if name == "currentUrl":
        other = "; this event has both" if "current_url" in properties else ""
        message = f"the newer page “sendUserEvents” has current_url{other}"
        source = "“Send User Events” has currentUrl; no page says which is read"
        yield Hint(property_place(name), name, message, "unknown", source)
    elif near and name not in PROPERTY_NAMES:
        source = "“sendUserEvents” and “Send User Events” write it so; names are sent as given"
        yield Hint(property_place(name), name, f"did you mean {near}?", "documented", source)


def _private(place: str, value: str) -> Iterator[Hint]:
    if _EMAIL.search(value):
        yield Hint(place, value, "the value seems to contain an e-mail address", "unknown", _PRIVACY)
    if _TOKEN.search(value):
        yield Hint(place, value, "the value seems to contain a token or a password", "unknown", _PRIVACY)
