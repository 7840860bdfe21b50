"""One shopper event as a value, and the rules that it is checked against before sending.

The limits are those of `schema.graphql`; a test compares the two.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from immutabledict import immutabledict

from bwp_nb import contract
from bwp_nb.contract.hints import Hint, hints, property_place
from bwp_nb.displays.html import Html, Listing, card, chip, html_table, text
from bwp_nb.displays.sources import facts
from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.text import quoted, typed

CLIENT_TYPES = contract.CLIENT_TYPES
#: The documented event types; whether others are refused is unknown. `reference("event types")` says when each is sent.
EVENT_TYPES = contract.EVENT_TYPES
PROPERTY_NAMES = contract.PROPERTY_NAMES
_SENDER = "choose by what sends the events"  # “UserEvent” (version 2024-01-01)
_OLDER_CLIENT_TYPES = ("WEB_CLIENT", "ANDROID", "IOS")  # of the 2024-01-01 guide, “Analytics Event Schema”

#: The shortest and the longest text in “UserEvent”, version 2024-01-01; that the unit is UTF-16 code units is inferred.
LENGTHS = {"eventType": (3, 64), "schemaName": (3, 256)}

_AROUND = "To send it as a property, pass additional_properties={{{!r}: …}}"
#: The one rule that `check=False` does not lift.
UNICODE_RULE = "text that can be encoded as UTF-8 (JSON, RFC 8259)"


def rule(api_name: str) -> str:
    """Return the rule of a field, with its source."""
    rules: dict[str, str] = facts()["rules"]
    return rules.get(api_name, rules["text"])


_TIME = re.compile(r"[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}(?:\.[0-9]{1,9})?Z")
#: A time that is surely valid, which is found out fast; the last days of a month are looked at one by one.
SURE_TIME = re.compile(
    r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}(?:\.[0-9]{1,9})?Z"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, init=False, repr=False)
class UserEvent:
    """One event of `sendUserEvents`, as it will be sent. It is immutable and hashable.

    Any text is accepted, even one that breaks a rule, so that the API's response to it can be seen; `problems()` lists
    the rules that it breaks. `client.new_event` makes one with a new id and the current time.

    Parameters
    ----------
    event_type : str
        The kind of event, 3 to 64 characters (documented in “UserEvent”, version 2024-01-01). `bwp.EVENT_TYPES` lists
        the documented ones.
    event_id : str
        The id. “User Event Schema” asks for a UUID of version 4.
    event_time : str or aware datetime
        When it happened, in UTC, such as `2023-12-03T10:15:30Z` (documented in “User Event Schema”). A `datetime` or
        pandas `Timestamp` with a time zone becomes that text, with milliseconds if it has some.
    client_type : str
        The kind of client that sends the event: `WEBSITE_CLIENT` or `SERVER_CLIENT` (documented in “User Event
        Schema”).
    client_version : str
        The version of that client; the examples say `1.0`.
    schema_name : str, optional
        The schema that the event conforms to, 3 to 256 characters (documented in “UserEvent”, version 2024-01-01).
        Default: none is sent; the API then takes a schema with all attributes (documented in “User Event Schema”).
    schema_version : str, optional
        The version of that schema. Default: none is sent; the API then takes the latest.
    additional_properties : mapping of str to str, optional
        Further properties; names are sent as given. Default: none.

    Raises
    ------
    InvalidEvent
        If a value is not a str, or a time has no time zone.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> event = bwp.UserEvent(
    ...     event_type="page-load",
    ...     event_id="11c7e59a-d462-4254-bc7e-3e44528ef6d0",
    ...     event_time="2023-12-03T10:15:30Z",
    ...     client_type="WEBSITE_CLIENT",
    ...     client_version="1.0",
    ...     additional_properties={"current_url": "https://example.com"},
    ... )
    >>> event.problems()
    []
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
        required = (event_type, event_id, event_time, client_type, client_version)
        texts = dict(zip(TEXT_FIELDS, (*required, schema_name, schema_version), strict=True))
        properties = {} if additional_properties is None else additional_properties
        is_plain = (
            type(properties) is dict
            and {*map(type, required), *map(type, properties), *map(type, properties.values())} == {str}
            and {type(schema_name), type(schema_version)} <= {str, type(None)}
        )
        if not is_plain:
            texts, properties = _texts(texts, properties)
        # Not with setattr, which a frozen dataclass refuses and which costs a call for each field.
        self.__dict__.update(texts, additional_properties=immutabledict(properties))

    def __repr__(self) -> str:
        shown: dict[str, Any] = {name: getattr(self, name) for name in TEXT_FIELDS}
        shown["additional_properties"] = dict(self.additional_properties) or None
        return f"UserEvent({', '.join(f'{name}={value!r}' for name, value in shown.items() if value is not None)})"

    @property
    def input(self) -> dict[str, Any]:
        """The event as the API's `UserEvent` input, by the API's names, without the fields that are None."""
        given: dict[str, Any] = json.loads(encode_event(self))
        return given

    def problems(self) -> Listing[Problem]:
        """Return the rules that this event breaks.

        Returns
        -------
        list of Problem
            One for each; an empty list if it breaks none.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> [problem.field for problem in bwp.connect().new_event("pl").problems()]
        ['eventType']
        """
        return Listing(_problems(self), "problem")

    def hints(self, now: datetime | None = None) -> Listing[Hint]:
        """Return what is probably a mistake in this event but not refused. Hints are never a reason not to send.

        Parameters
        ----------
        now : datetime, optional
            The time with which event times are compared. Default: the computer's.

        Returns
        -------
        list of Hint
            One for each, with its certainty and source.

        Examples
        --------
        >>> import bwp_nb as bwp
        >>> event = bwp.connect().new_event("page-load", client_type="SERVER_CLIENT", email="someone@example.com")
        >>> [hint.field for hint in event.hints(now=bwp.connect().clock.now())]
        ["additionalProperties['email']"]
        """
        return Listing(hints(self.input, self.additional_properties, now), "hint")

    def _repr_html_(self) -> str:
        """Return the fields and properties as a table, with the problems and hints beside them."""
        values = {name: value for name, value in self.input.items() if name != "additionalProperties"}
        values |= {property_place(name): value for name, value in self.additional_properties.items()}
        notes = [(problem.field, _problem_shown(problem)) for problem in self.problems()]
        notes += [(hint.field, hint.shown) for hint in self.hints()]
        rows = [
            [name, value, Html("<br>".join(note for field, note in notes if field == name))]
            for name, value in values.items()
        ]
        return card(html_table(rows, ("field", "value", "problems and hints")))


