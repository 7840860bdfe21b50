"""Clients of the served sandbox, over real sockets: this package's own, and others."""

import json
import logging
import os
import re
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import gql
import pytest
import trustme
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport

import bwp_nb as bwp
from bwp_nb.sandbox.server import Server
from tests.served import headers, needs
from tests.strategies import event

NODE = Path(__file__).parent.parent / "node"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give the environment, free of proxies, for the settings of a live client."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def _live(server: Server, settings: pytest.MonkeyPatch) -> bwp.Client:
    """Return this package's own live client, pointed at a server as a user would."""
    for name, text in server.environment.items():
        settings.setenv(name, text)
    return bwp.connect()


def test_a_live_client_sends_to_it(settings: pytest.MonkeyPatch) -> None:
    """It needs only its settings; both documented examples get their responses."""
    with bwp.serve() as server, _live(server, settings) as client:
        assert f"Client(live, {server.endpoint})" == repr(client)
        mutations = [
            bwp.Mutation.parse(one.request) for one in (bwp.documented.PAGE_LOAD, bwp.documented.INVALID_EVENT_TIME)
        ]
        assert "successful" == client.send(mutations[0]).status
        with pytest.raises(bwp.MutationRejected) as caught:
            client.send(mutations[1], check=False)
        assert [("eventTime", "2023")] == [(found.field, found.value) for found in caught.value.rejected_values]
        assert [item.input for item in mutations[0].events] == server.sandbox.accepted


def test_a_hundred_sends_use_one_connection(settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """They also use one token."""
    caplog.set_level(logging.INFO, "bwp_nb.sandbox.server")
    with bwp.serve() as server, _live(server, settings) as client:
        for _ in range(100):
            client.send(client.new_event("click"))
        assert (100, 1) == (len(server.sandbox.accepted), server.sandbox.token_requests)
    asked = re.findall(r"port (\d+): POST /graphql -> 200", caplog.text)
    assert (100, 1) == (len(asked), len(set(asked)))


def test_a_stale_connection_is_replaced(settings: pytest.MonkeyPatch) -> None:
    """The server closed it while it was idle; the send still takes one attempt."""
    with bwp.serve(deadline=0.2) as server, _live(server, settings) as client:
        client.send(event())
        time.sleep(1)
        assert 1 == client.send(event()).attempts


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("refused", 1), ("reset_before", 1), ("reset_after", 2), ("cut_off", 2), ("http_503", 1), ("throttled", 1)],
)
def test_a_fault_of_the_socket_is_survived(settings: pytest.MonkeyPatch, name: str, accepted: int) -> None:
    """A lost response is retried with the same id; truncated JSON is not."""
    with bwp.serve() as server, _live(server, settings) as client:
        server.sandbox.fail_next(name)
        if name == "cut_off":
            with pytest.raises(bwp.RequestFailed) as caught:
                client.send(event())
            assert "unknown" == caught.value.state
        assert client.send(event()).attempts == (1 if name == "cut_off" else 2)
        assert [event().input] * accepted == server.sandbox.accepted


def test_an_attempt_ends_at_the_clients_timeout(settings: pytest.MonkeyPatch) -> None:
    """The server would wait longer; the next attempt succeeds."""
    with bwp.serve() as server, _live(server, settings) as client:
        client.timeout = 0.3
        server.sandbox.fail_next("timeout_after")
        receipt = client.send(event())
        assert (2, 2) == (receipt.attempts, len(server.sandbox.accepted))
        assert 0.3 <= receipt.elapsed < 20


def test_a_huge_response_is_not_read_to_its_end(settings: pytest.MonkeyPatch) -> None:
    """Reading stops after one mebibyte."""
    with bwp.serve() as server, _live(server, settings) as client:
        server.sandbox.fail_next("huge")
        with pytest.raises(bwp.RequestFailed, match="1048576"):
            client.send(event())


def test_an_expired_token_is_renewed_once(settings: pytest.MonkeyPatch) -> None:
    """It happens within the same attempt."""
    with bwp.serve() as server, _live(server, settings) as client:
        client.send(event())
        server.sandbox.fail_next("expired_token")
        assert (1, 2) == (client.send(event()).attempts, server.sandbox.token_requests)


