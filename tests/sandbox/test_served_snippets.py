"""Copied snippets: each is run by its own tool against the served sandbox."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gql
import pytest
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport

import bwp_nb as bwp
from bwp_nb import snippets
from bwp_nb.sandbox.server import Server
from tests.served import headers, needs
from tests.strategies import event

HOSTILE = 'it\'s "$HOME" `id` $(id) \\n %s {{}} @file ; & | # \t\n 😀 \u2028 é \x7f'

MUTATIONS = {
    "documented": bwp.Mutation.parse(bwp.documented.PAGE_LOAD.request),
    "refused": bwp.Mutation.parse(bwp.documented.INVALID_EVENT_TIME.request),
    "hostile": bwp.Mutation(event(event_id=HOSTILE, client_version=HOSTILE, additional_properties={HOSTILE: HOSTILE})),
    "fifty": bwp.Mutation([event(event_id=f"id-{number}", schema_name="example") for number in range(50)]),
}


def _run(command: list[str], text: str = "", **environment: str) -> str:
    """Return what a program prints, without settings of a client but those given here."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BWP_")}
    given = clean | environment
    ran = subprocess.run(command, input=text, env=given, capture_output=True, text=True, timeout=120, check=False)
    return ran.stdout + ran.stderr


def _by_gql(text: str, server: Server) -> str:
    with gql.Client(transport=HTTPXTransport(url=server.endpoint, headers=headers(server))) as session:
        try:
            return str(session.execute(gql.gql(text)))
        except TransportQueryError as error:
            return str(error)


def _by_curl(text: str, server: Server) -> str:
    named = [f"{name}: {value}" for name, value in headers(server).items()] + ["Content-Type: application/json"]
    options = [option for header in named for option in ("--header", header)]
    return _run(["curl", "--silent", server.endpoint, *options, "--data-binary", "@-"], text)


TOOLS: dict[str, Callable[..., str]] = {
    "GraphQL": lambda text, server, **_: _by_gql(text, server),
    "JSON body": lambda text, server, **_: _by_curl(text, server),
    "cURL": lambda text, _, **environment: _run(["sh", "-euc", text], **environment),
    "Python with httpx": lambda text, _, **environment: _run([sys.executable, "-c", text], **environment),
    "Python with bwp_nb": lambda text, _, **environment: _run([sys.executable, "-c", text], "yes\n", **environment),
    "JavaScript for Node.js": lambda text, _, **environment: _run(["node", "-e", text], **environment),
}


def test_every_snippet_has_its_tool() -> None:
    """A new form of snippet is tested here, too."""
    assert list(TOOLS) == list(snippets.FORMS)


def _check(mutation: bwp.Mutation, server: Server, said: str) -> None:
    """Check that the events arrived once, as they are, and that the response was shown."""
    is_good = not any(item.problems() for item in mutation.events)
    arrived = server.sandbox.accepted if is_good else [found["event"] for found in server.sandbox.rejected]
    assert [item.input for item in mutation.events] == arrived, said
    assert [mutation] == [bwp.Mutation.parse(found["body"]) for found in server.sandbox.requests]
    assert ("successful" if is_good else "eventTime 2023 is invalid") in said


@pytest.mark.parametrize("form", TOOLS)
@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_copy_for_this_sandbox_runs_as_pasted(
    mutation: bwp.Mutation, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing in the environment, whatever characters the values contain."""
    needs("curl")
    needs("node")
    monkeypatch.chdir(tmp_path)
    with bwp.serve() as server:
        text = snippets.FORMS[form](mutation, snippets.served(server.environment))
        _check(mutation, server, TOOLS[form](text, server))


@pytest.mark.parametrize("form", [name for name in TOOLS if name not in ("GraphQL", "JSON body")])
def test_a_copy_for_the_live_api_runs_as_pasted(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the secrets in the environment; here a served sandbox is at the address of the live API."""
    needs("curl")
    needs("node")
    monkeypatch.chdir(tmp_path)
    with bwp.serve() as server:
        to = snippets.Destination(server.endpoint, server.token_endpoint, "X-Omni-TargetId")
        given = {name: server.environment[name] for name in to.names}
        said = TOOLS[form](snippets.FORMS[form](MUTATIONS["documented"], to), server, **given)
        _check(MUTATIONS["documented"], server, said)
