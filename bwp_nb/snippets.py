"""A request as text for other tools, in which tokens are only names of environment variables."""

import json
import pprint
import shlex
from collections.abc import Callable
from textwrap import indent
from urllib.parse import urlsplit

from bwp_nb.client import API_VERSION
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.settings import SETTINGS

#: The documented address of the live API; a sandbox has its own.
ENDPOINT = str(next(setting.default for setting in SETTINGS if setting.name == "BWP_ENDPOINT"))

# The lifetime is documented in “Authenticate to the Buy with Prime API”.
_NEEDS = "# Needs {}in the environment BWP_ACCESS_TOKEN (a token lasts 15 minutes) and BWP_TARGET_ID.\n"
_UNREACHABLE = "# {} is a sandbox in a Python process: serve it with bwp.serve, and use the endpoint of the server.\n"


def graphql(mutation: Mutation) -> str:
    """Return the request as one GraphQL document that contains the events.

    Parameters
    ----------
    mutation : Mutation
        The request.

    Returns
    -------
    str
        The document.
    """
    return mutation.text


def json_body(mutation: Mutation) -> str:
    """Return the body to post: the GraphQL document and its variables.

    Parameters
    ----------
    mutation : Mutation
        The request.

    Returns
    -------
    str
        The body as JSON in ASCII.
    """
    return json.dumps(mutation.payload, indent=2) + "\n"


def curl(mutation: Mutation, endpoint: str = ENDPOINT, *, target_header: str = "x-api-target-id") -> str:
    """Return a cURL command for a POSIX shell; `target_header` is the header with the target id."""
    lines = [
        f"curl {shlex.quote(endpoint)}",
        '--header "Authorization: Bearer $BWP_ACCESS_TOKEN"',
        f'--header "{target_header}: $BWP_TARGET_ID"',
        f"--header 'x-api-version: {API_VERSION}'",
        "--header 'Content-Type: application/json'",
        # Not --data, which reads a file if the text begins with @.
        f"--data-raw {shlex.quote(json_body(mutation).rstrip())}",
    ]
    return _heading(endpoint, "") + " \\\n  ".join(lines) + "\n"


def python_httpx(mutation: Mutation, endpoint: str = ENDPOINT, *, target_header: str = "x-api-target-id") -> str:
    """Return a Python program that posts the request with httpx; `target_header` is the header with the target id."""
    body = indent(pprint.pformat(mutation.payload, width=100, sort_dicts=False), " " * 4).lstrip()
    return f"""{_heading(endpoint, "httpx, and ")}import os

import httpx

response = httpx.post(
    {endpoint!r},
    headers={{
        "Authorization": f"Bearer {{os.environ['BWP_ACCESS_TOKEN']}}",
        {target_header!r}: os.environ["BWP_TARGET_ID"],
        "x-api-version": {API_VERSION!r},
    }},
    json={body},
)
print(response.json())
"""


def python_bwp_nb(mutation: Mutation) -> str:
    """Return a Python program that sends the request with this package.

    Events that our own checks refuse are sent with `check=False`.
    """
    events = "".join(indent(_constructor(event), " " * 4) + ",\n" for event in mutation.events)
    unchecked = ", check=False" if any(event.problems() for event in mutation.events) else ""
    return (
        "# Needs bwp_nb. It sends to a sandbox, unless BWP_MODE=live.\n"
        "import bwp_nb as bwp\n\n"
        "client = bwp.connect()\n"
        f"receipt = client.send([\n{events}]{unchecked})\n"
        "print(receipt)\n"
    )


#: Each form of a request by its name: a function of the request and the endpoint.
FORMS: dict[str, Callable[[Mutation, str], str]] = {
    "GraphQL": lambda mutation, _: graphql(mutation),
    "JSON body": lambda mutation, _: json_body(mutation),
    "cURL": curl,
    "Python with httpx": python_httpx,
    "Python with bwp_nb": lambda mutation, _: python_bwp_nb(mutation),
}


def _heading(endpoint: str, more: str) -> str:
    host = urlsplit(endpoint).hostname or ""
    return _NEEDS.format(more) + (_UNREACHABLE.format(host) if host.endswith(".invalid") else "")


def _constructor(event: UserEvent) -> str:
    given = {name: getattr(event, name) for name in TEXT_FIELDS if getattr(event, name) is not None}
    properties = {"additional_properties": dict(event.additional_properties)} if event.additional_properties else {}
    lines = [f"    {name}={value!r},\n" for name, value in (given | properties).items()]
    return f"bwp.UserEvent(\n{''.join(lines)})"
