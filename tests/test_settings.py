"""Where settings come from, which of them wins, and what is asked before the first send."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

import bwp_nb as bwp
import tests.servers
from bwp_nb import settings
from bwp_nb.__main__ import main
from bwp_nb.sandbox.server import Server
from bwp_nb.settings import SETTINGS
from tests.servers import Connection, serving

LIVE = {"BWP_MODE": "live", "BWP_CLIENT_ID": "an-id", "BWP_CLIENT_SECRET": "a-secret", "BWP_TARGET_ID": "a-target"}


class Kept(KeyringBackend):
    """A keyring with the passwords that it is given."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, kept: dict[str, str]) -> None:
        super().__init__()
        self.kept = kept

    def get_password(self, service: str, username: str) -> str | None:
        """Return a password that is kept under our name."""
        return self.kept.get(username) if service == "bwp_nb" else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep nothing more."""

    def delete_password(self, service: str, username: str) -> None:
        """Forget nothing."""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings in the environment, no `.env` file here, an empty keyring."""
    monkeypatch.chdir(tmp_path)
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(Kept({}))
    yield
    keyring.set_keyring(before)


def _write_env_file(given: dict[str, str]) -> None:
    Path(".env").write_text("".join(f"{name}={text}\n" for name, text in given.items()), "utf-8")


def test_a_file_beside_the_notebook_gives_the_settings() -> None:
    """A `.env` file is enough to go live."""
    _write_env_file(LIVE)
    assert "live" == settings.mode()
    found = settings.live().credentials
    assert ("an-id", "a-secret", "a-target") == (found.client_id, found.client_secret.reveal(), found.target_id)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set for one run applies to that run."""
    _write_env_file(LIVE)
    monkeypatch.setenv("BWP_CLIENT_ID", "another-id")
    assert "another-id" == settings.live().credentials.client_id


def test_a_dollar_in_a_secret_stays_a_dollar() -> None:
    """The file is not a shell script."""
    _write_env_file({**LIVE, "BWP_CLIENT_SECRET": "'a$HOME${b}'"})
    assert "a$HOME${b}" == settings.live().credentials.client_secret.reveal()


def test_a_keyring_gives_what_is_missing_elsewhere() -> None:
    """The file and the environment win over it."""
    keyring.set_keyring(Kept({"BWP_CLIENT_SECRET": "kept", "BWP_CLIENT_ID": "kept-id"}))
    _write_env_file({name: text for name, text in LIVE.items() if name != "BWP_CLIENT_SECRET"})
    found = settings.live().credentials
    assert ("an-id", "kept") == (found.client_id, found.client_secret.reveal())


def test_a_user_without_a_home_has_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a container, for whom keyring raises what `pathlib` does."""
    monkeypatch.setattr(keyring, "get_password", lambda *_: Path("~nobody-at-all").expanduser())
    with pytest.raises(bwp.InvalidSettings, match="BWP_CLIENT_ID is required"):
        settings.live()


def test_a_keyring_that_cannot_be_read_is_an_error() -> None:
    """A locked keyring is not the same as an empty one."""

    class Locked(Kept):
        def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
            raise keyring.errors.KeyringLocked("locked")

    keyring.set_keyring(Locked({}))
    with pytest.raises(bwp.InvalidSettings, match="keyring cannot be read: locked"):
        settings.live()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BWP_CLIENT_ID", "two words"),
        ("BWP_CLIENT_SECRET", "a\nb"),
        ("BWP_TARGET_ID", "ä"),
        ("BWP_API_VERSION", "latest"),
        ("BWP_ENDPOINT", "http://api.example.com/graphql"),
        ("BWP_ENDPOINT", "https://somebody:a-password@api.example.com/graphql"),
        ("BWP_TOKEN_ENDPOINT", "ftp://127.0.0.1/token"),
        ("BWP_CONFIRM", "maybe"),
    ],
)
def test_a_malformed_setting_is_named_and_a_secret_one_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """The message says what was expected and, unless it is a secret, what was given."""
    _spread(monkeypatch, environment={**LIVE, name: text})
    with pytest.raises(bwp.InvalidSettings) as caught:
        settings.live()
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: expected ")
    is_secret = name == "BWP_CLIENT_SECRET" or "a-password" in text
    assert (repr(text) in problem) == (not is_secret)
    assert "a-password" not in problem


def test_version_and_access_key_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent in the headers that the documentation and published clients name."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            connection.answer(b'{"access_token": "a"}') if b" /token " in request else connection.succeed()

    with serving(answer) as server:
        endpoints = {"BWP_ENDPOINT": server.endpoint, "BWP_TOKEN_ENDPOINT": server.endpoint.replace("graphql", "token")}
        given = {**LIVE, **endpoints, "BWP_CONFIRM": "no", "BWP_API_VERSION": "2025-01-01", "BWP_ACCESS_KEY": "a-key"}
        for name, text in given.items():
            monkeypatch.setenv(name, text)
        with bwp.connect() as client:
            client.send(client.new_event("click"))
        head, _ = server.requests[-1]
    assert {"x-api-version: 2025-01-01", "x-api-access-key: a-key"} <= set(head.split("\r\n"))


