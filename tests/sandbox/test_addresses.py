"""The addresses of a served sandbox, and the requests that it refuses."""

import json
import logging
import re
import time
from typing import Any

import httpx
import pytest

import bwp_nb as bwp
from bwp_nb.sandbox.addresses import MAX_BODY
from tests.served import ACCEPTED, ask, connected, control, headers, post, rest, token
from tests.strategies import event


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "0.0.0.0:{port}", ""])
def test_a_foreign_host_is_refused(host: str) -> None:
    """A domain name that someone else pointed at this address does not reach it (DNS rebinding)."""
    with bwp.serve() as server:
        wanted = headers(server)
        response = ask("POST", server.endpoint, headers={**wanted, "Host": host.format(port=server.port)}, json={})
        assert 400 <= response.status_code < 500
        assert [] == server.sandbox.requests
        assert 421 == post(server, Host="evil.example").status_code
        assert ACCEPTED == post(server).json()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "https://{own}", "file://"])
def test_a_foreign_origin_is_refused(origin: str) -> None:
    """It covers requests and CORS preflights."""
    with bwp.serve() as server:
        given = origin.format(own=f"127.0.0.1:{server.port}")
        asks = {"Origin": given, "Access-Control-Request-Method": "POST"}
        answers = [
            post(server, Origin=given),
            ask("OPTIONS", server.endpoint, headers=asks),
            ask("POST", server.token_endpoint, headers={"Origin": given}, data={"client_id": "x"}),
            ask("GET", server.control, headers={"Origin": given, "Authorization": f"Bearer {server.control_token}"}),
        ]
        assert [403] * 4 == [answer.status_code for answer in answers]
        assert [] == [name for answer in answers for name in answer.headers if name.startswith("access-control")]
        assert [] == server.sandbox.requests
        assert ACCEPTED == post(server).json()


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{port}", "http://localhost:{port}", "electron://altair"])
def test_its_own_origin_and_altairs_are_accepted(origin: str) -> None:
    """Altair's desktop program sends the last one; no web page can."""
    with bwp.serve() as server:
        assert ACCEPTED == post(server, Origin=origin.format(port=server.port)).json()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "anything"])
def test_a_request_that_a_browser_marks_as_foreign_is_refused(site: str) -> None:
    """Browsers mark requests that have no Origin, such as those for images, by Sec-Fetch-Site."""
    with bwp.serve() as server:
        answers = [
            post(server, **{"Sec-Fetch-Site": site}),
            ask("GET", server.endpoint, params={"query": "{nothing}"}, headers={"Sec-Fetch-Site": site}),
            control(server, headers={"Sec-Fetch-Site": site}),
        ]
        assert [403] * 3 == [answer.status_code for answer in answers]
        assert [] == server.sandbox.requests


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "electron://altair"},
    ],
)
def test_a_request_that_a_browser_marks_as_own_is_accepted(headers: dict[str, str]) -> None:
    """So is Altair's desktop program, whose origin no web page can have."""
    with bwp.serve() as server:
        given = {name: text.format(port=server.port) for name, text in headers.items()}
        assert ACCEPTED == post(server, **given).json()


def test_localhost_is_an_accepted_host() -> None:
    """It needs the right port."""
    with bwp.serve() as server:
        assert ACCEPTED == post(server, Host=f"LocalHost:{server.port}").json()


def test_no_response_allows_cross_origin_access_or_caching() -> None:
    """No header begins with access-control, and no browser stores a response."""
    with bwp.serve() as server:
        answers = [
            post(server),
            token(server),
            control(server),
            ask("GET", server.address),
            ask("OPTIONS", server.endpoint),
        ]
        assert [] == [name for answer in answers for name in answer.headers if name.startswith("access-control")]
        assert {"no-store"} == {answer.headers["Cache-Control"] for answer in answers}
        assert {"nosniff"} == {answer.headers["X-Content-Type-Options"] for answer in answers}


SHOP = "http://localhost:3000"


