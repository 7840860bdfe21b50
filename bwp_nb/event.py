"""One shopper event as a value, and what our own checks hold against it.

The limits are those of `schema.graphql`; a test holds the two together.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from typing import Any

from immutabledict import immutabledict

from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.text import quoted

#: The kinds of client (SCH-new), and what the older guide called them (SCH-old).
CLIENT_TYPES = ("WEBSITE_CLIENT", "SERVER_CLIENT")
_OLDER_CLIENT_TYPES = ("WEB_CLIENT", "ANDROID", "IOS")

#: The documented event types (SCH-new). Whether the API refuses another is unknown, so we do not.
EVENT_TYPES = ("page-load", "click", "widget-viewed", "bwp-widget-promise-loaded")

#: The shortest and longest text, in UTF-16 code units (UE).
LENGTHS = {"eventType": (3, 64), "schemaName": (3, 256)}

#: Names of additional properties that a documentation page shows (SEND, MUT, SCH-new); any other may be sent.
PROPERTY_NAMES = (
    "ip",
    "ubid",
    "userAgent",
    "currentUrl",
    "current_url",
    "referrer",
    "product_sku",
    "prime_promise_timestamp",
    "page_type",
)

_TEXT_RULE = "text (documented: UE)"
_LENGTH_RULE = "{} to {} characters long (documented: UE; that they are counted in UTF-16 units: inferred)"

#: The one rule that cannot be broken even on purpose.
UNICODE_RULE = "text that UTF-8 can write (JSON, RFC 8259)"

#: What is asked of each field, and who says so; of any other field only that it is text.
RULES = {
    "eventType": _LENGTH_RULE.format(*LENGTHS["eventType"]),
    "eventId": "text; the guide asks for a UUID version 4 (documented: SCH-new), an example sends another text (SEND)",
    "eventTime": "a UTC date-time of RFC 3339 that ends in Z (documented: SCH-new; that offsets are refused: inferred)",
    "clientType": f"one of {', '.join(CLIENT_TYPES)} (documented: SCH-new)",
    "schemaName": _LENGTH_RULE.format(*LENGTHS["schemaName"]),
}


def rule(api_name: str) -> str:
    """Return what is asked of a field, and who says so."""
    return RULES.get(api_name, _TEXT_RULE)


_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, init=False, repr=False)
class UserEvent:
    """One event of `sendUserEvents`, as it will be sent.

    Any text is taken as it is, however wrong, to see what the API says to it; `problems()` tells beforehand.
    `event_time` also takes an aware `datetime` or pandas `Timestamp`, which becomes `YYYY-MM-DDTHH:MM:SS[.mmm]Z`.
    `additional_properties` maps names to texts; names are sent as given. Raises `InvalidEvent` for a value that is no
    text at all and for a time without a zone. The fields are those of the page UE (see `schema.graphql`).
    """

    event_type: str
    event_id: str
    event_time: str
    client_type: str
    client_version: str
    schema_name: str | None
    schema_version: str | None
    additional_properties: Mapping[str, str]

    def __init__(
        self,
        event_type: str,
        event_id: str,
        event_time: str | datetime,
        client_type: str,
        client_version: str,
        schema_name: str | None = None,
        schema_version: str | None = None,
        additional_properties: Mapping[str, str] | None = None,
    ) -> None:
        given = (event_type, event_id, event_time, client_type, client_version, schema_name, schema_version)
        found: list[Problem] = []
        for (name, api_name), value in zip(TEXT_FIELDS.items(), given, strict=True):
            try:
                object.__setattr__(self, name, _text(api_name, value))
            except InvalidEvent as error:
                found += error.problems
        try:
            object.__setattr__(self, "additional_properties", immutabledict(_properties(additional_properties)))
        except InvalidEvent as error:
            found += error.problems
        if found:
            raise InvalidEvent(found)

    def __repr__(self) -> str:
        shown: dict[str, Any] = {name: getattr(self, name) for name in TEXT_FIELDS}
        shown["additional_properties"] = dict(self.additional_properties) or None
        return f"UserEvent({', '.join(f'{name}={value!r}' for name, value in shown.items() if value is not None)})"

    @property
    def input(self) -> dict[str, Any]:
        """The event as the API's `UserEvent` input: its own names, what is absent left out."""
        values = {api_name: getattr(self, name) for name, api_name in TEXT_FIELDS.items()}
        given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        if self.additional_properties:
            pairs = [{"property": name, "value": value} for name, value in self.additional_properties.items()]
            given["additionalProperties"] = {"additionalProperties": pairs}
        return given

    def problems(self) -> list[Problem]:
        """Return all that our own checks hold against this event; an empty list if nothing."""
        return [] if _is_surely_right(self) else list(_problems(self))