#: The names of the text fields, in the order of the constructor, and the API's names.
TEXT_FIELDS = {field.name: re.sub("_(.)", lambda c: c[1].upper(), field.name) for field in fields(UserEvent)[:-1]}


def encode_event(event: UserEvent) -> str:
    """Return the `input` of an event as JSON: the fast path of a send."""
    values = vars(event)
    parts = [
        f'"{api_name}":{encode_basestring(text)}'
        for name, api_name in TEXT_FIELDS.items()
        if (text := values[name]) is not None
    ]
    if event.additional_properties:
        pairs = [
            f'{{"property":{encode_basestring(name)},"value":{encode_basestring(text)}}}'
            for name, text in event.additional_properties.items()
        ]
        parts.append(f'"additionalProperties":{{"additionalProperties":[{",".join(pairs)}]}}')
    return f"{{{','.join(parts)}}}"


@lru_cache(maxsize=1_000)
def _meant(keyword: str) -> str:
    """Return the field that a keyword is nearly, or an empty text."""
    return "".join(get_close_matches(keyword.lower(), [*TEXT_FIELDS, "additional_properties"], 1, 0.9))


def check_keywords(properties: Mapping[str, str]) -> None:
    """Raise `InvalidEvent` for keywords that become properties, and were probably meant as fields."""
    found = [
        Problem(name, value, "a field", f"not a field; did you mean {_meant(name)}? {_AROUND.format(name)}")
        for name, value in properties.items()
        if _meant(name)
    ]
    if found:
        raise InvalidEvent(found)


def _problem_shown(problem: Problem) -> Html:
    return Html(f"{chip('problem')} {text(problem.message)} (rule: {text(problem.rule)})")