def _shared(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/graphql", "/token"])
def test_a_page_of_an_allowed_origin_may_use_the_api(path: str) -> None:
    """Its browser asks first, and may send any header; the page may read the response, an error too."""
    with bwp.serve(allow_origins=[SHOP]) as server:
        address = f"{server.address}{path}"
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-mine"}
        preflight = ask("OPTIONS", address, headers={"Origin": SHOP, "Sec-Fetch-Site": "cross-site", **asks})
        assert (204, SHOP) == (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"])
        assert "*, Authorization" == preflight.headers["Access-Control-Allow-Headers"]  # the latter is not in `*`
        refused = ask("POST", address, headers={"Origin": SHOP}, content="x")
        assert (415, SHOP, "Origin") == (
            refused.status_code,
            refused.headers["Access-Control-Allow-Origin"],
            refused.headers["Vary"],
        )
        assert ACCEPTED == post(server, Origin=SHOP, **{"Sec-Fetch-Site": "same-site"}).json()


@pytest.mark.parametrize("origin", ["http://localhost:3001", "https://localhost:3000", "http://localhost", "null"])
def test_other_origins_stay_refused(origin: str) -> None:
    """An origin is scheme, host and port; a response to another one allows nothing."""
    with bwp.serve(allow_origins=[SHOP]) as server:
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answers = [post(server, Origin=origin), ask("OPTIONS", server.endpoint, headers=asks)]
        assert [403, 403] == [answer.status_code for answer in answers]
        assert [[], []] == list(map(_shared, answers))


def test_an_allowed_origin_changes_nothing_else() -> None:
    """The host is checked, requests without an origin from a browser are refused, and `/control` stays closed."""
    with bwp.serve(allow_origins=[SHOP]) as server:
        bearer = {"Authorization": f"Bearer {server.control_token}", "Origin": SHOP}
        answers = [
            post(server, Origin=SHOP, Host="evil.example"),
            post(server, **{"Sec-Fetch-Site": "cross-site"}),
            ask("GET", server.control, headers=bearer),
            ask("OPTIONS", f"{server.control}/accepted", headers=bearer),
        ]
        assert [421, 403, 403, 403] == [answer.status_code for answer in answers]
        assert [[]] * 3 == list(map(_shared, answers[1:]))
        assert [] == server.sandbox.requests
        assert [] == _shared(post(server))


@pytest.mark.parametrize("origin", ["*", "", "localhost:3000", f"{SHOP}/", f"{SHOP}/page", "http://a\r\nb", "null"])
def test_what_is_not_an_origin_is_refused(origin: str) -> None:
    """There is no wildcard."""
    with pytest.raises(ValueError, match="expected an origin such as http://localhost:3000"):
        bwp.serve(allow_origins=[origin])


@pytest.mark.parametrize("path", ["/", "/graphql/", "/../bwp_nb/server.py", "/index.html", "/controlled", "//graphql"])
def test_every_other_address_is_not_found(path: str) -> None:
    """The server serves no files."""
    with bwp.serve() as server:
        assert 404 == ask("GET", httpx.URL(server.address).copy_with(raw_path=path.encode())).status_code


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/graphql", ["GET", "HEAD", "OPTIONS", "POST"]),
        ("/token", ["OPTIONS", "POST"]),
        ("/control", ["GET", "HEAD", "OPTIONS"]),
        ("/control/accepted", ["GET", "HEAD", "OPTIONS"]),
        ("/control/faults", ["GET", "HEAD", "OPTIONS", "POST"]),
        ("/control/reset", ["OPTIONS", "POST"]),
    ],
)
def test_each_address_names_its_methods_and_refuses_others(path: str, methods: list[str]) -> None:
    """They are listed in the response to OPTIONS and in the refusal."""
    with bwp.serve() as server:
        bearer = {"Authorization": f"Bearer {server.control_token}"}
        options, refused = (ask(method, server.address + path, headers=bearer) for method in ("OPTIONS", "PATCH"))
        assert (204, 405) == (options.status_code, refused.status_code)
        assert [methods] * 2 == [sorted(answer.headers["Allow"].split(", ")) for answer in (options, refused)]


@pytest.mark.parametrize("path", ["/graphql", "/token", "/nothing"])
def test_an_unknown_method_does_not_close_the_connection(path: str) -> None:
    """Its body is read, so the next request on the connection gets its response, too."""
    with bwp.serve() as server, connected(server) as connection:
        host = f"HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        connection.sendall(f"X {path} {host}Content-Length: 9\r\n\r\n".encode())
        time.sleep(0.2)
        connection.sendall(f"{'x' * 9}GET /token {host}Connection: close\r\n\r\n".encode())
        found = re.findall(rb"HTTP/1.1 (\d+)", rest(connection))
        assert [b"404" if path == "/nothing" else b"405", b"405"] == found


def test_the_sandboxs_credentials_get_a_valid_token() -> None:
    """The response has the live API's fields."""
    with bwp.serve() as server:
        given = token(server).json()
        assert (900, ["access_token", "expires_in"]) == (given["expires_in"], list(given))
        assert ACCEPTED == post(server).json()


