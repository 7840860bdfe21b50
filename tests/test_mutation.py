"""`Mutation`: the request as a value, as text, and back from pasted text."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwp_nb import InvalidEvent, Mutation, UserEvent, documented
from tests.strategies import PROPERTY, VALID, any_events, event

EVENT = (
    '{eventType: "page-load" eventId: "11c7e59a-d462-4254-bc7e-3e44528ef6d0" eventTime: "2023-12-03T10:15:30Z" '
    'clientType: WEBSITE_CLIENT clientVersion: "1.0"}'
)
QUERY = "mutation m($input: SendUserEventInput!) {sendUserEvents(input: $input) {status}}"


def _inline(events: str) -> str:
    return f"mutation {{sendUserEvents(input: {{events: {events}}}) {{status}}}}"


def _with_properties(properties: str) -> str:
    return _inline(f"[{EVENT[:-1]} additionalProperties: {properties}}}]")


def _body(**members: Any) -> str:
    return json.dumps(members)


def _variables(*events: UserEvent) -> dict[str, Any]:
    return {"input": {"events": [item.input for item in events]}}


def test_the_payload_is_the_body_to_post() -> None:
    """A document that never changes, and the events as its variables."""
    first, second = Mutation([event()]), Mutation([event(), event(event_type="click")])
    assert ["query", "variables"] == list(first.payload)
    assert first.payload["query"] == second.payload["query"]
    assert _variables(event(), event(event_type="click")) == second.payload["variables"]


@pytest.mark.parametrize("given_events", [event(), [event()], (event(),), iter([event()])])
def test_one_event_or_any_iterable_of_them_makes_a_mutation(given_events: Any) -> None:
    """Equal events make equal mutations."""
    assert Mutation([event()]) == Mutation(given_events)


def test_the_text_of_the_documented_event_is_the_printed_request_with_its_missing_comma() -> None:
    """The page leaves out one comma; nothing else differs."""
    printed = documented.PAGE_LOAD.request
    assert printed.replace('10:15:30Z"\n', '10:15:30Z",\n') == Mutation.parse(printed).text


def test_the_text_of_the_pre_order_event_is_its_request() -> None:
    """Schema and several properties included, but for the comment above it."""
    printed = documented.PRE_ORDER_PAGE_LOAD.request
    assert printed.partition("\n")[2] == Mutation.parse(printed).text


@pytest.mark.parametrize(
    "text",
    [
        _inline(f"[{EVENT}]"),
        _inline(EVENT),
        _inline(f"[{EVENT}]").replace(" eventId", ",,, eventId"),
        _inline(f"[{EVENT}]").replace('"1.0"', '"""1.0"""'),
        _inline(f"[{EVENT}]").replace("WEBSITE_CLIENT", '"WEBSITE_CLIENT"'),
        f"# GraphQL mutation\r\n\r\n{_inline(EVENT)} # the end",
        f"\ufeff{_inline(EVENT)}",
        f"// GraphQL mutation\n{_inline(EVENT)}",
        f"\n\n  // GraphQL mutation\n{_inline(EVENT)}",
        f"// A guide's\r\n# and ours\r\n\r\n  // https://x.example\r\n{_inline(EVENT)}",
        _inline(f"[{EVENT}]").replace("sendUserEvents", "sent: sendUserEvents"),
        _with_properties("null"),
        _with_properties("{}"),
        _with_properties("{additionalProperties: []}"),
        _with_properties("{additionalProperties: null}"),
        _body(query=_inline(EVENT)),
        _body(query=_inline(EVENT), variables=None),
        _body(query=QUERY, variables=_variables(event())),
        _body(query=QUERY, variables={"input": {"events": event().input}}),
        _body(query=QUERY, variables=_variables(event()), operationName="m"),
        _body(query=f"{QUERY} query q {{nothing}}", variables=_variables(event()), operationName="m"),
        _body(query=QUERY.replace("!)", f"! = {{events: {EVENT}}})")),
        _body(
            query='mutation ($kind: String! = "page-load") ' + _inline(EVENT.replace('"page-load"', "$kind"))[9:],
        ),
        _body(
            query='mutation ($kind: String! = "click") ' + _inline(EVENT.replace('"page-load"', "$kind"))[9:],
            variables={"kind": "page-load"},
        ),
        json.dumps(Mutation(event()).payload, indent=4),
    ],
)
def test_a_request_is_read_in_every_form_that_people_paste(text: str) -> None:
    """Commas, comments, variables, defaults and single items make no difference."""
    assert Mutation(event()) == Mutation.parse(text)


@pytest.mark.parametrize("properties", ['{property: "a", value: "b"}', '[{property: "a" value: "b"}]'])
def test_properties_are_read_as_a_list_or_a_single_item(properties: str) -> None:
    """GraphQL lets an item stand for a list of one."""
    parsed = Mutation.parse(_with_properties(f"{{additionalProperties: {properties}}}"))
    assert Mutation(event(additional_properties={"a": "b"})) == parsed


def test_wrong_values_are_read_as_they_stand() -> None:
    """What the API should refuse is not mended on the way."""
    (parsed,) = Mutation.parse(documented.INVALID_EVENT_TIME.request).events
    assert event(event_time="2023") == parsed


DEEP = "[" * 20_000 + "]" * 20_000
LONG = "a" * 1_000_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"\n\n  // GraphQL mutation\n{_inline(EVENT)} %", ["line 4", "%"]),
        (f"// GraphQL\n// mutation\n{_inline(EVENT)} %", ["line 3", "%"]),
        (f"{_inline(EVENT)}\n  // the end", ["line 2 has //, but a GraphQL comment begins with #; delete the comment"]),
        (_inline(f"{{{EVENT}"), ["line 1, column 43", "{"]),
        ("mutation {\n  %\n}", ["line 2, column 3", "%"]),
        ("mutation {\r  %\r}", ["line 2, column 3", "%"]),
        ("", ["line 1, column 1"]),
        ("\x1b[31m\u202e", ["line 1, column 1"]),
        ("query {nothing}", ["query", "expected a mutation"]),
        ("mutation {createOrder {id}}", ["createOrder"]),
        (f"mutation {{sendUserEvents(input: {{events: {EVENT}}}) {{status}} createOrder {{id}}}}", ["createOrder"]),
        ("mutation {...f} fragment f on Mutation {sendUserEvents(input: {events: []}) {status}}", ["fragment"]),
        (f"mutation {{{LONG}}}", ["aaa"]),
        (f"mutation {{sendUserEvents({LONG}: 1) {{status}}}}", ["aaa"]),
        ("mutation a {x} mutation b {x}", ["expected one operation"]),
        (_body(query="mutation a {x} mutation b {x}", operationName=["a"]), ["expected one operation"]),
        ("mutation {sendUserEvents {status}}", ["input", "none"]),
        ("mutation {sendUserEvents(input: 5) {status}}", ["5"]),
        ("mutation {sendUserEvents(input: {events: [], x: 1}) {status}}", ["events"]),
        (QUERY, ["events"]),
        (_inline("[5]"), ["event 0", "5"]),
        (_inline("null"), ["event 0", "None"]),
        (_inline(f"[{EVENT}, {EVENT[:-1]} eventName: 1}}]"), ["event 1", "eventName", "unknown field"]),
        (_inline(f'[{EVENT}, {{eventType: "click"}}]'), ["event 1", "eventId", "eventTime", "clientVersion"]),
        (_inline(EVENT.replace('"1.0"', "1.0")), ["event 0", "clientVersion", "must be a str"]),
        (_inline(EVENT.replace('"1.0"', "null")), ["event 0", "clientVersion", "must be a str"]),
        (_inline(EVENT.replace('eventId: "', 'eventId: "other" eventId: "')), ["eventId"]),
        (
            _with_properties('{additionalProperties: [{property: "a" value: "b"} {property: "a" value: "c"}]}'),
            ["event 0", "'a'", "duplicate property"],
        ),
        (_with_properties('{additionalProperties: [{property: "a"}]}'), ["event 0", "additionalProperties"]),
        (_with_properties('{additionalProperties: [{property: "a" value: 1}]}'), ["'a'", "must be a str"]),
        (
            _with_properties('{additionalProperties: [{property: 1 value: "a"}]}'),
            ["event 0", "1", "property, a string"],
        ),
        (_with_properties('[{property: "a" value: "b"}]'), ["event 0", "additionalProperties"]),
        (_with_properties("{current_url: 1}"), ["event 0", "additionalProperties"]),
        (_with_properties('""'), ["event 0", "additionalProperties", "expected an object"]),
        (_with_properties("false"), ["event 0", "additionalProperties", "expected an object"]),
        (_with_properties("{additionalProperties: 0}"), ["event 0", "additionalProperties", "expected an object"]),
        ("5", ["JSON", "query"]),
        ("[]", ["JSON", "query"]),
        (_body(variables={}), ["JSON", "query"]),
        (_body(query=5), ["JSON", "query"]),
        (_body(query=QUERY, variables=[1]), ["variables", "[1]"]),
        (_body(query=QUERY, variables={"input": {"events": [{"eventName": "x"}]}}), ["event 0", "eventName"]),
        (_inline(DEEP), ["nested too deeply"]),
        (DEEP, ["nested too deeply"]),
        (_body(query=QUERY)[:-1] + f', "variables": {{"input": {DEEP}}}}}', ["nested too deeply"]),
        (_inline(f"[{EVENT * 10_000}]"), ["100000 tokens"]),
        (LONG, ["line 1, column 1"]),
        (None, ["None", "expected a str"]),
        (_inline(EVENT).encode(), ["expected a str"]),
        (5, ["5", "expected a str"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, list) else "",
)
def test_what_is_no_send_user_events_request_is_refused_in_one_paragraph(text: Any, words: list[str]) -> None:
    """The message says what it is instead, and where."""
    with pytest.raises(InvalidEvent) as caught:
        Mutation.parse(text)
    said = str(caught.value)
    assert [] == [word for word in words if word not in said]
    assert said.isprintable()
    assert len(said) < 2000


@pytest.mark.parametrize("given_events", [None, 5, "text", b"bytes", VALID, [None], [event(), "text"]])
def test_a_mutation_holds_nothing_but_events(given_events: Any) -> None:
    """Anything else is refused before it is sent, and shown."""
    with pytest.raises(InvalidEvent, match="UserEvent"):
        Mutation(given_events)


@pytest.mark.parametrize("rows", [[], [{"event_type": "click"}]], ids=["empty", "one row"])
def test_a_table_is_not_a_mutation(rows: list[dict[str, str]]) -> None:
    """Not even an empty one; the message names what sends tables, and only of a table."""
    table: Any = pd.DataFrame(rows)
    with pytest.raises(InvalidEvent, match="got a DataFrame; use send_table for a table"):
        Mutation(table)
    nothing: Any = None
    with pytest.raises(InvalidEvent, match=r"got None\.$"):
        Mutation(nothing)


@PROPERTY
@given(st.lists(any_events, max_size=2))
def test_the_text_of_events_of_any_text_reads_back(events: list[UserEvent]) -> None:
    """Quotes, backslashes, line breaks, control characters and emoji come through, properties in their order."""
    mutation = Mutation(events)
    assert repr(mutation) == repr(Mutation.parse(mutation.text))


@PROPERTY
@given(st.lists(any_events, max_size=2), st.booleans())
def test_the_payload_of_events_of_any_text_reads_back(events: list[UserEvent], ascii_only: bool) -> None:
    """The body comes through JSON whole."""
    mutation = Mutation(events)
    assert repr(mutation) == repr(Mutation.parse(json.dumps(mutation.payload, ensure_ascii=ascii_only)))


@pytest.mark.parametrize(
    "text", ['"', "\\", '"""', "\\u0041", "\r", "\n", "\0", "\x7f", "\x85", "\u2028", "😀", "#", "$"]
)
def test_the_text_of_a_troublesome_character_reads_back(text: str) -> None:
    """The characters that break naive quoting, one by one and in every field."""
    mutation = Mutation(UserEvent(*[text] * 7, {text: text}))
    assert mutation == Mutation.parse(mutation.text)


@pytest.mark.parametrize("name", ["true", "false", "null", "a b", "1A", "", "A}", "WEBSITE_CLIENT\n", "É"])
def test_a_client_type_that_is_no_enum_value_is_quoted(name: str) -> None:
    """It reads back as the text that it is."""
    mutation = Mutation(event(client_type=name))
    assert mutation == Mutation.parse(mutation.text)
    assert "clientType: WEBSITE_CLIENT," in Mutation(event()).text
