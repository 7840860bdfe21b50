"""Credentials, and the access token that they are exchanged for.

OAuth 2.0 client credentials: a POST to the token endpoint (“Call the Buy with Prime API”) returns a token that is valid
for 15 minutes (“Authenticate to the Buy with Prime API”). The form of the request and of the response is inferred from
a published client: that part of the documentation could not be read.
"""

import html
import json
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from bwp_nb.errors import RequestFailed
from bwp_nb.text import readable
from bwp_nb.wire.answer import Answer, is_temporary
from bwp_nb.wire.platform import Clock, fork_safe_lock
from bwp_nb.wire.transport import is_certificate_error

#: The lifetime of a token in seconds if the response does not give it: the documented 15 minutes.
LIFETIME = 900.0

#: The longest lifetime in seconds that is taken from a response.
LONGEST = 86_400.0

#: A token is renewed this many seconds before it expires.
MARGIN = 60.0

#: Seconds between two looks at whether another thread has got a token.
_POLL = 0.02

#: The number of characters from which a secret is looked for in responses: shorter ones are in any text by chance.
SHORTEST = 8

_FAILED = "Cannot get a token"
_TOKEN = re.compile("[!-~]+")


class Secret:
    """A text that is shown only by `reveal()`, not by its repr, and cannot be pickled; and where it comes from."""

    __slots__ = ("_pattern", "_text", "source")

    def __init__(self, text: str, source: str = "") -> None:
        self.source = source
        self._text = text
        self._pattern = re.compile("".join(map(_spellings, text))) if len(text) >= SHORTEST else None

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be pickled")

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def removed_from(self, text: str) -> str:
        """Return a text in which this secret is replaced, however it is escaped: for URLs, JSON, HTML or a repr."""
        return text if self._pattern is None else self._pattern.sub("[redacted]", text)


@dataclass(frozen=True)
class Credentials:
    """The credentials of a merchant's console: client id, client secret, and the target id of the store.

    Published clients also send an `access_key`, which no page names, and the target id in a `target_header` of another
    name.
    """

    client_id: str
    client_secret: Secret
    target_id: str
    access_key: Secret | None = None
    target_header: str = "x-api-target-id"


