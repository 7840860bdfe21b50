"""Where settings come from, which of them wins, and what is asked before the first send."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

import bwp_nb as bwp
from bwp_nb import settings
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
def test_a_malformed_setting_is_named_and_a_secret_one_not_shown(name: str, text: str) -> None:
    """The message says what was expected and, unless it is a secret, what was given."""
    with pytest.raises(bwp.InvalidSettings) as caught:
        settings.live({**LIVE, name: text})
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
    """After a yes there is no further question."""
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


def test_messages_are_sentences_with_the_next_step() -> None:
    """A missing setting says where to find it, a malformed one what was expected."""
    with pytest.raises(bwp.InvalidSettings) as caught:
        settings.live({"BWP_CLIENT_ID": "an-id", "BWP_TARGET_ID": "bp 1", "BWP_CONFIRM": "maybe"})
    where = "the merchant console, as owner or administrator: Settings, API credentials, Generate credentials"
    expected = [
        f"BWP_CLIENT_SECRET is required. Copy it from {where}: client secret.",
        f"BWP_TARGET_ID: expected ASCII text without spaces, got 'bp 1'. Copy it from {where}: TargetId.",
        "BWP_CONFIRM: expected yes or no, got 'maybe'.",
    ]
    assert expected == caught.value.problems
