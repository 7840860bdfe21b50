"""A request as text for other tools; test_served_snippets.py runs each form with its own tool."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import snippets
from bwp_nb.sandbox.server import Server
from tests.served import needs, token
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


def every(mutation: bwp.Mutation) -> dict[str, str]:
    """Return a request in every form, by the name of the form."""
    return {name: form(mutation, snippets.ENDPOINT) for name, form in snippets.FORMS.items()}


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
    line = snippets.curl(mutation, server.endpoint).replace("curl", "curl --silent --fail", 1)
    given = {"BWP_ACCESS_TOKEN": token(server).json()["access_token"], "BWP_TARGET_ID": server.sandbox.target_id}
    subprocess.run(["bash", "-c", line], env={**os.environ, **given}, capture_output=True, check=True)
    assert mutation.payload == json.loads(server.sandbox.requests[-1]["body"])


def test_every_form_names_the_version_of_the_api() -> None:
    """Each form with headers has the header for the version."""
    texts = every(MUTATION)
    assert "--header 'x-api-version: 2024-11-01'" in texts["cURL"]
    assert "\"x-api-version\": '2024-11-01'" in texts["Python with httpx"]


def test_invalid_events_are_sent_by_the_bwp_nb_program() -> None:
    """The documentation's invalid example is rejected by the sandbox, not by the program."""
    mutation = bwp.Mutation.parse(bwp.documented.INVALID_EVENT_TIME.request)
    code = snippets.python_bwp_nb(mutation)
    scope: dict[str, Any] = {}
    with pytest.raises(bwp.MutationRejected):
        exec(code, scope)  # noqa: S102
    assert [mutation.events[0].input] == [rejected["event"] for rejected in scope["client"].sandbox.rejected]


@PROPERTY
@given(mutation=MUTATIONS)
def test_every_form_reads_back_as_the_same_request(mutation: bwp.Mutation) -> None:
    """Pasting any form of a request gives that request, with any texts."""
    read = {form: bwp.Mutation.parse(text) for form, text in every(mutation).items()}
    assert dict.fromkeys(read, mutation) == read


def test_a_snippet_has_only_the_name_of_the_token() -> None:
    """The forms that need a token say from which environment variable it comes."""
    texts = every(MUTATION)
    assert {"cURL", "Python with httpx"} == {form for form, text in texts.items() if "BWP_ACCESS_TOKEN" in text}
    assert texts["cURL"].startswith("# Needs in the environment BWP_ACCESS_TOKEN")
    assert '"Authorization: Bearer $BWP_ACCESS_TOKEN"' in texts["cURL"]
    assert "os.environ['BWP_ACCESS_TOKEN']" in texts["Python with httpx"]


def test_a_snippet_for_a_sandbox_says_how_to_reach_it() -> None:
    """Other programs can only reach a sandbox that is served."""
    assert "sandbox.invalid is a sandbox in a Python process: serve it" in snippets.curl(MUTATION, bwp.Sandbox.endpoint)
    assert "sandbox" not in snippets.curl(MUTATION)


@pytest.mark.parametrize("form", [snippets.curl, snippets.python_httpx])
def test_the_target_header_can_be_chosen(form: Callable[..., str]) -> None:
    """The documented name is the default; three published clients send another one."""
    assert ("x-api-target-id" in form(MUTATION), "X-Omni-TargetId" in form(MUTATION)) == (True, False)
    text = form(MUTATION, target_header="X-Omni-TargetId")
    assert ("x-api-target-id" in text, "X-Omni-TargetId" in text) == (False, True)
    assert MUTATION == bwp.Mutation.parse(text)
