"""The drift watch: where a server differs from what this package says."""

import json
from importlib.resources import files
from typing import Any

import httpx
import pytest
from graphql import build_schema, introspection_from_schema

import bwp_nb as bwp
from bwp_nb import Client, documented
from bwp_nb.sandbox.api import SandboxClock

SCHEMA = files("bwp_nb").joinpath("contract/schema.graphql").read_text("utf-8")
REFUSAL = documented.INVALID_EVENT_TIME.response


def _client(schema: str = SCHEMA, refusal: Any = REFUSAL) -> Client:
    """Return a client of a server that shows this schema and refuses like this."""
    shown = {"data": introspection_from_schema(build_schema(schema))}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=shown if "__schema" in json.loads(request.content)["query"] else refusal)

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


def test_three_changes_of_a_schema_are_three_rows() -> None:
    """A removed field, a new required one, and a renamed value of an enum: each of them breaks clients."""
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
    ]
    assert expected == sorted(rows)


def test_a_new_optional_field_is_dangerous_not_breaking() -> None:
    """The severity is the one that graphql-core gives."""
    schema = SCHEMA.replace("  schemaVersion: String @", "  shopperId: String\n\n  schemaVersion: String @")
    assert [("schema", "dangerous", "OPTIONAL_INPUT_FIELD_ADDED")] == _changed(bwp.drift(_client(schema)))


def test_a_changed_answer_is_named_by_its_json_path() -> None:
    """The row has both values."""
    refusal = json.loads(json.dumps(REFUSAL).replace("UnspecifiedError", "InvalidDateFormat"))
    (row,) = [item for item in bwp.drift(_client(refusal=refusal)).changes if item.result == "changed"]
    assert "$.errors[0].extensions.classification.code" == row.path
    assert ("'UnspecifiedError'", "'InvalidDateFormat'") == (row.before, row.after)


@pytest.mark.parametrize("status_code", [200, 500])
def test_what_was_not_answered_is_neither_same_nor_changed(status_code: int) -> None:
    """A refused introspection is not drift, nor proof that there is none."""
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
    assert f"changed       invalid_event_time (dangerous): {path}: 'UnspecifiedError' -> 'InvalidDateFormat'" == changed
