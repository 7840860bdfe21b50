"""Many requests to the served sandbox: generated ones, and concurrent ones."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema

import bwp_nb as bwp
from tests.served import ACCEPTED, control, headers, post, request
from tests.strategies import event, texts

GENERATED = 300
CLIENTS = 200
EACH = 10


def _each(count: int) -> settings:
    return settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


_TEXTS = [one.request for one in (bwp.documented.PAGE_LOAD, bwp.documented.INVALID_EVENT_TIME)]
_fitting = from_schema(files("bwp_nb").joinpath("contract/schema.graphql").read_text("utf-8"))
_spoilt = st.builds(
    lambda text, place, removed, inserted: text[: place % len(text)] + inserted + text[place % len(text) + removed :],
    st.sampled_from(_TEXTS),
    st.integers(0, 500),
    st.integers(0, 20),
    st.sampled_from([*'{}()[]":$@!.#&|\\', "...", "\x00", "\ud800", "fragment", "1e999", '"""']) | texts,
)
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda items: st.lists(items, max_size=3) | st.dictionaries(texts, items, max_size=3),
    max_leaves=5,
)
_requests = st.fixed_dictionaries(
    {"query": _spoilt | _fitting},
    optional={"variables": _json, "operationName": st.sampled_from(["sendEvents", "", None, 5]), "extensions": _json},
)
_shorter = st.fixed_dictionaries({"query": _spoilt | _json})
_bodies = st.one_of(_requests, _shorter, _shorter, _json).map(json.dumps).map(str.encode)
_accepts = st.sampled_from(["*/*", "application/json", "application/graphql-response+json"])
_paths = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(lambda text: f"/{text}")
_usual = {
    "method": st.just("POST"),
    "path": st.just("/graphql"),
    "kind": st.just("application/json"),
    "accept": _accepts,
    "body": _bodies,
}
_odd = {
    "method": st.sampled_from(["POST", "GET", "HEAD", "OPTIONS", "DELETE", "X"]),
    "path": st.sampled_from(["/graphql", "/graphql?query={nothing}", "/token", "/control/faults", "/%00"]) | _paths,
    "kind": st.sampled_from(["application/json", "application/json;charset", "text/plain", "\xff", ""]),
    "accept": _accepts | st.sampled_from(["text/html", ";q=", "\xff", "a" * 1000]),
    "body": _bodies | st.binary(max_size=50),
}


@contextmanager
def _watched() -> Iterator[Callable[..., None]]:
    """Give a function that sends one request and checks its response; at the end a valid request is accepted."""
    with bwp.serve() as server, httpx.Client(timeout=20) as http:
        wanted = [(name.encode(), text.encode()) for name, text in headers(server).items()]
        seen: Counter[int] = Counter()

        def fire(method: str, path: str, kind: str, accept: str, body: bytes) -> None:
            given = [*wanted, (b"Content-Type", kind.encode("latin-1")), (b"Accept", accept.encode("latin-1"))]
            response = http.request(method, server.address + path, content=body, headers=given)
            seen[response.status_code] += 1
            assert response.status_code < 500
            assert response.content or method == "HEAD" or response.status_code == 204
            if response.content:
                response.json()

        yield fire
        assert ACCEPTED == post(server, bwp.Mutation(event(event_id="the last")).payload).json()
    print(f"generated requests answered: {seen.total()}, by status: {dict(sorted(seen.items()))}")


def test_every_generated_request_gets_a_response_that_is_not_a_server_error() -> None:
    """Requests that match the schema, mutated ones, and JSON that is not a request all get JSON responses."""
    with _watched() as fire:
        _each(GENERATED)(given(**_usual)(fire))()


def test_every_generated_request_in_an_odd_form_does_too() -> None:
    """Methods, addresses and headers vary."""
    with _watched() as fire:
        _each(GENERATED // 8)(given(**_odd)(fire))()


_BODY = json.dumps(bwp.Mutation(event(event_id="{id}")).payload).encode()


async def _client(port: int, head: bytes, ids: list[str], seen: Counter[bytes]) -> None:
    """Send an event for each id on one connection, each after the answer to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for event_id in ids:
        body = _BODY.replace(b"{id}", event_id.encode())
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        seen[await reader.readexactly(int(length))] += 1
    writer.close()
    await writer.wait_closed()


def test_200_concurrent_clients_are_counted_exactly() -> None:
    """2,000 requests on 200 connections: each event is accepted once, none is lost or repeated."""
    ids = [[str(uuid.UUID(int=client * EACH + turn, version=4)) for turn in range(EACH)] for client in range(CLIENTS)]
    seen: Counter[bytes] = Counter()

    async def crowd(port: int, head: bytes) -> None:
        await asyncio.wait_for(asyncio.gather(*[_client(port, head, each, seen) for each in ids]), timeout=300)

    with bwp.serve() as server:
        head = request(server).partition(b"Content-Length")[0]
        asyncio.run(crowd(server.port, head))
        counts = {"accepted": CLIENTS * EACH, "duplicates": 0, "rejected": 0, "requests": CLIENTS * EACH}
        assert counts == {name: control(server).json()[name] for name in counts}
        accepted = [found["eventId"] for found in server.sandbox.accepted]
    assert {json.dumps(ACCEPTED).encode(): CLIENTS * EACH} == seen
    assert sorted(event_id for each in ids for event_id in each) == sorted(accepted)
