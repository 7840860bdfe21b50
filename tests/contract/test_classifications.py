"""`CLASSIFICATIONS`: the meaning of every error type that a page or a client shows, and what to do about it."""

import pytest

from bwp_nb import MutationRejected
from bwp_nb.contract.classifications import CLASSIFICATIONS, RETRYABLE, Classification, classification

#: The types that pages name, and the one of graphql-java for a request that it cannot parse.
TYPES = [
    "ValidationError",
    "AccessDeniedError",
    "ResourceNotFoundError",
    "ThrottlingError",
    "InternalServerError",
    "ConflictError",
    "InvalidSyntax",
]


def test_the_table_has_every_type_and_no_other() -> None:
    """A new one is a finding, written down here."""
    assert sorted(TYPES) == sorted(CLASSIFICATIONS)


@pytest.mark.parametrize("name", TYPES)
def test_each_has_a_meaning_an_advice_and_a_certainty(name: str) -> None:
    """Sentences, and it is said whether they are documented or inferred."""
    found = CLASSIFICATIONS[name]
    assert name == found.name
    for sentence in (found.meaning, found.advice):
        assert sentence == sentence.strip()
        assert sentence.endswith(".")
        assert sentence.isprintable()
    assert found.certainty.split()[0] in ("documented", "inferred")


@pytest.mark.parametrize("name", ["AccessDeniedError", "ThrottlingError", "InternalServerError", "ConflictError"])
def test_what_is_documented_for_other_operations_only_is_called_so(name: str) -> None:
    """Nobody takes it for a promise about this one."""
    certainty = CLASSIFICATIONS[name].certainty
    assert "documented for other operations" in certainty
    assert "inferred" in certainty


@pytest.mark.parametrize("name", [*TYPES, "NobodyKnowsThis"])
def test_only_throttling_and_internal_errors_are_tried_again(name: str) -> None:
    """Anything else would be refused again."""
    error = MutationRejected([{"message": "No.", "extensions": {"classification": {"type": name}}}])
    assert (name in ("ThrottlingError", "InternalServerError")) == error.retryable
    assert {"ThrottlingError", "InternalServerError"} == set(RETRYABLE)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("is_object", [True, False], ids=["object", "text"])
def test_a_known_type_is_found_in_either_form(name: str, is_object: bool) -> None:
    """The API gives an object, its server library a text."""
    found = {"type": name, "code": "X", "details": {}} if is_object else name
    assert CLASSIFICATIONS[name] == classification({"extensions": {"classification": found}})


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ({"extensions": {"classification": {"type": "NobodyKnowsThis"}}}, "NobodyKnowsThis"),
        ({"extensions": {"classification": "ExecutionAborted"}}, "ExecutionAborted"),
        ({"extensions": {"classification": ""}}, ""),
        ({"extensions": {"classification": {"type": ["ValidationError"]}}}, "unclassified"),
        ({"extensions": {"classification": ["ValidationError"]}}, "unclassified"),
        ({"extensions": ["ValidationError"]}, "unclassified"),
        ({}, "unclassified"),
    ],
)
def test_an_unknown_one_says_that_it_is(error: dict[str, object], name: str) -> None:
    """And leaves it to the message."""
    assert isinstance(found := classification(error), Classification)
    assert (name, "unknown", "Fix what the message describes, if it is about the events.") == (
        found.name,
        found.certainty,
        found.advice,
    )
