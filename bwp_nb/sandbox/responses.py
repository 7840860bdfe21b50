"""HTTP responses as the sandbox writes them."""

import json
from typing import Any

import httpx

JSON = "application/json"

#: The message that the documentation of other operations shows for an AccessDeniedError.
DENIED = "You do not have sufficient access to perform this action."


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


def error_response(message: str, kind: str, code: int, label: str) -> httpx.Response:
    """Return a GraphQL error in the documented envelope, labelled in `extensions.sandbox`."""
    classification = {"type": kind, "errorType": f"{kind.removesuffix('Error')}Exception", "errorCode": code}
    extensions = {"classification": classification, "sandbox": [label]}
    error = {"message": message, "path": ["sendUserEvents"], "extensions": extensions}
    return json_response(200, {"errors": [error], "data": {"sendUserEvents": None}})
