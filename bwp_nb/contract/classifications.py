"""What the API's error classifications mean, and what to do about each."""

from dataclasses import dataclass
from typing import Any

from bwp_nb.displays.html import Catalogue, Shown
from bwp_nb.text import readable

VALIDATION = "ValidationError"
THROTTLING = "ThrottlingError"
INTERNAL = "InternalServerError"
ACCESS_DENIED = "AccessDeniedError"

#: The classifications after which the same request may succeed later.
RETRYABLE = (THROTTLING, INTERNAL)

_ELSEWHERE = "documented for other operations in {}; that it means the same here is inferred"
_READ = "Read the message."


@dataclass(frozen=True)
class Classification(Shown):
    """The type of an error: its meaning, what to do, and how certain that is."""

    name: str
    meaning: str
    advice: str
    certainty: str


_KNOWN = (
    Classification(
        VALIDATION,
        "The input is not valid. The documented code beside this type is UnspecifiedError.",
        "Fix the value that the message names, and send again.",
        "documented in “sendUserEvents”; that the event is dropped: “User Event Schema”; what happens to the other"
        " events of the request: unknown",
    ),
    Classification(
        ACCESS_DENIED,
        "The caller has no access: its token lacks a permission, or is invalid or expired.",
        "Check the permissions of the API credentials and the target id.",
        _ELSEWHERE.format("“Troubleshoot Events” and “Troubleshoot Analytics Errors”"),
    ),
    Classification(
        THROTTLING,
        "Too many requests.",
        "Send fewer requests, and later. The client has retried already.",
        _ELSEWHERE.format("“Troubleshoot Analytics Errors”"),
    ),
    Classification(
        INTERNAL,
        "Something unexpected failed in the server.",
        "Resend later, with the same ids. The client has retried already.",
        _ELSEWHERE.format("“Troubleshoot Analytics Errors” and “Troubleshoot Sandbox Errors”"),
    ),
    Classification(
        "ResourceNotFoundError",
        "The request names something that does not exist.",
        "Not expected of this mutation. Check the endpoint and the target id.",
        _ELSEWHERE.format("“Troubleshoot Analytics Errors”"),
    ),
    Classification(
        "ConflictError",
        "The request conflicts with the state of something.",
        "Not expected of this mutation. For orders it means that an earlier attempt succeeded.",
        _ELSEWHERE.format("“Troubleshoot Order Errors”"),
    ),
    Classification(
        "InvalidSyntax",
        "The text of the request is not valid GraphQL.",
        "Fix the text at the error's location.",
        "inferred from the server library that the API seems to use",
    ),
)

#: Every classification of an error that a page shows, or that the API's server library is known to give, by name.
CLASSIFICATIONS = Catalogue({known.name: known for known in _KNOWN})


def classification(error: dict[str, Any]) -> Classification:
    """Return the classification of one GraphQL error.

    The API gives an object; for a request that it did not execute, perhaps a plain string (inferred). An unknown name,
    or none, gets a classification that says so.
    """
    extensions = error.get("extensions")
    found = extensions.get("classification") if isinstance(extensions, dict) else None
    name = found.get("type") if isinstance(found, dict) else found
    if not isinstance(name, str):
        return Classification("unclassified", "The error has no classification.", _READ, "unknown")
    unknown = Classification(name, "No page that could be read names this classification.", _READ, "unknown")
    return CLASSIFICATIONS.get(name, unknown)


def is_internal(error: dict[str, Any]) -> bool:
    """Whether the classification of a GraphQL error has the code 500."""
    extensions = error.get("extensions")
    found = extensions.get("classification") if isinstance(extensions, dict) else None
    return isinstance(found, dict) and found.get("errorCode") == 500


def message_of(error: dict[str, Any]) -> str:
    """Return the message of a GraphQL error, for people."""
    return readable(str(error.get("message", error)))
