"""The doctor: checks everything that must be right before the first send, and sends no event."""

import email.utils
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from importlib.metadata import distributions
from typing import Any

import httpx

from bwp_nb import settings
from bwp_nb.checks.findings import Findings
from bwp_nb.client import Client
from bwp_nb.connection import connect, live_settings
from bwp_nb.contract.classifications import classification, inner, is_internal, message_of
from bwp_nb.displays.html import Shown
from bwp_nb.errors import InvalidSettings, MutationRejected, RequestFailed
from bwp_nb.text import readable
from bwp_nb.wire.answer import errors_of
from bwp_nb.wire.auth import TokenAuth, said
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.transport import DeadlineTransport, is_certificate_error

#: The most seconds by which this computer's clock may differ from the server's. The number is ours.
MAX_SKEW = 120.0

_PACKAGES = ("bwp-nb", "httpx", "graphql-core", "pandas", "ipywidgets", "matplotlib")
_SECONDS = 10.0
_QUERY = "{__schema {mutationType {fields {name}}}}"
_NAMES = ("environment", "settings", "network", "token", "clock", "schema")
_WHERE = "Check BWP_ENDPOINT and BWP_API_VERSION."
_DENIED = "Access is denied with this token and target. Check BWP_TARGET_ID and the permissions of the credentials."


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

    def __str__(self) -> str:
        return f"{self.outcome:7}  {self.name}: {self.found} {self.next_step}".rstrip()


@dataclass(frozen=True, repr=False)
class Diagnosis(Findings):
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
    """Yield the steps until one fails on which the others build; in the sandbox, those that need no network.

    Settings can turn out to be wrong when they are used, such as those of a proxy: the last step of a name counts.
    """
    yield _environment()
    try:
        yield from _live(live_settings(confirm)) if settings.mode() == "live" else _sandbox()
    except InvalidSettings as error:
        advice = "Correct them where they are set: in the environment or in a .env file."
        yield Step("settings", "failed", " ".join(error.problems), advice, "misconfigured")


def _sandbox() -> Iterator[Step]:
    yield Step("settings", "passed", "BWP_MODE is sandbox: nothing leaves this process.")
    yield _schema(connect())


def _live(given: settings.Settings) -> Iterator[Step]:
    with DeadlineTransport() as transport:
        yield Step("settings", "passed", f"BWP_MODE is live, and the client points to {given.endpoint}.")
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
    date = ""
    for url in (given.endpoint, given.token_endpoint):
        request = httpx.Request("HEAD", url, headers={"Connection": "close"}, extensions=_deadline())
        try:
            response = transport.handle_request(request)
        except httpx.RequestError as error:
            return _unreachable(request.url.netloc.decode("ascii"), error), ""
        response.close()
        date = response.headers.get("date", "")
    return Step("network", "passed", f"Connected to {given.endpoint} and {given.token_endpoint}."), date


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
    return Step("network", "failed", f"{found}: {said(error, ())}.", advice, "not answered")


def _token(auth: TokenAuth) -> Step:
    """Exchange the credentials for a token."""
    try:
        auth.sign(httpx.Request("POST", "", extensions=_deadline()))
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
    try:
        given = respond(client, _QUERY)
    except Missing as missing:
        cause, found = missing.args
        advice = "" if "Check" in found else "Check BWP_ENDPOINT, and what is in front of the API."
        return Step("schema", "failed", found, advice, cause)
    if names := [classification(error).name for error in errors_of(given)]:
        return Step("schema", "skipped", f"The server does not show its schema ({readable(', '.join(names), 80)}).")
    schema = inner(given, "data", "__schema")
    mutations = inner(schema, "mutationType", "fields") or []
    if not (isinstance(schema, dict) and isinstance(mutations, list)):
        found = "The server's description of its schema is malformed."
        return Step("schema", "failed", found, _WHERE, "not answered")
    if {"name": "sendUserEvents"} not in mutations:
        return Step("schema", "failed", "The schema has no sendUserEvents.", _WHERE, "changed")
    return Step("schema", "passed", "The schema has sendUserEvents.")


class Missing(Exception):
    """A response is missing; its arguments are the cause, `misconfigured` or `not answered`, and what was found."""


def respond(client: Client, query: str) -> dict[str, Any]:
    """Return the response to a query, which may have errors, or raise `Missing`.

    A question to the user that was not answered by yes makes it `misconfigured`: in CI nobody ever answers it.
    """
    try:
        given = client.execute(query)
    except RequestFailed as error:
        has_no_token = error.status_code == 400 and client.history[-1].received is None
        is_refused = error.status_code in (401, 403) or has_no_token or client.confirm is not None
        raise Missing("misconfigured" if is_refused else "not answered", str(error.args[0])) from None
    refusal = MutationRejected(errors_of(given), status_code=client.history[-1].status_code)
    if refusal.is_denied:
        raise Missing("misconfigured", _DENIED)
    if refusal.retryable or any(map(is_internal, refusal.errors)):
        messages = "; ".join(map(message_of, refusal.errors[:3])).rstrip(".")
        raise Missing("not answered", f"HTTP {refusal.status_code}: {messages or 'no error'}.")
    return given


def _deadline() -> dict[str, float]:
    """Return the extensions of a request that takes some seconds at most."""
    return {"deadline": time.monotonic() + _SECONDS}
