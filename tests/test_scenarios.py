"""What a CI job gets of `doctor` and `drift`: for each scenario the documented exit status, and a JSON result."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, graphql_sync

import bwp_nb as bwp
from bwp_nb.__main__ import main
from bwp_nb.settings import SETTINGS
from tests.servers import Connection, serving

SCHEMA = files("bwp_nb").joinpath("contract/schema.graphql").read_text("utf-8")
SENT = bwp.documented.PAGE_LOAD.response
PAGE = (b"<!doctype html><h1>Sign in</h1>", "200 OK", "Content-Type: text/html")
UNAUTHORIZED = (b'{"errors": [{"message": "Token has expired"}]}', "401 Unauthorized")
UNAVAILABLE = (b'{"errors": [{"message": "Try again later"}]}', "503 Service Unavailable")
NO_SCHEMA = (b'{"data": {}}',)
NO_MUTATIONS = "type Query { shop: String }"

#: The settings of a scenario, and the server while it lasts.
Setup = Callable[[], Any]


def _sandbox() -> Any:
    """No settings."""
    return _nothing({})


def _served(**changed: str) -> Setup:
    """A served sandbox, and what is changed of its settings."""

    @contextmanager
    def setup() -> Iterator[dict[str, str]]:
        with bwp.serve() as server:
            yield server.environment | changed

    return setup


@contextmanager
def _nothing(given: dict[str, str]) -> Iterator[dict[str, str]]:
    yield given


def _down() -> Any:
    with bwp.serve() as server:
        environment = server.environment
    return _nothing(environment)


def _missing() -> Any:
    return _nothing({"BWP_MODE": "live"})


def _answers(
    schema: str = SCHEMA,
    example: Any = bwp.documented.INVALID_EVENT_TIME.response,
    always: tuple[Any, ...] = (),
    token: tuple[Any, ...] = (b'{"access_token": "a-token", "expires_in": 900}',),
) -> Setup:
    """A server with this schema, unless it is empty, and this response to the invalid example; or always the same."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            if b" /token " in request.partition(b"\r\n")[0]:
                connection.answer(*token)
            elif always:
                connection.answer(*always)
            else:
                connection.answer(json.dumps(_response(request, schema, example)).encode())

    @contextmanager
    def setup() -> Iterator[dict[str, str]]:
        with serving(answer) as server:
            token = server.endpoint.replace("/graphql", "/token")
            given = {
                "BWP_MODE": "live",
                "BWP_CONFIRM": "no",
                "BWP_ENDPOINT": server.endpoint,
                "BWP_TOKEN_ENDPOINT": token,
            }
            yield given | dict.fromkeys(["BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID"], "x")

    return setup


def _response(request: bytes, schema: str, example: Any) -> Any:
    if b"__schema" not in request:
        return example
    if not schema:
        return {"errors": [{"message": "Introspection is disabled"}]}
    query = json.loads(request[request.index(b"\r\n\r\n") :])["query"]
    return graphql_sync(build_schema(schema), query).formatted


def _edited(before: str, after: str) -> Setup:
    assert before in SCHEMA
    return _answers(SCHEMA.replace(before, after))


RENAMED = SCHEMA.replace("  sendUserEvents(", "  sendUserEventsV2(")
NO_FIELD = {"errors": [{"message": "Cannot query field 'sendUserEvents' on type 'Mutation'."}]}

#: What is wrong, and the exit statuses of doctor and of drift.
SCENARIOS: dict[str, tuple[Setup, int, int]] = {
    "sandbox": (_sandbox, 0, 0),
    "served": (_served(), 0, 0),
    "wrong secret": (_served(BWP_CLIENT_SECRET="mistyped"), 4, 4),  # noqa: S106
    "wrong secret by HTTP 400": (_answers(token=(b'{"error": "invalid_grant"}', "400 Bad Request")), 4, 4),
    "wrong target": (_served(BWP_TARGET_ID="bp-somebody-else"), 4, 4),
    "server down": (_down, 3, 3),
    "HTML page": (_answers(always=PAGE), 3, 3),
    "unauthorized with errors": (_answers(always=UNAUTHORIZED), 4, 4),
    "unavailable with errors": (_answers(always=UNAVAILABLE), 3, 3),
    "malformed schema": (_answers(always=NO_SCHEMA), 3, 1),
    "not confirmed": (_served(BWP_CONFIRM="yes"), 0, 4),
    "settings missing": (_missing, 4, 4),
    "field removed": (_edited("  schemaVersion: String @", "  _x: String @"), 0, 1),
    "field added": (_edited("  status: String", "  accepted: Int\n  status: String"), 0, 1),
    "field deprecated": (_edited("  schemaVersion: String @", "  schemaVersion: String @deprecated @"), 0, 1),
    "mutation renamed": (_answers(RENAMED, NO_FIELD), 1, 1),
    "no mutations": (_answers(NO_MUTATIONS, NO_FIELD), 1, 1),
    "invalid example accepted": (_answers(example=SENT), 0, 1),
    "introspection refused": (_answers(""), 0, 3),
}


@pytest.mark.parametrize("command", ["doctor", "drift"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_has_the_documented_status_and_a_json_result(
    name: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both agree: the result is not ok unless the status is 0, and it says nothing of events."""
    setup, *statuses = SCENARIOS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    with setup() as given:
        for variable, text in given.items():
            monkeypatch.setenv(variable, text)
        assert statuses[command == "drift"] == main([command, "--json"])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (statuses[command == "drift"] == 0) == found.get("ok", False)
    assert [] == re.findall(r"resend|may have been accepted|not accepted|was sent|Not sent", out + err)


@pytest.mark.parametrize("name", ["field removed", "field added", "field deprecated"])
def test_a_change_of_the_schema_is_reported_as_what_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An addition and a deprecation are safe, a removal breaks clients."""
    setup, *_ = SCENARIOS[name]
    with setup() as given:
        for variable, text in given.items():
            monkeypatch.setenv(variable, text)
        main(["drift", "--json"])
    changes = [change for change in json.loads(capsys.readouterr().out)["changes"] if change["result"] == "changed"]
    kinds = {"field removed": "FIELD_REMOVED", "field added": "FIELD_ADDED", "field deprecated": "DEPRECATED"}
    severity = "breaking" if name == "field removed" else "safe"
    assert (kinds[name], severity) in [(change["path"], change["severity"]) for change in changes]
