"""TLS: certificates are looked at, and a wrong one ends the call at once, with nothing sent."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from bwp_nb import Client, InvalidSettings, RequestFailed
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import Connection, Server, serving, succeed_always
from tests.strategies import event

TRUSTED = trustme.CA()
UNKNOWN = trustme.CA()


def _server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _transport() -> DeadlineTransport:
    """Return a transport that trusts one authority."""
    context = ssl.create_default_context()
    TRUSTED.configure_trust(context)
    return DeadlineTransport(ssl_context=context)


def _client(server: Server) -> Client:
    return Client(_transport(), server.endpoint, retries=Retries(attempts=3, first_wait=0.01), timeout=5.0)


WRONG = {
    "of an unknown authority": lambda: UNKNOWN.issue_cert("127.0.0.1"),
    "of another host": lambda: TRUSTED.issue_cert("shop.invalid"),
    "that has expired": lambda: TRUSTED.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)),
}


def test_a_right_certificate_is_taken() -> None:
    """Many sends share one connection here, too."""
    with serving(succeed_always, _server_context(TRUSTED.issue_cert("127.0.0.1"))) as server, _client(server) as client:
        assert {"successful"} == {client.send(event()).status for _ in range(3)}
        assert (1, 3) == (server.connections, len(server.requests))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_certificate_is_never_tried_again(name: str) -> None:
    """Nothing was sent, and the error names the certificate."""
    with (
        serving(succeed_always, _server_context(WRONG[name]())) as server,
        _client(server) as client,
        pytest.raises(RequestFailed, match="certificate") as caught,
    ):
        client.send(event())
    error = caught.value
    assert ("failed", False, False, 1) == (error.state, error.retryable, error.may_have_arrived, error.attempts)
    assert (1, []) == (server.connections, server.requests)


def test_by_default_only_known_authorities_are_trusted() -> None:
    """An authority that somebody made up is not."""
    with (
        serving(succeed_always, _server_context(TRUSTED.issue_cert("127.0.0.1"))) as server,
        Client(DeadlineTransport(), server.endpoint) as client,
        pytest.raises(RequestFailed, match="certificate"),
    ):
        client.send(event())
    assert [] == server.requests


def test_a_server_that_speaks_no_tls_is_a_failed_connection() -> None:
    """It is known that nothing arrived."""
    with (
        serving(lambda connection: connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server,
        Client(_transport(), server.endpoint.replace("http:", "https:"), retries=Retries(attempts=1)) as client,
        pytest.raises(RequestFailed, match="ConnectError") as caught,
    ):
        client.send(event())
    assert ("failed", False) == (caught.value.state, caught.value.may_have_arrived)


def test_a_handshake_that_never_ends_is_given_up_on() -> None:
    """A server that accepts and says nothing costs the timeout, and nothing was sent."""
    with serving(Connection.wait) as server:
        endpoint, retries = server.endpoint.replace("http:", "https:"), Retries(attempts=1)
        with Client(_transport(), endpoint, retries=retries, timeout=0.5) as client:
            with pytest.raises(RequestFailed, match="ConnectTimeout") as caught:
                client.send(event())
            assert client.history[0].elapsed < 0.5 + 1
    assert ("failed", True) == (caught.value.state, caught.value.retryable)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_certificate_of_the_token_endpoint_is_never_tried_again_either(name: str) -> None:
    """The credentials were not sent."""
    with serving(succeed_always, _server_context(WRONG[name]())) as server:
        transport = _transport()
        auth = TokenAuth(Credentials("id", Secret("a"), "bp-1"), server.endpoint, transport, Clock())
        retries = Retries(attempts=3, first_wait=0.01)
        with (
            Client(transport, server.endpoint, auth=auth, retries=retries) as client,
            pytest.raises(RequestFailed, match="certificate") as caught,
        ):
            client.send(event())
    error = caught.value
    assert ("failed", False, False, 1) == (error.state, error.retryable, error.may_have_arrived, error.attempts)
    assert (1, []) == (server.connections, server.requests)


def test_the_certificates_of_ssl_cert_file_are_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are trusted instead of the usual ones, as in httpx."""
    TRUSTED.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with (
        serving(succeed_always, _server_context(TRUSTED.issue_cert("127.0.0.1"))) as server,
        Client(DeadlineTransport(), server.endpoint) as client,
    ):
        assert "successful" == client.send(event()).status


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("SSL_CERT_FILE", "missing/file"),
        ("SSL_CERT_FILE", "empty"),
        ("SSL_CERT_FILE", "text"),
        ("SSL_CERT_FILE", "."),
        ("SSLKEYLOGFILE", "missing/file"),
    ],
)
def test_a_tls_file_that_cannot_be_used_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, file: str
) -> None:
    """The error names the variable and the path, before anything is sent."""
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("not a certificate")
    path = tmp_path / file
    monkeypatch.setenv(name, str(path))
    with pytest.raises(InvalidSettings) as caught:
        DeadlineTransport()
    assert f"{name}={str(path)!r}" in str(caught.value)


def test_the_keys_of_a_connection_are_logged_where_sslkeylogfile_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They make recorded traffic readable, as in httpx."""
    TRUSTED.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = _server_context(TRUSTED.issue_cert("127.0.0.1"))
    with serving(succeed_always, context) as server, Client(DeadlineTransport(), server.endpoint) as client:
        client.send(event())
    assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in (tmp_path / "keys").read_text()
