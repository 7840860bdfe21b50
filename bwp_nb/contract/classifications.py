"""What the API's error classifications mean, and what to do about each."""

from dataclasses import dataclass
from typing import Any

from bwp_nb.displays.html import Catalogue, Shown
from bwp_nb.displays.sources import facts
from bwp_nb.text import readable

VALIDATION = "ValidationError"
THROTTLING = "ThrottlingError"
INTERNAL = "InternalServerError"
ACCESS_DENIED = "AccessDeniedError"

#: The classifications after which the same request may succeed later.
RETRYABLE = (THROTTLING, INTERNAL)

_READ = "Fix what the message describes, if it is about the events."


@dataclass(frozen=True)
class Classification(Shown):
    """The type of an error: its meaning, what to do, and how certain that is."""

    name: str
    meaning: str
    advice: str
    certainty: str


#: Every classification of an error that a page shows, or that the API's server library is known to give, by name.
CLASSIFICATIONS: Catalogue[Classification] = Catalogue(
    {item["name"]: Classification(**item) for item in facts()["classifications"]}
)


def inner(given: Any, *names: str) -> Any:
    """Return the value at the end of some names in nested objects, or None."""
    for name in names:
        given = given.get(name) if isinstance(given, dict) else None
    return given


def classification(error: dict[str, Any]) -> Classification:
    """Return the classification of one GraphQL error.

    The API gives an object; for a request that it did not execute, perhaps a plain string (inferred). An unknown name,
    or none, gets a classification that says so.
    """
    name = inner(error, "extensions", "classification", "type") or inner(error, "extensions", "classification")
    if not isinstance(name, str):
        return Classification("unclassified", "The error has no classification.", _READ, "unknown")
    unknown = Classification(name, "No page that could be read names this classification.", _READ, "unknown")
    return CLASSIFICATIONS.get(name, unknown)


def is_internal(error: dict[str, Any]) -> bool:
    """Whether the classification of a GraphQL error has the code 500."""
    return bool(inner(error, "extensions", "classification", "errorCode") == 500)


def message_of(error: dict[str, Any]) -> str:
    """Return the message of a GraphQL error, for people."""
    return readable(str(error.get("message", error)))
