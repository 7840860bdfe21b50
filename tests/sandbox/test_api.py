"""`Sandbox`: the documented responses, and labels on everything that is not documented."""

import gc
import json
import threading
import time
import tracemalloc
import uuid
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query
from hypothesis import given

import bwp_nb as bwp
from bwp_nb import InvalidEvent, MutationRejected, Sandbox, UserEvent, connect, documented
from bwp_nb.wire.platform import Clock
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
            "inferred: only date-times that end in Z",
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
    assert "inferred: only date-times that end in Z" in _labels(event(event_time=text))


@pytest.mark.parametrize("text", ["", "2023-12", "2023-12-03", "10:15:30Z", "2023-02-30T10:15:30Z", "yesterday"])
def test_text_that_is_not_a_date_time_is_rejected_without_a_label(text: str) -> None:
    """That follows from the documentation."""
    assert "" == _labels(event(event_time=text))


def test_several_issues_share_one_labelled_pair_of_brackets() -> None:
    """All issues are listed; that they share brackets is inferred."""
    bad = event(event_type="x", event_time="2023")
    size = "/sendUserEvents/input/events[0]/eventType size must be between 3 and 64"
    assert f"[{size}, eventTime 2023 is invalid local ISO 8601 UTC time format.]" in _error(bad)["message"]
    assert "inferred, on weak evidence: all issues share one pair of brackets" in _labels(bad)


def test_a_sandbox_can_report_only_the_first_issue() -> None:
    """The others are not mentioned, and a label says that this is inferred."""
    sandbox = Sandbox(reports="first")
    bad = [event(), event(event_type="x", event_time="2023"), event(event_time="2024")]
    (error,) = connect(sandbox).execute(QUERY, _inputs(*bad))["errors"]
    issue = "/sendUserEvents/input/events[1]/eventType size must be between 3 and 64"
    assert f"Input request is not valid, the following issues were encountered: [{issue}]" == error["message"]
    assert any(
        label.startswith("inferred: only the first issue is reported") for label in error["extensions"]["sandbox"]
    )
    assert (1, 2) == (len(sandbox.accepted), len(sandbox.rejected))


@pytest.mark.parametrize(
    ("refuses", "accepted", "rejected", "labels"),
    [
        (
            "event",
            ["a", "c"],
            ["b"],
            ["literal reading: an event that", "unknown: whether the other events of the call"],
        ),
        ("call", [], ["a", "b", "c"], ["inferred: no event of a call is accepted if one does not conform"]),
    ],
)
def test_one_invalid_event_is_rejected_alone_or_with_its_call(
    refuses: Any, accepted: list[str], rejected: list[str], labels: list[str]
) -> None:
    """These are the two readings of the documentation; each is labelled, and the lists show what happened."""
    sandbox = Sandbox(refuses=refuses)
    events = [event(event_id="a"), event(event_id="b", event_time="2023"), event(event_id="c")]
    answer = connect(sandbox).execute(QUERY, _inputs(*events))
    (error,) = answer["errors"]
    assert {"sendUserEvents": None} == answer["data"]
    assert accepted == [item["eventId"] for item in sandbox.accepted]
    assert rejected == [item["event"]["eventId"] for item in sandbox.rejected]
    assert {error["message"]} == {item["reason"] for item in sandbox.rejected}
    assert [True] * len(labels) == [
        found.startswith(label) for found, label in zip(error["extensions"]["sandbox"], labels, strict=True)
    ]


def test_the_literal_reading_is_the_default() -> None:
    """An event that does not conform is dropped; the others are kept."""
    assert ("event", "all") == (Sandbox().refuses, Sandbox().reports)


def test_a_rejected_call_still_says_which_of_the_kept_events_are_duplicates() -> None:
    """The note is beside the errors."""
    sandbox = Sandbox()
    client = connect(sandbox)
    client.send(event())
    answer = client.execute(QUERY, _inputs(event(), event(event_time="2023")))
    (note,) = answer["extensions"]["sandbox"]
    assert note.endswith("kept 1 of them")


@pytest.mark.parametrize("refuses", ["event", "call"])
def test_an_event_that_is_sent_alone_is_rejected_in_the_same_way_by_both_readings(refuses: Any) -> None:
    """The documented rejection has no label."""
    sandbox = Sandbox(refuses=refuses)
    (error,) = connect(sandbox).execute(QUERY, _inputs(event(event_time="2023")))["errors"]
    assert ["classification"] == list(error["extensions"])
    assert (0, 1) == (len(sandbox.accepted), len(sandbox.rejected))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refuses": "batch"}, "refuses: expected 'event' or 'call', got 'batch'"),
        ({"reports": "none"}, "reports: expected 'all' or 'first', got 'none'"),
        ({"keep": 0}, "keep: expected at least 1, got 0"),
    ],
)
def test_an_unknown_option_is_refused(options: dict[str, Any], words: str) -> None:
    """The message has the allowed values."""
    with pytest.raises(ValueError, match=words):
        Sandbox(**options)