LIVE = {"grant_type": "client_credentials", "client_id": "amzn1.live-client", "client_secret": "live-secret-value"}


@pytest.mark.parametrize(
    "form",
    [
        LIVE,
        LIVE | {"client_id": ""},
        {"client_secret": "live-secret-value"},
        LIVE | {"client_id": ["sandbox-client", "amzn1.live-client"]},
    ],
)
def test_an_unknown_client_id_is_refused_with_a_warning(form: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Live credentials sent by mistake are stored and shown nowhere."""
    caplog.set_level(logging.DEBUG)
    with bwp.serve() as server:
        response = ask("POST", server.token_endpoint, data=form)
        assert (401, "invalid_client") == (response.status_code, response.json()["error"])
        assert "Live ones do not belong here; nothing of these was kept." in response.json()["error_description"]
        seen = response.text + caplog.text + control(server, "/requests").text + repr(vars(server.sandbox))
        assert [] == [text for text in ("amzn1.live-client", "live-secret-value") if text in seen]


@pytest.mark.parametrize(
    ("changes", "content_type", "expected"),
    [
        ({"client_secret": "wrong"}, "application/x-www-form-urlencoded", 401),
        ({"grant_type": "password"}, "application/x-www-form-urlencoded", 401),
        ({}, "application/x-www-form-urlencoded; charset=utf-8", 200),
        ({}, "application/x-www-form-urlencoded; charset=utf-16", 415),
        ({}, "application/json", 415),
        ({}, "", 415),
    ],
)
def test_a_token_requires_the_right_form(changes: dict[str, str], content_type: str, expected: int) -> None:
    """The secret, the grant type and the media type are checked."""
    own = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    with bwp.serve() as server:
        content = "&".join(f"{name}={value}" for name, value in (own | changes).items())
        response = ask("POST", server.token_endpoint, content=content, headers={"Content-Type": content_type})
        assert expected == response.status_code


@pytest.mark.parametrize(
    "changes",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer wrong"},
        {"x-api-target-id": ""},
        {"x-api-target-id": "bp-11111111-1111-4111-8111-111111111111"},
    ],
)
def test_a_missing_or_wrong_token_or_target_is_denied(changes: dict[str, str]) -> None:
    """The response is the one that the sandbox gives in process."""
    with bwp.serve() as server:
        (error,) = post(server, **changes).json()["errors"]
        assert "AccessDeniedError" == error["extensions"]["classification"]["type"]
        assert [] == server.sandbox.accepted


def test_a_header_that_is_not_ascii_is_denied_like_any_other() -> None:
    """HTTP allows such bytes."""
    with bwp.serve() as server:
        given = httpx.Headers([(b"Authorization", b"Bearer \xe9\xff"), (b"Content-Type", b"application/json")])
        assert 200 == ask("POST", server.endpoint, headers=given, content=b"{}").status_code
        assert 401 == ask("GET", server.control, headers=given).status_code


def test_the_other_name_of_the_target_header_is_accepted() -> None:
    """As in process."""
    with bwp.serve() as server:
        response = post(server, **{"x-api-target-id": "", "X-Omni-TargetId": server.sandbox.target_id})
        assert ACCEPTED == response.json()


@pytest.mark.parametrize("bearer", ["", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x"])
@pytest.mark.parametrize("path", ["", "/accepted", "/requests", "/reset", "/faults", "/nothing"])
def test_the_control_path_requires_its_token(path: str, bearer: str) -> None:
    """Without it nothing is shown or changed."""
    with bwp.serve() as server:
        post(server)
        given = {"Authorization": bearer.format(token=server.control_token)}
        for method in ("GET", "POST", "OPTIONS"):
            assert 401 == ask(method, f"{server.control}{path}", headers=given).status_code
        assert 1 == len(server.sandbox.accepted)


def test_each_server_has_its_own_control_token_and_hides_it() -> None:
    """It is random and not part of the repr."""
    with bwp.serve() as one, bwp.serve() as other:
        assert one.control_token != other.control_token
        assert len(one.control_token) >= 32
        assert one.control_token not in repr(one)
        assert f"Server({one.address})" == repr(one)


def test_the_control_path_shows_what_arrived() -> None:
    """It lists accepted, rejected and duplicate events and requests, and counts them."""
    with bwp.serve(bwp.Sandbox(latency=0, deduplicate=True)) as server:
        for given in (event(), event(), event(event_time="2023")):
            post(server, bwp.Mutation(given).payload)
        counts = {"accepted": 1, "duplicates": 1, "rejected": 1, "requests": 3}
        limits = {"dropped": 0, "keep": 200_000, "keep_tokens": 1_000}
        assert counts | limits == control(server).json()
        found = {name: control(server, f"/{name}").json() for name in counts}
        assert {name: getattr(server.sandbox, name) for name in counts} == found
        assert [event().input] == found["accepted"]


def test_a_served_sandbox_keeps_a_bounded_number_and_says_so() -> None:
    """The control path has the limits and the totals, and counts what was dropped."""
    with bwp.serve(bwp.Sandbox(latency=0, keep=2)) as server:
        for number in range(4):
            post(server, bwp.Mutation(event(event_id=f"id-{number}")).payload)
        counts = {"accepted": 4, "duplicates": 0, "rejected": 0, "requests": 4, "dropped": 4}
        assert counts | {"keep": 2, "keep_tokens": 1_000} == control(server).json()
        assert ["id-2", "id-3"] == [item["eventId"] for item in control(server, "/accepted").json()]


def test_a_new_served_sandbox_keeps_ten_thousand_of_each_kind() -> None:
    """It may run for days."""
    with bwp.serve() as server:
        assert 10_000 == control(server).json()["keep"]


def test_the_control_path_resets_the_sandbox() -> None:
    """It does the same as `reset()`."""
    with bwp.serve() as server:
        post(server)
        assert 200 == control(server, "/reset", "POST").status_code
        assert 0 == control(server).json()["requests"]


def test_the_control_path_lists_and_starts_faults() -> None:
    """A fault has a name, a number of times, and options."""
    with bwp.serve() as server:
        assert [fault.name for fault in bwp.faults()] == [item["name"] for item in control(server, "/faults").json()]
        order = {"name": "message", "times": 2, "options": {"text": "Not on Sundays"}}
        assert order == control(server, "/faults", "POST", json=order).json()
        said = [post(server).json().get("errors", [{}])[0].get("message") for _ in range(3)]
        assert ["Not on Sundays", "Not on Sundays", None] == said


@pytest.mark.parametrize(
    "order",
    [
        {"name": "nothing"},
        {"name": ["slow"]},
        {"name": "slow", "times": 0},
        {"name": "slow", "times": 100_001},
        {"name": "slow", "times": "x"},
        {"name": "slow", "options": {"minutes": 5}},
        {"name": "slow", "options": []},
        {"times": 5},
        [],
        "slow",
    ],
)
def test_an_invalid_order_of_a_fault_is_refused(order: Any) -> None:
    """The status is HTTP 400 with the reason, and the next request succeeds."""
    with bwp.serve() as server:
        response = control(server, "/faults", "POST", json=order)
        assert (400, True) == (response.status_code, "Expected {name" in response.json()["errors"][0]["message"])
        assert ACCEPTED == post(server).json()


def test_an_order_of_a_fault_must_be_json() -> None:
    """A form of a web page cannot send it."""
    with bwp.serve() as server:
        assert 415 == control(server, "/faults", "POST", content=b'{"name": "slow"}').status_code


def test_a_fault_that_raises_is_http_500_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server goes on."""
    with bwp.serve() as server:
        control(server, "/faults", "POST", json={"name": "redirect", "options": {"location": 5}})
        assert (500, ["errors"]) == ((response := post(server)).status_code, list(response.json()))
        assert "A request could not be answered" in caplog.text
        assert ACCEPTED == post(server).json()


def test_a_refusal_is_always_json() -> None:
    """The message is in `errors`, in the media type that the client accepts."""
    with bwp.serve() as server:
        answers = [
            post(server, **{"Content-Type": "text/plain"}),
            post(server, Accept="text/html"),
            post(server, b"x" * (MAX_BODY + 1)),
            ask("GET", f"{server.address}/nothing"),
        ]
        assert [415, 406, 413, 404] == [answer.status_code for answer in answers]
        assert [["message"]] * 4 == [list(answer.json()["errors"][0]) for answer in answers]
        draft = post(server, {"query": 5, "variables": 5}, Accept="application/graphql-response+json")
        assert "application/graphql-response+json" == draft.headers["Content-Type"]


def test_a_body_of_the_maximum_size_is_accepted() -> None:
    """One more byte is refused."""
    body = json.dumps({"query": bwp.documented.PAGE_LOAD.request}).encode()
    with bwp.serve() as server:
        assert ACCEPTED == post(server, body.ljust(MAX_BODY)).json()
        assert 413 == post(server, body.ljust(MAX_BODY + 1)).status_code