def _text(api_name: str, value: Any) -> str | Problem | None:
    """Return a field's value as the text to send, or the problem with it."""
    if isinstance(value, str):
        return str.__str__(value)  # an enum's member becomes its text
    if value is None and api_name.startswith("schema"):
        return None
    if api_name == "eventTime" and isinstance(value, datetime) and str(value) != "NaT":
        return _utc(value)
    return _not_text(api_name, value)


def _utc(moment: datetime) -> str | Problem:
    """Return a time as the API's event time, cut to milliseconds, or the problem with it."""
    advice = "is outside the years 1 to 9999 in UTC"
    with suppress(OverflowError):  # of a datetime; a pandas Timestamp can be outside these years
        if moment.utcoffset() is None:
            advice = (
                "has no time zone; if it is in UTC, use value.replace(tzinfo=datetime.UTC), "
                "or in pandas value.tz_localize('UTC')"
            )
        elif MINYEAR <= (utc := moment.astimezone(UTC).replace(tzinfo=None)).year <= MAXYEAR:
            return utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1000 else "seconds") + "Z"
    return Problem("eventTime", moment, rule("eventTime"), f"{quoted(moment)} {advice}")


def _texts(given: dict[str, Any], properties: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return fields and properties as the texts to send, or raise `InvalidEvent`."""
    texts = {name: _text(TEXT_FIELDS[name], value) for name, value in given.items()}
    found = [text for text in texts.values() if isinstance(text, Problem)]
    if isinstance(properties, Mapping):
        parts = [(name, part) for name, value in properties.items() for part in (name, value)]
        found += [_not_text(property_place(name), part) for name, part in parts if not isinstance(part, str)]
    else:
        advice = f"must be a dict of str to str such as {{'product_sku': 'example-sku'}}, got {quoted(properties)}"
        found.append(Problem("additionalProperties", properties, rule("text"), advice))
    if found:
        raise InvalidEvent(found)
    return texts, {str.__str__(name): str.__str__(value) for name, value in properties.items()}


def _not_text(place: str, value: Any) -> Problem:
    return Problem(place, value, rule("text"), f"must be a str, got {typed(value)}")


def _problems(event: UserEvent) -> Iterator[Problem]:
    yield from _surrogate_problems(event)
    yield from _length_problems("eventType", event.event_type)
    if not (SURE_TIME.fullmatch(event.event_time) or _is_utc_time(event.event_time)):
        message = f"{quoted(event.event_time)} is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'"
        yield Problem("eventTime", event.event_time, rule("eventTime"), message)
    if event.client_type not in CLIENT_TYPES:
        older = f" (of the older API version 2024-01-01); {_SENDER}" if event.client_type in _OLDER_CLIENT_TYPES else ""
        message = f"expected {' or '.join(CLIENT_TYPES)}, got {quoted(event.client_type)}{older}"
        yield Problem("clientType", event.client_type, rule("clientType"), message)
    if event.schema_name is not None:
        yield from _length_problems("schemaName", event.schema_name)


def _surrogate_problems(event: UserEvent) -> Iterator[Problem]:
    properties = event.additional_properties
    texts = [getattr(event, name) or "" for name in TEXT_FIELDS]
    if "".join((*texts, *properties, *properties.values())).isascii():  # as most events are
        return
    pairs = [(property_place(name), name + value) for name, value in properties.items()]
    for api_name, value in [*zip(TEXT_FIELDS.values(), texts, strict=True), *pairs]:
        if _SURROGATE.search(value):
            message = f"{quoted(value)} contains a lone surrogate and cannot be encoded as UTF-8"
            yield Problem(api_name, value, UNICODE_RULE, message)


def _length_problems(api_name: str, value: str) -> Iterator[Problem]:
    shortest, longest = LENGTHS[api_name]
    length = len(value.encode("utf-16-le", "surrogatepass")) // 2
    if not shortest <= length <= longest:
        message = f"expected {shortest} to {longest} characters, got {length}: {quoted(value)}"
        yield Problem(api_name, value, rule(api_name), message)


def _is_utc_time(text: str) -> bool:
    try:
        return _TIME.fullmatch(text) is not None and datetime.fromisoformat(text[:19]).isoformat() == text[:19]
    except ValueError:
        return False