#: Our names of the text fields, in the order of the constructor, and the API's.
TEXT_FIELDS = {
    "event_type": "eventType",
    "event_id": "eventId",
    "event_time": "eventTime",
    "client_type": "clientType",
    "client_version": "clientVersion",
    "schema_name": "schemaName",
    "schema_version": "schemaVersion",
}


def _text(api_name: str, value: Any) -> str | None:
    """Return a field's value as the text to send, or raise `InvalidEvent`."""
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member, the text that it is
    if value is None and api_name.startswith("schema"):
        return None
    if api_name == "eventTime" and isinstance(value, datetime) and str(value) != "NaT":
        return _utc(value)
    raise InvalidEvent([_not_text(api_name, value)])


def _utc(moment: datetime) -> str:
    """Return an aware moment as the API's event time, cut to milliseconds."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        advice = (
            f"{quoted(moment)} has no time zone, so it names no instant. Give it one: "
            "value.replace(tzinfo=datetime.UTC), or for pandas value.tz_localize('UTC'), if it is meant in UTC"
        )
        raise InvalidEvent([Problem("eventTime", moment, rule("eventTime"), advice)])
    try:
        utc = moment.astimezone(UTC)
        if utc.year > MAXYEAR:  # which a pandas Timestamp reaches where a datetime overflows
            raise OverflowError
    except OverflowError:
        advice = f"{quoted(moment)} lies outside the years 1 to 9999 once it is in UTC"
        raise InvalidEvent([Problem("eventTime", moment, rule("eventTime"), advice)]) from None
    timespec = "milliseconds" if utc.microsecond >= 1000 else "seconds"
    return utc.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _properties(given: Any) -> dict[str, str]:
    """Return the additional properties as a dict of texts, or raise `InvalidEvent`."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        advice = f"{quoted(given)} is no mapping of names to texts, such as {{'product_sku': 'example-sku'}}"
        raise InvalidEvent([Problem("additionalProperties", given, _TEXT_RULE, advice)])
    found = [
        _not_text(f"additionalProperties[{quoted(name)}]", part)
        for name, value in given.items()
        for part in (name, value)
        if not isinstance(part, str)
    ]
    if found:
        raise InvalidEvent(found)
    return {str.__str__(name): str.__str__(value) for name, value in given.items()}


def _not_text(api_name: str, value: Any) -> Problem:
    kind = "nothing (None)" if value is None else f"{quoted(value)}, of type {type(value).__name__}"
    return Problem(api_name, value, _TEXT_RULE, f"must be text, but is {kind}")


def _is_surely_right(event: UserEvent) -> bool:
    """Tell, of most events that have no problem, that they have none; this is what a send spends its time on."""
    texts = [getattr(event, name) or "" for name in TEXT_FIELDS]
    shortest, longest = LENGTHS["eventType"]
    return (
        "".join([*texts, *event.additional_properties, *event.additional_properties.values()]).isascii()
        and shortest <= len(event.event_type) <= longest
        and event.client_type in CLIENT_TYPES
        and event.schema_name is None
        and _is_utc_time(event.event_time)
    )


def _problems(event: UserEvent) -> Iterator[Problem]:
    yield from _surrogate_problems(event)
    yield from _length_problems("eventType", event.event_type)
    if not _is_utc_time(event.event_time):
        message = f"{quoted(event.event_time)} is no UTC date-time such as '2023-12-03T10:15:30Z'"
        yield Problem("eventTime", event.event_time, rule("eventTime"), message)
    if event.client_type not in CLIENT_TYPES:
        older = "a name from an older guide, " if event.client_type in _OLDER_CLIENT_TYPES else ""
        message = f"{quoted(event.client_type)} is {older}not one of {', '.join(CLIENT_TYPES)}"
        yield Problem("clientType", event.client_type, rule("clientType"), message)
    if event.schema_name is not None:
        yield from _length_problems("schemaName", event.schema_name)


def _surrogate_problems(event: UserEvent) -> Iterator[Problem]:
    texts = [(api_name, getattr(event, name) or "") for name, api_name in TEXT_FIELDS.items()]
    pairs = [
        (f"additionalProperties[{name!a:.80}]", name + value) for name, value in event.additional_properties.items()
    ]
    for api_name, value in texts + pairs:
        if _SURROGATE.search(value):
            message = f"{quoted(value)} holds half a surrogate pair, which no request can carry"
            yield Problem(api_name, value, UNICODE_RULE, message)


def _length_problems(api_name: str, value: str) -> Iterator[Problem]:
    shortest, longest = LENGTHS[api_name]
    length = len(value.encode("utf-16-le", "surrogatepass")) // 2
    if not shortest <= length <= longest:
        message = f"{quoted(value)} is {length} characters long; {shortest} to {longest} are allowed"
        yield Problem(api_name, value, _LENGTH_RULE.format(shortest, longest), message)


def _is_utc_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    if not match:
        return False
    try:
        datetime(*map(int, match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return False
    return True
