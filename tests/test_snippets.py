"""A request as text for other tools; test_served_snippets.py runs each form with its own tool."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import snippets
from bwp_nb.sandbox.server import Server
from tests.served import needs
from tests.strategies import PROPERTY

NASTY = "a 'quoted' \"text\"\nwith a line break, \U0001f600, $(rm -rf), `id`, $HOME, !!, %s and a \\ backslash\\n"
EVENT = bwp.UserEvent(
    "page-load",
    "11c7e59a-d462-4254-bc7e-3e44528ef6d0",
    "2023-12-03T10:15:30Z",
    "WEBSITE_CLIENT",
    "1.0",
    additional_properties={"current_url": NASTY, "@file": "@/etc/hostname", NASTY: "", "": "'"},
)
MUTATION = bwp.Mutation([EVENT, bwp.UserEvent("click", "2", "2024-05-31T13:15:30Z", "SERVER_CLIENT", "'", "a b", "@")])

TEXTS = st.text(max_size=12) | st.sampled_from([NASTY, "@file", "'", "\\", "\\\n", "$'", "\r\n", "curl", "UserEvent()"])
MUTATIONS = st.builds(
    bwp.Mutation,
    st.lists(
        st.builds(
            bwp.UserEvent,
            *[TEXTS] * 5,
            schema_name=st.none() | TEXTS,
            schema_version=st.none() | TEXTS,
            additional_properties=st.dictionaries(TEXTS, TEXTS, max_size=3),
        ),
        min_size=1,
        max_size=3,
    ),
)


#: A served sandbox with odd credentials, and a live API with other headers than the documented ones.
SERVED = snippets.served(
    {
        "BWP_MODE": "live",
        "BWP_ENDPOINT": "http://127.0.0.1:9/graphql",
        "BWP_TOKEN_ENDPOINT": "http://127.0.0.1:9/token",
        "BWP_CLIENT_ID": "sandbox-client",
        "BWP_CLIENT_SECRET": 'a "$HOME" `id` \\ secret',
        "BWP_TARGET_ID": "bp-1",
    }
)
OTHER = snippets.Destination(
    target_header="X-Omni-TargetId", names=(*snippets.LIVE.names, "BWP_ACCESS_KEY"), api_version="2024-04-01"
)
DESTINATIONS = [snippets.LIVE, SERVED, OTHER]
PROGRAMS = ["cURL", "Python with httpx", "JavaScript for Node.js"]


def every(mutation: bwp.Mutation, to: snippets.Destination = snippets.LIVE) -> dict[str, str]:
    """Return a request in every form, by the name of the form."""
    return {name: form(mutation, to) for name, form in snippets.FORMS.items()}


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve a sandbox that any program can reach."""
    with bwp.serve() as server:
        yield server


@settings(PROPERTY, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation=MUTATIONS)
def test_no_text_makes_a_shell_run_or_change_anything(server: Server, mutation: bwp.Mutation) -> None:
    """The shell passes the payload to curl unchanged, with any values."""
    needs("curl")
    line = snippets.curl(mutation, snippets.served(server.environment))
    subprocess.run(["bash", "-euc", line], capture_output=True, check=True)
    assert mutation.payload == json.loads(server.sandbox.requests[-1]["body"])


@pytest.mark.parametrize("form", PROGRAMS)
def test_every_program_sends_what_the_client_sends(form: str) -> None:
    """The version, the target header and the access key of its settings, to its addresses."""
    text = snippets.FORMS[form](MUTATION, snippets.LIVE)
    assert ("2024-11-01" in text, "x-api-target-id" in text, "x-api-access-key" in text) == (True, True, False)
    assert "https://api.buywithprime.amazon.com/token" in text
    other = snippets.FORMS[form](MUTATION, OTHER)
    assert ("2024-04-01" in other, "X-Omni-TargetId" in other, "x-api-access-key" in other) == (True, True, True)
    assert "x-api-target-id" not in other


def test_invalid_events_are_sent_by_the_bwp_nb_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation's invalid example is rejected by the sandbox, not by the program."""
    mutation = bwp.Mutation.parse(bwp.documented.INVALID_EVENT_TIME.request)
    with bwp.serve() as server:
        code = snippets.python_bwp_nb(mutation, snippets.served(server.environment))
        monkeypatch.setattr(os, "environ", dict(os.environ))
        scope: dict[str, Any] = {}
        with pytest.raises(bwp.MutationRejected):
            exec(code, scope)  # noqa: S102
        scope["client"].close()
        assert [mutation.events[0].input] == [rejected["event"] for rejected in server.sandbox.rejected]


