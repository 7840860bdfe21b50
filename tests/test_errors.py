"""The errors: one paragraph each, safe to print, the same every time."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, InvalidEvent, MutationRejected, Problem, RejectedValue, RequestFailed
from bwp_nb.contract.classifications import classification
from tests.hostile import page
from tests.strategies import event

HOSTILE = "\x1b[31mred\n\r\u2028\u202eevil\x00\ud800" + "a" * 1_000_000
DOCUMENTED = {
    "type": "ValidationError",
    "code": "UnspecifiedError",
    "details": {},
    "errorType": "ValidationException",
    "errorCode": 400,
}


def _rejected(message: Any = "No.", found: Any = None, values: list[RejectedValue] | None = None) -> MutationRejected:
    return MutationRejected([{"message": message, "extensions": {"classification": found}}], values or [])


def _examples() -> list[BwpError]:
    problem = Problem("eventTime", "2023", "a rule", "is wrong", 0)
    return [
        InvalidEvent([problem]),
        RequestFailed("Lost.", status_code=503, retryable=True, may_have_arrived=True),
        _rejected("No.", DOCUMENTED, [RejectedValue(0, "id", "eventTime", "2023")]),
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
        _rejected("No.", DOCUMENTED, [RejectedValue(0, HOSTILE, "eventTime", HOSTILE)]),
        MutationRejected(
            [{"message": HOSTILE}] * 1000, [RejectedValue(i, HOSTILE, "eventTime", HOSTILE) for i in range(50)]
        ),
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
    ("may_have_arrived", "expected"),
    [(True, "may have been accepted; resend them with the same ids"), (False, "were not accepted")],
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


def test_a_rejection_names_the_rejected_events() -> None:
    """The message has index, id, field and value."""
    said = str(_rejected("No.", DOCUMENTED, [RejectedValue(3, "some-id", "eventTime", "2023")]))
    assert all(part in said for part in ("ValidationError", "No.", "event 3", "some-id", "eventTime", "'2023'"))


def test_a_rejection_that_names_no_value_says_so() -> None:
    """No event is named by a guess."""
    assert "does not identify an event" in str(_rejected())


def test_a_rejection_of_many_names_the_first_and_how_many_more() -> None:
    """Fifty culprits still make one paragraph."""
    assert "45 more" in str(
        _rejected("No.", DOCUMENTED, [RejectedValue(i, "id", "eventTime", "2023") for i in range(50)])
    )


@pytest.mark.parametrize("kind", [InvalidEvent, RequestFailed, MutationRejected])
def test_one_except_clause_catches_them_all(kind: type[BwpError]) -> None:
    """The tree has one root."""
    assert issubclass(kind, BwpError)


#: What a table of an error has to say, in this order.
EXPLAINED = ["event", "event_id", "field", "value", "what", "rule", "source", "advice"]


def _raised(send: Callable[[bwp.Client], Any], **faults: int) -> BwpError:
    """Return what a sandbox's client raises."""
    client = bwp.connect()
    assert client.sandbox is not None
    for name, times in faults.items():
        client.sandbox.fail_next(name, times=times)
    with pytest.raises(BwpError) as caught:
        send(client)
    assert caught.value is client.last_error
    return caught.value


BAD = [event(), event(event_id="second", event_time="2023"), event(event_id="third", event_type="x")]


def test_a_refusal_is_explained_by_event_and_field() -> None:
    """Which event, which value, what was said, the rule with its page, and what to do."""
    error = _raised(lambda client: client.send(BAD, check=False))
    table = bwp.explain(error)
    assert EXPLAINED == list(table.columns)
    place = ["event", "event_id", "field", "value"]
    assert [[1, "second", "eventTime", "'2023'"], [2, "third", "eventType", "'x'"]] == table[place].to_numpy().tolist()
    for row in table.to_dict("records"):
        assert "is invalid local ISO 8601 UTC time format" in row["what"]
        assert "documented in" in row["rule"] or "“User Event Schema”" in row["rule"]
        assert row["source"].startswith("https://documents.buywithprime.amazon.com/")
        assert row["advice"].startswith("Fix what the message describes")


def test_our_own_refusal_is_explained_by_event_and_field() -> None:
    """In the same columns."""
    table = bwp.explain(_raised(lambda client: client.send(BAD)))
    assert EXPLAINED == list(table.columns)
    assert [[1, "eventTime", "'2023'"], [2, "eventType", "'x'"]] == table[
        ["event", "field", "value"]
    ].to_numpy().tolist()
    assert {"Fix the value and send again, or pass check=False to see the API's answer."} == set(table["advice"])


@pytest.mark.parametrize(
    ("faults", "words", "advice"),
    [
        ({"reset_after": 50}, "ReadError", "with the same ids"),
        ({"refused": 50}, "ConnectError", "later"),
        ({"http_429": 50}, "Stopped after 4 attempts", "later"),
        ({"http_413": 1}, "HTTP 413", "where the client points"),
        ({"redirect": 1}, "not followed", "where the client points"),
        ({"html": 1}, "Sign in", "with the same ids"),
        ({"throttled": 50}, "Rate exceeded", "lower the request rate"),
        ({"internal_error": 50}, "Internal server error", "The failure may be temporary"),
        ({"access_denied": 50}, "sufficient access", "permissions"),
        ({"message": 1}, "Not today", "Fix what the message describes"),
    ],
)
def test_a_failure_is_explained_with_what_to_do(faults: dict[str, int], words: str, advice: str) -> None:
    """One row: no event can be told from the others."""
    table = bwp.explain(_raised(lambda client: client.send([event(), event()]), **faults))
    assert (EXPLAINED, 1) == (list(table.columns), len(table))
    row = table.to_dict("records")[0]
    assert words in row["what"]
    assert advice in row["advice"]
    assert ("", "") == (row["event"], row["field"])


@pytest.mark.parametrize("error", [*_examples(), BwpError("Something else.")], ids=lambda error: type(error).__name__)
def test_an_error_shows_itself_as_the_table_that_explains_it(error: BwpError) -> None:
    """Headed by its name and state; without columns that are empty, and with links instead of addresses."""
    shown = page(error._repr_html_())
    assert [] == shown.harm
    table = bwp.explain(error).drop(columns="source")
    table = table.loc[:, (table != "").any()]
    cells = [str(cell) for cell in [*table.columns, *table.to_numpy().ravel()]]
    assert f"{type(error).__name__}: the events are {error.state}" + "".join(cells) == shown.text


def test_a_copied_error_is_explained_the_same() -> None:
    """One that crossed a border between processes."""
    error = _raised(lambda client: client.send(BAD, check=False))
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert bwp.explain(error).equals(bwp.explain(twin))
    assert error._repr_html_() == twin._repr_html_()


def test_a_client_keeps_its_latest_error() -> None:
    """Until the next; a success changes nothing of it."""
    client = bwp.connect()
    assert client.last_error is None
    for bad in BAD[1:]:
        with pytest.raises(BwpError) as caught:
            client.send(bad)
        assert caught.value is client.last_error
    client.send(event())
    assert caught.value is client.last_error
