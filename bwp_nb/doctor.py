"""A walk through all that must be right before the first send: `bwp.doctor()`, or `python -m bwp_nb doctor`.

It sends no event. The exit status is 0 if no step failed, else 1.
"""

import email.utils
import html
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx

from bwp_nb import connection, settings
from bwp_nb.client import Client
from bwp_nb.contract.classifications import ACCESS_DENIED, classification
from bwp_nb.errors import BwpError, InvalidSettings, RequestFailed
from bwp_nb.mutation import Mutation
from bwp_nb.text import readable
from bwp_nb.wire.answer import Answer, errors_of
from bwp_nb.wire.auth import token
from bwp_nb.wire.clock import SystemClock
from bwp_nb.wire.transport import DeadlineTransport, is_certificate_error

if TYPE_CHECKING:
    import pandas as pd

#: The most seconds that the computer's clock may differ from the server's. The number is ours.
MAX_SKEW = 120.0

_PACKAGES = ("bwp-nb", "httpx", "graphql-core", "pandas", "ipywidgets", "matplotlib")
_SECONDS = 10.0
_QUERY = "{__schema {mutationType {fields {name}}}}"


@dataclass(frozen=True)
class Step:
    """One step of a diagnosis: `outcome` is passed, failed or skipped; `found` says why, `next_step` what to do."""

    name: str
    outcome: str
    found: str
    next_step: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The steps of a walk-through, in order."""

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
        cells = (asdict(step).values() for step in self.steps)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        head = "<tr><th>step</th><th>outcome</th><th>found</th><th>what to do</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def doctor() -> Diagnosis:
    """Walk through environment, settings, network, token, clock, schema and a dry run, for where `connect` points."""
    return Diagnosis([_environment(), *_walk()])


@dataclass
class _Line:
    """What the network steps share: where they reach, and what has answered so far."""

    given: settings.Settings
    answer: Answer | None = None


def _walk() -> Iterator[Step]:
    try:
        mode = settings.mode()
        given = settings.live() if mode == "live" else None
    except InvalidSettings as error:
        yield Step("settings", "failed", " ".join(error.problems), "Set them in the environment or in a .env file.")
        yield from _skipped("name", "TLS", "token", "clock", "schema", because="the settings are not complete")
        yield _dry_run()
        return
    if given is None:
        yield Step("settings", "passed", "BWP_MODE is sandbox: nothing leaves this process.")
        yield from _skipped("name", "TLS", "clock", because="the sandbox is in this process")
        yield from (_token_of(connection.connect()), _schema(connection.connect()), _dry_run())
        return
    yield Step("settings", "passed", f"BWP_MODE is live, and points to {given.endpoint}.")
    yield from _network(_Line(given))
    yield _dry_run()


def _network(line: _Line) -> Iterator[Step]:
    """Yield the steps towards a server; where one fails, those that build on it are skipped."""
    steps: dict[str, Callable[[_Line], Step]] = {"name": _name, "TLS": _tls, "token": _token}
    failed = ""
    for name, step in steps.items():
        result = next(_skipped(name, because=f"the step {failed!r} failed")) if failed else step(line)
        failed = failed or (name if result.outcome == "failed" else "")
        yield result
    yield _clock(line)
    if failed:
        yield from _skipped("schema", because=f"the step {failed!r} failed")
    else:
        with connection.client_of(line.given) as client:
            yield _schema(client)


def _environment() -> Step:
    found = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return Step("environment", "passed", f"Python {sys.version.split()[0]}, {found}.")


def _name(line: _Line) -> Step:
    host = httpx.URL(line.given.endpoint).host
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        found = f"The name {host} is not known here: {readable(str(error), 120)}."
        return Step("name", "failed", found, "Check the network, the VPN and BWP_ENDPOINT.")
    return Step("name", "passed", f"{host} is known.")


def _tls(line: _Line) -> Step:
    """Ask for the token endpoint's headers: whatever answers, the connection stands."""
    url = httpx.URL(line.given.token_endpoint)
    if url.scheme == "http":
        return Step("TLS", "skipped", f"{url} is on this machine and speaks http.")
    try:
        _answer(httpx.Request("HEAD", url, extensions=_extensions()))
    except httpx.RequestError as error:
        said = readable(f"{type(error).__name__} {error}", 200)
        if is_certificate_error(error):
            advice = "Something answers in the API's place, or the certificates here are old. Do not go on."
            return Step("TLS", "failed", f"The certificate is not that of {url.host}: {said}.", advice)
        return Step("TLS", "failed", f"No connection to {url.host}: {said}.", "Check the firewall and the proxy.")
    return Step("TLS", "passed", f"The certificate is that of {url.host}.")