@pytest.mark.parametrize("refuses", ["event", "call"])
def test_fifty_one_events_are_rejected_with_a_label(refuses: Any) -> None:
    """The limit is documented, the rejection and its wording are not."""
    sandbox = Sandbox(refuses=refuses)
    (error,) = connect(sandbox).execute(QUERY, _inputs(*[event()] * 51))["errors"]
    assert (0, 51) == (len(sandbox.accepted), len(sandbox.rejected))
    assert "[/sendUserEvents/input/events size must be between 0 and 50]" in error["message"]
    assert "inferred: a call with too many events" in " ".join(error["extensions"]["sandbox"])


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


def test_a_sandbox_keeps_the_last_entries_and_counts_the_others() -> None:
    """Its repr says how many were dropped; the totals include them."""
    sandbox = Sandbox(keep=3)
    client = connect(sandbox)
    for number in range(5):
        client.send(event(event_id=f"id-{number}"))
    assert ["id-2", "id-3", "id-4"] == [item["eventId"] for item in sandbox.accepted]
    assert ["id-2", "id-3", "id-4"] == [
        bwp.Mutation.parse(item["body"]).events[0].event_id for item in sandbox.requests
    ]
    assert 4 == sandbox.dropped
    assert {"accepted": 5, "duplicates": 0, "rejected": 0, "requests": 5, "dropped": 4} == sandbox.counts
    assert "Sandbox(accepted=5, rejected=0, requests=5, dropped=4)" == repr(sandbox)
    sandbox.reset()
    assert (0, "Sandbox(accepted=0, rejected=0, requests=0)") == (sandbox.dropped, repr(sandbox))


def test_long_entries_are_dropped_earlier() -> None:
    """Their memory is bounded, not only their number: 4 KiB each on average."""
    sandbox = Sandbox(keep=100)
    client = connect(sandbox)
    for number in range(100):
        client.send(event(event_id=f"id-{number}", additional_properties={"long": "x" * 40_000}))
    accepted = sandbox.accepted
    assert 100 * 4096 >= sum(len(json.dumps(item)) for item in accepted) > 300_000
    assert "id-99" == accepted[-1]["eventId"]
    assert (100, 100) == (sandbox.counts["accepted"], sandbox.counts["requests"])


@pytest.mark.parametrize(("others", "duplicates"), [(2, 1), (3, 0)])
def test_a_sandbox_recognizes_the_last_ids_only(others: int, duplicates: int) -> None:
    """As many as it keeps events."""
    sandbox = Sandbox(keep=3, deduplicate=True)
    client = connect(sandbox)
    for event_id in ["first", *map(str, range(others)), "first"]:
        client.send(event(event_id=event_id))
    assert duplicates == len(sandbox.duplicates)


@pytest.mark.parametrize(("others", "is_valid"), [(Sandbox.keep_tokens - 1, True), (Sandbox.keep_tokens, False)])
def test_the_last_tokens_are_valid(others: int, is_valid: bool) -> None:
    """An older one is refused, so tokens need a bounded amount of memory."""
    sandbox = Sandbox()
    client = connect(sandbox)
    client.send(event())
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    with httpx.Client(transport=sandbox) as http:
        for _ in range(others):
            http.post(sandbox.token_endpoint, data=form)
    requests = sandbox.token_requests
    client.send(event())
    assert is_valid == (requests == sandbox.token_requests)


def test_a_long_running_sandbox_needs_bounded_memory() -> None:
    """After some thousand requests, each with a new token and a new event, more of them take up no more."""
    sandbox = Sandbox(keep=20, deduplicate=True)
    sandbox.keep_tokens = 20
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    bodies = (json.dumps({"query": QUERY, "variables": _inputs(event(event_id=str(n)))}) for n in range(10**6))

    def some(count: int) -> int:
        for body in islice(bodies, count):
            token = _ask(sandbox, sandbox.token_endpoint, urlencode(form)).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}", "x-api-target-id": sandbox.target_id}
            assert "errors" not in _ask(sandbox, sandbox.endpoint, body, headers).json()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = some(200)
        assert some(1000) < before + 50_000
    finally:
        tracemalloc.stop()


def _ask(sandbox: Sandbox, address: str, body: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return sandbox.handle_request(httpx.Request("POST", address, content=body, headers=headers))


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
    sandbox = Sandbox(clock=Clock(), latency=0.05)
    receipt = connect(sandbox).send(event())
    sandbox.reset()
    assert 0.04 < receipt.elapsed < 20
    assert abs(sandbox.clock.now().timestamp() - time.time()) < 20


def test_while_one_request_waits_others_are_answered() -> None:
    """Each request waits on its own."""
    sandbox = Sandbox(clock=Clock(), latency=0)
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
