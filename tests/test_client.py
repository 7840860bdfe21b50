"""`Client`: what a send comes to, whatever the server answers."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import (
    BwpError,
    Client,
    InvalidEvent,
    Mutation,
    MutationRejected,
    OutcomeUnknown,
    Receipt,
    RequestFailed,
    UserEvent,
)
from bwp_nb.sandbox.api import SandboxClock
from tests.strategies import event

SUCCESS = {"data": {"sendUserEvents": {"status": "successful"}}}
REFUSAL = bwp.documented.INVALID_EVENT_TIME.response


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    """Return a client of a server that answers so, on a clock that waits for nobody."""
    return Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock())


def _send(status_code: int = 200, **response: Any) -> Receipt:
    """Send the documented event to a server that always answers with this response."""
    return _client(lambda _: httpx.Response(status_code, **response)).send(event())


def test_an_accepted_event_gets_a_receipt() -> None:
    """Status, number of events and attempts; nothing that changes from run to run."""
    receipt = bwp.connect().send(event())
    assert "Receipt(status='successful', events=1, attempts=1)" == repr(receipt)
    assert receipt.elapsed > 0


@pytest.mark.parametrize("given", [event(), [event()], (item for item in [event()]), Mutation(event())])
def test_one_event_a_few_or_a_mutation_can_be_sent(given: Any) -> None:
    """Whatever holds events."""
    with bwp.connect() as client:
        assert "successful" == client.send(given).status
        assert client.sandbox is not None
        assert [event().input] == client.sandbox.accepted


def test_fifty_events_go_in_one_request() -> None:
    """The documented limit is allowed."""
    sandbox = bwp.Sandbox()
    assert 50 == bwp.connect(sandbox).send([event()] * 50).events
    assert (50, 1) == (len(sandbox.accepted), len(sandbox.requests))


def test_the_documented_success_is_reached_from_its_request() -> None:
    """The first thing that the documentation promises."""
    assert "successful" == bwp.connect().send(Mutation.parse(bwp.documented.PAGE_LOAD.request).events).status


def test_the_documented_refusal_is_reached_from_its_request() -> None:
    """Our checks refuse it; unchecked, the answer is the printed one but for the location, and blames the event."""
    events = Mutation.parse(bwp.documented.INVALID_EVENT_TIME.request).events
    client = bwp.connect()
    with pytest.raises(InvalidEvent):
        client.send(events)
    with pytest.raises(MutationRejected) as caught:
        client.send(events, check=False)
    found = bwp.compare(REFUSAL["errors"][0], caught.value.errors[0])
    assert ["$.locations[0].column"] == [difference.path for difference in found]
    assert [bwp.RejectedValue(0, events[0].event_id, "eventTime", "2023")] == caught.value.rejected_values


MEGABYTE = "a" * 1_000_000


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (lambda client: client.send(None), ["None", "UserEvent"]),
        (lambda client: client.send(b"bytes"), ["b'bytes'", "UserEvent"]),
        (lambda client: client.send("page-load"), ["'page-load'", "UserEvent"]),
        (lambda client: client.send({"eventType": "click"}), ["eventType", "UserEvent"]),
        (lambda client: client.send([event(), None]), ["events[1]", "None"]),
        (lambda client: client.send(pd.DataFrame({"event_type": ["click"]})), ["DataFrame", "use send_table"]),
        (lambda client: client.send([]), ["events", "1 to 50", "0"]),
        (lambda client: client.send([], check=False), ["events", "1 to 50", "0"]),
        (lambda client: client.send([event()] * 51), ["events", "1 to 50", "51"]),
        (lambda client: client.send([event()] * 51, check=False), ["events", "1 to 50", "51"]),
        (lambda client: client.send(event(event_type=None)), ["eventType", "None"]),
        (lambda client: client.send(event(client_version=b"1")), ["clientVersion", "b'1'"]),
        (lambda client: client.send(event(event_time=datetime(2023, 12, 3))), ["eventTime", "no time zone"]),
        (lambda client: client.send([event(), event(event_time="2023-12-03T10:15:30+00:00")]), ["event 1, eventTime"]),
        (lambda client: client.send([event(), event(event_time="2023")] * 25), ["event 1, eventTime", "'2023'"]),
        (lambda client: client.send([event(), event(event_id="\ud800")]), ["event 1, eventId", "surrogate"]),
        (lambda client: client.send(event(event_id="\ud800"), check=False), ["event 0, eventId", "surrogate"]),
        (
            lambda client: client.send(event(additional_properties={"\n\ud800": "b"})),
            ["event 0, additionalProperties['\\n\\ud800']"],
        ),
        (lambda client: client.send(event(event_type=MEGABYTE)), ["event 0, eventType", "1000000"]),
        (lambda client: client.send(event(event_time=MEGABYTE)), ["event 0, eventTime"]),
        (lambda client: client.send(event(client_type="\n" + MEGABYTE)), ["event 0, clientType"]),
        (lambda client: client.new_event("x\ud800\x1b[31m", sku=None), ["sku", "None"]),
        (lambda client: client.execute('{a(b: "\ud800")}'), ["surrogate"]),
        (lambda client: client.execute("{nothing}", {"a": object()}), ["variables"]),
    ],
)
def test_bad_input_is_refused_in_one_paragraph_and_nothing_arrives(
    send: Callable[[Client], Any], words: list[str]
) -> None:
    """The message names event and field; no library's inside shows."""
    sandbox = bwp.Sandbox()
    with pytest.raises(InvalidEvent) as caught:
        send(bwp.connect(sandbox))
    said = str(caught.value)
    assert [] == [word for word in words if word not in said]
    assert said.isprintable()
    assert len(said) < 2000
    assert [] == sandbox.requests