def _token(line: _Line) -> Step:
    credentials = line.given.credentials
    request = httpx.Request("POST", line.given.token_endpoint, data=credentials.form(), extensions=_extensions())
    try:
        line.answer = _answer(request)
        _, lifetime = token(line.answer)
    except httpx.RequestError as error:
        said = readable(f"{type(error).__name__} {error}", 200)
        return Step("token", "failed", f"The token endpoint did not answer: {said}.", "Try again later.")
    except RequestFailed as error:
        return Step("token", "failed", str(error.args[0]), _token_advice(error, line.answer))
    return Step("token", "passed", f"The credentials give a token for {lifetime:.0f} seconds.")


def _token_advice(error: RequestFailed, answer: Answer | None) -> str:
    if error.status_code in (400, 401, 403):
        return "Copy BWP_CLIENT_ID and BWP_CLIENT_SECRET from the merchant console once more."
    if answer is not None and answer.media_type == "text/html":
        return "A web page came instead of a token: a proxy or a sign-in page stands between here and the API."
    return "Check BWP_TOKEN_ENDPOINT, and try again later."


def _token_of(client: Client) -> Step:
    """Get a token as a send does: in the sandbox this is the token step."""
    try:
        client.execute(_QUERY)
    except BwpError as error:
        return Step("token", "failed", str(error), "This should not happen in the sandbox.")
    return Step("token", "passed", "The sandbox's own credentials give a token.")


def _clock(line: _Line) -> Step:
    """Compare this computer's clock with the `Date` of the token's answer."""
    if line.answer is None:
        return Step("clock", "skipped", "Not tried: no server has answered.")
    try:
        theirs = email.utils.parsedate_to_datetime(line.answer.headers["date"])
    except (ValueError, KeyError):
        return Step("clock", "skipped", "The server does not say what time it is.")
    skew = (SystemClock().now() - theirs).total_seconds()
    if abs(skew) > MAX_SKEW:
        minutes, which = abs(skew) / 60, "ahead of" if skew > 0 else "behind"
        found = f"This computer's clock is {minutes:.0f} minutes {which} the server's."
        return Step("clock", "failed", found, "Set the clock: event times are taken from it.")
    return Step("clock", "passed", "This computer's clock agrees with the server's.")


def _schema(client: Client) -> Step:
    """Ask whether the mutation exists; a server may refuse to say."""
    try:
        given = client.execute(_QUERY)
    except BwpError as error:
        return Step("schema", "failed", str(error), "Check BWP_ENDPOINT, and what stands between here and the API.")
    names = [classification(error).name for error in errors_of(given)]
    if ACCESS_DENIED in names:
        advice = "The credentials gave a token, so check BWP_TARGET_ID and the permissions of the credentials."
        return Step("schema", "failed", "Access is denied with this token and target.", advice)
    if names:
        return Step("schema", "skipped", f"The server does not show its schema ({readable(', '.join(names), 80)}).")
    if "sendUserEvents" not in str(given.get("data")):
        return Step("schema", "failed", "The schema has no sendUserEvents.", "Check BWP_ENDPOINT and BWP_API_VERSION.")
    return Step("schema", "passed", "The schema has sendUserEvents.")


def _dry_run() -> Step:
    """Make an event and its request, and send neither."""
    clock = SystemClock()
    event = Client(httpx.MockTransport(_nowhere), "https://nowhere.invalid", clock=clock).new_event("page-load")
    problems = event.problems()
    if problems:
        return Step("dry run", "failed", "; ".join(map(str, problems)), "Set the clock.")
    return Step("dry run", "passed", f"A request of {len(str(Mutation(event).payload))} characters was made, not sent.")


def _nowhere(_: httpx.Request) -> httpx.Response:
    raise AssertionError("a dry run sends nothing")


def _answer(request: httpx.Request) -> Answer:
    """Send a request once, and read its answer."""
    transport = DeadlineTransport()
    try:
        return Answer.read(transport.handle_request(request))
    finally:
        transport.close()


def _extensions() -> dict[str, Any]:
    timeout = httpx.Timeout(_SECONDS).as_dict()
    return {"timeout": timeout, "deadline": time.monotonic() + _SECONDS}


def _skipped(*names: str, because: str) -> Iterator[Step]:
    return (Step(name, "skipped", f"Not tried: {because}.") for name in names)


if __name__ == "__main__":
    checkup = doctor()
    sys.stdout.write(f"{checkup!r}\n")
    sys.exit(not checkup.ok)
