"""The doctor: checks everything that must be right before the first send, and sends no event."""

import email.utils
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx

from bwp_nb import settings
from bwp_nb.client import Client
from bwp_nb.connection import connect, live_settings
from bwp_nb.contract.classifications import classification
from bwp_nb.displays.html import Shown, card, chip, html_table
from bwp_nb.errors import BwpError, InvalidSettings, RequestFailed
from bwp_nb.event import UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.text import readable
from bwp_nb.wire.answer import errors_of, is_denied
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


@dataclass(frozen=True)
class Step(Shown):
    """One step of a diagnosis: `outcome` is passed, failed or skipped; `found` says why, `next_step` what to do."""

    name: str
    outcome: str
    found: str
    next_step: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The result of `doctor`.

    Attributes
    ----------
    steps : list of Step
        What was checked, in order. Each has its `name`, its `outcome` (`passed`, `failed` or `skipped`), what was
        `found`, and the `next_step`.
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
        import pandas as pd

        return pd.DataFrame([asdict(step) for step in self.steps])

    def __repr__(self) -> str:
        lines = [f"{step.outcome:7}  {step.name}: {step.found} {step.next_step}".rstrip() for step in self.steps]
        return "\n".join(lines)

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
        The steps: environment, settings, network, token, clock, schema and a dry run; each failed one says what to do.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.doctor().ok
    True
    """
    return Diagnosis(list(_steps(confirm)))


def _steps(confirm: Callable[[str], bool] | None) -> Iterator[Step]:
    yield _environment()
    try:
        live = (live_settings(confirm), DeadlineTransport()) if settings.mode() == "live" else None
    except InvalidSettings as error:
        yield Step("settings", "failed", " ".join(error.problems), "Correct them in the environment or in a .env file.")
        yield from _skipped("network", "token", "clock", "schema", because="the settings are not valid")
    else:
        yield from _live(*live) if live else _sandbox()
    yield _dry_run()


def _sandbox() -> Iterator[Step]:
    yield Step("settings", "passed", "BWP_MODE is sandbox: nothing leaves this process.")
    yield from _skipped("network", "token", "clock", because="the sandbox runs in this process")
    yield _schema(connect())


def _live(given: settings.Settings, transport: httpx.BaseTransport) -> Iterator[Step]:
    """Yield the steps towards a server; where one fails, those that build on it are skipped."""
    yield Step("settings", "passed", f"BWP_MODE is live, and the client points to {given.endpoint}.")
    with transport:
        network, date = _network(given, transport)
        yield network
        if network.outcome == "failed":
            yield from _skipped("token", "clock", "schema", because="the network step failed")
            return
        auth = TokenAuth(given.credentials, given.token_endpoint, transport, Clock())
        token = _token(auth)
        yield token
        yield _clock(date)
        if token.outcome == "failed":
            yield from _skipped("schema", because="the token step failed")
        else:
            yield _schema(Client(transport, given.endpoint, auth=auth, api_version=given.api_version))


def _environment() -> Step:
    found = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
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
            found, advice = _network_problem(servers[-1], error)
            said = readable(f"{type(error).__name__}: {error}".removesuffix(": "), 200)
            return Step("network", "failed", f"{found}: {said}.", advice), ""
        except InvalidSettings as error:
            return Step("network", "failed", " ".join(error.problems), "Correct them in the environment."), ""
        response.close()
        date = response.headers.get("date", "")
    return Step("network", "passed", f"Connected to {' and '.join(dict.fromkeys(servers))}."), date


def _network_problem(server: str, error: httpx.RequestError) -> tuple[str, str]:
    """Return what failed, and what to do about it."""
    if is_certificate_error(error):
        advice = "Do not continue: another server may be answering, or the certificates on this machine are outdated."
        return f"The certificate is not valid for {server}", advice
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, socket.gaierror):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return f"Cannot resolve {server}", "Check the network, the VPN, and the address in the settings."
    return f"No connection to {server}", "Check the firewall and the proxy."


def _token(auth: TokenAuth) -> Step:
    """Exchange the credentials for a token."""
    try:
        auth.sign(httpx.Request("POST", "", extensions=_limits()))
    except RequestFailed as error:
        advice = "Check BWP_TOKEN_ENDPOINT, look for a proxy or a sign-in page in front of the API, or try again later."
        if error.status_code in (400, 401, 403):
            advice = "Copy BWP_CLIENT_ID and BWP_CLIENT_SECRET from the merchant console again."
        return Step("token", "failed", str(error.args[0]), advice)
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
        return Step("clock", "failed", found, "Set the clock: event times are taken from it.")
    return Step("clock", "passed", "This computer's clock agrees with the server's.")


def _schema(client: Client) -> Step:
    """Ask whether the mutation exists; a server may refuse to answer that."""
    try:
        given = client.execute(_QUERY)
    except BwpError as error:
        return Step("schema", "failed", str(error), "Check BWP_ENDPOINT, and what is between this machine and the API.")
    if is_denied(given):
        advice = "The credentials gave a token, so check BWP_TARGET_ID and the permissions of the credentials."
        return Step("schema", "failed", "Access is denied with this token and target.", advice)
    if names := [classification(error).name for error in errors_of(given)]:
        return Step("schema", "skipped", f"The server does not show its schema ({readable(', '.join(names), 80)}).")
    try:
        mutations = {field["name"] for field in given["data"]["__schema"]["mutationType"]["fields"]}
    except (TypeError, KeyError):
        return Step("schema", "skipped", "The server's description of its schema is malformed.")
    if "sendUserEvents" not in mutations:
        return Step("schema", "failed", "The schema has no sendUserEvents.", "Check BWP_ENDPOINT and BWP_API_VERSION.")
    return Step("schema", "passed", "The schema has sendUserEvents.")


def _dry_run() -> Step:
    """Make an event and its request, and send neither."""
    now = Clock().now()
    event = UserEvent("page-load", str(uuid.uuid4()), now, client_type="WEBSITE_CLIENT", client_version="1.0")
    if problems := event.problems():
        return Step("dry run", "failed", "; ".join(map(str, problems)), "Set the clock.")
    return Step("dry run", "passed", f"A request of {len(str(Mutation(event).payload))} characters was made, not sent.")


def _limits() -> dict[str, Any]:
    """Return httpx's extensions for a request that takes some seconds at most."""
    return {"timeout": httpx.Timeout(_SECONDS).as_dict(), "deadline": time.monotonic() + _SECONDS}


def _skipped(*names: str, because: str) -> Iterator[Step]:
    return (Step(name, "skipped", f"Not checked: {because}.") for name in names)
