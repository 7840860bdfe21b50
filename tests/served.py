"""How tests talk to a served sandbox as a stranger would."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import bwp_nb as bwp
from bwp_nb.server import Server

DOCUMENTED = {"query": bwp.documented.PAGE_LOAD.request}
ACCEPTED = {"data": {"sendUserEvents": {"status": "successful"}}}


def token(server: Server, http: httpx.Client | None = None) -> httpx.Response:
    """Return the answer to the sandbox's own credentials."""
    sandbox = server.sandbox
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    return (http or httpx).post(server.token_endpoint, data=form)


def headers(server: Server) -> dict[str, str]:
    """Return the headers that the API wants, with a new token."""
    given = token(server).json()["access_token"]
    return {"Authorization": f"Bearer {given}", "x-api-target-id": server.sandbox.target_id}


def post(server: Server, given: Any = None, **changed: str) -> httpx.Response:
    """Post a body, the documented event unless given, with what the API wants but for the changed headers."""
    wanted = {**headers(server), "Content-Type": "application/json", **changed}
    kept = {name: text for name, text in wanted.items() if text}
    content = {"content": given} if isinstance(given, bytes) else {"json": DOCUMENTED if given is None else given}
    return httpx.post(server.endpoint, headers=kept, timeout=30, **content)


def control(server: Server, path: str = "", method: str = "GET", **given: Any) -> httpx.Response:
    """Ask the control path, with its token."""
    bearer = {"Authorization": f"Bearer {server.control_token}"}
    return httpx.request(method, f"{server.control}{path}", headers=bearer, **given)


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Give a raw connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """Return all that still comes until the connection ends, a reset included."""
    found = b""
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionError:
        pass
    return found
