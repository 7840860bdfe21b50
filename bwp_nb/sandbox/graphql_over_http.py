"""GraphQL over HTTP: which requests reach the sandbox, and in which media type it responds.

It follows the draft of 8 May 2025 (https://github.com/graphql/graphql-over-http, commit 127bbfd), which defines both
media types below and which the audits of the npm package graphql-http test. Since April 2026 the draft wants HTTP 422
for a request that does not validate and 294 for data beside errors, and since July 2026 it does not define
`application/json` responses. A body that is not a GraphQL request is passed on, because its rejection is part of the
API's behaviour.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
from graphql import OperationType, get_operation_ast

from bwp_nb.sandbox.responses import JSON, json_response
from bwp_nb.sandbox.validation import read

#: The media type in which a response has HTTP 400 if nothing was executed. As `JSON` it has HTTP 200, with errors too;
#: that the API's status is 200 in both cases is inferred from a published client.
GRAPHQL = "application/graphql-response+json"

#: The weight of a media type that is not wanted.
_EXCLUDED = re.compile(r"\s*q=0(\.0*)?\s*")


class Refused(Exception):
    """A request that is refused before it reaches the sandbox."""

    def __init__(self, status_code: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = json_response(status_code, {"errors": [{"message": message}]}, headers=headers)


def media_type(accept: str) -> str:
    """Return `GRAPHQL` if an `Accept` header names it, else `JSON`; raise `Refused` if it allows neither."""
    parts = (part.lower().partition(";") for part in accept.split(","))
    kinds = {kind.strip() for kind, _, weight in parts if not _EXCLUDED.fullmatch(weight)}
    if GRAPHQL in kinds:
        return GRAPHQL
    if not kinds & {JSON, "application/*", "*/*", ""}:
        raise Refused(406, f"Responses are {JSON} or {GRAPHQL}")
    return JSON


def in_form(kind: str, response: httpx.Response) -> httpx.Response:
    """Label a GraphQL response with a media type, and return it; any other response is returned unchanged."""
    if kind == JSON or response.headers.get("Content-Type") != JSON:
        return response
    with contextlib.suppress(ValueError, httpx.ResponseNotRead):  # a fault may cut it off, or make it endless
        answer = response.json()
        if "data" in answer or "errors" in answer:
            response.headers["Content-Type"] = kind
            if response.status_code == 200 and "data" not in answer:
                response.status_code = 400
    return response


def check_body(headers: Mapping[str, str], kind: str) -> None:
    """Raise `Refused` for a body that is not of a media type, or compressed, or in another encoding than UTF-8."""
    given, _, parameters = headers.get("Content-Type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    is_plain = charset in ("", "utf-8", "utf8") and headers.get("Content-Encoding", "identity") == "identity"
    if given.strip() != kind or not is_plain:
        raise Refused(415, f"Expected {kind} in UTF-8, not compressed")


def body_of_get(query_string: str) -> bytes:
    """Return the body that a POST would have instead of a query string; `Refused` unless it is a query."""
    given: dict[str, Any] = dict(parse_qsl(query_string))
    try:
        given |= {name: json.loads(given[name]) for name in given.keys() & {"variables", "extensions"}}
    except (ValueError, RecursionError):
        raise Refused(400, "The variables and extensions of a query string must be JSON") from None
    document, _ = read(given.get("query", ""))
    operation = get_operation_ast(document, given.get("operationName")) if document else None
    if operation is not None and operation.operation is not OperationType.QUERY:
        raise Refused(405, "Send a mutation by POST", {"Allow": "POST"})
    return json.dumps(given).encode()