@settings(PROPERTY, max_examples=40)
@given(mutation=MUTATIONS, to=st.sampled_from(DESTINATIONS))
def test_every_form_reads_back_as_the_same_request(mutation: bwp.Mutation, to: snippets.Destination) -> None:
    """Pasting any form of a request gives that request, with any texts; so does the body in a Postman collection."""
    read = {form: bwp.Mutation.parse(text) for form, text in every(mutation, to).items()}
    assert dict.fromkeys(read, mutation) == read
    collection = json.loads(snippets.postman(mutation, to))
    assert mutation == bwp.Mutation.parse(collection["item"][1]["request"]["body"]["raw"])


def test_a_snippet_for_the_live_api_has_only_names_of_secrets() -> None:
    """Each program says which environment variables it needs."""
    note = "Sends to https://api.buywithprime.amazon.com/graphql; needs BWP_CLIENT_ID, BWP_CLIENT_SECRET, BWP_TARGET_ID"
    texts = every(MUTATION)
    assert [*PROGRAMS[:2], "Python with bwp_nb", PROGRAMS[2]] == [form for form, text in texts.items() if note in text]
    assert 'printf %s "$BWP_CLIENT_SECRET"' in texts["cURL"]
    assert 'os.environ["BWP_CLIENT_SECRET"]' in texts["Python with httpx"]
    assert "process.env.BWP_CLIENT_SECRET" in texts["JavaScript for Node.js"]
    assert "'BWP_MODE': 'live'" in texts["Python with bwp_nb"]


#: The parts of the schema of a Postman collection, version 2.1, that our collections use.
_PAIR = {"type": "object", "required": ["key", "value"], "properties": {"key": {"type": "string"}}}
_REQUEST = {
    "type": "object",
    "required": ["method", "url"],
    "properties": {
        "method": {"enum": ["POST"]},
        "url": {"type": "string"},
        "header": {"type": "array", "items": _PAIR},
        "body": {
            "type": "object",
            "required": ["mode"],
            "properties": {
                "mode": {"enum": ["raw", "urlencoded", "formdata", "file", "graphql"]},
                "raw": {"type": "string"},
                "urlencoded": {"type": "array", "items": _PAIR},
                "options": {"type": "object"},
            },
        },
    },
    "additionalProperties": False,
}
_ITEM = {
    "type": "object",
    "required": ["request"],
    "properties": {
        "name": {"type": "string"},
        "request": _REQUEST,
        "event": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["listen", "script"],
                "properties": {
                    "listen": {"type": "string"},
                    "script": {
                        "type": "object",
                        "properties": {
                            "type": {"type": "string"},
                            "exec": {"type": "array", "items": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
    "additionalProperties": False,
}
_COLLECTION = {
    "type": "object",
    "required": ["info", "item"],
    "properties": {
        "info": {
            "type": "object",
            "required": ["name", "schema"],
            "properties": {
                "name": {"type": "string"},
                "description": {"type": "string"},
                "schema": {"const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
            },
            "additionalProperties": False,
        },
        "item": {"type": "array", "items": _ITEM, "minItems": 2},
        "variable": {"type": "array", "items": _PAIR},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("names", [(), ("BWP_CLIENT_ID", "BWP_CLIENT_SECRET")])
def test_a_header_whose_credential_is_not_named_is_left_out(names: tuple[str, ...]) -> None:
    """A destination may need no target id; every program gets its token anyway."""
    for program in every(MUTATION, snippets.Destination(names=names)).values():
        assert [] == [name for name in ("x-api-target-id", "x-api-access-key", "@@") if name in program]


@pytest.mark.parametrize("to", DESTINATIONS)
def test_a_postman_collection_has_the_structure_of_version_2_1(to: snippets.Destination) -> None:
    """It gets a token, stores it, and sends the events with the headers of a client."""
    collection = json.loads(snippets.postman(MUTATION, to))
    jsonschema.validate(collection, _COLLECTION)
    token, send = (item["request"] for item in collection["item"])
    assert (to.token_endpoint, to.endpoint) == (token["url"], send["url"])
    sent = {pair["key"]: pair["value"] for pair in send["header"]}
    assert ("Bearer {{BWP_ACCESS_TOKEN}}", to.api_version) == (sent["Authorization"], sent["x-api-version"])
    secret = {pair["key"]: pair["value"] for pair in token["body"]["urlencoded"]}["client_secret"]
    environment = to.environment or {"BWP_CLIENT_SECRET": "{{BWP_CLIENT_SECRET}}", "BWP_TARGET_ID": "{{BWP_TARGET_ID}}"}
    assert environment["BWP_CLIENT_SECRET"] == secret
    assert environment["BWP_TARGET_ID"] == sent[to.target_header]
    names = {pair["key"] for pair in collection["variable"]}
    assert set(re.findall(r"{{(\w+)}}", json.dumps(collection["item"]))) <= names
