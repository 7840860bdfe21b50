"""`Sandbox`: the documented responses, and labels on everything that is not documented."""

import json
import threading
import time
import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query
from hypothesis import given

import bwp_nb as bwp
from bwp_nb import InvalidEvent, MutationRejected, Sandbox, UserEvent, connect, documented
from bwp_nb.wire.clock import SystemClock
from tests.strategies import BAD_TIMES, GOOD_TIMES, PROPERTY, event, nearly_valid_events

ALL = [documented.PAGE_LOAD, documented.INVALID_EVENT_TIME, documented.PRE_ORDER_PAGE_LOAD]
QUERY = "mutation m($input: SendUserEventInput!) {sendUserEvents(input: $input) {status}}"


def _inputs(*events: UserEvent) -> dict[str, Any]:
    return {"input": {"events": [item.input for item in events]}}


def _post(sandbox: Sandbox, body: bytes) -> httpx.Response:
    """Post a body with the headers that the API requires."""
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    with httpx.Client(transport=sandbox) as http:
        token = http.post(sandbox.token_endpoint, data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "x-api-target-id": sandbox.target_id}
        return http.post(sandbox.endpoint, content=body, headers=headers)


def _error(*events: UserEvent) -> dict[str, Any]:
    """Return the one error that a sandbox returns for these events."""
    (error,) = connect().execute(QUERY, _inputs(*events))["errors"]
    found: dict[str, Any] = error
    return found


def _labels(*events: UserEvent) -> str:
    return " ".join(_error(*events)["extensions"].get("sandbox", []))


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_documented_requests_get_their_documented_responses(example: documented.Example) -> None:
    """They match to the character, except for the column, which is the true one: 2:5 instead of the page's 2:68."""
    expected = json.dumps(example.response).replace('"column": 68', '"column": 5')
    assert expected == json.dumps(connect().execute(example.request))


def test_the_documented_rejection_has_no_label() -> None:
    """It needs none, because it is documented; its HTTP status 200 is inferred."""
    body = json.dumps({"query": documented.INVALID_EVENT_TIME.request}).encode()
    response = _post(Sandbox(), body)
    assert (200, "application/json") == (response.status_code, response.headers["Content-Type"])
    assert ["classification"] == list(response.json()["errors"][0]["extensions"])


def test_variables_and_inline_values_get_the_same_response() -> None:
    """They differ only in the position within the query."""
    bad = event(event_time="2023")
    inline = connect().execute(bwp.Mutation(bad).text)
    given_as_variables = connect().execute(QUERY, _inputs(bad))
    found = bwp.compare(inline, given_as_variables)
    assert {"$.errors[0].locations[0].line", "$.errors[0].locations[0].column"} == {place.path for place in found}


@pytest.mark.parametrize(
    ("changes", "issue", "label"),
    [
        (
            {"event_type": "x"},
            "/sendUserEvents/input/events[0]/eventType size must be between 3 and 64",
            "inferred: the wording of a length limit",
        ),
        (
            {"schema_name": "a" * 257},
            "/sendUserEvents/input/events[0]/schemaName size must be between 3 and 256",
            "inferred: the wording of a length limit",
        ),
        (
            {"event_time": "2023-12-03T10:15:30+00:00"},
            "eventTime 2023-12-03T10:15:30+00:00 is invalid local ISO 8601 UTC time format.",
            "inferred: a date-time must be in UTC",
        ),
    ],
)
def test_an_inferred_rejection_is_labelled(changes: dict[str, Any], issue: str, label: str) -> None:
    """It has one issue and one label, in the documented envelope."""
    error = _error(event(**changes))
    expected = f"Input request is not valid, the following issues were encountered: [{issue}]"
    assert expected == error["message"]
    (found,) = error["extensions"]["sandbox"]
    assert found.startswith(label)


@pytest.mark.parametrize(
    "text",
    [
        "2023-12-03T10:15:30",
        "2023-12-03T11:15:30+01:00",
        "2023-12-03T10:15:30z",
        "2023-12-03t10:15:30Z",
        "2023-12-03 10:15:30Z",
        "2016-12-31T23:59:60Z",
        "2023-12-03T10:15:30.1234567890Z",
        "20231203T101530Z",
    ],
)
def test_a_date_time_in_another_form_is_rejected_with_a_label(text: str) -> None:
    """RFC 3339 allows most of these; only the text `2023` is documented as rejected."""
    assert "inferred: a date-time must be in UTC" in _labels(event(event_time=text))


