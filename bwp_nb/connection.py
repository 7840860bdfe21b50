"""Where a client points: the sandbox or, if the settings say so, the live API."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bwp_nb import settings
from bwp_nb.client import Client
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.errors import InvalidSettings
from bwp_nb.text import typed
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport

if TYPE_CHECKING:
    from bwp_nb.sandbox.api import Sandbox


_Confirm = Callable[[str], bool] | None


def connect(
    sandbox: "Sandbox | None" = None, *, confirm: _Confirm = None, timeout: float = 10.0, retries: Retries | None = None
) -> Client:
    """Return a client of the sandbox that is given, of the live API if `BWP_MODE` is `live`, or else of a new sandbox.

    Parameters
    ----------
    sandbox : Sandbox, optional
        The sandbox to connect to. Default: the live API if the setting `BWP_MODE` is `live`, a new sandbox otherwise.
    confirm : callable of str to bool, optional
        Called by a live client with its address once, before its first send, unless the setting `BWP_CONFIRM` is `no`.
        `connect` itself calls it with a sentence if an address that is not documented comes from elsewhere than a
        secret, so that a `.env` file cannot redirect a secret of the environment unnoticed. Default: ask at the
        keyboard.
    timeout : float, default 10.0
        The most seconds that one attempt takes. Positive.
    retries : Retries, optional
        How often, and for how long, a send is retried. Default: `Retries()`, 4 attempts within 60 seconds.

    Returns
    -------
    Client
        A client, to be closed or used in a `with` statement. With a sandbox its time and ids are the sandbox's, which
        are simulated and repeatable.

    Raises
    ------
    InvalidSettings
        If settings of the live API are missing, malformed or not confirmed.
    ValueError
        If a number is not positive, or `retries` is not a `Retries`.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> client = bwp.connect()
    >>> client
    Client(sandbox)
    """
    retries = Retries() if retries is None else retries
    if not isinstance(retries, Retries):
        raise InvalidArgument(f"retries: expected a Retries such as Retries(attempts=3), got {typed(retries)}")
    _check_numbers(timeout, retries)
    if sandbox is None and settings.mode() == "live":
        return live_client(live_settings(confirm), confirm, timeout, retries)
    from bwp_nb.sandbox.api import Sandbox

    if sandbox is not None and not isinstance(sandbox, Sandbox):
        advice = "; for the live API set BWP_MODE=live in the environment" if isinstance(sandbox, str) else ""
        raise InvalidArgument(f"connect: expected a Sandbox, got {typed(sandbox)}{advice}")
    return _sandbox_client(sandbox or Sandbox(), timeout, retries)


def live_settings(confirm: _Confirm = None) -> settings.Settings:
    """Return the settings of the live API, after a question if an address does not come from where a secret does.

    Raises `InvalidSettings` if they are missing or malformed, or if the answer is not yes.
    """
    given = settings.live()
    if given.redirect and not (confirm or _ask_about_redirect)(given.redirect):
        advice = "Set both in the same place, or confirm the address when asked."
        raise InvalidSettings([f"{given.redirect} Sending it there was not confirmed. {advice}"])
    return given


def _ask(endpoint: str) -> bool:
    """Ask at the keyboard whether to send real events to an address; without a keyboard, return False."""
    return _is_yes(f"Send real events to {endpoint}?", "Set BWP_CONFIRM=no to send without a question.")


def _ask_about_redirect(redirect: str) -> bool:
    return _is_yes(f"{redirect} Send the secret there?", "Nothing is sent.")


def _is_yes(question: str, otherwise: str) -> bool:
    try:
        return input(f"{question} Type yes: ").strip().lower() == "yes"
    except (EOFError, OSError, RuntimeError, NotImplementedError):
        sys.stderr.write(f"{question} Type yes: \nNo keyboard can answer here. {otherwise}\n")
        return False


def live_client(
    given: settings.Settings, confirm: _Confirm = None, timeout: float = 10.0, retries: Retries | None = None
) -> Client:
    """Return the live client that some settings describe; they decide whether `confirm` is asked."""
    clock = Clock()
    transport = DeadlineTransport()
    return Client(
        transport,
        given.endpoint,
        auth=TokenAuth(given.credentials, given.token_endpoint, transport, clock),
        clock=clock,
        api_version=given.api_version,
        confirm=(confirm or _ask) if given.confirm else None,
        timeout=timeout,
        retries=retries,
    )


def _sandbox_client(sandbox: "Sandbox", timeout: float, retries: Retries) -> Client:
    credentials = Credentials(sandbox.client_id, Secret(sandbox.client_secret), sandbox.target_id)
    if retries.uniform is Retries().uniform:
        retries = replace(retries, uniform=sandbox.uniform)  # seeded, so that every run waits the same
    return Client(
        sandbox,
        sandbox.endpoint,
        auth=TokenAuth(credentials, sandbox.token_endpoint, sandbox, sandbox.clock),
        sandbox=sandbox,
        clock=sandbox.clock,
        new_id=sandbox.new_id,
        timeout=timeout,
        retries=retries,
    )


def _check_numbers(timeout: float, retries: Retries) -> None:
    for name, value in {"timeout": timeout, **vars(retries)}.items():
        if name != "uniform" and not (isinstance(value, (int, float)) and 0 < value < math.inf):
            raise InvalidArgument(f"{name}: expected a finite number above 0, got {value!r}")
