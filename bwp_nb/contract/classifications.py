"""What the API's error classifications mean, and what to do about each."""

from dataclasses import dataclass
from typing import Any

from bwp_nb.contract.sources import facts

VALIDATION = "ValidationError"
THROTTLING = "ThrottlingError"
INTERNAL = "InternalServerError"
ACCESS_DENIED = "AccessDeniedError"

#: The classifications after which the same request may succeed later.
RETRYABLE = (THROTTLING, INTERNAL)

_READ = "Read the message."


@dataclass(frozen=True)
class Classification:
    """The type of an error: its meaning, what to do, and how certain that is."""

    name: str
    meaning: str
    advice: str
    certainty: str


#: Every classification of an error that a page shows, or that the API's server library is known to give, by name.
CLASSIFICATIONS = {item["name"]: Classification(**item) for item in facts()["classifications"]}


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
