"""What people paste is read for what it is, and never run."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bwp_nb as bwp
from bwp_nb import pasted, snippets

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
        "# Needs a token.\n\ncurl 'https://x.example/graphql' --compressed -sd {}",
        'curl "https://x.example/graphql" -H "Authorization: Bearer $TOKEN" -d{} -u "$(whoami)"',
        "curl -H -d -A --data --data-ascii {} https://x.example/graphql",
    ],
)
def test_a_curl_line_is_read_however_its_data_is_given(line: str) -> None:
    """Short, long and joined options, prompts, comments and continued lines all give the request."""
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(line.format(shlex.quote(BODY)))


def test_a_curl_line_copied_from_a_browser_is_read() -> None:
    """Browsers quote as $'…', with escapes; an emoji comes as two halves."""
    escaped = "".join(
        c if c.isascii() and c.isprintable() and c not in "'\\" else _browser_escape(c)
        for c in json.dumps(bwp.Mutation([EVENT]).payload, ensure_ascii=False)
    )
    line = f"curl 'https://x.example/graphql' \\\n  -H 'accept: */*' \\\n  --data-raw $'{escaped}' ;"
    assert "\\ud83d\\ude00" in line
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(line)


def _browser_escape(character: str) -> str:
    if character in "'\\\n":
        return {"'": "\\'", "\\": "\\\\", "\n": "\\n"}[character]
    halves = character.encode("utf-16-be").hex()
    return "".join(f"\\u{halves[at : at + 4]}" for at in range(0, len(halves), 4))


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@settings(max_examples=20, deadline=None)
@given(words=st.lists(st.text("ab'\"\\ $`@é\n{}nxu01", max_size=6), min_size=1, max_size=4))
def test_words_are_split_as_the_shell_splits_them(words: list[str]) -> None:
    """What the shell quotes in either way is split into the same words."""
    command = ["bash", "-c", 'printf "%q " "$@"', "bash", *words]
    quoted = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert words == pasted._words(quoted)


def test_double_quotes_are_read_as_the_shell_reads_them() -> None:
    """Inside double quotes a backslash escapes four characters, and joins a continued line."""
    body = BODY.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    assert bwp.Mutation([EVENT]) == bwp.Mutation.parse(f'curl -d "\\\n{body}" https://x.example')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("curl https://x.example -d @body.json", "the body is in the file 'body.json', which is not read"),
        ("curl https://x.example --json @-", "the body is in standard input, which is not read"),
        ("curl https://x.example --data-raw @-", "invalid GraphQL at line 1, column 1"),
        ("curl https://x.example", "the cURL command has no --data"),
        ("curl https://x.example --data", "option --data requires argument"),
        ("curl https://x.example -d '{", "a quotation mark is not closed"),
        ('curl https://x.example -d "$BODY"', "a shell would replace the $ or ` in '$BODY'"),
        ("curl https://x.example -d $(cat body)", "a shell would replace the $ or ` in '$(cat'"),
        ('curl ^"https://x.example^" -d ^"{}^"', "the command is quoted for the Windows command prompt"),
        ("TOKEN=\\\n" * 2000 + "\ncurl x", "the cURL command has no --data"),
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
        (
            "requests.post(url, data=json.dumps(body))",
            "the code has no UserEvent(…), no call with json=",
        ),
        (
            'fetch("https://x.example", {"body": null});',
            "the code has no UserEvent(…), no call with json=",
        ),
        ("UserEvent(event_type='click', size=1)", "size: unknown field; UserEvent has"),
        ("UserEvent(event_type='click')", "eventId: must be a str, got None"),
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
