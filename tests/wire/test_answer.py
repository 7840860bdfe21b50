"""`Answer` and `Receipt`: what came back, read to a limit, and told for what it is."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bwp_nb import BwpError, MutationRejected, OutcomeUnknown, Receipt, RequestFailed
from bwp_nb.wire.answer import MAX_BYTES, NOT_PROCESSED, Answer, receipt
from tests.servers import SUCCESS
from tests.strategies import event

NOW = datetime(2024, 11, 22, 9, tzinfo=UTC)


class Stream(httpx.SyncByteStream):
    """A body that comes in pieces, and counts how many were taken."""

    def __init__(self, pieces: int, size: int = 65_536) -> None:
        self._pieces = pieces
        self._size = size
        self.taken = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._pieces):
            self.taken += 1
            yield b"x" * self._size

    def close(self) -> None:
        """Note that the connection can be used again."""
        self.is_closed = True


def _read(content: bytes | Stream, status_code: int = 200, **headers: str) -> Answer:
    body = {"stream": content} if isinstance(content, Stream) else {"content": content}
    return Answer.read(httpx.Response(status_code, headers=headers, **body))


def _told(given: Any, status_code: int = 200) -> Receipt:
    return receipt(_read(json.dumps(given).encode(), status_code), 2, lambda: [event().input] * 2)


@pytest.mark.parametrize(
    ("pieces", "taken", "is_whole"), [(0, 0, True), (1, 1, True), (16, 16, True), (4096, 17, False)]
)
def test_an_answer_is_read_to_a_mebibyte_and_closed(pieces: int, taken: int, is_whole: bool) -> None:
    """Of 256 MiB no more than a piece beyond the limit is taken."""
    stream = Stream(pieces)
    answer = _read(stream)
    assert (taken, is_whole, True) == (stream.taken, answer.is_whole, stream.is_closed)
    assert len(answer.content) <= MAX_BYTES + 65_536


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "nonsense"])
def test_a_compressed_answer_is_not_unpacked(encoding: str) -> None:
    """None was asked for, and a small one can be very large."""
    stream = Stream(100)
    answer = _read(stream, **{"Content-Encoding": encoding})
    assert (0, True) == (stream.taken, stream.is_closed)
    with pytest.raises(RequestFailed, match="compressed"):
        answer.json()


@pytest.mark.parametrize("status_code", [300, 307, 399])
def test_a_redirect_is_not_read_and_tells_where_to(status_code: int) -> None:
    """Whatever comes with it."""
    stream = Stream(100)
    answer = _read(stream, status_code, Location="https://elsewhere.invalid/\x1b")
    assert (0, True) == (stream.taken, stream.is_closed)
    with pytest.raises(RequestFailed, match=r"redirects to https://elsewhere\.invalid/\\x1b; redirects"):
        answer.json()


def test_a_body_that_breaks_off_closes_the_connection() -> None:
    """The error passes, and nothing is left open."""

    class Broken(Stream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"{"
            raise httpx.ReadError("reset")

    stream = Broken(1)
    with pytest.raises(httpx.ReadError):
        _read(stream)
    assert stream.is_closed


@pytest.mark.parametrize(
    ("status_code", "retryable", "may_have_arrived"),
    [
        *[(status_code, False, True) for status_code in (200, 204, 303, 402, 408, 409, 499)],
        *[(status_code, False, False) for status_code in NOT_PROCESSED if status_code != 429],
        *[(status_code, True, False) for status_code in (429,)],
        *[(status_code, True, True) for status_code in (500, 504, 599)],
    ],
)
def test_a_response_that_is_not_graphql_is_judged_by_its_status(
    status_code: int, retryable: bool, may_have_arrived: bool
) -> None:
    """Some statuses mean that nothing was processed; 429 and 500 to 599 that a later attempt may succeed."""
    with pytest.raises(RequestFailed) as caught:
        _read(b"<p>", status_code).json()
    assert (retryable, may_have_arrived) == (caught.value.retryable, caught.value.may_have_arrived)


@pytest.mark.parametrize("status", ["accepted", "", "SUCCESSFUL", "partially successful", "failed", "successful "])
def test_a_status_that_is_not_documented_proves_nothing(status: str) -> None:
    """The error shows the status."""
    with pytest.raises(OutcomeUnknown, match=f"the status '{status}'") as caught:
        _told({"data": {"sendUserEvents": {"status": status}}})
    assert "unknown" == caught.value.state


@pytest.mark.parametrize("errors", [[], None])
def test_no_errors_is_the_same_as_none(errors: Any) -> None:
    """Servers write it in more than one way."""
    assert Receipt("successful", 2) == _told(SUCCESS | {"errors": errors})


@pytest.mark.parametrize("status_code", [200, 202, 299])
def test_the_documented_status_is_proof_with_any_http_status_of_success(status_code: int) -> None:
    """No page gives HTTP statuses."""
    assert "successful" == _told(SUCCESS, status_code).status


@pytest.mark.parametrize("status_code", [400, 404, 429, 500, 503])
def test_the_documented_status_proves_nothing_beside_an_http_error(status_code: int) -> None:
    """The two contradict each other."""
    with pytest.raises(OutcomeUnknown):
        _told(SUCCESS, status_code)


@pytest.mark.parametrize(
    "content",
    [
        b'{"data": {"sendUserEvents": {"status": "failed", "status": "successful"}}}',
        b'{"data": null, "data": {"sendUserEvents": {"status": "successful"}}}',
        json.dumps(SUCCESS).encode("utf-16"),
        json.dumps(SUCCESS).encode("utf-16-le"),
        json.dumps(SUCCESS).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(SUCCESS).encode(),
        json.dumps(SUCCESS).encode()[:-1] + b', "x": "\xff"}',
        json.dumps(SUCCESS).encode()[:-1] + b', "x": NaN}',
        json.dumps(SUCCESS).encode() + b"{}",
    ],
)
def test_json_that_readers_may_read_differently_is_not_proof(content: bytes) -> None:
    """Repeated names, other encodings than UTF-8, and what RFC 8259 does not allow."""
    with pytest.raises(RequestFailed) as caught:
        receipt(_read(content), 1, list)
    assert "unknown" == caught.value.state


@pytest.mark.parametrize(
    ("given", "kind", "state"),
    [
        ({"data": None}, RequestFailed, "unknown"),
        ({"data": {"sendUserEvents": {}}}, RequestFailed, "unknown"),
        ({"data": {"other": {"status": "successful"}}}, RequestFailed, "unknown"),
        ({"data": {"sendUserEvents": {"status": True}}}, RequestFailed, "unknown"),
        ({"data": [SUCCESS]}, RequestFailed, "unknown"),
        ({"status": "successful"}, RequestFailed, "unknown"),
        ([SUCCESS], RequestFailed, "unknown"),
        ("successful", RequestFailed, "unknown"),
        ({"data": {"sendUserEvents": {"status": "partial"}}, "errors": ["a"]}, RequestFailed, "unknown"),
        ({"data": {"sendUserEvents": None}, "errors": ["a"]}, MutationRejected, "unknown"),
        ({"errors": ["a"]}, MutationRejected, "unknown"),
    ],
)
def test_nothing_is_called_sent_without_proof(given: Any, kind: type[BwpError], state: str) -> None:
    """Only the documented status without errors is proof."""
    with pytest.raises(kind) as caught:
        _told(given)
    assert state == caught.value.state


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("120", 120), ("Fri, 22 Nov 2024 09:02:00 GMT", 120), ("Fri, 22 Nov 2024 08:00:00 GMT", 0)]
    + [(text, None) for text in ("", "soon", "-1", "1.5", "１", "Fri, 31 Nov 2024 08:00:00 GMT")],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, expected: float | None) -> None:
    """A date is told by the clock that is given; what is neither tells nothing."""
    headers = httpx.Headers([(b"Retry-After", text.encode())])
    assert expected == Answer(429, headers, b"").retry_after(NOW)


def test_without_a_retry_after_nothing_is_asked_for() -> None:
    """As with most answers."""
    assert Answer(429, httpx.Headers(), b"").retry_after(NOW) is None


def test_a_receipt_shows_what_is_there() -> None:
    """Notes only if there are some; never how long it took."""
    bare = Receipt("successful", 2, elapsed=1.5)
    full = Receipt("successful", 2, attempts=3, notes=("b",))
    assert "Receipt(status='successful', events=2, attempts=1)" == repr(bare)
    assert "Receipt(status='successful', events=2, attempts=3, notes=('b',))" == repr(full)
    assert "sent" == bare.state
    assert bare == Receipt("successful", 2, elapsed=9)
