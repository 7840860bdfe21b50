"""GraphQL over HTTP: which requests reach the sandbox, and in which media type it responds."""

import json
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb.sandbox.graphql_over_http import GRAPHQL, JSON, Refused, body_of_get, check_body, in_form, media_type
from bwp_nb.sandbox.validation import MAX_TOKENS
from tests.served import ACCEPTED, DOCUMENTED, ask, headers, post
from tests.strategies import event

MUTATION = "mutation ($input: SendUserEventInput!) {sendUserEvents(input: $input) {status}}"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*;q=0.5", JSON),
        ("application/graphql+json, */*", JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON; charset=utf-8", JSON),
        ("application/json, text/plain, */*", JSON),
        ("text/html, application/json;q=0.1", JSON),
        ("application/graphql-response+json;q=0, */*", JSON),
        ("application/json, application/graphql-response+json; q=0.0", JSON),
        ("application/graphql-response+json", GRAPHQL),
        ("application/graphql-response+json, application/json", GRAPHQL),
        ("application/json, application/graphql-response+json", GRAPHQL),
        ("application/graphql-response+json, application/json;q=0.9", GRAPHQL),
    ],
)
def test_the_response_has_a_media_type_that_the_client_accepts(accept: str, expected: str) -> None:
    """It is JSON, as documented, unless the GraphQL media type is named; weights do not count."""
    assert expected == media_type(accept)


@pytest.mark.parametrize("accept", ["text/html", "application/xml, text/html;q=0.5", "application/json;q=0", "image/*"])
def test_a_client_that_accepts_neither_media_type_is_refused(accept: str) -> None:
    """The status is HTTP 406."""
    with pytest.raises(Refused) as caught:
        media_type(accept)
    assert 406 == caught.value.response.status_code


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("", {}),
        ("text/plain", {}),
        ("application/x-www-form-urlencoded", {}),
        ("multipart/form-data", {}),
        ("application/graphql", {}),
        ("application/json; charset=utf-16", {}),
        ("application/json, application/json", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_a_post_that_is_not_json_is_refused(content_type: str, encoding: dict[str, str]) -> None:
    """The status is HTTP 415; no form of a web page can send JSON."""
    with pytest.raises(Refused) as caught:
        check_body(httpx.Headers({"Content-Type": content_type, **encoding}), JSON)
    assert 415 == caught.value.response.status_code


@pytest.mark.parametrize("content_type", [JSON, "Application/JSON ; Charset=UTF-8", 'application/json;charset="utf-8"'])
def test_a_post_of_json_is_accepted(content_type: str) -> None:
    """Parameters of the media type may vary in case and spelling."""
    check_body(httpx.Headers({"Content-Type": content_type}), JSON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"operationName": 5},
        {"operationName": ["a"]},
        {"variables": 0},
        {"variables": False},
        {"variables": ""},
        {"variables": []},
        {"variables": "{}"},
        {"extensions": 0},
        {"extensions": "x"},
    ],
)
def test_a_parameter_of_a_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    """The status is HTTP 400, and the message names the parameter."""
    with bwp.serve() as server:
        response = post(server, {"query": "{nothing}"} | wrong)
        assert 400 == response.status_code
        assert next(iter(wrong)) in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "query",
    [
        "{a" * 10_000,
        "{a(b: " + "[" * 10_000,
        "{a(b: " + "{c: " * 10_000,
        "{" + "a " * MAX_TOKENS + "}",
        "{a" * 10_000 + "}" * 10_000,
    ],
    ids=["fields", "lists", "objects", "long", "braces"],
)
def test_a_query_that_is_too_deep_or_too_long_is_refused(query: str) -> None:
    """It is not executed, and the next request succeeds."""
    with bwp.serve() as server:
        (error,) = post(server, {"query": query}).json()["errors"]
        assert "InvalidSyntax" == error["extensions"]["classification"]
        assert ACCEPTED == post(server).json()


def test_fifty_inline_events_are_within_the_limits() -> None:
    """The documented limit, in the longest form, with a hundred properties each."""
    properties = {f"name_{number}": "value" for number in range(100)}
    answer = bwp.connect().execute(bwp.Mutation([event(additional_properties=properties)] * 50).text)
    assert {"sendUserEvents": {"status": "successful"}} == answer["data"]


@pytest.mark.parametrize("query", ['{__type(name: "' + "{" * 1000 + '") {name}}', "{nothing} # " + "{" * 1000])
def test_brackets_in_strings_and_comments_do_not_count(query: str) -> None:
    """They do not nest anything."""
    assert "errors" not in bwp.connect().execute(query)


def test_a_get_has_its_query_in_the_address() -> None:
    """Variables and extensions are JSON in the query string."""
    found = json.loads(body_of_get("query=query%20q%7Bnothing%7D&operationName=q&variables=%7B%22a%22%3A1%7D"))
    assert {"query": "query q{nothing}", "operationName": "q", "variables": {"a": 1}} == found


@pytest.mark.parametrize(
    ("query", "status_code"),
    [
        ("query=mutation%7B__typename%7D", 405),
        ("query=subscription%7B__typename%7D", 405),
        ("query=mutation+a%7B__typename%7D+query+b%7Bnothing%7D&operationName=a", 405),
        ("query=%7Bnothing%7D&variables=%7B", 400),
        ("query=%7Bnothing%7D&extensions=" + "[" * 10_000, 400),
    ],
)
def test_a_get_with_a_mutation_or_a_malformed_query_string_is_refused(query: str, status_code: int) -> None:
    """A mutation is never executed by GET."""
    with pytest.raises(Refused) as caught:
        body_of_get(query)
    assert status_code == caught.value.response.status_code


