"""The drift watch: where a server differs from what this package says."""

import json
from importlib.resources import files
from typing import Any

import httpx
import pytest
from graphql import build_schema, graphql_sync, introspection_from_schema
from hypothesis import given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import Client, documented
from bwp_nb.sandbox.api import SandboxClock
from tests.strategies import PROPERTY

SCHEMA = files("bwp_nb").joinpath("contract/schema.graphql").read_text("utf-8")
REFUSAL = documented.INVALID_EVENT_TIME.response


def _client(schema: str = SCHEMA, refusal: Any = REFUSAL) -> Client:
    """Return a client of a server that shows this schema, as far as it is asked, and refuses like this."""
    built = build_schema(schema)

    def answer(request: httpx.Request) -> httpx.Response:
        query = json.loads(request.content)["query"]
        return httpx.Response(200, json=graphql_sync(built, query).formatted if "__schema" in query else refusal)

    return Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock())


def _changed(drift: bwp.Drift) -> list[tuple[str, str, str]]:
    return [(item.place, item.severity, item.path) for item in drift.changes if item.result == "changed"]


def test_the_sandbox_has_not_drifted() -> None:
    """Schema and documented refusal are the same, and no valid event was sent."""
    client = bwp.connect()
    drift = bwp.drift(client)
    assert drift.ok
    assert ["schema", "invalid_event_time"] == [item.place for item in drift.changes]
    assert [] == client.sandbox.accepted


def test_valid_examples_are_sent_only_on_request() -> None:
    """Each is a real event."""
    client = bwp.connect()
    assert bwp.drift(client, send_valid=True).ok
    assert 2 == len(client.sandbox.accepted)


def test_the_documented_location_is_no_drift() -> None:
    """A server that prints 2:68 and one that prints 2:5 are both as documented."""
    assert bwp.drift(_client()).ok


def test_each_change_of_a_schema_is_a_row() -> None:
    """A removed field, a new required one, and a renamed value of an enum, which is removed and another is added."""
    schema = (
        SCHEMA.replace("  schemaVersion: String @provenance", "  _gone: String @provenance")
        .replace("  _gone: String", "  shopperId: String!")
        .replace("  SERVER_CLIENT @", "  BACKEND_CLIENT @")
    )
    rows = _changed(bwp.drift(_client(schema)))
    expected = [
        ("schema", "breaking", "FIELD_REMOVED"),
        ("schema", "breaking", "REQUIRED_INPUT_FIELD_ADDED"),
        ("schema", "breaking", "VALUE_REMOVED_FROM_ENUM"),
        ("schema", "dangerous", "VALUE_ADDED_TO_ENUM"),
    ]
    assert expected == sorted(rows)


def test_a_new_optional_field_is_dangerous_not_breaking() -> None:
    """The severity is the one that graphql-core gives."""
    schema = SCHEMA.replace("  schemaVersion: String @", "  shopperId: String\n\n  schemaVersion: String @")
    assert [("schema", "dangerous", "OPTIONAL_INPUT_FIELD_ADDED")] == _changed(bwp.drift(_client(schema)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("  status: String", "  accepted: Int\n  status: String", ("FIELD_ADDED", "documented")),
        ("  schemaVersion: String @", "  schemaVersion: String @deprecated @", ("DEPRECATED", "documented")),
        ("  SERVER_CLIENT @", '  SERVER_CLIENT @deprecated(reason: "Gone") @', ("DEPRECATED", "documented")),
        ("): SendUserEventOutput\n", "): SendUserEventOutput @deprecated\n", ("DEPRECATED", "documented")),
    ],
)
def test_an_addition_or_a_deprecation_is_a_safe_change(before: str, after: str, expected: tuple[str, str]) -> None:
    """A new field of the output and what is deprecated break nobody, but somebody should look at them."""
    schema = SCHEMA.replace(before, after)
    assert schema != SCHEMA
    (row,) = [item for item in bwp.drift(_client(schema)).changes if item.result == "changed"]
    assert (*expected, "safe") == (row.path, row.concerns, row.severity)


