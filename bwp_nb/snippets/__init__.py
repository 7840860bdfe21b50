"""A request as text for other tools, complete with the request for a token, so that every copy runs as pasted.

For the live API, credentials are only names of environment variables. A served sandbox has credentials of its own,
which are not secret: a copy for it contains them. The folder `bwp_nb/snippets` has the templates.
"""

import json
import pprint
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from string import Template
from textwrap import indent

from bwp_nb.client import API_VERSION, Client
from bwp_nb.event import UserEvent
from bwp_nb.mutation import Mutation
from bwp_nb.settings import SETTINGS

_DEFAULTS = {setting.name: str(setting.default) for setting in SETTINGS}
_CREDENTIALS = ("BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID")


@dataclass(frozen=True)
class Destination:
    """Where a copied request goes, and with which headers. The default is the live API as it is documented.

    Parameters
    ----------
    endpoint, token_endpoint : str, optional
        The addresses. Default: those in “Call the Buy with Prime API”.
    target_header : str, default "x-api-target-id"
        The header with the target id.
    api_version : str, default "2024-11-01"
        The header `x-api-version`.
    names : tuple of str, optional
        The environment variables from which a copy reads its credentials.
    environment : dict of str to str, optional
        The settings of a served sandbox, `Server.environment`, instead of these variables.
    """

    endpoint: str = _DEFAULTS["BWP_ENDPOINT"]
    token_endpoint: str = _DEFAULTS["BWP_TOKEN_ENDPOINT"]
    target_header: str = _DEFAULTS["BWP_TARGET_HEADER"]
    api_version: str = API_VERSION
    names: tuple[str, ...] = _CREDENTIALS
    environment: dict[str, str] | None = None

    @classmethod
    def of(cls, client: Client) -> "Destination":
        """Return where a live client sends, with the headers that it sends.

        Parameters
        ----------
        client : Client
            The client.

        Returns
        -------
        Destination
            Its addresses, and the names of its headers; no secret.
        """
        known = cls(client.endpoint, api_version=client._headers["x-api-version"])
        if (auth := client._auth) is None:
            return known
        key = () if auth._credentials.access_key is None else ("BWP_ACCESS_KEY",)
        header, address = auth._credentials.target_header, auth._token_endpoint
        return replace(known, token_endpoint=address, target_header=header, names=(*_CREDENTIALS, *key))

    @property
    def note(self) -> str:
        """Where a copy sends, and what it needs for that."""
        if self.environment is not None:
            return f"Sends to the sandbox that is served at {self.endpoint}."
        return f"Sends to {self.endpoint}; needs {', '.join(self.names)} in the environment."


LIVE = Destination()


def served(environment: dict[str, str]) -> Destination:
    """Return the destination that a served sandbox is.

    Parameters
    ----------
    environment : dict of str to str
        The `environment` of a `bwp.serve()`.

    Returns
    -------
    Destination
        Its addresses and the sandbox's own credentials.
    """
    return Destination(environment["BWP_ENDPOINT"], environment["BWP_TOKEN_ENDPOINT"], environment=environment)


class _Program(Template):
    delimiter = "@@"


def _program(file: str, to: Destination, **parts: str) -> str:
    """Return the program in a file of this folder with its parts filled in, without the headers of parts not given."""
    lines = files(__package__).joinpath(file).read_text("utf-8").splitlines(keepends=True)
    left_out = [f"@@{{{name}}}" for name in ("target_id", "access_key") if name not in parts]
    kept = [line for line in lines if not any(place in line for place in left_out)]
    return _Program("".join(kept)).substitute(vars(to), note=to.note, **parts)


def _credentials(to: Destination, variable: str, literal: Callable[[str], str]) -> dict[str, str]:
    """Return how a program writes each credential: as a variable, or for a served sandbox as a literal."""
    known, names = to.environment, {"BWP_CLIENT_ID", "BWP_CLIENT_SECRET", *to.names}
    texts = {name: variable.format(name) if known is None else literal(known[name]) for name in names}
    return {name.removeprefix("BWP_").lower(): text for name, text in texts.items()}


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

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.snippets.graphql(bwp.Mutation(bwp.connect().new_event("click"))).splitlines()[0]
    'mutation sendEvents {'
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


