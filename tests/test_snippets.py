"""The same request as text for other tools, each run by its real tool, and read back from what people paste."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import snippets

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
    """Return a request in every form, by the form's name."""
    return {name: form(mutation, snippets.ENDPOINT) for name, form in snippets.FORMS.items()}


class Served:
    """A sandbox behind a socket, for programs that are no Python: it also keeps the headers that came."""

    def __init__(self) -> None:
        self.sandbox = bwp.Sandbox(latency=0)
        self.headers: list[dict[str, str]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                served.headers.append({name.lower(): value for name, value in self.headers.items()})
                request = httpx.Request("POST", served.sandbox.endpoint, content=content, headers=self.headers.items())
                response = served.sandbox.handle_request(request)
                self.send_response(response.status_code)
                self.send_header("Content-Length", str(len(response.content)))
                self.end_headers()
                self.wfile.write(response.content)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        credentials = {"client_id": self.sandbox.client_id, "client_secret": self.sandbox.client_secret}
        form = {"grant_type": "client_credentials", **credentials}
        with httpx.Client(transport=self.sandbox) as client:
            self.token = client.post(self.sandbox.token_endpoint, data=form).json()["access_token"]
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}/graphql"


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve a sandbox that any program reaches."""
    served = Served()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield served
    served.server.shutdown()
    served.server.server_close()
    thread.join()


def run(*command: str, served: Served | None = None) -> str:
    """Run a program as somebody would who has a token in the environment, and return what it prints."""
    settings = {"BWP_ACCESS_TOKEN": served.token, "BWP_TARGET_ID": served.sandbox.target_id} if served else {}
    environment = {**os.environ, **settings, "no_proxy": "127.0.0.1"}
    result = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert (0, "") == (result.returncode, result.stderr)
    return result.stdout


def arrived(sandbox: bwp.Sandbox) -> Any:
    """Return the variables of the one request that arrived."""
    (request,) = sandbox.requests
    return json.loads(request["body"])["variables"]


def test_curl_itself_delivers_any_text_unchanged(served: Served) -> None:
    """The cURL line, run by a shell, sends the very payload, with token and target from the environment."""
    answer = run(
        "bash", "-c", snippets.curl(MUTATION, served.endpoint).replace("curl", "curl --silent", 1), served=served
    )
    assert {"data": {"sendUserEvents": {"status": "successful"}}} == json.loads(answer)
    assert MUTATION.payload == json.loads(served.sandbox.requests[0]["body"])
    assert {
        "authorization": f"Bearer {served.token}",
        "content-type": "application/json",
        "x-api-target-id": served.sandbox.target_id,
        "x-api-version": "2024-11-01",
    } == {
        name: served.headers[0][name] for name in ("authorization", "content-type", "x-api-target-id", "x-api-version")
    }


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation=MUTATIONS)
def test_no_text_makes_a_shell_run_or_change_anything(served: Served, mutation: bwp.Mutation) -> None:
    """Whatever the values, the shell hands the payload to curl as it is."""
    run("bash", "-c", snippets.curl(mutation, served.endpoint).replace("curl", "curl --silent", 1), served=served)
    assert mutation.payload == json.loads(served.sandbox.requests[-1]["body"])


def test_a_fresh_python_with_httpx_delivers_any_text_unchanged(served: Served) -> None:
    """The httpx program sends the very payload, with token and target from the environment."""
    printed = run(sys.executable, "-c", snippets.python_httpx(MUTATION, served.endpoint), served=served)
    assert "{'data': {'sendUserEvents': {'status': 'successful'}}}\n" == printed
    assert MUTATION.payload == json.loads(served.sandbox.requests[0]["body"])


def test_a_fresh_python_with_bwp_nb_delivers_any_text_unchanged() -> None:
    """The bwp_nb program sends the very payload to its sandbox."""
    tell = "import json\nprint(json.dumps(client.sandbox.requests[0]['body']))\n"
    receipt, body = run(sys.executable, "-c", snippets.python_bwp_nb(MUTATION) + tell).splitlines()
    assert receipt.startswith("Receipt(status='successful', events=2")
    assert MUTATION.payload == json.loads(json.loads(body))


def test_what_our_checks_refuse_is_sent_by_the_bwp_nb_program_all_the_same() -> None:
    """The documentation's refused example is refused by the sandbox, not by the program."""
    mutation = bwp.Mutation.parse(bwp.documented.INVALID_EVENT_TIME.request)
    code = snippets.python_bwp_nb(mutation)
    scope: dict[str, Any] = {}
    with pytest.raises(bwp.MutationRejected):
        exec(code, scope)  # noqa: S102
    assert [mutation.events[0].input] == [rejected["event"] for rejected in scope["client"].sandbox.rejected]


@pytest.mark.parametrize("form", ["GraphQL", "JSON body"])
def test_the_graphql_forms_deliver_any_text_unchanged(form: str) -> None:
    """Sent as they stand, the inline text and the body's two parts put the same events into the sandbox."""
    text = snippets.FORMS[form](MUTATION, snippets.ENDPOINT)
    parts = json.loads(text) if form == "JSON body" else {"query": text}
    client = bwp.connect()
    client.execute(**parts)
    assert client.sandbox is not None
    assert [event.input for event in MUTATION.events] == client.sandbox.accepted


@settings(deadline=None)
@given(mutation=MUTATIONS)
def test_every_form_reads_back_as_the_same_request(mutation: bwp.Mutation) -> None:
    """Pasting any form of a request gives that request, whatever its texts."""
    read = {form: bwp.Mutation.parse(text) for form, text in every(mutation).items()}
    assert dict.fromkeys(read, mutation) == read


def test_tokens_stand_in_a_snippet_by_name_only() -> None:
    """No form holds a value for the token, and those that need one say where it comes from."""
    texts = every(MUTATION)
    assert {"cURL", "Python with httpx"} == {form for form, text in texts.items() if "BWP_ACCESS_TOKEN" in text}
    assert texts["cURL"].startswith("# Needs in the environment BWP_ACCESS_TOKEN")
    assert '"Authorization: Bearer $BWP_ACCESS_TOKEN"' in texts["cURL"]
    assert "os.environ['BWP_ACCESS_TOKEN']" in texts["Python with httpx"]


def test_a_snippet_for_a_sandbox_says_that_nothing_else_reaches_it() -> None:
    """A sandbox inside Python has no address for curl, and the snippet says so."""
    assert "sandbox.invalid is a sandbox inside Python" in snippets.curl(MUTATION, bwp.Sandbox.endpoint)
    assert "sandbox" not in snippets.curl(MUTATION)
