"""How tests talk to a served sandbox over HTTP."""

import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb.sandbox.server import Server

DOCUMENTED = {"query": bwp.documented.PAGE_LOAD.request}
ACCEPTED = {"data": {"sendUserEvents": {"status": "successful"}}}


_CONTEXT = ssl.create_default_context()  # made once: it takes longer than most requests


def ask(method: str, address: str, **given: Any) -> httpx.Response:
    """Send one request on a connection of its own."""
    return httpx.request(method, address, verify=_CONTEXT, timeout=30, **given)


def token(server: Server) -> httpx.Response:
    """Return the response to the sandbox's own credentials."""
    sandbox = server.sandbox
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    return ask("POST", server.token_endpoint, data=form)


def headers(server: Server) -> dict[str, str]:
    """Return the headers that the API requires, with a new token."""
    given = token(server).json()["access_token"]
    return {"Authorization": f"Bearer {given}", "x-api-target-id": server.sandbox.target_id}


def post(server: Server, given: Any = None, **changed: str) -> httpx.Response:
    """Post a body, by default the documented event, with the required headers except for the changed ones."""
    wanted = {**headers(server), "Content-Type": "application/json", **changed}
    kept = {name: text for name, text in wanted.items() if text}
    content = {"content": given} if isinstance(given, bytes) else {"json": DOCUMENTED if given is None else given}
    return ask("POST", server.endpoint, headers=kept, **content)


def control(server: Server, path: str = "", method: str = "GET", **given: Any) -> httpx.Response:
    """Send a request to the control path, with its token."""
    bearer = {"Authorization": f"Bearer {server.control_token}", **given.pop("headers", {})}
    return ask(method, f"{server.control}{path}", headers=bearer, **given)


def request(server: Server, body: bytes = b"{}", *, extra: str = "", close: bool = False) -> bytes:
    """Return a request as bytes; `extra` replaces the body and the header with its length."""
    given = {"Host": f"127.0.0.1:{server.port}", "Content-Type": "application/json", **headers(server)}
    given |= {"Connection": "close"} if close else {}
    lines = ["POST /graphql HTTP/1.1", *[f"{name}: {text}" for name, text in given.items()]]
    head = "\r\n".join([*lines, extra or f"Content-Length: {len(body)}", "", ""])
    return head.encode() + (b"" if extra else body)


def until(is_true: Callable[[], bool]) -> None:
    """Return once a condition is true; fail if that takes too long."""
    for _ in range(1000):
        if is_true():
            return
        time.sleep(0.02)
    raise AssertionError("The condition never became true")


def needs(program: str) -> None:
    """Skip a test if a program is not installed; in CI that is a failure."""
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} must be installed in CI"
        pytest.skip(f"{program} is not installed")


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Give a raw connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """Return everything until the connection ends, by a reset or otherwise."""
    found = b""
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionError:
        pass
    return found
