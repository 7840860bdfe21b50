"""A forked process has connections of its own, and no lock that another thread held when it was forked."""

import json
import os
import signal
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trustme

import bwp_nb as bwp
from bwp_nb import Client
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport
from tests.servers import SUCCESS, Connection, serving

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
        signal.alarm(60)  # which ends a child that hangs
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


def _holding(lock: threading.Lock) -> tuple[threading.Thread, threading.Event]:
    """Hold a lock in another thread until an event is set."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    return thread, done


@pytest.mark.parametrize(
    "lock",
    [lambda client: client.history._lock, lambda client: client._confirming, lambda client: client._auth._lock],
    ids=["history", "confirmation", "token"],
)
def test_a_lock_that_another_thread_held_is_free_in_a_child(lock: Callable[[Client], threading.Lock]) -> None:
    """The child has no such thread, which could release it."""
    client = bwp.connect()
    thread, done = _holding(lock(client))
    try:
        result = _in_child(lambda: client.send(client.new_event("click")).status)
        assert "successful" == result()
    finally:
        done.set()
        thread.join()


def test_a_child_does_not_wait_for_a_token_that_its_parent_requests() -> None:
    """It requests one itself."""
    asked, done = threading.Event(), threading.Event()
    parent = os.getpid()

    def answer(request: httpx.Request) -> httpx.Response:
        if os.getpid() == parent:
            asked.set()
            done.wait(60)
        return httpx.Response(200, json={"access_token": "a"} if request.url.path == "/token" else SUCCESS)

    transport, clock = httpx.MockTransport(answer), Clock()
    auth = TokenAuth(Credentials("id", Secret("a"), "bp-1"), "https://api.invalid/token", transport, clock)
    client = Client(transport, "https://api.invalid/graphql", auth=auth, clock=clock)
    thread = threading.Thread(target=client.send, args=(client.new_event("click"),))
    thread.start()
    try:
        assert asked.wait(60)
        assert "successful" == _in_child(lambda: client.send(client.new_event("click")).status)()
    finally:
        done.set()
        thread.join()