@pytest.mark.parametrize("text", ["", "2023-12", "2023-12-03", "10:15:30Z", "2023-02-30T10:15:30Z", "yesterday"])
def test_text_that_is_not_a_date_time_is_rejected_without_a_label(text: str) -> None:
    """That follows from the documentation."""
    assert "" == _labels(event(event_time=text))


def test_several_issues_share_one_labelled_pair_of_brackets() -> None:
    """All issues are listed; that they share brackets is inferred."""
    bad = event(event_type="x", event_time="2023")
    size = "/sendUserEvents/input/events[0]/eventType size must be between 3 and 64"
    assert f"[{size}, eventTime 2023 is invalid local ISO 8601 UTC time format.]" in _error(bad)["message"]
    assert "inferred: several issues share one pair" in _labels(bad)


def test_one_bad_event_rejects_the_whole_call_with_a_label() -> None:
    """No event is kept; that is inferred."""
    sandbox = Sandbox()
    with pytest.raises(MutationRejected) as caught:
        connect(sandbox).send([event(), event(event_time="2023")], check=False)
    assert ([], 2) == (sandbox.accepted, len(sandbox.rejected))
    assert "inferred: that one bad event refuses the whole call" in caught.value.errors[0]["extensions"]["sandbox"][0]


def test_fifty_one_events_are_rejected_with_a_label() -> None:
    """The limit is documented, its wording is not."""
    error = _error(*[event()] * 51)
    assert "[/sendUserEvents/input/events size must be between 0 and 50]" in error["message"]
    assert "inferred: the wording of a length limit" in " ".join(error["extensions"]["sandbox"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"5", b'{"query": 5}', b'{"query": "{a}", "variables": 5}']
)
def test_a_body_that_is_not_a_request_gets_a_labelled_error(body: bytes) -> None:
    """The status is HTTP 400, and the request is recorded."""
    sandbox = Sandbox()
    response = _post(sandbox, body)
    (error,) = response.json()["errors"]
    assert (400, ["errors"]) == (response.status_code, list(response.json()))
    assert "inferred: the response to a body that is not a GraphQL request" in error["extensions"]["sandbox"]
    assert [400] == [request["status_code"] for request in sandbox.requests]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"query": ' + b'"{a"' * 100_000])
def test_a_deeply_nested_body_does_not_break_the_sandbox(body: bytes) -> None:
    """It gets the same response as any other malformed body."""
    assert 400 == _post(Sandbox(), body).status_code


@pytest.mark.parametrize(
    ("query", "classification"),
    [
        ("mutation {", "InvalidSyntax"),
        ("// GraphQL mutation\n{nothing}", "InvalidSyntax"),
        ("{a" * 10_000, "InvalidSyntax"),
        ("mutation {createOrder}", "ValidationError"),
        ('mutation {sendUserEvents(input: {events: [{eventType: "click"}]}) {status}}', "ValidationError"),
        (bwp.Mutation(event(client_type="IOS")).text, "ValidationError"),
        (QUERY, "ValidationError"),
        ("query a {nothing} query b {nothing}", "ValidationError"),
    ],
    ids=lambda value: value[:20],
)
def test_a_request_that_does_not_match_the_schema_is_not_executed(query: str, classification: str) -> None:
    """There is no data, the classification is a string, and every error is labelled."""
    answer = connect().execute(query)
    assert ["errors"] == list(answer)
    for error in answer["errors"]:
        assert classification == error["extensions"]["classification"]
        assert error["extensions"]["sandbox"][0].startswith("inferred: a request that does not match the schema")


@pytest.mark.parametrize("client_type", ["IOS", "website_client", ""])
def test_an_unknown_client_type_is_not_executed(client_type: str) -> None:
    """The same holds when it is sent as a variable."""
    assert "InvalidSyntax" != _error(event(client_type=client_type))["extensions"]["classification"]
    assert "inferred: a request that does not match the schema" in _labels(event(client_type=client_type))


