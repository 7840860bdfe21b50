"""The settings of a live client, read from the environment, a `.env` file or the operating system's keyring.

The names of the credentials and the addresses are documented in “Call the Buy with Prime API” and “Authenticate to the
Buy with Prime API”. The layout of the file that the merchant console offers for download is unknown.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
from dotenv import dotenv_values

from bwp_nb.errors import InvalidSettings
from bwp_nb.text import quoted, readable
from bwp_nb.wire.auth import Credentials, Secret

_CONSOLE = "merchant console, as owner or administrator: Settings, API credentials, Generate credentials"
_CALL = "documented in “Call the Buy with Prime API”"
_ADDRESS = "an https address, or http on this machine, without a user name or password"
_TEXT = "ASCII text without spaces"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Setting:
    """One setting: its name, its default (None if it is required), what it must be, and where to find its value."""

    name: str
    default: str | None
    must_be: str
    where: str
    fits: Callable[[str], bool]
    is_secret: bool = False


def _is_safe(address: str) -> bool:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    is_private = url.scheme == "https" or (url.scheme == "http" and url.host in _LOOPBACK)
    return bool(url.host) and is_private and "@" not in address  # a password would be shown wherever the address is


def _is_header_text(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


SETTINGS = (
    Setting("BWP_MODE", "sandbox", "sandbox or live", "your choice", lambda text: text in ("sandbox", "live")),
    Setting("BWP_CLIENT_ID", None, _TEXT, f"{_CONSOLE}: Client ID", _is_header_text),
    Setting("BWP_CLIENT_SECRET", None, _TEXT, f"{_CONSOLE}: client secret", _is_header_text, True),
    Setting("BWP_TARGET_ID", None, _TEXT, f"{_CONSOLE}: TargetId", _is_header_text),
    Setting(
        "BWP_API_VERSION", "2024-11-01", "a date such as 2024-11-01", "the version of the page “sendUserEvents”",
        lambda text: re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is not None,
    ),
    Setting("BWP_ENDPOINT", "https://api.buywithprime.amazon.com/graphql", _ADDRESS, _CALL, _is_safe),
    Setting("BWP_TOKEN_ENDPOINT", "https://api.buywithprime.amazon.com/token", _ADDRESS, _CALL, _is_safe),
    Setting(
        "BWP_ACCESS_KEY", "", _TEXT, "only if Amazon gave you one: published clients send it, no page names it",
        _is_header_text, True,
    ),
    Setting(
        "BWP_CONFIRM", "yes", "yes or no", "your choice: no sends without a question first",
        lambda text: text in ("yes", "no"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The settings of a live client, checked."""

    credentials: Credentials
    api_version: str
    endpoint: str
    token_endpoint: str
    confirm: bool


def mode(given: Mapping[str, str] | None = None) -> str:
    """Return `sandbox` or `live`; raises `InvalidSettings` for anything else."""
    setting = SETTINGS[0]
    text = (values() if given is None else given).get(setting.name) or "sandbox"
    if not setting.fits(text):
        raise InvalidSettings([_problem(setting, text)])
    return text


def live(given: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the live API; raises `InvalidSettings` listing all that are missing or malformed."""
    found = {**_keyring(), **values()} if given is None else given
    pairs = [(setting, found.get(setting.name) or setting.default) for setting in SETTINGS]
    if problems := [_problem(setting, text) for setting, text in pairs if not _is_valid(setting, text)]:
        raise InvalidSettings(problems)
    text = {setting.name: value or "" for setting, value in pairs}
    access_key = Secret(text["BWP_ACCESS_KEY"]) if text["BWP_ACCESS_KEY"] else None
    secret = Secret(text["BWP_CLIENT_SECRET"])
    return Settings(
        credentials=Credentials(text["BWP_CLIENT_ID"], secret, text["BWP_TARGET_ID"], access_key),
        api_version=text["BWP_API_VERSION"],
        endpoint=text["BWP_ENDPOINT"],
        token_endpoint=text["BWP_TOKEN_ENDPOINT"],
        confirm=text["BWP_CONFIRM"] == "yes",
    )


def values() -> dict[str, str]:
    """Return the settings in the environment and the file `.env` of the current folder; the environment wins."""
    given = {**dotenv_values(".env", interpolate=False), **os.environ}
    return {setting.name: text for setting in SETTINGS if (text := given.get(setting.name))}


def _keyring() -> dict[str, str]:
    """Return the settings in the operating system's keyring under `bwp_nb`, if the extra is installed."""
    try:
        import keyring
    except ImportError:
        return {}
    try:
        found = {setting.name: keyring.get_password("bwp_nb", setting.name) for setting in SETTINGS}
    except keyring.errors.NoKeyringError:
        return {}
    except keyring.errors.KeyringError as error:
        raise InvalidSettings([f"The keyring cannot be read: {readable(str(error), 120)}."]) from None
    return {name: text for name, text in found.items() if text}


def _is_valid(setting: Setting, text: str | None) -> bool:
    return text is not None and (setting.default == text or setting.fits(text))


def _problem(setting: Setting, text: str | None) -> str:
    copy = f" Copy it from the {setting.where}." if setting.default is None else ""
    if text is None:
        return f"{setting.name} is required.{copy}"
    shown = "a value that is not shown here" if setting.is_secret or "@" in text else quoted(text)
    return f"{setting.name}: expected {setting.must_be}, got {shown}.{copy}"
