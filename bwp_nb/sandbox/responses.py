"""HTTP responses as the sandbox writes them."""

import json
from typing import Any

import httpx
from graphql import ExecutionResult, GraphQLError, GraphQLSyntaxError

from bwp_nb.displays.sources import facts

JSON = "application/json"

# What the sandbox says of its own responses: what in them is inferred, unknown or not of the API.
_LABELS: dict[str, str] = facts()["labels"]

#: The message that the documentation of other operations shows for an AccessDeniedError.
DENIED = "You do not have sufficient access to perform this action."


def labelled(*labels: str) -> dict[str, list[str]]:
    """Return labels as `extensions.sandbox`."""
    return {"sandbox": sorted(_LABELS[label] for label in labels)} if labels else {}


def json_response(
    status_code: int, content: Any, media_type: str = JSON, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Return a JSON response; bytes are sent as they are, and a lone surrogate is escaped."""
    if not isinstance(content, bytes):
        content = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return httpx.Response(status_code, content=content, headers={"Content-Type": media_type, **(headers or {})})


def html_response(status_code: int, title: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Return a small HTML page, such as a proxy or a gateway sends."""
    page = f"<!doctype html><title>{title}</title><h1>{title}</h1>"
    return httpx.Response(status_code, content=page, headers={"Content-Type": "text/html", **(headers or {})})


def error_response(message: str, kind: str, code: int, label: str = "fault") -> httpx.Response:
    """Return a GraphQL error in the documented envelope, labelled in `extensions.sandbox`."""
    extensions = {"classification": classification(kind, code), **labelled(label)}
    error = {"message": message, "path": ["sendUserEvents"], "extensions": extensions}
    return json_response(200, {"errors": [error], "data": {"sendUserEvents": None}})


def classification(kind: str, error_code: int, **details: Any) -> dict[str, Any]:
    """Return the classification of an error, with the names and the order of the documented one."""
    return {"type": kind, **details, "errorType": f"{kind.removesuffix('Error')}Exception", "errorCode": error_code}


def bad_body_response(message: str) -> httpx.Response:
    """Return the error for a body that is not a GraphQL request."""
    extensions = {"classification": "InvalidSyntax", **labelled("bad_body")}
    return json_response(400, {"errors": [{"message": message, "extensions": extensions}]})


def graphql_response(result: ExecutionResult, notes: list[str]) -> httpx.Response:
    """Return a result in the documented key order: errors before data, and no data if nothing was executed."""
    errors = {"errors": [error.formatted for error in result.errors]} if result.errors else {}
    if result.errors and result.data is None:
        return json_response(200, {"errors": [_unexecuted(error) for error in result.errors]})
    return json_response(200, {**errors, "data": result.data, **({"extensions": {"sandbox": notes}} if notes else {})})


def _unexecuted(error: GraphQLError) -> dict[str, Any]:
    kind = "InvalidSyntax" if isinstance(error, GraphQLSyntaxError) else "ValidationError"
    return {**error.formatted, "extensions": {"classification": kind, **labelled("unexecuted")}}
