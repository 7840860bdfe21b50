"""Where a client points: the sandbox, or, if the environment says so, the live API."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx

from bwp_nb.auth import Credentials, Secret, TokenAuth
from bwp_nb.client import Client
from bwp_nb.clock import SystemClock
from bwp_nb.errors import BwpError
from bwp_nb.retries import Retries
from bwp_nb.transport import DeadlineTransport

if TYPE_CHECKING:
    from bwp_nb.sandbox import Sandbox

#: The documented addresses (CALL).
ENDPOINT = "https://api.buywithprime.amazon.com/graphql"
TOKEN_ENDPOINT = "https://api.buywithprime.amazon.com/token"  # noqa: S105

_NEEDED = ("BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def connect(sandbox: "Sandbox | None" = None) -> Client:
    """Return a client of the given sandbox; without one, of a new sandbox, or of the live API if `BWP_MODE` is `live`.

    Live, `BWP_CLIENT_ID`, `BWP_CLIENT_SECRET` and `BWP_TARGET_ID` are needed; `BWP_ENDPOINT` and `BWP_TOKEN_ENDPOINT`
    replace the documented addresses. Raises `BwpError` naming all settings that are missing or wrong.
    """
    mode = os.environ.get("BWP_MODE", "sandbox")
    if sandbox is None and mode == "live":
        return _live(os.environ)
    if mode not in ("sandbox", "live"):
        raise BwpError(f"BWP_MODE is {mode!r}; it takes sandbox or live.")
    from bwp_nb.sandbox import Sandbox

    return _played(sandbox or Sandbox())


def _played(sandbox: "Sandbox") -> Client:
    credentials = Credentials(sandbox.client_id, Secret(sandbox.client_secret), sandbox.target_id)
    return Client(
        sandbox,
        sandbox.endpoint,
        auth=TokenAuth(credentials, sandbox.token_endpoint, sandbox, sandbox.clock.monotonic),
        sandbox=sandbox,
        clock=sandbox.clock,
        new_id=sandbox.new_id,
        retries=Retries(uniform=sandbox.uniform),
    )


def _live(settings: Mapping[str, str]) -> Client:
    endpoint = settings.get("BWP_ENDPOINT", ENDPOINT)
    token_endpoint = settings.get("BWP_TOKEN_ENDPOINT", TOKEN_ENDPOINT)
    missing = [f"{name} is not set" for name in _NEEDED if not settings.get(name)]
    unsafe = [
        f"{address} is neither https nor on this machine"
        for address in (endpoint, token_endpoint)
        if not _safe(address)
    ]
    if missing or unsafe:
        raise BwpError(
            f"BWP_MODE is live, but {'; '.join(missing + unsafe)}. The merchant console hands out credentials."
        )
    clock = SystemClock()
    transport = DeadlineTransport()
    client_id, secret, target_id = (settings[name] for name in _NEEDED)
    auth = TokenAuth(Credentials(client_id, Secret(secret), target_id), token_endpoint, transport, clock.monotonic)
    return Client(transport, endpoint, auth=auth, clock=clock)


def _safe(address: str) -> bool:
    url = httpx.URL(address)
    return url.scheme == "https" or (url.scheme == "http" and url.host in _LOOPBACK)