def _live_client(server: Server, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> bwp.Client:
    for name, text in {**server.environment, "BWP_CONFIRM": "yes"}.items():
        monkeypatch.setenv(name, text)
    return bwp.connect(**changed)


def test_a_live_client_asks_once_before_its_first_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a yes it does not ask again."""
    asked: list[str] = []
    with bwp.serve() as server:
        with _live_client(server, monkeypatch, confirm=lambda endpoint: not asked.append(endpoint)) as client:
            client.send(client.new_event("click"))
            client.send(client.new_event("click"))
        assert [server.endpoint] == asked
        assert 2 == len(server.sandbox.accepted)


@pytest.mark.parametrize(("typed", "sent"), [("yes\n", 1), ("no\n", 0), ("", 0)])
def test_the_question_goes_to_the_keyboard_and_no_answer_is_a_no(
    typed: str, sent: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything but yes sends nothing, and without a keyboard the message says how to send without a question."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    with bwp.serve() as server:
        with _live_client(server, monkeypatch) as client:
            try:
                client.send(client.new_event("click"))
            except bwp.RequestFailed as error:
                assert "was not confirmed. The events were not accepted." in str(error)  # noqa: PT017
                assert "failed" == error.state  # noqa: PT017
        assert sent == len(server.sandbox.accepted)
        assert (sent or 0) == min(1, server.sandbox.token_requests)
    assert ("BWP_CONFIRM=no" in capsys.readouterr().err) == (typed == "")


def test_messages_are_sentences_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting says where to find it, a malformed one what was expected."""
    given = {"BWP_CLIENT_ID": "an-id", "BWP_TARGET_ID": "bp 1", "BWP_CONFIRM": "maybe"}
    _spread(monkeypatch, environment=given)
    with pytest.raises(bwp.InvalidSettings) as caught:
        settings.live()
    where = "the merchant console, as owner or administrator: Settings > API credentials > Generate credentials"
    expected = [
        f"BWP_CLIENT_SECRET is required. Copy it from {where}: client secret.",
        f"BWP_TARGET_ID: expected ASCII text without spaces, got 'bp 1'. Copy it from {where}: TargetId.",
        "BWP_CONFIRM: expected yes or no, got 'maybe'.",
    ]
    assert expected == caught.value.problems


OTHER = "https://shop.invalid/"


def _spread(monkeypatch: pytest.MonkeyPatch, **sources: dict[str, str]) -> None:
    """Put settings into the environment, the `.env` file and the keyring."""
    for name, text in sources.get("environment", {}).items():
        monkeypatch.setenv(name, text)
    _write_env_file(sources.get("file", {}))
    keyring.set_keyring(Kept(sources.get("keyring", {})))


def _addresses(server: tests.servers.Server) -> dict[str, str]:
    return {"BWP_ENDPOINT": server.endpoint, "BWP_TOKEN_ENDPOINT": server.endpoint.replace("/graphql", "/token")}


@contextmanager
def _listening() -> Iterator[tests.servers.Server]:
    """Run a server that a file points to; it accepts whatever it gets."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            connection.answer(b'{"access_token": "a-token"}') if b" /token " in request else connection.succeed()

    with serving(answer) as server:
        yield server


@pytest.mark.parametrize("name", ["BWP_ENDPOINT", "BWP_TOKEN_ENDPOINT"])
@pytest.mark.parametrize("source", ["environment", "keyring"])
@pytest.mark.parametrize(
    "call", [bwp.connect, bwp.doctor, lambda **_: main(["drift"])], ids=["connect", "doctor", "drift"]
)
def test_a_file_cannot_redirect_a_secret_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch, name: str, source: str, call: Callable[..., Any]
) -> None:
    """Without a keyboard nothing reaches the server, not even a connection, even if the file says not to ask."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with _listening() as server:
        file = {name: _addresses(server)[name], "BWP_CONFIRM": "no", "BWP_MODE": "live"}
        _spread(monkeypatch, file=file, **{source: LIVE})
        with suppress(bwp.InvalidSettings):
            call()
        assert ([], 0) == (server.requests, server.connections)


@pytest.mark.parametrize("call", [bwp.connect, bwp.doctor])
def test_the_question_names_the_host_and_both_sources(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]
) -> None:
    """It is asked once for both addresses, before anything is sent; after a yes the client works."""
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        assert 0 == server.connections
        return True

    with _listening() as server:
        _spread(monkeypatch, file={**_addresses(server), "BWP_CONFIRM": "no"}, environment=LIVE)
        call(confirm=confirm)
        host = f"127.0.0.1:{server.port}"
    reason = f"in the file .env points to {host}, but BWP_CLIENT_SECRET comes from the environment."
    assert [f"BWP_ENDPOINT {reason} BWP_TOKEN_ENDPOINT {reason}"] == asked


