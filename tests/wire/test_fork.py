"""A forked process has connections of its own, and no lock that another thread held when it was forked."""

import json
import os
import ssl
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from bwp_nb import Client
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import Connection, serving

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # from Python 3.12 on: the server has threads
]

EACH = 180


def _echo(connection: Connection) -> None:
    """Answer each query with itself."""
    while request := connection.request():
        query = json.loads(request.partition(b"\r\n\r\n")[2])["query"]
        connection.answer(json.dumps({"data": {"query": query}}).encode())


def _wrong(client: Client, name: str) -> int:
    """Return how many of some queries got another one's answer, or none."""
    found = [client.execute(query)["data"]["query"] == query for query in (f"{name} {i}" for i in range(EACH))]
    return found.count(False)


def _in_child(act: Callable[[], Any]) -> Callable[[], Any]:
    """Begin something in a forked process, and return a function that waits for what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(act()).encode())
        except BaseException as error:  # which the parent reports
            os.write(writer, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(0)
    os.close(writer)

    def result() -> Any:
        with open(reader, "rb") as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return json.loads(text)

    return result


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_parent_and_children_get_their_own_answers(scheme: str) -> None:
    """720 queries of four processes over a client that had a connection before they were forked."""
    authority = trustme.CA()
    trusted, context = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trusted)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(_echo, context if scheme == "https" else None) as server:
        with Client(DeadlineTransport(ssl_context=trusted), server.endpoint, retries=Retries(attempts=1)) as client:
            client.execute("before")
            children = [_in_child(lambda name=name: _wrong(client, f"child {name}")) for name in range(3)]
            assert 0 == _wrong(client, "parent")
            assert [0, 0, 0] == [result() for result in children]
        assert 4 * EACH + 1 == len(server.requests)
        assert 4 == server.connections