class TokenAuth:
    """Signs requests with a token, which all threads share and which is renewed before it expires.

    Raises `RequestFailed` if it cannot get a token; the events were not sent then.
    """

    def __init__(
        self, credentials: Credentials, token_endpoint: str, transport: httpx.BaseTransport, clock: Clock
    ) -> None:
        self.target_id = credentials.target_id
        self._credentials = credentials
        self._token_endpoint = token_endpoint
        self._transport = transport
        self._clock = clock
        self._lock = fork_safe_lock()  # never held during a request
        self._under_way: tuple[int, int] | None = None
        self._renew_at = -math.inf
        self._ask_at = -math.inf
        self._tokens: deque[Secret] = deque(maxlen=4)  # the current one last; a response may repeat an older one

    def sign(self, request: httpx.Request) -> None:
        """Add the headers of “Call the Buy with Prime API”, and the access key if there is one."""
        request.headers["Authorization"] = f"Bearer {self._current(request.extensions)}"
        request.headers[self._credentials.target_header] = self.target_id
        if self._credentials.access_key is not None:
            request.headers["x-api-access-key"] = self._credentials.access_key.reveal()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown, the latest tokens included."""
        return tuple(filter(None, (self._credentials.client_secret, self._credentials.access_key, *self._tokens)))

    def forget(self, request: httpx.Request) -> None:
        """Forget the token of a request that was denied, unless it has been renewed since."""
        with self._lock:
            if request.headers["Authorization"] == f"Bearer {self._tokens[-1].reveal()}":
                self._renew_at = -math.inf

    def _current(self, extensions: Mapping[str, Any]) -> str:
        """Return a valid token; one thread requests a new one while the others wait, each until its own deadline."""
        deadline = extensions.get("deadline", math.inf)
        mine = (os.getpid(), threading.get_ident())
        try:
            while True:
                with self._lock:
                    if self._clock.monotonic() < self._renew_at:
                        return self._tokens[-1].reveal()
                    if self._under_way is None or self._under_way[0] != os.getpid():
                        self._under_way = mine
                if self._under_way is mine:
                    return self._renewed(extensions)
                if time.monotonic() >= deadline:
                    raise RequestFailed(f"{_FAILED}: another thread is still waiting for one.", retryable=True)
                time.sleep(_POLL)
        finally:
            if self._under_way is mine:  # without a lock or a call, at which an interrupt could come first
                self._under_way = None

    def _renewed(self, extensions: Mapping[str, Any]) -> str:
        started = self._clock.monotonic()
        if started < self._ask_at:
            message = f"{_FAILED}: {self._token_endpoint} asks to wait before the next request."
            error = RequestFailed(message, retryable=True)
            error.retry_after = self._ask_at - started
            raise error
        text, lifetime = self._new_token(extensions)
        with self._lock:
            self._tokens.append(Secret(text))
            self._renew_at = started + max(lifetime - MARGIN, lifetime / 2)
        return text

    def _new_token(self, extensions: Mapping[str, Any]) -> tuple[str, float]:
        """Return a new token and its lifetime. The form is inferred from a published client."""
        request = httpx.Request(
            "POST", self._token_endpoint, extensions=dict(extensions),
            data={  # not in a variable, which a traceback would show
                "grant_type": "client_credentials", "client_id": self._credentials.client_id,
                "client_secret": self._credentials.client_secret.reveal(),
            },
        )  # fmt: skip
        try:
            answer = answered(self._transport, request, self.secrets)
        except RequestFailed as error:
            raise RequestFailed(f"{_FAILED}: {error.args[0]}", retryable=error.retryable) from None
        if (issued := _issued(answer)) is not None:
            return issued
        refusal = self._refusal(redacted(answer, self.secrets))
        refusal.retry_after = answer.retry_after(self._clock.now())
        self._ask_at = self._clock.monotonic() + (refusal.retry_after or 0.0)
        raise refusal

    def _refusal(self, answer: Answer) -> RequestFailed:
        """Return the error for a response without a token."""
        code = answer.status_code
        if code in (400, 401, 403):
            message = f"The token endpoint refused the credentials (HTTP {code}). Check client id and client secret."
        else:
            found = f"HTTP {code} with {answer.media_type} and without an access token"
            message = f"The token endpoint {self._token_endpoint} returned {found}. Check its address."
        return RequestFailed(message, status_code=code, retryable=is_temporary(code))


def _issued(answer: Answer) -> tuple[str, float] | None:
    """Return a token and its lifetime, or None; it never raises, since its variables would show the token."""
    try:
        given = json.loads(answer.content if answer.status_code == 200 and answer.is_whole else b"null")
        text, lifetime = given["access_token"], float(given.get("expires_in", LIFETIME))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    is_token = isinstance(text, str) and _TOKEN.fullmatch(text) is not None
    return (text, min(LONGEST, lifetime)) if is_token else None  # LONGEST for NaN, too


def answered(transport: httpx.BaseTransport, request: httpx.Request, secrets: Sequence[Secret]) -> Answer:
    """Return the response to a request; raise `RequestFailed`, without the secrets, if none came.

    The errors have no cause: its frames hold the request, and so a secret.
    """
    try:
        return Answer.read(transport.handle_request(request))
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        is_lasting = is_certificate_error(error)
        trust = "If you trust its issuer, name a file with the issuer's certificate in SSL_CERT_FILE."
        advice = trust if is_lasting else "Check the address and the network."
        message = f"Cannot connect to {request.url}: {said(error, secrets)}. {advice}"
        raise RequestFailed(message, retryable=not is_lasting) from None
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
        # Without its text, which may quote the token.
        found = f"the address or a header is not as HTTP demands ({type(error).__name__})"
        advice = "Look for spaces and line breaks in the address, the API version and the credentials."
        raise RequestFailed(f"Cannot write the request to {request.url}: {found}. {advice}") from None
    except httpx.RequestError as error:
        message = f"No response from {request.url}: {said(error, secrets)}."
        raise RequestFailed(message, retryable=True, may_have_arrived=True) from None


def redacted(answer: Answer, secrets: Sequence[Secret]) -> Answer:
    """Return a response without the secrets that its body and headers repeat: no message or history may show them."""
    shown = b"\n".join([answer.content, *(value for _, value in answer.headers.raw)]).decode("latin-1")
    if cleaned(shown, secrets) == shown:
        return answer
    headers = [(name, cleaned(value, secrets)) for name, value in answer.headers.multi_items()]
    content = cleaned(answer.content.decode("latin-1"), secrets).encode("latin-1")
    return replace(answer, headers=httpx.Headers(headers), content=content)


def said(error: Exception, secrets: Sequence[Secret]) -> str:
    """Return an error as text, without the secrets in it."""
    return readable(cleaned(f"{type(error).__name__}: {error}".removesuffix(": "), secrets), 200)


def cleaned(text: str, secrets: Sequence[Secret]) -> str:
    """Return a text without the secrets in it."""
    for secret in secrets:
        text = secret.removed_from(text)
    return text


def _spellings(character: str) -> str:
    """Return a pattern for the ways to write a character of a secret."""
    if character.isalnum():
        return character
    code, plain, entity = f"{ord(character):02x}", re.escape(character), re.escape(html.escape(character))
    return rf"(?:\\?{plain}|(?i:%{code}|\\u00{code}|&#x0*{code};|&#0*{ord(character)};)|{entity})"