def test_a_redirect_that_is_not_confirmed_is_an_error_with_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keyboard is asked in full sentences, and anything but yes is a no."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    _spread(monkeypatch, file={"BWP_TOKEN_ENDPOINT": "https://shop.invalid/token"}, environment=LIVE)
    with pytest.raises(bwp.InvalidSettings) as caught:
        bwp.connect()
    reason = (
        "BWP_TOKEN_ENDPOINT in the file .env points to shop.invalid, but BWP_CLIENT_SECRET comes from the environment."
    )
    advice = "Set both in the same place, or confirm the address when asked."
    assert [f"{reason} Sending it there was not confirmed. {advice}"] == caught.value.problems
    assert f"{reason} Send the secret there? Type yes: " == capsys.readouterr().out


@pytest.mark.parametrize(
    ("sources", "asks"),
    [
        ({"environment": LIVE | {"BWP_TOKEN_ENDPOINT": OTHER}}, False),
        ({"file": LIVE | {"BWP_TOKEN_ENDPOINT": OTHER}}, False),
        ({"keyring": LIVE | {"BWP_TOKEN_ENDPOINT": OTHER}, "environment": {"BWP_MODE": "live"}}, False),
        ({"environment": LIVE, "file": {"BWP_TOKEN_ENDPOINT": "https://api.buywithprime.amazon.com/other"}}, False),
        ({"environment": LIVE, "file": {"BWP_ENDPOINT": "https://API.buywithprime.amazon.com:443/graphql"}}, False),
        ({"environment": LIVE, "file": {"BWP_ENDPOINT": "https://api.buywithprime.amazon.com:8443/graphql"}}, True),
        ({"environment": LIVE, "file": {"BWP_ENDPOINT": "https://api.buywithprime.amazon.com.shop.invalid/"}}, True),
        ({"environment": LIVE, "file": {"BWP_ENDPOINT": "http://localhost:1/graphql"}}, True),
        ({"environment": LIVE, "file": {"BWP_ENDPOINT": "http://[::1]:1/graphql"}}, True),
        ({"environment": LIVE | {"BWP_ENDPOINT": OTHER}, "file": {"BWP_ACCESS_KEY": "a-key"}}, True),
        ({"environment": LIVE | {"BWP_TOKEN_ENDPOINT": OTHER}, "file": {"BWP_ACCESS_KEY": "a-key"}}, False),
        ({"keyring": LIVE, "environment": {"BWP_MODE": "live", "BWP_ENDPOINT": OTHER}}, True),
        ({"environment": LIVE | {"BWP_ENDPOINT": OTHER}, "file": {"BWP_ENDPOINT": "https://b.invalid/"}}, False),
    ],
)  # fmt: skip
def test_an_address_is_asked_about_unless_it_is_documented_or_comes_with_the_secret(
    monkeypatch: pytest.MonkeyPatch, sources: dict[str, dict[str, str]], asks: bool
) -> None:
    """Each secret counts for the address that it is sent to; the value that wins is the one that counts."""
    asked: list[str] = []
    _spread(monkeypatch, **sources)
    bwp.connect(confirm=lambda text: not asked.append(text)).close()
    assert asks == bool(asked)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"BWP_MODE=\xe4"], ids=["UTF-16", "Latin-1"])
def test_a_file_that_cannot_be_read_is_an_error(content: bytes) -> None:
    """It is not taken for an empty one."""
    Path(".env").write_bytes(content)
    with pytest.raises(bwp.InvalidSettings, match=r"The file \.env cannot be read: UnicodeDecodeError"):
        bwp.connect()


def test_a_byte_order_mark_before_the_first_setting_does_no_harm() -> None:
    """Some editors write one."""
    Path(".env").write_text("BWP_MODE=live\n", "utf-8-sig")
    assert "live" == settings.mode()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSLKEYLOGFILE"])
def test_a_missing_file_for_tls_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With its value; the doctor reports it as well."""
    _spread(monkeypatch, environment=LIVE | {name: "none/such.pem"})
    with pytest.raises(bwp.InvalidSettings, match=rf"{name}\b.*none/such\.pem"):
        bwp.connect()
    assert ["settings"] == [step.name for step in bwp.doctor().steps if step.outcome == "failed"]


@pytest.mark.parametrize("header", ["x-api-target-id", "X-Omni-TargetId"])
def test_a_setting_chooses_the_header_of_the_target(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    """One of the two is sent, not both."""
    with _listening() as server:
        given = {**LIVE, **_addresses(server), "BWP_CONFIRM": "no", "BWP_TARGET_HEADER": header}
        _spread(monkeypatch, environment=given)
        with bwp.connect() as client:
            client.send(client.new_event("click"))
        lines = server.requests[-1][0].lower().split("\r\n")
    names = [line.partition(":")[0] for line in lines if line.endswith(": a-target")]
    assert [header.lower()] == names


def test_another_header_of_the_target_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the documented one and the one of published clients are known."""
    _spread(monkeypatch, environment={**LIVE, "BWP_TARGET_HEADER": "X-Target"})
    with pytest.raises(bwp.InvalidSettings, match="expected x-api-target-id or X-Omni-TargetId, got 'X-Target'"):
        settings.live()
