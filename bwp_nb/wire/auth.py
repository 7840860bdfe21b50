"""Credentials, and the access token that they are exchanged for.

OAuth 2.0 client credentials: a POST to the token endpoint (“Call the Buy with Prime API”) returns a token that is valid
for 15 minutes (“Authenticate to the Buy with Prime API”). The form of the request and of the response is inferred from
a published client: that part of the documentation could not be read.
"""

import json
import re
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import httpx

from bwp_nb.errors import RequestFailed
from bwp_nb.text import readable
from bwp_nb.wire.answer import Answer
from bwp_nb.wire.clock import Clock
from bwp_nb.wire.transport import is_certificate_error

#: The lifetime of a token in seconds if the response does not give it: the documented 15 minutes.
LIFETIME = 900.0

#: The longest lifetime in seconds that is taken from a response.
LONGEST = 86_400.0

#: A token is renewed this many seconds before it expires.
MARGIN = 60.0

_TOKEN = re.compile("[!-~]+")


class Secret:
    """A text that is shown only by `reveal()`, not by its repr, and cannot be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be pickled")

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text


@dataclass(frozen=True)
class Credentials:
    """The credentials of a merchant's console: client id, client secret, and the target id of the store.

    Published clients also send an `access_key`, which no page names.
    """

    client_id: str
    client_secret: Secret
    target_id: str
    access_key: Secret | None = None

    def form(self) -> dict[str, str]:
        """Return the form for the token endpoint (inferred from a published client)."""
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
        }


class TokenAuth:
    """Signs requests with a token, which all threads share and which is renewed before it expires.

    Raises `RequestFailed` if there is no token; the events were not sent then.
    """

    def __init__(
        self,
        credentials: Credentials,
        token_endpoint: str,
        transport: httpx.BaseTransport,
        clock: Clock,
    ) -> None:
        self._credentials = credentials
        self._token_endpoint = token_endpoint
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Secret | None = None
        self._renew_at = 0.0

    @property
    def target_id(self) -> str:
        """The target id of the store."""
        return self._credentials.target_id

    def sign(self, request: httpx.Request) -> None:
        """Add the headers of “Call the Buy with Prime API”, and the access key if there is one."""
        request.headers["Authorization"] = f"Bearer {self._current(request.extensions)}"
        request.headers["x-api-target-id"] = self._credentials.target_id
        if self._credentials.access_key is not None:
            request.headers["x-api-access-key"] = self._credentials.access_key.reveal()

    def forget(self, request: httpx.Request) -> None:
        """Forget the token of a request that was denied, unless it has been renewed since."""
        with self._lock:
            if self._token is not None and request.headers.get("Authorization") == f"Bearer {self._token.reveal()}":
                self._token = None

    def _current(self, extensions: MutableMapping[str, Any]) -> str:
        """Return a valid token; one thread requests a new one while the others wait."""
        with self._lock:
            if self._token is None or self._clock.monotonic() >= self._renew_at:
                started = self._clock.monotonic()
                text, lifetime = self._new_token(extensions)
                self._token, self._renew_at = Secret(text), started + max(lifetime - MARGIN, lifetime / 2)
            return self._token.reveal()

    def _new_token(self, extensions: MutableMapping[str, Any]) -> tuple[str, float]:
        form = self._credentials.form
        request = httpx.Request("POST", self._token_endpoint, data=form(), extensions=dict(extensions))
        try:
            answer = Answer.read(self._transport.handle_request(request))
        except httpx.RequestError as error:
            said = readable(f"{type(error).__name__} {error}".strip(), 200)
            # Without its cause: its frames hold the body, and so the secret.
            message = f"Cannot get a token from {self._token_endpoint}: {said}."
            raise RequestFailed(message, retryable=not is_certificate_error(error)) from None
        try:
            return token(answer)
        except RequestFailed as error:
            error.retry_after = answer.retry_after(self._clock.now())
            raise


def token(answer: Answer) -> tuple[str, float]:
    """Return the token in a response of the token endpoint, and its lifetime in seconds.

    Raises `RequestFailed` if there is none.
    """
    code = answer.status_code
    if code in (400, 401, 403):
        message = f"The token endpoint refused the credentials (HTTP {code}). Check client id and client secret."
        raise RequestFailed(message, status_code=code)
    try:
        given = json.loads(answer.content if answer.is_whole else b"null")
        text, lifetime = given["access_token"], float(given.get("expires_in", LIFETIME))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        text, lifetime = None, 0.0
    if code != 200 or not isinstance(text, str) or not _TOKEN.fullmatch(text):
        message = f"The token endpoint returned HTTP {code} with {answer.media_type} and without an access token."
        raise RequestFailed(message, status_code=code, retryable=code == 429 or code >= 500)
    return text, lifetime if lifetime < LONGEST else LONGEST  # also if it is NaN
