"""GraphQL over HTTP: which requests reach the API behind a server, and in what form its answers go back.

It follows the draft at https://graphql.github.io/graphql-over-http/draft/. What JSON says that is no request at all is
left to the API to refuse, since that is part of how it behaves.
"""

import json
from typing import Any
from urllib.parse import parse_qs

import httpx
from graphql import (
    GraphQLSyntaxError,
    Lexer,
    OperationType,
    Source,
    TokenKind,
    get_operation_ast,
    parse,
)

#: The media type of the documented answers: HTTP 200 whatever happened.
JSON = "application/json"

#: The media type of the draft: HTTP 400 where nothing was executed.
GRAPHQL = "application/graphql-response+json"

#: The deepest query that is taken, counted in brackets, and the longest, counted in tokens.
MAX_DEPTH = 50
MAX_TOKENS = 20_000

_OPENING = {TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L}
_CLOSING = {TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R}
_TYPES = {"operationName": (str, "a text"), "variables": (dict, "an object"), "extensions": (dict, "an object")}


class Refused(Exception):
    """A request that reaches no API: what to answer."""

    def __init__(self, status_code: int, reason: str, headers: dict[str, str] | None = None) -> None:
        self.status_code = status_code
        self.reason = reason
        self.headers = headers or {}
        super().__init__(reason)


def media_type(accept: str | None) -> str:
    """Return the media type that an `Accept` header likes best, `JSON` if it does not care; `Refused` if neither."""
    ranges = dict(map(_weighed, (accept or "*/*").split(",")))
    chosen = max((JSON, GRAPHQL), key=lambda kind: (_weight(kind, ranges), kind == GRAPHQL and kind in ranges))
    if not _weight(chosen, ranges):
        raise Refused(406, f"Answers come as {JSON} or {GRAPHQL}")
    return chosen


def in_form(kind: str, response: httpx.Response) -> httpx.Response:
    """Return an answer of the API in a media type: in `GRAPHQL`, HTTP 400 says that nothing was executed.

    What is no GraphQL answer stays as it is.
    """
    if kind == JSON or response.headers.get("Content-Type") != JSON or not response.is_stream_consumed:
        return response
    try:
        answer = json.loads(response.content)
    except ValueError:
        return response
    if not isinstance(answer, dict) or not answer.keys() & {"data", "errors"}:
        return response
    status_code = 400 if response.status_code == 200 and "data" not in answer else response.status_code
    return httpx.Response(status_code, content=response.content, headers={"Content-Type": GRAPHQL})


def posted(content_type: str, content_encoding: str, body: bytes) -> bytes:
    """Return the body of a POST if it may reach the API; else raise `Refused`."""
    if not is_utf_8(content_type, JSON) or content_encoding not in ("", "identity"):
        raise Refused(415, f"A request is {JSON} in UTF-8, not compressed")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(given, dict):
        _check(given)
    return body


def got(query: str) -> bytes:
    """Return the body that the query part of a GET's address stands for; `Refused` for a mutation."""
    try:
        fields = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=10)
        given: dict[str, Any] = {name: values[-1] for name, values in fields.items()}
        for name in {"variables", "extensions"} & given.keys():
            given[name] = json.loads(given[name])
    except (ValueError, RecursionError):
        raise Refused(
            400, "The query part of the address is no request: its variables are JSON in an address"
        ) from None
    _check(given)
    if _changes_something(given.get("query", ""), given.get("operationName")):
        raise Refused(405, "A GET only asks; send a mutation by POST", {"Allow": "POST"})
    return json.dumps(given).encode()


def is_utf_8(content_type: str, kind: str) -> bool:
    """Tell whether a `Content-Type` names a kind, and no character set but UTF-8."""
    given, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    return given == kind and all(charset in ("utf-8", "utf8") for charset in charsets)


def _weighed(item: str) -> tuple[str, float]:
    """Return a range of an `Accept` header and its weight."""
    kind, *parameters = (part.strip().lower() for part in item.split(";"))
    text = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return kind, float(text)
    except ValueError:
        return kind, 0.0


def _weight(kind: str, ranges: dict[str, float]) -> float:
    return next((ranges[name] for name in (kind, "application/*", "*/*") if name in ranges), 0.0)


def _check(given: dict[str, Any]) -> None:
    """Raise `Refused` for parameters of a wrong type, and for a query that is too much."""
    for name, (kind, words) in _TYPES.items():
        if not isinstance(given.get(name), kind | None):
            raise Refused(400, f"{name} is not {words}")
    if isinstance(given.get("query"), str):
        _measure(given["query"])


def _measure(query: str) -> None:
    """Raise `Refused` for a query that is too deep or too long; one that cannot be read is left to the API."""
    lexer = Lexer(Source(query))
    tokens = depth = 0
    try:
        while (kind := lexer.advance().kind) is not TokenKind.EOF:
            tokens += 1
            depth += (kind in _OPENING) - (kind in _CLOSING)
            if tokens > MAX_TOKENS or depth > MAX_DEPTH:
                raise Refused(400, f"This server takes queries of {MAX_TOKENS} tokens, {MAX_DEPTH} brackets deep")
    except GraphQLSyntaxError:
        return


def _changes_something(query: str, operation_name: str | None) -> bool:
    """Tell whether what would be executed is no mere query."""
    try:
        operation = get_operation_ast(parse(query), operation_name)
    except (GraphQLSyntaxError, RecursionError):
        return False
    return operation is not None and operation.operation is not OperationType.QUERY