@pytest.mark.parametrize(("deduplicate", "kept", "dropped"), [(False, 3, 0), (True, 2, 1)])
def test_a_repeated_event_id_is_kept_or_dropped_and_labelled_unknown(
    deduplicate: bool, kept: int, dropped: int
) -> None:
    """The response says that the API's behaviour is unknown, and what this sandbox did."""
    sandbox = Sandbox(deduplicate=deduplicate)
    client = connect(sandbox)
    assert () == client.send([event(), event(event_id="other")]).notes
    (note,) = client.send(event()).notes
    assert note.startswith("unknown: whether the API keeps an event whose eventId it has seen")
    assert note.endswith(f"{'dropped' if deduplicate else 'kept'} 1 of them")
    assert (kept, dropped) == (len(sandbox.accepted), len(sandbox.duplicates))


def test_the_sandbox_shows_what_arrived() -> None:
    """It lists accepted events, rejected events with reasons, and every request with its response."""
    sandbox = Sandbox()
    client = connect(sandbox)
    bad = event(event_time="2023")
    client.send(event())
    with pytest.raises(MutationRejected) as caught:
        client.send(bad, check=False)
    assert [event().input] == sandbox.accepted
    assert [{"event": bad.input, "reason": caught.value.errors[0]["message"]}] == sandbox.rejected
    assert [200, 200] == [request["status_code"] for request in sandbox.requests]
    assert bwp.Mutation(bad) == bwp.Mutation.parse(sandbox.requests[1]["body"])
    assert {"data": {"sendUserEvents": {"status": "successful"}}} == sandbox.requests[0]["answer"]
    assert "Sandbox(accepted=1, rejected=1, requests=2)" == repr(sandbox)


def test_what_the_sandbox_returns_are_copies() -> None:
    """Changing a returned list does not change the sandbox."""
    sandbox = Sandbox()
    connect(sandbox).send(event())
    sandbox.accepted[0].clear()
    sandbox.requests[0]["answer"].clear()
    assert sandbox.accepted[0]
    assert sandbox.requests[0]["answer"]


def test_reset_forgets_everything_and_starts_again() -> None:
    """It resets the clock, the ids and everything that arrived."""
    sandbox = Sandbox(deduplicate=True)
    client = connect(sandbox)
    first = client.new_event("click")
    client.send([first, first])
    sandbox.reset()
    assert ([], [], [], []) == (sandbox.accepted, sandbox.duplicates, sandbox.rejected, sandbox.requests)
    assert first == client.new_event("click")
    assert () == client.send(first).notes
    assert 1 == len(sandbox.requests)  # none was denied: the client's token is still good


def test_simulated_time_advances_only_during_requests() -> None:
    """It starts at a fixed instant, and each response takes the configured latency."""
    sandbox = Sandbox(latency=2.5)
    client = connect(sandbox)
    assert "2024-11-22T09:00:00+00:00" == sandbox.clock.now().isoformat()
    before = sandbox.clock.now()
    assert 2.5 == client.send(event()).elapsed
    assert timedelta(seconds=2.5) == sandbox.clock.now() - before


def test_a_sandbox_can_use_the_system_clock() -> None:
    """Then latency is real, and a reset does not turn the clock back."""
    sandbox = Sandbox(clock=SystemClock(), latency=0.05)
    receipt = connect(sandbox).send(event())
    sandbox.reset()
    assert 0.04 < receipt.elapsed < 20
    assert abs(sandbox.clock.now().timestamp() - time.time()) < 20


def test_while_one_request_waits_others_are_answered() -> None:
    """Each request waits on its own."""
    sandbox = Sandbox(clock=SystemClock(), latency=0)
    sandbox.fail_next("timeout_before")
    waiting, other = (connect(sandbox) for _ in range(2))
    waiting.timeout = 3
    thread = threading.Thread(target=waiting.send, args=(event(event_id="late"),))
    thread.start()
    while sandbox.token_requests == 0:
        time.sleep(0.01)
    time.sleep(0.2)
    started = time.monotonic()
    other.send(event())
    assert time.monotonic() - started < 2
    thread.join()
    assert [event().event_id, "late"] == [item["eventId"] for item in sandbox.accepted]


