"""The settings of a live client, read from the environment, a `.env` file or the operating system's keyring.

The names of the credentials and the addresses are documented in “Call the Buy with Prime API” and “Authenticate to the
Buy with Prime API”. The layout of the file that the merchant console offers for download is unknown.

Environment variables of other programs count as they do in httpx. They are not read from `.env`:

- `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` choose a proxy; localhost, 127.0.0.1 and ::1 are reached without one.
- `SSL_CERT_FILE`, or else `SSL_CERT_DIR`, names the certificates to trust instead of those that come with httpx.
- `SSLKEYLOGFILE` names a file to which the keys of all TLS connections are written. With this file the recorded
  traffic, secrets included, can be decrypted.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
from dotenv import dotenv_values

from bwp_nb.displays.sources import facts
from bwp_nb.errors import InvalidSettings
from bwp_nb.text import quoted, readable
from bwp_nb.wire.auth import Credentials, Secret
from bwp_nb.wire.platform import THIS_MACHINE

_HOST = "api.buywithprime.amazon.com"  # documented in “Call the Buy with Prime API”
_SENT_TO = {"BWP_ENDPOINT": ("BWP_CLIENT_SECRET", "BWP_ACCESS_KEY"), "BWP_TOKEN_ENDPOINT": ("BWP_CLIENT_SECRET",)}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its name, its default (None if it is required), what is expected, and where its value comes from."""

    name: str
    default: str | None = None
    expected: str
    source: str
    pattern: str = "[!-~]+"
    is_secret: bool = False


def _is_safe(address: str) -> bool:
    """Return whether nobody on the way to an address can read what is sent there."""
    try:
        url = httpx.URL(address)
        is_private = url.scheme == "https" or (url.scheme == "http" and url.host in THIS_MACHINE)
        return is_private and bool(url.host) and 0 < (url.port or 443) < 65_536
    except (httpx.InvalidURL, ValueError):  # ValueError for a host that only looks like an internationalized one
        return False


SETTINGS = tuple(Setting(**fact) for fact in facts()["settings"])


@dataclass(frozen=True)
class Settings:
    """The settings of a live client, checked.

    `redirect` says which addresses come from elsewhere than a secret that would be sent to them; it is empty for none.
    """

    credentials: Credentials
    api_version: str
    endpoint: str
    token_endpoint: str
    confirm: bool
    redirect: str = ""


def mode() -> str:
    """Return `sandbox` or `live`; raises `InvalidSettings` for anything else."""
    found = _read().get(SETTINGS[0].name)
    if problem := _problem(SETTINGS[0], found):
        raise InvalidSettings([problem])
    return found.reveal() if found else "sandbox"


def live(given: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the live API; raises `InvalidSettings` listing all that are missing or malformed."""
    found = _sealed({setting.name: setting.default for setting in SETTINGS}, "the defaults")
    found |= {**_keyring(), **_read()} if given is None else _sealed(given, "the arguments")
    del given
    if problems := [text for setting in SETTINGS if (text := _problem(setting, found.get(setting.name)))]:
        raise InvalidSettings(problems)
    plain = {setting.name: found[setting.name].reveal() for setting in SETTINGS if not setting.is_secret}
    ids = plain["BWP_CLIENT_ID"], found["BWP_CLIENT_SECRET"], plain["BWP_TARGET_ID"]
    return Settings(
        Credentials(*ids, found.get("BWP_ACCESS_KEY"), plain["BWP_TARGET_HEADER"]),
        plain["BWP_API_VERSION"], plain["BWP_ENDPOINT"], plain["BWP_TOKEN_ENDPOINT"],
        confirm=plain["BWP_CONFIRM"] == "yes", redirect=" ".join(_redirects(found)),
    )  # fmt: skip


def secrets() -> dict[str, Secret]:
    """Return the secrets that are set, by the names of their settings."""
    found = {**_keyring(), **_read()}
    return {setting.name: found[setting.name] for setting in SETTINGS if setting.is_secret and setting.name in found}


def _read() -> dict[str, Secret]:
    """Return the settings in the environment and the file `.env` of the current folder; the environment wins."""
    try:
        texts = _sealed(dotenv_values(".env", interpolate=False, encoding="utf-8-sig"), "the file .env")
    except (OSError, UnicodeError) as error:
        raise InvalidSettings([f"The file .env cannot be read: {type(error).__name__}."]) from None
    return {**texts, **_sealed(os.environ, "the environment")}


def _keyring() -> dict[str, Secret]:
    """Return the settings in the operating system's keyring under `bwp_nb`, if the extra is installed."""
    try:
        import keyring
    except ImportError:
        return {}
    try:
        return _sealed({item.name: keyring.get_password("bwp_nb", item.name) for item in SETTINGS}, "the keyring")
    except RuntimeError:  # no keyring on this machine, or no home of this user in which one could be configured
        return {}
    except keyring.errors.KeyringError as error:
        raise InvalidSettings([f"The keyring cannot be read: {readable(str(error), 120)}."]) from None


def _sealed(texts: Mapping[str, str | None], source: str) -> dict[str, Secret]:
    """Return the settings among some texts, without those that are empty."""
    return {item.name: Secret(text, source) for item in SETTINGS if (text := texts.get(item.name))}


def _problem(setting: Setting, given: Secret | None) -> str:
    """Return what is wrong with a setting and what to do, or nothing."""
    copy = f" Copy it from the {setting.source}." if setting.default is None else ""
    if given is None:
        return "" if setting.default is not None else f"{setting.name} is required.{copy}"
    text = given.reveal()
    if re.fullmatch(setting.pattern, text) and (not setting.name.endswith("ENDPOINT") or _is_safe(text)):
        return ""
    shown = "a value that is not shown here" if setting.is_secret or "@" in text else quoted(text)
    return f"{setting.name}: expected {setting.expected}, got {shown}.{copy}"


def _redirects(found: Mapping[str, Secret]) -> Iterator[str]:
    """Yield a sentence for each address that is not documented and comes from elsewhere than a secret sent to it."""
    for name, secret in [(name, secret) for name, secrets in _SENT_TO.items() for secret in secrets]:
        if secret in found and found[secret].source != found[name].source:
            host = httpx.URL(found[name].reveal()).netloc.decode("ascii")
            if host != _HOST:
                source, other = found[name].source, found[secret].source
                yield f"{name} in {source} points to {host}, but {secret} comes from {other}."
