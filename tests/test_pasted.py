"""What people paste is read for what it is, and never run."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import snippets
from tests.strategies import PROPERTY

NASTY = "a 'quoted' \"text\"\nwith a line break, \U0001f600, $(rm -rf), `id`, $HOME, !!, %s and a \\ backslash\\n"
EVENT = bwp.UserEvent(
    "page-load",
    "11c7e59a-d462-4254-bc7e-3e44528ef6d0",
    "2023-12-03T10:15:30Z",
    "WEBSITE_CLIENT",
    "1.0",
    additional_properties={"current_url": NASTY, "@file": "@/etc/hostname", NASTY: "", "": "'"},
)
BODY = json.dumps(bwp.Mutation([EVENT]).payload)


@pytest.mark.parametrize(
    "line",
    [
        "curl -sS -X POST https://x.example/graphql -H 'Content-Type: application/json' -d {}",
        "$ curl https://x.example/graphql --data={}",
        "!curl https://x.example/graphql \\\n  --json {}",
        "curl.exe https://x.example/graphql \\\r\n  --data-binary {} \\\r\n",
        "# A token first.\nexport TOKEN=$(curl -s https://x.example \\\n  -d a=b)\ncurl 'https://x.example' -d {}",
        "# It's without a token.\n\ncurl 'https://x.example/graphql' --compressed -sd {}",
        'curl "https://x.example/graphql" -H "Authorization: Bearer $TOKEN" -d{} -u "$(whoami)"',
        "curl -H -d -A --data --data-ascii {} https://x.example/graphql",
    ],
)
def test_a_curl_line_is_read_however_its_data_is_given(line: str) -> None:
    """Short, long and joined options, prompts, comments and continued lines all give the request."""
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(line.format(shlex.quote(BODY)))


OTHER = shlex.quote(json.dumps(bwp.Mutation([replace(EVENT, client_version="2.0")]).payload))


@pytest.mark.parametrize(
    "text",
    [
        "# curl https://x.example -d {other}\ncurl https://x.example -d {body}",
        "curl https://x.example -d {body}\n# It's curl https://x.example -d {other}",
        "curl https://x.example -d {body}\n# curl https://x.example -d {other}",
        """curl x -d '{{"grant_type": "client_credentials"}}'\ncurl https://x.example -d {body}""",
        "BODY={other}\ncurl https://x.example -d {body}",
        """curl https://x.example -b '{{"a":1}}' -H 'x: {{b}}' -d {body}""",
        'TOKEN=$(curl https://x.example \\\n --json \'{{"grant_type": "client_credentials"}}\')\ncurl x -d {body}',
        "TOKEN=$(\n  curl x -d 'grant_type=a' | cut -d '\"' -f 4\n)\ncurl x -d {body}",
    ],
)
def test_the_body_of_a_curl_line_is_what_it_posts(text: str) -> None:
    """Not the JSON in a comment, a variable, a cookie, a header or the request for a token."""
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(text.format(body=shlex.quote(BODY), other=OTHER))


@pytest.mark.parametrize(
    "more", ["-d {}", "--next x -d{}", "\ncurl x --data-raw={}", "-d @body.json", '; curl -d "$B"']
)
def test_of_several_bodies_none_is_chosen(more: str) -> None:
    """A command with two bodies, and two commands, are refused."""
    text = f"curl x -d {shlex.quote(BODY)} {more.format(OTHER)}"
    with pytest.raises(bwp.InvalidEvent, match="the text posts 2 bodies; paste one command with one body"):
        bwp.Mutation.parse(text)


def test_graphql_is_read_with_and_without_curl() -> None:
    """As a body of its own, and with a line that looks like a command in a block string."""
    text = bwp.Mutation([EVENT]).text
    command = f"curl x -H 'Content-Type: application/graphql' --data-binary {shlex.quote(text)}"
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(command)
    block = text.replace('clientVersion: "1.0"', 'clientVersion: """\ncurl x -d {}\n# no comment\n"""')
    event = replace(EVENT, client_version="curl x -d {}\n# no comment")
    assert bwp.Mutation([event]) == bwp.Mutation.parse(block)
    assert bwp.Mutation([event]) == bwp.Mutation.parse(f"curl x -d {shlex.quote(block)}")


def test_a_curl_line_copied_from_a_browser_is_read() -> None:
    """Browsers quote as $'…', with escapes; an emoji comes as two halves."""
    line = f"curl 'https://x.example/graphql' \\\n  -H 'accept: */*' \\\n  --data-raw {_as_browsers_quote(EVENT)} ;"
    assert "\\ud83d\\ude00" in line
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(line)


def _body(event: bwp.UserEvent, *, ascii_only: bool = True) -> str:
    return json.dumps(bwp.Mutation([event]).payload, ensure_ascii=ascii_only)


def _as_browsers_quote(event: bwp.UserEvent) -> str:
    plain = (
        c if c.isascii() and c.isprintable() and c not in "'\\" else _browser_escape(c)
        for c in _body(event, ascii_only=False)
    )
    return f"$'{''.join(plain)}'"


def _browser_escape(character: str) -> str:
    if character in "'\\\n":
        return {"'": "\\'", "\\": "\\\\", "\n": "\\n"}[character]
    halves = character.encode("utf-16-be").hex()
    return "".join(f"\\u{halves[at : at + 4]}" for at in range(0, len(halves), 4))


def _in_double_quotes(event: bwp.UserEvent) -> str:
    escaped = re.sub(r'([\\"$`])', r"\\\1", _body(event))
    return f'"\\\n{escaped}"'


