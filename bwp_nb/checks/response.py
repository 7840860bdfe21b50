"""The response to a query about the API, or why it is missing; not in the words for events."""

from typing import Any, NamedTuple

from bwp_nb.client import Client
from bwp_nb.contract.classifications import is_internal, message_of
from bwp_nb.errors import InvalidSettings, MutationRejected, RequestFailed
from bwp_nb.wire.answer import errors_of

_DENIED = "Access is denied with this token and target. Check BWP_TARGET_ID and the permissions of the credentials."


class Missing(NamedTuple):
    """Why a response is missing: the cause is `misconfigured` or `not answered`."""

    cause: str
    found: str


def respond(client: Client, query: str) -> dict[str, Any] | Missing:
    """Return the response to a query, which may have errors, or why it is missing.

    A question to the user that was not answered by yes makes it `misconfigured`: in CI nobody ever answers it.
    """
    try:
        given = client.execute(query)
    except InvalidSettings as error:
        return Missing("misconfigured", " ".join(error.problems))
    except RequestFailed as error:
        has_no_token = error.status_code == 400 and client.history[-1].received is None
        is_refused = error.status_code in (401, 403) or has_no_token or client.confirm is not None
        return Missing("misconfigured" if is_refused else "not answered", str(error.args[0]))
    refusal = MutationRejected(errors_of(given), status_code=client.history[-1].status_code)
    if refusal.is_denied:
        return Missing("misconfigured", _DENIED)
    if refusal.retryable or any(map(is_internal, refusal.errors)):
        said = "; ".join(map(message_of, refusal.errors[:3])).rstrip(".")
        return Missing("not answered", f"HTTP {refusal.status_code}: {said or 'no error'}.")
    return given