def curl(mutation: Mutation, to: Destination = LIVE) -> str:
    """Return two commands for a POSIX shell: one gets a token, one sends.

    Parameters
    ----------
    mutation : Mutation
        The request.
    to : Destination, optional
        Where the request goes. Default: the live API, with credentials from environment variables.

    Returns
    -------
    str
        The commands.
    """
    credentials = _credentials(to, "${}", lambda text: re.sub(r'([\\"$`])', r"\\\1", text))
    # Not --data, which reads a file if the text begins with @.
    return _program("curl.sh", to, body=shlex.quote(json_body(mutation).rstrip()), **credentials)


def python_httpx(mutation: Mutation, to: Destination = LIVE) -> str:
    """Return a Python program that gets a token and posts the request with httpx.

    Parameters
    ----------
    mutation : Mutation
        The request.
    to : Destination, optional
        Where the request goes. Default: the live API, with credentials from environment variables.

    Returns
    -------
    str
        The program.
    """
    body = indent(pprint.pformat(mutation.payload, width=100, sort_dicts=False), " " * 4).lstrip()
    return _program("httpx.txt", to, body=body, **_credentials(to, 'os.environ["{}"]', json.dumps))


def javascript(mutation: Mutation, to: Destination = LIVE) -> str:
    """Return a program for Node.js 18 or newer that gets a token and posts the request with `fetch`.

    Parameters
    ----------
    mutation : Mutation
        The request.
    to : Destination, optional
        Where the request goes. Default: the live API, with credentials from environment variables.

    Returns
    -------
    str
        The program.
    """
    body = json_body(mutation).rstrip()
    return _program("node.js", to, body=body, **_credentials(to, "process.env.{}", json.dumps))


def postman(mutation: Mutation, to: Destination = LIVE) -> str:
    """Return a Postman collection, version 2.1: a request that stores a token, and one that sends the events.

    Credentials for the live API are variables of the collection, to be filled in.

    Parameters
    ----------
    mutation : Mutation
        The request.
    to : Destination, optional
        Where the request goes. Default: the live API, with credentials from environment variables.

    Returns
    -------
    str
        The collection as JSON.
    """
    credentials = _credentials(to, "{{{{{}}}}}", lambda text: json.dumps(text)[1:-1])
    return _program("postman.json", to, body=json.dumps(json_body(mutation)), **credentials)


def python_bwp_nb(mutation: Mutation, to: Destination = LIVE) -> str:
    """Return a Python program that sends the request with this package.

    Events that our own checks refuse are sent with `check=False`.

    Parameters
    ----------
    mutation : Mutation
        The request.
    to : Destination, optional
        Where the request goes. Default: the live API, with credentials from environment variables.

    Returns
    -------
    str
        The program.
    """
    events = "".join(indent(_constructor(event), " " * 4) + ",\n" for event in mutation.events)
    unchecked = ", check=False" if any(event.problems() for event in mutation.events) else ""
    fields = ("endpoint", "token_endpoint", "target_header", "api_version")
    chosen = {f"BWP_{name.upper()}": getattr(to, name) for name in fields if getattr(to, name) != getattr(LIVE, name)}
    settings = to.environment or {"BWP_MODE": "live", **chosen}
    given = "".join(f"    {name!r}: {value!r},\n" for name, value in settings.items())
    return _program("bwp_nb.txt", to, settings=given, events=events, unchecked=unchecked)


#: Each form of a request by its name: a function of the request and its destination.
FORMS: dict[str, Callable[[Mutation, Destination], str]] = {
    "GraphQL": lambda mutation, _: graphql(mutation),
    "JSON body": lambda mutation, _: json_body(mutation),
    "cURL": curl,
    "Python with httpx": python_httpx,
    "Python with bwp_nb": python_bwp_nb,
    "JavaScript for Node.js": javascript,
}

#: The language of each form, by the name that highlighters have for it.
LANGUAGES = dict(zip(FORMS, ("graphql", "json", "bash", "python", "python", "javascript"), strict=True))


def _constructor(event: UserEvent) -> str:
    given = {**vars(event), "additional_properties": dict(event.additional_properties) or None}
    lines = [f"    {name}={value!r},\n" for name, value in given.items() if value is not None]
    return f"bwp.UserEvent(\n{''.join(lines)})"
