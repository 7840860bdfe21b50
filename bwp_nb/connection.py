"""Where a client points: the sandbox, or, if the settings say so, the live API."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bwp_nb import settings
from bwp_nb.client import Client
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.clock import SystemClock
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport

if TYPE_CHECKING:
    from bwp_nb.sandbox.api import Sandbox


def connect(sandbox: "Sandbox | None" = None, *, confirm: Callable[[str], bool] | None = None) -> Client:
    """Return a client of the given sandbox; without one, of a new sandbox, or of the live API if `BWP_MODE` is `live`.

    A live client needs the settings of `settings.py`, and asks `confirm`, by default the keyboard, once before its
    first send; with `BWP_CONFIRM=no` nobody is asked. Raises `InvalidSettings` naming all that are missing or
    malformed.
    """
    if sandbox is None and settings.mode() == "live":
        given = settings.live()
        return client_of(given, (confirm or ask) if given.confirm else None)
    from bwp_nb.sandbox.api import Sandbox

    return _played(sandbox or Sandbox())


def ask(endpoint: str) -> bool:
    """Ask at the keyboard whether to send to an address; without a keyboard the answer is no."""
    question = f"Send real events to {endpoint}? Type yes: "
    try:
        return input(question).strip().lower() == "yes"
    except (EOFError, RuntimeError, NotImplementedError):
        sys.stderr.write(f"{question}nobody can answer here. Set BWP_CONFIRM=no to send without being asked.\n")
        return False


def _played(sandbox: "Sandbox") -> Client:
    credentials = Credentials(sandbox.client_id, Secret(sandbox.client_secret), sandbox.target_id)
    return Client(
        sandbox,
        sandbox.endpoint,
        auth=TokenAuth(credentials, sandbox.token_endpoint, sandbox, sandbox.clock),
        sandbox=sandbox,
        clock=sandbox.clock,
        new_id=sandbox.new_id,
        retries=Retries(uniform=sandbox.uniform),
    )


def client_of(given: settings.Settings, confirm: Callable[[str], bool] | None = None) -> Client:
    """Return the live client that some settings describe."""
    clock = SystemClock()
    transport = DeadlineTransport()
    return Client(
        transport,
        given.endpoint,
        auth=TokenAuth(given.credentials, given.token_endpoint, transport, clock),
        clock=clock,
        api_version=given.api_version,
        confirm=confirm,
    )