def test_a_deprecated_argument_is_reported_like_a_field() -> None:
    """GraphQL requires that it is optional then, which is a safe change too."""
    schema = SCHEMA.replace("SendUserEventInput! @", 'SendUserEventInput @deprecated(reason: "Old") @')
    rows = [item for item in bwp.drift(_client(schema)).changes if item.result == "changed"]
    assert {("documented", "safe")} == {(row.concerns, row.severity) for row in rows}
    assert ["ARG_CHANGED_KIND_SAFE", "DEPRECATED"] == [row.path for row in rows]
    assert "Mutation.sendUserEvents(input:) is deprecated: Old" == rows[1].after


def test_what_this_package_does_not_use_is_not_reported() -> None:
    """The API has other mutations, types and directives."""
    schema = f"{SCHEMA} extend type Mutation {{ createOrder: Order }} type Order {{ id: ID }} directive @cost on FIELD"
    assert bwp.drift(_client(schema)).ok


@pytest.mark.parametrize("name", ["BWP_CLIENT_SECRET", "BWP_TARGET_ID"])
def test_wrong_credentials_are_misconfigured_not_changed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The server says nothing about its schema or events; the reason is in the row."""
    with bwp.serve() as server:
        for setting, text in {**server.environment, name: "somebody-else"}.items():
            monkeypatch.setenv(setting, text)
        with bwp.connect() as client:
            drift = bwp.drift(client)
    assert ["misconfigured", "misconfigured"] == [item.result for item in drift.changes]
    assert not drift.ok
    assert "BWP_TARGET_ID" in drift.changes[0].after or "client secret" in drift.changes[0].after


def test_a_changed_answer_is_named_by_its_json_path() -> None:
    """The row has both values."""
    refusal = json.loads(json.dumps(REFUSAL).replace("UnspecifiedError", "InvalidDateFormat"))
    (row,) = [item for item in bwp.drift(_client(refusal=refusal)).changes if item.result == "changed"]
    assert "$.errors[0].extensions.classification.code" == row.path
    assert ("'UnspecifiedError'", "'InvalidDateFormat'") == (row.before, row.after)


@pytest.mark.parametrize("status_code", [200, 500])
def test_what_was_not_answered_is_neither_same_nor_changed(status_code: int) -> None:
    """A refused introspection proves neither drift nor its absence."""
    refusal = {"errors": [{"message": "Introspection is disabled"}]}
    transport = httpx.MockTransport(lambda _: httpx.Response(status_code, json=refusal if status_code == 200 else None))
    drift = bwp.drift(Client(transport, "https://api.invalid/graphql", clock=SandboxClock()))
    assert "not answered" == drift.changes[0].result
    assert not drift.ok


def test_the_servers_text_is_shown_as_text() -> None:
    """Table, cells and terminal output show markup and control characters as text."""
    refusal = {"errors": [{"message": "<img src=x onerror=alert(1)>\x1b[31m"}], "data": None}
    drift = bwp.drift(_client(refusal=refusal))
    assert "<img" not in drift._repr_html_()
    assert "\x1b" not in drift._repr_html_() + drift.frame().to_string() + repr(drift)


def test_a_schema_alone_is_not_enough() -> None:
    """If only one of the two parts was answered, nothing is proved about the other."""

    def answer(request: httpx.Request) -> httpx.Response:
        is_schema = "__schema" in json.loads(request.content)["query"]
        shown = {"data": introspection_from_schema(build_schema(SCHEMA))}
        return httpx.Response(200, json=shown) if is_schema else httpx.Response(500)

    drift = bwp.drift(Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock()))
    assert ["same", "not answered"] == [item.result for item in drift.changes]
    assert not drift.ok


def test_a_drift_reads_as_one_line_for_each_row() -> None:
    """The result comes first, then the place and what was found there."""
    refusal = json.loads(json.dumps(REFUSAL).replace("UnspecifiedError", "InvalidDateFormat"))
    same, changed = repr(bwp.drift(_client(refusal=refusal))).splitlines()
    assert "same          schema" == same
    path = "$.errors[0].extensions.classification.code"
    assert (
        f"changed       invalid_event_time (documented, dangerous): {path}: 'UnspecifiedError' -> 'InvalidDateFormat'"
        == changed
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("  schemaVersion: String @", "  version: String @", ["documented", "documented"]),
        ("sendUserEvents(", "sendEvents(", ["documented"]),
        ("  SERVER_CLIENT @", "  SERVER_CLIENT\n  APP_CLIENT @", ["unknown"]),
        ("AdditionalProperty", "PropertyTuple", ["inferred", "inferred"]),
        ("  events: [UserEvent!]!", "  minimum: Int!\n  events: [UserEvent!]!", ["documented"]),
        ("  value: String!", "  value: Int!", ["inferred"]),
        ("  eventType: String!", "  eventType: ID!", ["documented"]),
        ("  status: String", "  status: Int", ["inferred"]),
        ("input UserEvent ", "input ShopperEvent ", ["documented", "inferred"]),
    ],
)
def test_a_change_says_whether_it_concerns_what_is_documented_or_inferred(
    before: str, after: str, expected: list[str]
) -> None:
    """By the provenance in `schema.graphql` of what has changed; documented changes come first."""
    schema = SCHEMA.replace(before, after)
    schema = schema.replace("[UserEvent!]", "[ShopperEvent!]") if "Shopper" in after else schema
    assert schema != SCHEMA
    rows = [item for item in bwp.drift(_client(schema)).changes if item.result == "changed"]
    assert expected == [row.concerns for row in rows], rows


def test_a_changed_response_concerns_what_is_documented() -> None:
    """The examples are the documentation's own."""
    refusal = json.loads(json.dumps(REFUSAL).replace("UnspecifiedError", "InvalidDateFormat"))
    (row,) = [item for item in bwp.drift(_client(refusal=refusal)).changes if item.result == "changed"]
    assert "documented" == row.concerns


