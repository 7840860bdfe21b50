"""HTML displays: one for each public type; readable without a style sheet, escaped, cut, not typeset."""

import inspect
import re

import pytest

import bwp_nb as bwp
from bwp_nb.displays.html import Html, Listing, card, code, html_table
from tests.displays.objects import html, objects
from tests.hostile import HOSTILE, page

SHOWN = objects("<img src=x onerror=alert(1)> $x^2$ & “User Event Schema”")
EVERY_DISPLAY = pytest.mark.parametrize("name", SHOWN)


def test_each_public_type_has_a_display() -> None:
    """A new public type needs one."""
    types = {name for name in bwp.__all__ if inspect.isclass(getattr(bwp, name))}
    assert set() == types - set(SHOWN)
    assert set() == {name for name in types if type(SHOWN[name]) is not getattr(bwp, name)}


@EVERY_DISPLAY
def test_a_display_is_readable_without_a_style_sheet(name: str) -> None:
    """It has no style sheet and no script; what is in it is a table, a code block, a text or a picture."""
    shown = html(SHOWN[name])
    assert not re.search(r"<style|<script|<svg", shown)
    assert re.search(r"<t[dh]|<pre|<p>|<img", shown)


@EVERY_DISPLAY
def test_a_display_is_not_typeset(name: str) -> None:
    """MathJax leaves out what has this class."""
    assert html(SHOWN[name]).startswith('<div class="tex2jax_ignore mathjax_ignore">')


@EVERY_DISPLAY
def test_no_display_has_an_empty_column(name: str) -> None:
    """A column without any value is left out."""
    for table in re.findall(r"<table.*?</table>", html(SHOWN[name])):
        rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
        body = [row for row in rows if row]
        assert [] == [place for place in range(len(body[0])) if not any(row[place] for row in body)]


@EVERY_DISPLAY
def test_colours_suit_light_and_dark_pages(name: str) -> None:
    """A colour comes with a background of its own."""
    styles = re.findall(r'style="([^"]*)"', re.sub(r"<pre.*?</pre>", "", html(SHOWN[name]), flags=re.DOTALL))
    assert [] == [style for style in styles if re.search(r"(?<!-)color:", style) and "background-color:" not in style]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_only_shown(name: str) -> None:
    """Of an event, a server or a source, in every display."""
    text, _ = HOSTILE[name]
    found = {kind: html(shown) for kind, shown in objects(text[:20_000]).items()}
    assert max(map(len, found.values())) < 500_000
    pages = {kind: page(re.sub(r'<img src="data:image/svg[^>]*>', "", shown)) for kind, shown in found.items()}
    harm = {kind: [one for one in found.harm if not one.endswith("characters")] for kind, found in pages.items()}
    assert {} == {kind: harmful for kind, harmful in harm.items() if harmful}


def test_a_cited_page_is_a_link() -> None:
    """To the page of the documentation, and to nothing that a text says."""
    shown = card("documented in “User Event Schema”", "see “https://evil.example”")
    assert ["https://documents.buywithprime.amazon.com/bwp-api/docs/user-event-schema"] == re.findall(
        'href="(.*?)"', shown
    )


def test_a_long_table_is_cut() -> None:
    """After a hundred rows it says how many follow."""
    shown = html_table([str(number)] for number in range(1_000))
    assert 100 == shown.count("<tr>")
    assert "and 900 more rows" in shown


def test_long_code_is_cut_and_its_lines_stay() -> None:
    """A megabyte is not put on a page."""
    shown = code("line\n" * 200_000, "json")
    assert len(shown) < 21_000
    assert "(1,000,000 characters)" in shown
    assert page(shown).text.startswith("line\nline\n")


def test_a_request_is_highlighted_and_its_body_folded() -> None:
    """The GraphQL as the documentation prints it, and the JSON below."""
    mutation = bwp.Mutation.parse(bwp.documented.PAGE_LOAD.request)
    shown, folded = mutation._repr_html_().split("<details>")
    assert '<span style="color: #' in shown
    assert mutation.text.strip() == page(shown).text.strip()
    assert '"eventType": "page-load"' in page(folded).text


def test_an_event_has_its_problems_and_hints_beside_its_fields() -> None:
    """Each in the row of its field."""
    event = bwp.UserEvent("page_load", "x", "2023", "SERVER_CLIENT", "1.0", additional_properties={"currentUrl": "a"})
    rows = [page(row).text for row in re.findall(r"<tr>.*?</tr>", event._repr_html_())]
    assert "did you mean 'page-load'" in rows[1]
    assert "is not a UUID version 4" in rows[2]
    assert "is not a UTC date-time" in rows[3]
    assert "SERVER_CLIENT" in rows[4]
    assert "the newer page “sendUserEvents” has current_url" in rows[6]


def test_a_call_has_its_request_beside_its_response() -> None:
    """And its message, if it failed."""
    client = bwp.connect()
    client.sandbox.fail_next("html")
    with pytest.raises(bwp.RequestFailed) as caught:
        client.send(client.new_event("click"))
    shown = page(client.history[0]._repr_html_()).text
    for text in ("requestresponse", '"eventType": "click"', "<title>Sign in</title>", str(caught.value)):
        assert text in shown


def test_a_history_shows_its_latest_calls() -> None:
    """By the number with which they are indexed."""
    client = bwp.connect()
    for _ in range(30):
        client.send(client.new_event("click"))
    shown = client.history._repr_html_()
    assert "The latest 20 of 30 exchanges" in shown
    assert [str(number) for number in range(10, 30)] == re.findall(r"<tr><td[^>]*>(\d+)</td>", shown)


def test_a_list_is_a_list() -> None:
    """A display changes nothing in what a program does with it."""
    problems = bwp.UserEvent("x", "id", "2023", "SERVER_CLIENT", "1.0").problems()
    assert isinstance(problems, list)
    assert problems == list(problems)
    assert repr(list(problems)) == repr(problems)
    assert "<p>0 problems</p>" in Listing([], "problem")._repr_html_()


def test_html_is_not_escaped_twice() -> None:
    """Only texts are escaped."""
    assert "<b>a &amp; b</b>" in html_table([[Html("<b>a &amp; b</b>")]])
    assert "&lt;b&gt;" in html_table([["<b>"]])