def test_other_credentials_are_refused_and_not_retried(settings: pytest.MonkeyPatch) -> None:
    """They could be live ones, sent to the sandbox by mistake."""
    with bwp.serve() as server:
        _live(server, settings).close()
        settings.setenv("BWP_CLIENT_ID", "amzn1.live-client")
        with bwp.connect() as client, pytest.raises(bwp.RequestFailed) as caught:
            client.send(event())
        assert (1, 401, "failed") == (caught.value.attempts, caught.value.status_code, caught.value.state)
        assert [] == server.sandbox.requests


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """Give a certificate authority of this machine alone, and the file to trust it by."""
    made = trustme.CA()
    path = tmp_path / "authority.pem"
    made.cert_pem.write_to_path(str(path))
    return made, path


def _secured(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_it_can_be_served_over_tls(settings: pytest.MonkeyPatch, authority: tuple[trustme.CA, Path]) -> None:
    """The client trusts the authority, and the certificate names the address."""
    made, path = authority
    settings.setenv("SSL_CERT_FILE", str(path))
    with bwp.serve(ssl_context=_secured(made.issue_cert("127.0.0.1"))) as server, _live(server, settings) as client:
        assert server.endpoint.startswith("https://127.0.0.1:")
        assert "successful" == client.send(event()).status


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_wrong_certificate_is_refused_at_once(
    settings: pytest.MonkeyPatch, authority: tuple[trustme.CA, Path], wrong: str
) -> None:
    """An untrusted authority or another name ends after one attempt, with nothing sent."""
    made, path = authority
    settings.setenv("SSL_CERT_FILE", str(path))
    issuer, name = (trustme.CA(), "127.0.0.1") if wrong == "authority" else (made, "other.example")
    with bwp.serve(ssl_context=_secured(issuer.issue_cert(name))) as server, _live(server, settings) as client:
        with pytest.raises(bwp.RequestFailed, match="certificate") as caught:
            client.send(event())
        assert (1, False, "failed") == (caught.value.attempts, caught.value.retryable, caught.value.state)
        assert 0 == server.sandbox.token_requests


def test_gql_reads_its_schema_and_sends_the_documented_events() -> None:
    """The Python client checks each query against the introspected schema."""
    with bwp.serve() as server:
        transport = HTTPXTransport(url=server.endpoint, headers=headers(server))
        with gql.Client(transport=transport, fetch_schema_from_transport=True) as session:
            answer = session.execute(gql.gql(bwp.documented.PAGE_LOAD.request))
            assert bwp.documented.PAGE_LOAD.response["data"] == answer
            with pytest.raises(TransportQueryError) as caught:
                session.execute(gql.gql(bwp.documented.INVALID_EVENT_TIME.request))
        expected = bwp.documented.INVALID_EVENT_TIME.response["errors"][0]["message"]
        assert [expected] == [error["message"] for error in caught.value.errors or ()]
        assert (1, 1) == (len(server.sandbox.accepted), len(server.sandbox.rejected))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the programs for Node.js and what they need; in CI their absence is a failure."""
    needs("npm")
    folder = tmp_path_factory.mktemp("node") / "programs"
    shutil.copytree(NODE, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    if subprocess.run(command, cwd=folder, check=False, timeout=300).returncode:
        assert os.environ.get("CI") != "true", "In CI npm's registry must be within reach"
        pytest.skip("npm could not install what the programs need")
    return folder


def _ran(folder: Path, program: str, server: Server, *given: str) -> Any:
    """Return what a program for Node.js reports about a server."""
    command = ["node", program, server.endpoint, json.dumps(headers(server)), *given]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(ran.stdout)


def test_it_passes_every_audit_of_graphql_over_http(node: Path) -> None:
    """These are the audits of the npm package graphql-http: MUST, SHOULD and MAY."""
    with bwp.serve() as server:
        results = _ran(node, "audit.js", server)
    failed = [result for result in results if result["status"] != "ok"]
    print(f"graphql-http audits passed: {len(results) - len(failed)} of {len(results)}")
    assert [] == failed
    assert len(results) > 50


def test_graphql_request_sends_the_documented_events(node: Path) -> None:
    """The JavaScript client gets the documented responses."""
    with bwp.serve() as server:
        found = [
            _ran(node, "request.js", server, one.request)
            for one in (bwp.documented.PAGE_LOAD, bwp.documented.INVALID_EVENT_TIME)
        ]
        assert bwp.documented.PAGE_LOAD.response == found[0]
        expected = json.dumps(bwp.documented.INVALID_EVENT_TIME.response["errors"]).replace(
            '"column": 68', '"column": 5'
        )
        assert (200, json.loads(expected)) == (found[1]["status"], found[1]["errors"])
        assert (1, 1) == (len(server.sandbox.accepted), len(server.sandbox.rejected))