#: The ways in which people and programs quote a text for a shell.
QUOTED = {
    "single": lambda event: shlex.quote(_body(event)),
    "single, with escapes": lambda event: "'{}'".format(_body(event).replace("'", "'\\''")),
    "double": _in_double_quotes,
    "browser": _as_browsers_quote,
}


@pytest.mark.parametrize("quoted", QUOTED.values(), ids=QUOTED)
@settings(PROPERTY, max_examples=20)
@given(text=st.text("ab'\"\\ $`@é\n{}nxu01", max_size=12))
def test_a_body_is_read_as_the_shell_reads_it(quoted: Callable[[bwp.UserEvent], str], text: str) -> None:
    """In each kind of quotes, with any text in it; inside double quotes a backslash also joins a continued line."""
    event = replace(EVENT, client_version=text)
    assert bwp.Mutation([event]) == bwp.Mutation.parse(f"curl https://x.example -d {quoted(event)} -s")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "curl https://x.example -d @body.json",
            "the cURL command has no JSON body in quotes; files are not read, so paste the body itself",
        ),
        ("curl https://x.example", "the cURL command has no JSON body in quotes"),
        ("curl https://x.example -d '{", "the cURL command has no JSON body in quotes"),
        ("curl https://x.example --json @-", "the cURL command has no JSON body in quotes"),
        ('curl https://x.example -d "$BODY"', "a shell would replace the $ or ` in '$BODY'"),
        ("curl https://x.example -d $(cat body)", "a shell would replace the $ or ` in '$(cat'"),
        ("curl x -d $'{\\u12'", "an escape in its $'…' is invalid"),
        ("curl x -d $'{\\xzz'", "an escape in its $'…' is invalid"),
        ("curl x -d $'{\\e'", "invalid GraphQL at line 1"),
        ('curl https://x.example -d "{$ID}"', "a shell would replace the $ or ` in '{$ID}'"),
        ('curl https://x.example -d "{`cat`}"', "a shell would replace the $ or ` in '{`cat`}'"),
        ('curl ^"https://x.example^" -d ^"{}^"', "the command is quoted for the Windows command prompt"),
        ("TOKEN=\\\n" * 2000 + "\ncurl x", "the cURL command has no JSON body in quotes"),
        ("TOKEN=\\\n" * 2000, "invalid GraphQL at line 1"),
        ("const request = {\n};", "expected a JSON object with a query"),
        ('curl "https://x.example" --data-raw "{""query"":""""}"', "is quoted for the Windows command prompt"),
        ("curl -X POST ^\n --data x", "is quoted for the Windows command prompt"),
        (
            "mutation a($i: I!) { sendUserEvents(input: $i) { status } }",
            "the variables, with the events, are",
        ),
        ('{"query": "a" "b"}', "invalid JSON: Expecting ',' delimiter: line 1 column 15"),
        ("[{'query': 'a'}]", "invalid JSON: Expecting property name enclosed in double quotes: line 1 column 3"),
        ("const request = {nonsense\n};", "expected a mutation, got a query"),
        ("bwp.UserEvent('click')", "the UserEvent on line 1 has positional arguments"),
        ("UserEvent(event_type=f())", "event_type on line 1 is not a literal, and pasted code is not run"),
        ("httpx.post(url, json=payload)", "json on line 1 is not a literal"),
        ("httpx.post(url, json=b'x')", "json on line 1 is not JSON: Object of type bytes"),
        ("httpx.post(url, json={1, 2})", "json on line 1 is not JSON: Object of type set"),
        (
            "requests.post(url, data=json.dumps(body))",
            "the code has no UserEvent(…), no call with json=",
        ),
        (
            'fetch("https://x.example", {"body": null});',
            "the code has no UserEvent(…), no call with json=",
        ),
        ("UserEvent(event_type='click', size=1)", "event 0, size: unknown field; UserEvent has event_type, event_id,"),
        ("UserEvent(event_type='click')", "event 0, clientVersion: must be a str, got None"),
        ("UserEvent(**click)", "** on line 1 is not a literal, and pasted code is not run"),
        ("UserEvent(event_type=1, event_id='', event_time='', client_type='', client_version='')", "must be a str"),
    ],
)
def test_a_pasted_text_that_cannot_be_read_says_why(text: str, reason: str) -> None:
    """The reason names what stands in the way."""
    with pytest.raises(bwp.InvalidEvent) as caught:
        bwp.Mutation.parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        'await fetch("https://x.example", {{"headers": {{"accept": "*/*"}}, "body": {}, "method": "POST"}});',
        'import requests\n\npayload = {}\nrequests.request("POST", "https://x.example", data=payload)\n',
    ],
    ids=["fetch of a browser", "Python with a text"],
)
def test_a_body_that_is_a_text_in_code_is_read(code: str) -> None:
    """As a browser copies `fetch`, and as other tools write Python."""
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(code.format(json.dumps(BODY)))


def test_pasted_python_is_never_run(tmp_path: Path) -> None:
    """Code beside the values has no effect."""
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w')\n{snippets.python_bwp_nb(bwp.Mutation([EVENT]))}"
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(code)
    assert not mark.exists()


def test_the_repr_of_events_reads_back() -> None:
    """What a notebook shows of an event can be pasted."""
    assert bwp.Mutation([EVENT, EVENT]) == bwp.Mutation.parse(repr([EVENT, EVENT]))
