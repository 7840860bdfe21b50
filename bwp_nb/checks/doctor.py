"""The doctor: checks everything that must be right before the first send, and sends no event."""

import email.utils
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

import httpx

from bwp_nb import settings
from bwp_nb.checks.response import Missing, respond
from bwp_nb.client import Client
from bwp_nb.connection import connect, live_settings
from bwp_nb.contract.classifications import classification
from bwp_nb.displays.frames import frame
from bwp_nb.displays.html import Shown, card, chip, html_table
from bwp_nb.errors import InvalidSettings, RequestFailed
from bwp_nb.text import readable
from bwp_nb.wire.answer import errors_of
from bwp_nb.wire.auth import TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.transport import DeadlineTransport, is_certificate_error

if TYPE_CHECKING:
    import pandas as pd

#: The most seconds by which this computer's clock may differ from the server's. The number is ours.
MAX_SKEW = 120.0

_PACKAGES = ("bwp-nb", "httpx", "graphql-core", "pandas", "ipywidgets", "matplotlib")
_SECONDS = 10.0
_QUERY = "{__schema {mutationType {fields {name}}}}"
_NAMES = ("environment", "settings", "network", "token", "clock", "schema")


@dataclass(frozen=True)
class Step(Shown):
    """One step of a diagnosis: `outcome` is passed, failed or skipped; `found` says why, `next_step` what to do.

    The `cause` of a failure is `changed`, `not answered` or `misconfigured`, as the `result` of a change in a drift.
    """

    name: str
    outcome: str
    found: str
    next_step: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The result of `doctor`.

    Attributes
    ----------
    steps : list of Step
        What was checked, in order. Each has its `name`, its `outcome` (`passed`, `failed` or `skipped`), what was
        `found`, the `next_step` and, if it failed, the `cause`: `changed`, `not answered` or `misconfigured`.
    ok : bool
        Whether no step failed.
    """

    steps: list[Step]

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return all(step.outcome != "failed" for step in self.steps)

    def frame(self) -> "pd.DataFrame":
        """Return one row for each step."""
        return frame(map(asdict, self.steps))

    def __repr__(self) -> str:
        lines = (f"{step.outcome:7}  {step.name}: {step.found} {step.next_step}" for step in self.steps)
        return "\n".join(map(str.rstrip, lines))

    def _repr_html_(self) -> str:
        rows = ((step.name, chip(step.outcome), step.found, step.next_step) for step in self.steps)
        return card(html_table(rows, ("step", "outcome", "found", "what to do")))


def doctor(*, confirm: Callable[[str], bool] | None = None) -> Diagnosis:
    """Check everything that must be right before the first send, for where `connect` points. No event is sent.

    Parameters
    ----------
    confirm : callable of str to bool, optional
        Asked before a secret goes to an address that is neither documented nor from the same source as the secret.
        Default: ask at the keyboard.

    Returns
    -------
    Diagnosis
        The steps: environment, settings, network, token, clock and schema; each failed one says what to do.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.doctor().ok
    True
    """
    found = {step.name: step for step in _steps(confirm)}
    failed = [name for name, step in found.items() if step.outcome == "failed"]
    because = f"the {failed[0]} step failed" if failed else "the sandbox runs in this process"
    skipped = {name: Step(name, "skipped", f"Not checked: {because}.") for name in _NAMES}
    return Diagnosis([found.get(name, skipped[name]) for name in _NAMES])


def _steps(confirm: Callable[[str], bool] | None) -> Iterator[Step]:
    """Yield the steps until one fails on which the others build; in the sandbox, those that need no network."""
    yield _environment()
    try:
        live = (live_settings(confirm), DeadlineTransport()) if settings.mode() == "live" else None
    except InvalidSettings as error:
        advice = "Correct them in the environment or in a .env file."
        yield Step("settings", "failed", " ".join(error.problems), advice, "misconfigured")
    else:
        yield from _live(*live) if live else _sandbox()


def _sandbox() -> Iterator[Step]:
    yield Step("settings", "passed", "BWP_MODE is sandbox: nothing leaves this process.")
    yield _schema(connect())


def _live(given: settings.Settings, transport: httpx.BaseTransport) -> Iterator[Step]:
    yield Step("settings", "passed", f"BWP_MODE is live, and the client points to {given.endpoint}.")
    with transport:
        network, date = _network(given, transport)
        yield network
        if network.outcome == "failed":
            return
        auth = TokenAuth(given.credentials, given.token_endpoint, transport, Clock())
        token = _token(auth)
        yield token
        yield _clock(date)
        if token.outcome == "passed":
            yield _schema(Client(transport, given.endpoint, auth=auth, api_version=given.api_version))


def _environment() -> Step:
    versions = {name: [found.version for found in distributions(name=name)] for name in _PACKAGES}
    found = ", ".join(f"{name} {[*known, 'not installed'][0]}" for name, known in versions.items())
    return Step("environment", "passed", f"Python {sys.version.split()[0]}, {found}.")


def _network(given: settings.Settings, transport: httpx.BaseTransport) -> tuple[Step, str]:
    """Ask each server for headers: name, connection and certificate are right if anything comes back.

    Return the step, and the date that the token endpoint gives.
    """
    date, servers = "", []
    for url in (httpx.URL(given.endpoint), httpx.URL(given.token_endpoint)):
        servers.append(url.netloc.decode("ascii"))
        request = httpx.Request("HEAD", url, headers={"Connection": "close"}, extensions=_limits())
        try:
            response = transport.handle_request(request)
        except httpx.RequestError as error:
            return _unreachable(servers[-1], error), ""
        except InvalidSettings as error:
            advice = "Correct them in the environment."
            return Step("network", "failed", " ".join(error.problems), advice, "misconfigured"), ""
        response.close()
        date = response.headers.get("date", "")
    return Step("network", "passed", f"Connected to {' and '.join(dict.fromkeys(servers))}."), date


def _unreachable(server: str, error: httpx.RequestError) -> Step:
    """Return the step that says why a server cannot be reached, and what to do about it."""
    is_unknown_host = isinstance(getattr(error.__cause__, "__cause__", None), (socket.gaierror, UnicodeError))
    if is_certificate_error(error):
        found = f"The certificate is not valid for {server}"
        advice = "Do not continue: another server may be answering, or the certificates on this machine are outdated."
    elif is_unknown_host:
        found, advice = f"Cannot resolve {server}", "Check the network, the VPN, and the address in the settings."
    else:
        found, advice = f"No connection to {server}", "Check the firewall and the proxy."
    said = readable(f"{type(error).__name__}: {error}".removesuffix(": "), 200)
    return Step("network", "failed", f"{found}: {said}.", advice, "not answered")


def _token(auth: TokenAuth) -> Step:
    """Exchange the credentials for a token."""
    try:
        auth.sign(httpx.Request("POST", "", extensions=_limits()))
    except RequestFailed as error:
        cause, advice = "misconfigured", "Copy BWP_CLIENT_ID and BWP_CLIENT_SECRET from the merchant console again."
        if error.status_code not in (400, 401, 403):
            cause = "not answered"
            advice = "Check BWP_TOKEN_ENDPOINT, and any proxy or sign-in page in front of it, or try again later."
        return Step("token", "failed", str(error.args[0]), advice, cause)
    return Step("token", "passed", "The credentials give a token.")


def _clock(date: str) -> Step:
    """Compare this computer's clock with the date of a response."""
    try:
        theirs = email.utils.parsedate_to_datetime(date)
        skew = (Clock().now() - theirs.replace(tzinfo=theirs.tzinfo or UTC)).total_seconds()
    except (ValueError, OverflowError):
        return Step("clock", "skipped", "Not checked: the server did not send a valid date.")
    if abs(skew) > MAX_SKEW:
        minutes, which = abs(skew) / 60, "ahead of" if skew > 0 else "behind"
        found = f"This computer's clock is {minutes:.0f} minutes {which} the server's."
        return Step("clock", "failed", found, "Set the clock: event times are taken from it.", "misconfigured")
    return Step("clock", "passed", "This computer's clock agrees with the server's.")


