"""What a visitor of the lab can do, without pandas; run by CPython and by Pyodide, and the answers compared.

The value of the last line is what `tests/node/replay.js` prints.
"""

import json
import sys
import threading
from typing import Any


def _refuse(thread: threading.Thread) -> None:
    raise AssertionError(f"{thread} was started")


threading.Thread.start = _refuse  # type: ignore[method-assign]
sys.modules["tornado"] = None  # type: ignore[assignment]

import httpx  # noqa: E402

import bwp_nb as bwp  # noqa: E402

SNIPPETS = ("graphql", "json_body", "curl", "python_httpx", "python_bwp_nb")
EXAMPLES = (bwp.documented.PAGE_LOAD, bwp.documented.INVALID_EVENT_TIME, bwp.documented.PRE_ORDER_PAGE_LOAD)


def example(number: int) -> dict[str, Any]:
    """Return everything that is said of a documented example: the checks, the texts, the response, the outcome."""
    client = bwp.connect()
    mutation = bwp.Mutation.parse(EXAMPLES[number].request)
    try:
        outcome: object = client.send(mutation, check=False)
    except bwp.BwpError as error:
        outcome = [str(error), error.rows()]
    return {
        "problems": repr(mutation.problems()),
        "text": mutation.text,
        "payload": mutation.payload,
        "snippets": [getattr(bwp.snippets, name)(mutation) for name in SNIPPETS],
        "outcome": repr(outcome),
        "response": client.execute(EXAMPLES[number].request),
        "history": repr(client.history),
        "accepted": client.sandbox.accepted if client.sandbox else None,
    }


def form() -> list[str]:
    """Return what the form and the panel say of an event that is made, and of one that is pasted."""
    client = bwp.connect()
    made, panel = bwp.forms.EventForm(client), bwp.forms.SandboxPanel(client.sandbox)
    before = [repr(made), repr(panel)]
    made.fill(EXAMPLES[1].request)
    return [*before, repr(made)]


def drift() -> str:
    """Return how the sandbox differs from what is known of the API."""
    return repr(bwp.drift(bwp.connect()))


def nested() -> list[int]:
    """Return the statuses of requests that are nested more deeply than a stack can follow."""
    sandbox = bwp.Sandbox()
    own = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "grant_type": "client_credentials"}
    token = sandbox.handle_request(httpx.Request("POST", sandbox.token_endpoint, data=own)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "x-api-target-id": sandbox.target_id}
    bodies = [
        b"[" * 100_000,
        b'{"query": ' + b'[{"a": ' * 100_000,
        b'{"variables": ' + b"[" * 9000 + b"]" * 9000 + b"}",
    ]
    requests = [httpx.Request("POST", sandbox.endpoint, content=body, headers=headers) for body in bodies]
    return [sandbox.handle_request(request).status_code for request in requests]


def served() -> str:
    """Return what is said where the sandbox cannot be served: there is no tornado here."""
    try:
        return repr(bwp.serve)
    except (NotImplementedError, ModuleNotFoundError) as error:
        return f"{type(error).__name__}: {error}"


answers = {
    "served": served(),
    "examples": [example(number) for number in range(len(EXAMPLES))],
    "form": form(),
    "drift": drift(),
    "nested": nested(),
}
json.dumps(answers, default=repr)
