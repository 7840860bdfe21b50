"""The response to a query about the API, or why it is missing; not in the words for events."""

from typing import Any, NamedTuple

from bwp_nb.client import Client
from bwp_nb.contract.classifications import RETRYABLE, classification, is_internal, message_of
from bwp_nb.errors import InvalidSettings, RequestFailed
from bwp_nb.wire.answer import errors_of, is_denied

_DENIED = "Access is denied with this token and target. Check BWP_TARGET_ID and the permissions of the credentials."


class Missing(NamedTuple):
    """Why a response is missing: the cause is `misconfigured` or `not answered`."""

    cause: str
    found: str


def respond(client: Client, query: str) -> dict[str, Any] | Missing:
    """Return the response to a query, which may have errors, or why it is missing."""
    try:
        given = client.execute(query)
    except InvalidSettings as error:
        return Missing("misconfigured", " ".join(error.problems))
    except RequestFailed as error:
        return Missing("misconfigured" if error.status_code in (401, 403) else "not answered", str(error.args[0]))
    if is_denied(given):
        return Missing("misconfigured", _DENIED)
    errors = errors_of(given)
    if any(classification(error).name in RETRYABLE or is_internal(error) for error in errors):
        return Missing("not answered", "; ".join(map(message_of, errors[:3])))
    return given
