"""What the API's error classifications mean, and what to do about each.

Sources, below https://documents.buywithprime.amazon.com/bwp-api/docs/: MUT analytics-mutations-senduserevents, TRB
troubleshoot-analytics-errors (which covers report tasks, not `sendUserEvents`), EVT troubleshoot-events, SBX
troubleshoot-sandbox-errors; PRIV the privacy mutations; SRT analytics-mutations-startreporttask.
"""

from dataclasses import dataclass
from typing import Any

VALIDATION = "ValidationError"
THROTTLING = "ThrottlingError"
INTERNAL = "InternalServerError"
ACCESS_DENIED = "AccessDeniedError"

#: Types that a later try of the same request may get past.
RETRYABLE = (THROTTLING, INTERNAL)

_ELSEWHERE = "documented for another operation ({}); that it means the same here is inferred"


@dataclass(frozen=True)
class Classification:
    """The type or the code of an error: what it means, what to do, and how sure that is."""

    name: str
    meaning: str
    advice: str
    certainty: str


_ALL = (
    Classification(
        VALIDATION,
        "The input is not valid.",
        "Mend what the message quotes and send again.",
        "documented: MUT; that nothing of a batch is accepted: inferred",
    ),
    Classification(
        ACCESS_DENIED,
        "The caller has no access: its token lacks a permission, or is invalid or expired.",
        "Check the permissions of the API credentials, the target id, and that no value has white space around it.",
        _ELSEWHERE.format("EVT, TRB"),
    ),
    Classification(
        THROTTLING,
        "Too many requests.",
        "Send fewer, and again later, waiting longer each time. The client has done so already.",
        _ELSEWHERE.format("TRB"),
    ),
    Classification(
        INTERNAL,
        "Something unexpected failed in the server.",
        "Nothing is wrong with the request. Send it again later, with the same ids. The client has tried already.",
        _ELSEWHERE.format("TRB, SBX"),
    ),
    Classification(
        "ResourceNotFoundError",
        "The request names something that does not exist, or no longer.",
        "Not expected of this mutation, which names nothing. Look at the endpoint and the target id.",
        _ELSEWHERE.format("TRB, PRIV"),
    ),
    Classification(
        "ConflictError",
        "The request contradicts the state that something is in.",
        "Not expected of this mutation. Read the message.",
        _ELSEWHERE.format("SBX, which prints ConflictException"),
    ),
    Classification(
        "InvalidSyntax",
        "The text of the request is no GraphQL.",
        "Mend the text where the error's location points.",
        "inferred from the server library that the API seems to use",
    ),
    Classification(
        "UnspecifiedError",
        "A code of ValidationError that says no more than the message does.",
        "Mend what the message quotes.",
        "documented: MUT",
    ),
    Classification(
        "InvalidDateFormat",
        "A code of ValidationError: a date has the wrong form.",
        "Write dates as ISO 8601 in UTC. For events the documented code is UnspecifiedError.",
        _ELSEWHERE.format("TRB"),
    ),
    Classification(
        "InvalidDateRange",
        "A code of ValidationError: a range of dates makes no sense.",
        "Not expected of this mutation, which takes no range. Read the message.",
        _ELSEWHERE.format("TRB"),
    ),
    Classification(
        "InvalidReportType",
        "A code of ValidationError: no such report.",
        "Not expected of this mutation, which makes no report. Read the message.",
        _ELSEWHERE.format("SRT, TRB"),
    ),
    Classification(
        "CannotCancelPersonalDataDeletionTask",
        "A code of ValidationError: the task can no longer be cancelled.",
        "Not expected of this mutation. Read the message.",
        _ELSEWHERE.format("PRIV"),
    ),
)

#: Every classification that some page or client shows, by its name.
CLASSIFICATIONS = {known.name: known for known in _ALL}


def classification(error: dict[str, Any]) -> Classification:
    """Return what one GraphQL error is classified as.

    The API gives an object; for a request that it did not execute, perhaps a plain text (inferred). An unknown name,
    or none, gets a classification that says so.
    """
    extensions = error.get("extensions")
    found = extensions.get("classification") if isinstance(extensions, dict) else None
    if isinstance(found, dict):
        found = found.get("type")
    if not isinstance(found, str):
        return Classification("unclassified", "The error has no classification.", "Read the message.", "unknown")
    unknown = Classification(found, "No page that we could read names this one.", "Read the message.", "unknown")
    return CLASSIFICATIONS.get(found, unknown)