def test_a_long_drift_is_cut_where_it_is_shown() -> None:
    """All rows are in the frame."""
    many = " ".join(f"V{number}" for number in range(500))
    drift = bwp.drift(_client(SCHEMA.replace("  SERVER_CLIENT @", f"  SERVER_CLIENT {many} LAST @")))
    assert 502 == len(drift.frame())
    assert 101 == len(repr(drift).splitlines())
    assert "and 402 more rows; all are in frame()" == repr(drift).splitlines()[-1]
    assert drift._repr_html_().count("<tr>") <= 101


_INTROSPECTION = {"data": introspection_from_schema(build_schema(SCHEMA))}
_PATHS: list[tuple[Any, ...]] = []


def _walk(value: Any, path: tuple[Any, ...] = ()) -> None:
    _PATHS.append(path)
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        _walk(value[key], (*path, key))


_walk(_INTROSPECTION)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(PROPERTY, max_examples=50)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(_PATHS), _JSON | st.sampled_from(["", "\x1b[31m", "UserEvent"])), max_size=3
    )
)
def test_no_introspection_makes_a_drift_raise(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """A malformed schema was not answered, or has changed; the other row is there too, and all text is printable."""
    shown: Any = json.loads(json.dumps(_INTROSPECTION))
    for path, value in changes:
        place = shown
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (IndexError, KeyError, TypeError):
            shown = {"data": value}

    def answer(request: httpx.Request) -> httpx.Response:
        content = json.dumps(shown if "__schema" in json.loads(request.content)["query"] else REFUSAL)
        return httpx.Response(200, content=content.encode("utf-8", "surrogatepass"))

    drift = bwp.drift(Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock()))
    assert {"schema", "invalid_event_time"} == {item.place for item in drift.changes}
    assert {item.result for item in drift.changes if item.place == "schema"} <= {"same", "changed", "not answered"}
    assert all(line.isprintable() for line in repr(drift).split("\n"))


@pytest.mark.parametrize("depth", [50, 500, 900, 20_000])
def test_a_deep_schema_or_response_does_not_make_a_drift_raise(depth: int) -> None:
    """Python's limit of recursion is reached in different places."""
    deep: Any = '{"kind": "NON_NULL", "ofType": ' * depth + "null" + "}" * depth
    fields = f'[{{"name": "x", "args": [], "type": {deep}}}]'
    types = f'[{{"kind": "OBJECT", "name": "Q", "interfaces": [], "fields": {fields}}}]'
    schema = f'{{"data": {{"__schema": {{"queryType": {{"name": "Q"}}, "directives": [], "types": {types}}}}}}}'
    refusal = f'{{"data": {deep}, "errors": []}}'

    def answer(request: httpx.Request) -> httpx.Response:
        is_schema = "__schema" in json.loads(request.content)["query"]
        return httpx.Response(200, content=schema if is_schema else refusal)

    drift = bwp.drift(Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock()))
    assert not drift.ok
