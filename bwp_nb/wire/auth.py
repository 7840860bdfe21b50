"""Credentials, and the token that they are exchanged for.

OAuth 2.0 client credentials: a POST to the token endpoint (CALL) gives a token that lives 15 minutes (AUTH). The form
of the request and of its answer is inferred from a published client; the documentation of it could not be read. The
pages, below https://documents.buywithprime.amazon.com/bwp-api/docs/: CALL is call-the-buy-with-prime-api, AUTH is
authenticate-to-the-buy-with-prime-api.
"""

import json
import re
import threading
from collections.abc import Generator, MutableMapping
from dataclasses import dataclass
from typing import Any

import httpx

from bwp_nb.errors import RequestFailed
from bwp_nb.text import readable
from bwp_nb.wire.answer import Answer
from bwp_nb.wire.clock import Clock
from bwp_nb.wire.transport import is_certificate_error

#: Seconds that a token lives where the answer does not say (AUTH: 15 minutes).
LIFETIME = 900.0

#: The most seconds that an answer is believed when it says how long a token lives.
LONGEST = 86_400.0

#: Seconds before its end at which a token is renewed.
MARGIN = 60.0

_TOKEN = re.compile("[!-~]+")


class Secret:
    """A text that shows itself to nobody who does not ask for it by `reveal()`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not written to disk or sent to another process")

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text


@dataclass(frozen=True)
class Credentials:
    """What a merchant's console hands out: a client's id and secret, and the id of the store (`TargetId`, CALL).

    Published clients send an `access_key` besides, which no page names, and `target_id` in a `target_header` of another
    name.
    """

    client_id: str
    client_secret: Secret
    target_id: str
    access_key: Secret | None = None
    target_header: str = "x-api-target-id"

    def form(self) -> dict[str, str]:
        """Return what the token endpoint is sent (inferred from a published client)."""
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
        }


class TokenAuth(httpx.Auth):
    """Gives each request a bearer token, got with the credentials once for all threads, and renewed ahead of its end.

    Raises `RequestFailed` where no token is to be had; the events were not sent then.
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
        """The store that requests are for."""
        return self._credentials.target_id

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request of httpx's own client."""
        self.sign(request)
        yield request

    def sign(self, request: httpx.Request) -> None:
        """Add the headers that the API wants (CALL)."""
        request.headers["Authorization"] = f"Bearer {self._current(request.extensions)}"
        request.headers[self._credentials.target_header] = self._credentials.target_id
        if self._credentials.access_key is not None:
            request.headers["x-api-access-key"] = self._credentials.access_key.reveal()

    def forget(self, request: httpx.Request) -> None:
        """Drop the token that a request was refused with, unless it has been renewed since."""
        with self._lock:
            if self._token is not None and request.headers.get("Authorization") == f"Bearer {self._token.reveal()}":
                self._token = None

    def _current(self, extensions: MutableMapping[str, Any]) -> str:
        """Return a token that lasts; whoever finds none gets one, and the others wait for it."""
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
            # Without its cause, whose frames hold the body, and so the secret, for whoever prints them.
            message = f"No token from {self._token_endpoint}: {said}."
            raise RequestFailed(message, retryable=not is_certificate_error(error)) from None
        try:
            return token(answer)
        except RequestFailed as error:
            error.retry_after = answer.retry_after(self._clock.now())
            raise


def token(answer: Answer) -> tuple[str, float]:
    """Return the token that an answer of the token endpoint holds, and its lifetime in seconds.

    Raises `RequestFailed` if it holds none.
    """
    code = answer.status_code
    if code in (400, 401, 403):
        message = f"The token endpoint refused the credentials (HTTP {code}). Check the client's id and secret."
        raise RequestFailed(message, status_code=code)
    try:
        given = json.loads(answer.content if answer.is_whole else b"null")
        text, lifetime = given["access_token"], float(given.get("expires_in", LIFETIME))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        text, lifetime = None, 0.0
    if code != 200 or not isinstance(text, str) or not _TOKEN.fullmatch(text):
        message = f"The token endpoint answered HTTP {code} with {answer.media_type} and no access token."
        raise RequestFailed(message, status_code=code, retryable=code == 429 or code >= 500)
    return text, lifetime if lifetime < LONGEST else LONGEST  # which holds for no NaN