TWO = "query=mutation+a%7B__typename%7D+query+b%7Bnothing%7D&operationName=b"


@pytest.mark.parametrize("query", ["", "nonsense", "query=%FF", "query=%7B", TWO])
def test_a_get_without_a_mutation_is_left_to_the_sandbox(query: str) -> None:
    """It includes a missing query, and one that cannot be parsed."""
    assert isinstance(json.loads(body_of_get(query)), dict)


@pytest.mark.parametrize(
    ("answer", "status_code", "expected"),
    [
        ({"data": {"a": None}, "errors": [{}]}, 200, (200, GRAPHQL)),
        ({"errors": [{}]}, 200, (400, GRAPHQL)),
        ({"errors": [{}]}, 400, (400, GRAPHQL)),
        ({"errors": [{}]}, 405, (405, GRAPHQL)),
        ({"message": "Unauthorized"}, 401, (401, JSON)),
    ],
)
def test_in_the_graphql_media_type_the_status_says_whether_anything_was_executed(
    answer: dict[str, Any], status_code: int, expected: tuple[int, str]
) -> None:
    """The content is unchanged, and a response that is not GraphQL keeps its media type."""
    given = httpx.Response(status_code, content=json.dumps(answer), headers={"Content-Type": JSON})
    found = in_form(GRAPHQL, given)
    assert (*expected, given.content) == (found.status_code, found.headers["Content-Type"], found.content)


@pytest.mark.parametrize("content", ['{"data', "[]", ""])
def test_a_response_that_is_not_graphql_is_unchanged(content: str) -> None:
    """A simulated fault may send one."""
    given = httpx.Response(200, content=content, headers={"Content-Type": JSON})
    assert given is in_form(GRAPHQL, given)


@pytest.mark.parametrize(
    "example", [bwp.documented.PAGE_LOAD, bwp.documented.INVALID_EVENT_TIME], ids=lambda one: one.name
)
def test_a_served_response_has_the_same_bytes_as_in_process(example: Any) -> None:
    """Both have HTTP 200 and the documented body."""
    sandbox = bwp.Sandbox(latency=0)
    with bwp.connect(sandbox) as client, bwp.serve() as server:
        client.execute(example.request)
        expected = json.dumps(sandbox.requests[0]["answer"], ensure_ascii=False).encode()
        response = post(server, {"query": example.request}, Accept=JSON)
        assert (200, JSON, expected) == (response.status_code, response.headers["Content-Type"], response.content)


@pytest.mark.parametrize(
    ("given", "plain", "draft"),
    [
        (DOCUMENTED, 200, 200),
        ({"query": bwp.documented.INVALID_EVENT_TIME.request}, 200, 200),
        ({"query": "{"}, 200, 400),
        ({"query": "{nobody}"}, 200, 400),
        ({"query": MUTATION}, 200, 400),
        ({"query": MUTATION, "variables": {"input": {"events": [{}]}}}, 200, 400),
        ({"query": "query a{nothing} query b{nothing}"}, 200, 400),
        ({"query": "query a{nothing} query b{nothing}", "operationName": "c"}, 200, 400),
        ({"query": "query a{nothing} query b{nothing}", "operationName": "b"}, 200, 200),
        ({"query": "{nothing}", "operationName": None, "variables": None, "extensions": None}, 200, 200),
        ({"query": None}, 400, 400),
        ({}, 400, 400),
        ([], 400, 400),
        (b"{", 400, 400),
        (b"", 400, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_status_follows_from_the_media_type(given: Any, plain: int, draft: int) -> None:
    """As JSON it is HTTP 200 if the API responded; in the GraphQL media type only if something was executed."""
    with bwp.serve() as one, bwp.serve() as other:
        answers = [post(one, given, Accept=JSON), post(other, given, Accept=GRAPHQL)]
    assert [(plain, JSON), (draft, GRAPHQL)] == [
        (found.status_code, found.headers["Content-Type"]) for found in answers
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].json()


def test_a_get_has_a_body_and_a_head_has_none() -> None:
    """The headers of both are the same."""
    with bwp.serve() as server:
        asked = {"params": {"query": "{__schema{mutationType{name}}}"}, "headers": headers(server)}
        response, head = ask("GET", server.endpoint, **asked), ask("HEAD", server.endpoint, **asked)
        assert {"data": {"__schema": {"mutationType": {"name": "Mutation"}}}} == response.json()
        assert (200, b"") == (head.status_code, head.content)
        assert response.headers["Content-Length"] == head.headers["Content-Length"]


def test_a_mutation_by_get_is_refused_and_no_event_is_accepted() -> None:
    """The status is HTTP 405, with the method to use."""
    with bwp.serve() as server:
        response = ask("GET", server.endpoint, params=DOCUMENTED, headers=headers(server))
        assert (405, "POST") == (response.status_code, response.headers["Allow"])
        assert ([], [405]) == (server.sandbox.accepted, [item["status_code"] for item in server.sandbox.requests])


def test_a_batch_of_requests_in_one_body_is_refused() -> None:
    """The specification does not define batches."""
    with bwp.serve() as server:
        assert 400 == post(server, [DOCUMENTED, DOCUMENTED]).status_code
        assert [] == server.sandbox.accepted


def test_a_valid_request_is_accepted() -> None:
    """None of these checks gets in its way."""
    with bwp.serve() as server:
        assert ACCEPTED == post(server).json()
