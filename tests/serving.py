"""A sandbox behind a real socket, which outlives the processes that send to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bwp_nb import Sandbox
from tests.servers import Connection, Server, serving


@contextmanager
def serving_sandbox(sandbox: Sandbox) -> Iterator[tuple[Server, dict[str, str]]]:
    """Serve a sandbox for a while, and give the settings with which `connect` reaches it."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            head, _, body = request.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            path = first.split(" ")[1]
            given = httpx.Request("POST", f"https://sandbox.invalid{path}", headers=headers, content=body)
            response = sandbox.handle_request(given)
            connection.answer(response.content, f"{response.status_code} Answered")

    with serving(answer) as server:
        yield (
            server,
            {
                "BWP_MODE": "live",
                "BWP_ENDPOINT": server.endpoint,
                "BWP_TOKEN_ENDPOINT": server.endpoint.replace("/graphql", "/token"),
                "BWP_CLIENT_ID": sandbox.client_id,
                "BWP_CLIENT_SECRET": sandbox.client_secret,
                "BWP_TARGET_ID": sandbox.target_id,
            },
        )
