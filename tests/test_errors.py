"""The errors: one paragraph each, safe to print, the same every time."""

import copy
import pickle
from typing import Any

import pytest

from bwp_nb import Blame, BwpError, InvalidEvent, MutationRejected, Problem, RequestFailed
from bwp_nb.classifications import classification

HOSTILE = "\x1b[31mred\n\r\u2028\u202eevil\x00\ud800" + "a" * 1_000_000
DOCUMENTED = {
    "type": "ValidationError",
    "code": "UnspecifiedError",
    "details": {},
    "errorType": "ValidationException",
    "errorCode": 400,
}


def _rejected(message: Any = "No.", found: Any = None, blame: list[Blame] | None = None) -> MutationRejected:
    return MutationRejected([{"message": message, "extensions": {"classification": found}}], blame or [])


def _examples() -> list[BwpError]:
    problem = Problem("eventTime", "2023", "a rule", "is wrong", 0)
    return [
        InvalidEvent([problem]),
        RequestFailed("Lost.", status_code=503, retryable=True, may_have_arrived=True),
        _rejected("No.", DOCUMENTED, [Blame(0, "id", "eventTime", "2023")]),
    ]


@pytest.mark.parametrize("error", _examples(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])  # noqa: S301
def test_a_copied_error_says_the_same(error: BwpError, copied: Any) -> None:
    """Errors cross process borders whole."""
    twin = copied(error)
    assert (type(error), str(error), vars(error)) == (type(twin), str(twin), vars(twin))


@pytest.mark.parametrize(
    "error",
    [
        _rejected(HOSTILE),
        _rejected({"a": HOSTILE}),
        _rejected("No.", HOSTILE),
        _rejected("No.", {"type": HOSTILE}),
        _rejected("No.", DOCUMENTED, [Blame(0, HOSTILE, "eventTime", HOSTILE)]),
        MutationRejected([{"message": HOSTILE}] * 1000, [Blame(i, HOSTILE, "eventTime", HOSTILE) for i in range(50)]),
    ],
)
def test_what_a_server_wrote_is_escaped_and_cut(error: BwpError) -> None:
    """No line break, terminal code, direction mark or megabyte gets from an answer into a message."""
    said = str(error)
    assert said.isprintable()
    assert len(said) < 3000


def test_an_invalid_event_tells_the_first_problems_and_how_many_more() -> None:
    """Two hundred problems still make one paragraph."""
    problems = [Problem("eventTime", "", "a rule", "is wrong", index) for index in range(200)]
    error = InvalidEvent(problems)
    assert problems == error.problems
    assert "event 0, eventTime: is wrong" in str(error)
    assert "195 more" in str(error)
    assert "event 5," not in str(error)


def test_a_problem_outside_a_batch_names_no_place() -> None:
    """A single event has no number."""
    assert "eventTime: is wrong" == str(Problem("eventTime", "", "a rule", "is wrong"))


@pytest.mark.parametrize(
    ("may_have_arrived", "expected"), [(True, "may have arrived all the same"), (False, "were not accepted")]
)
def test_a_failed_request_says_whether_the_events_may_have_arrived(may_have_arrived: bool, expected: str) -> None:
    """The question that everybody has after a failure."""
    assert expected in str(RequestFailed("Lost.", may_have_arrived=may_have_arrived))


def test_a_failed_request_is_final_and_clear_unless_told_otherwise() -> None:
    """Whoever raises it says so if it may be retried or is ambiguous."""
    error = RequestFailed("Lost.")
    assert (None, False, False) == (error.status_code, error.retryable, error.may_have_arrived)


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({"classification": DOCUMENTED}, "ValidationError"),
        ({"classification": "InvalidSyntax"}, "InvalidSyntax"),
        ({"classification": {"code": "UnspecifiedError"}}, "unclassified"),
        ({"classification": {"type": 5}}, "unclassified"),
        ({"classification": None}, "unclassified"),
        ({}, "unclassified"),
        (None, "unclassified"),
        ("text", "unclassified"),
    ],
)
def test_the_classification_is_an_object_or_plain_text(extensions: Any, expected: str) -> None:
    """Both forms are read, and whatever else comes does no harm."""
    error = {"message": "No.", "extensions": extensions}
    assert expected == classification(error).name
    assert expected == MutationRejected([error]).classifications[0].name


def test_a_rejection_names_the_events_it_blames() -> None:
    """Index, id, field and value stand in the message."""
    said = str(_rejected("No.", DOCUMENTED, [Blame(3, "some-id", "eventTime", "2023")]))
    assert all(part in said for part in ("ValidationError", "No.", "event 3", "some-id", "eventTime", "'2023'"))


def test_a_rejection_without_blame_says_that_it_cannot_tell() -> None:
    """Nobody is blamed by a guess."""
    assert "does not tell which event" in str(_rejected())


def test_a_rejection_of_many_names_the_first_and_how_many_more() -> None:
    """Fifty culprits still make one paragraph."""
    assert "45 more" in str(_rejected("No.", DOCUMENTED, [Blame(i, "id", "eventTime", "2023") for i in range(50)]))


@pytest.mark.parametrize("kind", [InvalidEvent, RequestFailed, MutationRejected])
def test_one_except_clause_catches_them_all(kind: type[BwpError]) -> None:
    """The tree has one root."""
    assert issubclass(kind, BwpError)