def test_problems_of_a_batch_tell_the_place_of_each_event() -> None:
    """All problems of all events, with index and field."""
    with pytest.raises(InvalidEvent) as caught:
        bwp.connect().send([event(event_type="x", event_time=""), event(), event(client_type="IOS")])
    expected = [(0, "eventType"), (0, "eventTime"), (2, "clientType")]
    assert expected == [(problem.index, problem.field) for problem in caught.value.problems]


def test_an_unchecked_event_reaches_the_api_as_it_stands() -> None:
    """Seeing what the API says to a bad event is half of what people come for."""
    sandbox = bwp.Sandbox()
    with pytest.raises(MutationRejected) as caught:
        bwp.connect(sandbox).send([event(), event(client_type="IOS")], check=False)
    assert [(1, "clientType", "IOS")] == [
        (named.index, named.field, named.value) for named in caught.value.rejected_values
    ]
    assert ("unknown", "rejected") == caught.value.states
    assert 1 == len(sandbox.requests)


HTML = {
    "text": "\n<p>Sign in\u202e\x1b[31m</p>" + "a" * 10_000,
    "headers": {"Content-Type": "text/html; charset=utf-8"},
}


@pytest.mark.parametrize(
    ("status_code", "response", "retryable", "may_have_arrived", "words"),
    [
        (200, HTML, False, True, ["200", "text/html", r"<p>Sign in\u202e\x1b[31m"]),
        (403, HTML, False, False, ["403", "text/html"]),
        (451, HTML, False, True, ["451"]),
        (404, HTML, False, False, ["404"]),
        (429, HTML, True, False, ["429", "text/html"]),
        (500, HTML, True, True, ["500", "text/html"]),
        (503, {}, True, True, ["503", "no body"]),
        (302, {"headers": {"Location": "https://evil.invalid/"}}, False, True, ["https://evil.invalid/"]),
        (303, {"headers": {"Location": "https://evil.invalid:x/\x1b"}}, False, True, [r"https://evil.invalid:x/\x1b"]),
        (307, {}, False, False, ["redirect"]),
        (403, {"json": {"message": "Forbidden"}}, False, False, ["application/json", "Forbidden"]),
        (200, {"json": []}, False, True, ["application/json", "[]"]),
        (200, {"text": "null"}, False, True, ["null"]),
        (200, {"text": "[" * 100_000}, False, True, ["[["]),
        (200, {"content": b'{"data": \xff\xfe}'}, False, True, ["200"]),
        (200, {"json": {"data": None}}, False, True, ["neither a status nor errors"]),
        (200, {"json": {"data": 5}}, False, True, ["neither a status nor errors"]),
        (200, {"json": {"data": {"sendUserEvents": None}, "errors": []}}, False, True, ["neither"]),
        (200, {"json": {"data": {"sendUserEvents": {"status": 5}}}}, False, True, ["neither"]),
        (200, {"json": SUCCESS | {"errors": 5}}, False, True, []),
        (403, {"json": {"errors": "Forbidden"}}, False, False, ["Forbidden"]),
        (403, {"json": {"errors": {"message": "Forbidden"}}}, False, False, ["Forbidden"]),
        (403, {"json": {"errors": True}}, False, False, []),
        (
            200,
            {"json": {"data": {"sendUserEvents": {"status": "partial\n"}}, "errors": [{"message": "\n"}]}},
            False,
            True,
            [r"partial\n"],
        ),
        *[
            (
                200,
                {"content": b"<p>\xff", "headers": {"Content-Type": f"text/html; charset={charset}"}},
                False,
                True,
                [],
            )
            for charset in ("hex", "rot13", "idna", "undefined", "utf-16", "punycode", "no-such-charset")
        ],
    ],
)
def test_an_answer_that_is_no_graphql_answer_is_a_failed_request(
    status_code: int, response: dict[str, Any], retryable: bool, may_have_arrived: bool, words: list[str]
) -> None:
    """The error says what came, escaped and cut, and whether to try again."""
    with pytest.raises(RequestFailed) as caught:
        _send(status_code, **response)
    error = caught.value
    assert (status_code, retryable, may_have_arrived) == (error.status_code, error.retryable, error.may_have_arrived)
    said = str(error)
    assert [] == [word for word in words if word not in said]
    assert said.isprintable()
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("raised", "may_have_arrived"),
    [
        (httpx.ConnectError("refused\n\x1b[31m"), False),
        (httpx.ConnectTimeout("late"), False),
        (httpx.PoolTimeout("busy"), False),
        (httpx.ReadTimeout("late"), True),
        (httpx.WriteTimeout("late"), True),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("reset"), True),
        (httpx.RemoteProtocolError("closed"), True),
        (httpx.DecodingError("garbage"), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failing_network_is_a_failed_request(raised: httpx.RequestError, may_have_arrived: bool) -> None:
    """Before the body was written nothing can have arrived; after it, something may have."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(RequestFailed) as caught:
        _client(fail).send(event())
    error = caught.value
    assert (None, True, may_have_arrived) == (error.status_code, error.retryable, error.may_have_arrived)
    assert type(raised).__name__ in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("status_code", [200, 400])
@pytest.mark.parametrize(
    ("answer", "classification"),
    [
        (REFUSAL, "ValidationError"),
        ({"errors": [{"message": "No.", "extensions": {"classification": "InvalidSyntax"}}]}, "InvalidSyntax"),
        ({"errors": [{"message": "No."}], "data": None}, "unclassified"),
        ({"errors": [{}]}, "unclassified"),
        ({"errors": [None]}, "unclassified"),
        ({"errors": ["No."]}, "unclassified"),
    ],
)
def test_errors_without_a_status_are_a_rejection_whatever_the_http_status(
    status_code: int, answer: Any, classification: str
) -> None:
    """The API said no, in one of its forms."""
    with pytest.raises(MutationRejected) as caught:
        _send(status_code, json=answer)
    assert classification == caught.value.classifications[0].name
    assert len(answer["errors"]) == len(caught.value.errors)


def test_errors_beside_the_documented_status_prove_nothing() -> None:
    """The outcome is unknown, and the message quotes the errors."""
    with pytest.raises(OutcomeUnknown, match=r"Slow down\.") as caught:
        _send(json=SUCCESS | {"errors": [{"message": "Slow down."}]})
    assert "unknown" == caught.value.state


@pytest.mark.parametrize("extensions", [{}, None, {"sandbox": 5}, 5])
def test_extensions_of_an_answer_do_no_harm(extensions: Any) -> None:
    """Some documented answers carry an empty object."""
    assert Receipt("successful", 1) == _send(json=SUCCESS | {"extensions": extensions})


def test_the_request_is_a_post_of_json_for_the_documented_version() -> None:
    """One request, with the payload as its body."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=SUCCESS)

    _client(answer).send(event(event_id="😀"))
    (request,) = seen
    assert ("POST", "https://api.invalid/graphql") == (request.method, str(request.url))
    assert "application/json" == request.headers["Content-Type"]
    assert "2024-11-01" == request.headers["x-api-version"]
    assert Mutation(event(event_id="😀")) == Mutation.parse(request.content.decode())


def test_a_redirect_is_not_followed() -> None:
    """Events go nowhere but to the endpoint."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://evil.invalid/"})

    with pytest.raises(RequestFailed, match=r"evil\.invalid"):
        _client(answer).send(event())
    assert {"api.invalid"} == set(seen)


def test_execute_returns_the_answer_as_it_came() -> None:
    """Errors and all, judged by nobody."""
    client = _client(lambda _: httpx.Response(400, json=REFUSAL))
    assert REFUSAL == client.execute("{nothing}")


def test_execute_fails_on_what_is_no_answer() -> None:
    """It raises what send raises."""
    with pytest.raises(RequestFailed, match="text/html"):
        _client(lambda _: httpx.Response(200, **HTML)).execute("{nothing}")


def test_a_new_event_of_the_sandbox_is_the_same_on_every_run() -> None:
    """Its clock and its ids are fixed; further keywords are properties."""
    expected = UserEvent(
        event_type="click",
        event_id="00000000-0000-4000-8000-000000000001",
        event_time="2024-11-22T09:00:00Z",
        client_type="WEBSITE_CLIENT",
        client_version="1.0",
        additional_properties={"product_sku": "example-sku"},
    )
    assert expected == bwp.connect().new_event("click", product_sku="example-sku")


def test_a_new_event_of_another_client_happened_now_with_an_id_of_its_own() -> None:
    """Time from the computer's clock, ids at random."""
    client = Client(httpx.MockTransport(lambda _: httpx.Response(200, json=SUCCESS)), "https://api.invalid/graphql")
    first, second = client.new_event("click"), client.new_event("click")
    assert [] == first.problems()
    assert first.event_id != second.event_id
    assert abs(datetime.fromisoformat(first.event_time).timestamp() - time.time()) < 60
    assert datetime.fromisoformat(first.event_time).tzinfo == UTC


def test_a_sandbox_client_and_a_live_one_look_different() -> None:
    """Nobody takes the one for the other."""
    assert "Client(sandbox)" == repr(bwp.connect())
    assert "Client(live, https://api.invalid/graphql)" == repr(_client(lambda _: httpx.Response(200)))


def test_every_error_of_a_send_is_one_of_ours() -> None:
    """One except clause is enough."""
    with pytest.raises(BwpError):
        _send(500)
