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


def _run(command: list[str], server: Server, text: str = "") -> str:
    """Return what a program prints in an environment with a token, the target and the settings of a client."""
    given = headers(server)
    token = {"BWP_ACCESS_TOKEN": given["Authorization"].split()[1]}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BWP_")}
    environment = clean | server.environment | token
    ran = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=120, check=False)
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
    return _run(["curl", "--silent", server.endpoint, *options, "--data-binary", "@-"], server, text)


TOOLS: dict[str, Callable[[str, Server], str]] = {
    "GraphQL": _by_gql,
    "JSON body": _by_curl,
    "cURL": lambda text, server: _run(["sh", "-euc", text], server),
    "Python with httpx": lambda text, server: _run([sys.executable, "-"], server, text),
    "Python with bwp_nb": lambda text, server: _run([sys.executable, "-"], server, text),
}


def test_every_snippet_has_its_tool() -> None:
    """A new form of snippet is tested here, too."""
    assert list(TOOLS) == list(snippets.FORMS)


@pytest.mark.parametrize("form", TOOLS)
@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_snippet_run_by_its_tool_sends_the_same_request(
    mutation: bwp.Mutation, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same events arrive once, whatever characters the values contain, and the response is shown."""
    needs("curl")
    monkeypatch.chdir(tmp_path)
    is_good = not any(item.problems() for item in mutation.events)
    with bwp.serve() as server:
        said = TOOLS[form](snippets.FORMS[form](mutation, server.endpoint), server)
        arrived = server.sandbox.accepted if is_good else [found["event"] for found in server.sandbox.rejected]
        assert [item.input for item in mutation.events] == arrived, said
        assert [mutation] == [bwp.Mutation.parse(found["body"]) for found in server.sandbox.requests]
    assert ("successful" if is_good else "eventTime 2023 is invalid") in said