def test_a_server_does_the_waiting_itself() -> None:
    """It receives the seconds to wait, and the sandbox's clock does not advance."""
    sandbox = Sandbox(latency=2)
    before = sandbox.clock.now()
    sandbox.fail_next("slow", seconds=5)
    waits: list[float] = []
    request = httpx.Request("POST", sandbox.endpoint, content=b"{}", extensions={"wait": waits.append})
    assert 200 == sandbox.handle_request(request).status_code
    assert ([2, 5], before) == (waits, sandbox.clock.now())


def test_the_same_query_gets_the_same_response_every_time() -> None:
    """It includes rejected queries; variables still make a difference."""
    client = connect()
    for query in ("{", "{nobody}", QUERY):
        assert client.execute(query) == client.execute(query)
    bad, good = (client.execute(QUERY, _inputs(event(event_time=text))) for text in ("2023", "2023-12-03T10:15:30Z"))
    assert ({"sendUserEvents": None}, {"sendUserEvents": {"status": "successful"}}) == (bad["data"], good["data"])


def test_ids_count_and_are_version_4_uuids() -> None:
    """They are predictable, distinct, and of the documented kind."""
    sandbox = Sandbox()
    ids = [uuid.UUID(sandbox.new_id()) for _ in range(11)]
    assert {(4, uuid.RFC_4122)} == {(found.version, found.variant) for found in ids}
    assert [f"00000000-0000-4000-8000-{count:012}" for count in range(1, 12)] == [str(found) for found in ids]


def test_the_operation_name_selects_one_of_two() -> None:
    """Only that operation is executed."""
    sandbox = Sandbox()
    query = f"{QUERY} query q {{nothing}}"
    body = {"query": query, "variables": _inputs(event()), "operationName": "q"}
    assert {"data": {"nothing": None}} == _post(sandbox, json.dumps(body).encode()).json()
    assert [] == sandbox.accepted
    body["operationName"] = "m"
    assert {"data": {"sendUserEvents": {"status": "successful"}}} == _post(sandbox, json.dumps(body).encode()).json()
    assert [event().input] == sandbox.accepted


def test_two_calls_in_one_request_are_independent() -> None:
    """The rejected one is null and named by its path, the other is accepted."""
    query = "mutation ($a: SendUserEventInput!, $b: SendUserEventInput!) {a: sendUserEvents(input: $a) {status} b: "
    variables = {"a": {"events": [event(event_time="2023").input]}, "b": {"events": [event().input]}}
    answer = connect().execute(f"{query}sendUserEvents(input: $b) {{status}}}}", variables)
    assert {"a": None, "b": {"status": "successful"}} == answer["data"]
    assert [["a"]] == [error["path"] for error in answer["errors"]]


def test_introspection_returns_the_contract() -> None:
    """GraphQL tools can read its types and descriptions."""
    schema = build_client_schema(connect().execute(get_introspection_query())["data"])
    assert "UserEvent" in schema.type_map
    assert "Analytics Interface" in (schema.mutation_type.fields["sendUserEvents"].description or "")  # type: ignore[union-attr]


def test_a_lone_surrogate_gets_a_response() -> None:
    """It is escaped in the response, as JSON allows."""
    bad = json.dumps({"query": QUERY, "variables": _inputs(event(event_time="\ud800"))}).encode()
    assert "eventTime \ud800 is invalid" in _post(Sandbox(), bad).json()["errors"][0]["message"]


@pytest.mark.parametrize(("times", "accepted"), [(GOOD_TIMES, True), (BAD_TIMES, False)])
def test_the_sandbox_reads_times_as_the_documentation_does(times: list[str], accepted: bool) -> None:
    """The table of times that also tests the package's own checks."""
    answers = {time: connect().execute(QUERY, _inputs(event(event_time=time))) for time in times}
    assert dict.fromkeys(times, accepted) == {time: "errors" not in answer for time, answer in answers.items()}


@PROPERTY
@given(nearly_valid_events())
def test_our_checks_and_the_sandbox_agree_on_any_event(built: UserEvent) -> None:
    """Two independent readings of the documentation: no problem if and only if it is accepted."""
    sandbox = Sandbox()
    try:
        connect(sandbox).send(built, check=False)
    except (InvalidEvent, MutationRejected):
        assert [] == sandbox.accepted
        assert [] != built.problems()
    else:
        assert [built.input] == sandbox.accepted
        assert [] == built.problems()