def _schema(client: Client) -> Step:
    """Ask whether the mutation exists; a server may refuse to answer that."""
    given = respond(client, _QUERY)
    if isinstance(given, Missing):
        has_advice = given.cause == "misconfigured" or "Check" in given.found
        advice = "" if has_advice else "Check BWP_ENDPOINT, and what is in front of the API."
        return Step("schema", "failed", given.found, advice, given.cause)
    if names := [classification(error).name for error in errors_of(given)]:
        return Step("schema", "skipped", f"The server does not show its schema ({readable(', '.join(names), 80)}).")
    advice = "Check BWP_ENDPOINT and BWP_API_VERSION."
    try:
        mutations = given["data"]["__schema"]["mutationType"] or {"fields": []}
        names = [field["name"] for field in mutations["fields"]]
    except (TypeError, KeyError):
        found = "The server's description of its schema is malformed."
        return Step("schema", "failed", found, advice, "not answered")
    if "sendUserEvents" not in names:
        return Step("schema", "failed", "The schema has no sendUserEvents.", advice, "changed")
    return Step("schema", "passed", "The schema has sendUserEvents.")


def _limits() -> dict[str, Any]:
    """Return httpx's extensions for a request that takes some seconds at most."""
    return {"timeout": httpx.Timeout(_SECONDS).as_dict(), "deadline": time.monotonic() + _SECONDS}
