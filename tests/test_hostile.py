"""Text of a server is only shown: by reprs, tables, charts, errors and histories."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import BwpError, Client, InvalidEvent, MutationRejected, Receipt, Sandbox, plots
from bwp_nb.forms.request import answer as shown_answer
from bwp_nb.sandbox.api import SandboxClock
from tests.hostile import HOSTILE, chart, harm_of_text, page
from tests.servers import SUCCESS
from tests.strategies import event

EVERY_TEXT = pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)

#: Functions that show an error or a history as text.
TEXTS: dict[str, Callable[[Client, Any], str]] = {
    "str": lambda _, error: str(error),
    "table": lambda _, error: bwp.explain(error).to_string(),
    "history": lambda client, _: repr(client.history),
    "exchange": lambda client, _: repr(list(client.history)),
    "history's table": lambda client, _: client.history.frame().to_string(),
}
PAGES: dict[str, Callable[[Client, Any], str]] = {
    "error": lambda _, error: error._repr_html_(),
    "table": lambda _, error: _html(bwp.explain(error)),
    "history": lambda client, _: _html(client.history.frame()),
}
CHARTS: dict[str, Callable[[bwp.History], plots.Chart]] = {
    "outcomes": plots.outcomes,
    "errors": plots.errors,
    "latency": plots.latency,
}


def _html(frame: pd.DataFrame) -> str:
    """Return the HTML of a frame in a notebook."""
    shown: str = frame._repr_html_()  # type: ignore[operator]
    return shown


def _error(classification: Any, text: str) -> dict[str, Any]:
    return {"message": text, "extensions": {"classification": classification}}


def _json(given: Any, **headers: str) -> httpx.Response:
    content = json.dumps(given).encode()
    return httpx.Response(200, content=content, headers={"Content-Type": "application/json", **headers})


#: The places of a text in a response.
PLACES: dict[str, Callable[[str], httpx.Response]] = {
    "message": lambda text: _json({"errors": [_error({"type": "ValidationError"}, text)]}),
    "no message": lambda text: _json({"errors": [{"text": text}]}),
    "message that is not a string": lambda text: _json({"errors": [_error(None, [text])]}),  # type: ignore[arg-type]
    "classification": lambda text: _json({"errors": [_error({"type": text}, "No.")]}),
    "classification as text": lambda text: _json({"errors": [_error(text, "No.")]}),
    "status beside an error": lambda text: _json({"errors": [{}], "data": {"sendUserEvents": {"status": text}}}),
    "errors that are not a list": lambda text: _json({"errors": text}),
    "page": lambda text: httpx.Response(
        200, content=text.encode("utf-8", "surrogatepass"), headers={"Content-Type": "text/html"}
    ),
    "content type": lambda text: httpx.Response(
        200, headers=[(b"Content-Type", text.encode("utf-8", "surrogatepass"))], content=b"<p>"
    ),
    "location": lambda text: httpx.Response(302, headers=[(b"Location", text.encode("utf-8", "surrogatepass"))]),
    "network": lambda text: (_ for _ in ()).throw(httpx.ReadError(text)),
}


def _failed(answer: Callable[[httpx.Request], httpx.Response]) -> tuple[Client, BwpError]:
    client = Client(httpx.MockTransport(answer), "https://api.invalid/graphql", clock=SandboxClock())
    with pytest.raises(BwpError) as caught:
        client.send(event())
    return client, caught.value


@EVERY_TEXT
def test_a_message_is_shown_with_escapes(text: str, shown: str) -> None:
    """In the error, in its table and HTML, and in the history; only invisible characters are escaped."""
    sandbox = Sandbox()
    sandbox.fail_next("message", text=text)
    client = bwp.connect(sandbox)
    with pytest.raises(MutationRejected) as caught:
        client.send(event())
    error = caught.value
    for text_shown in (str(error), bwp.explain(error)["what"][0], client.history.frame()["message"][0]):
        assert shown in text_shown
    assert shown in page(error._repr_html_()).text
    assert text == error.errors[0]["message"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOSTILE)
def test_no_surface_does_more_than_show_a_text(place: str, name: str) -> None:
    """Nothing that a terminal or a browser would interpret, and nothing too long, at any place of a response."""
    text, _ = HOSTILE[name]
    client, error = _failed(lambda _: PLACES[place](text))
    harm = {name: harm_of_text(show(client, error)) for name, show in TEXTS.items()}
    harm |= {f"{name} as HTML": page(show(client, error)).harm for name, show in PAGES.items()}
    assert {} == {name: found for name, found in harm.items() if found}


@pytest.mark.parametrize(
    "name", ["image", "style", "entity", "terminal", "TeX", "path", "direction", "lines", "nought", "megabyte"]
)
def test_no_chart_does_more_than_show_a_text(name: str) -> None:
    """Labels are text."""
    text, shown = HOSTILE[name]
    client, _ = _failed(lambda _: PLACES["classification"](text))
    charts = {name: draw(client.history) for name, draw in CHARTS.items()}
    harm = {name: chart(drawn.svg).harm + harm_of_text(repr(drawn)) for name, drawn in charts.items()}
    assert {} == {name: found for name, found in harm.items() if found}
    assert shown in chart(charts["errors"].svg).text
    assert shown in repr(charts["errors"])


@pytest.mark.parametrize("name", ["image", "style", "terminal", "TeX", "direction", "nought", "megabyte"])
def test_the_type_of_an_event_is_text_in_the_chart_of_arrivals(name: str) -> None:
    """Event types may come from a log that others wrote."""
    text, shown = HOSTILE[name]
    client = bwp.connect()
    assert client.sandbox is not None
    client.send(event(event_type=f"{text[:40]} type"))
    drawn = plots.arrivals(client.sandbox)
    assert [] == chart(drawn.svg).harm + harm_of_text(repr(drawn))
    assert shown in chart(drawn.svg).text


@EVERY_TEXT
def test_a_value_of_our_own_event_is_shown_as_text(text: str, shown: str) -> None:
    """Our own checks and rejections quote it."""
    del shown
    client = bwp.connect()
    assert client.sandbox is not None
    with pytest.raises(InvalidEvent) as invalid:
        client.send(event(event_type=text, event_id=text, event_time=text, additional_properties={text: text}))
    sent = text.replace("\ud800", "")
    client.sandbox.refuse(sent)
    with pytest.raises(MutationRejected) as rejected:
        client.send(event(event_id=sent))
    for error in (invalid.value, rejected.value):
        harm = {name: harm_of_text(show(client, error)) for name, show in TEXTS.items()}
        harm |= {f"{name} as HTML": page(show(client, error)).harm for name, show in PAGES.items()}
        assert {} == {name: found for name, found in harm.items() if found}


@EVERY_TEXT
def test_a_receipt_shows_a_text_with_escapes(text: str, shown: str) -> None:
    """A note may be any text."""
    answer = _json(SUCCESS | {"extensions": {"sandbox": [text]}})
    client = Client(httpx.MockTransport(lambda _: answer), "https://api.invalid/graphql")
    found = client.send(event())
    assert isinstance(found, Receipt)
    assert [] == harm_of_text(repr(found), 5_000)
    html = page(shown_answer(found, client.history[-1]))
    assert shown in html.text
    assert {"h4", "code", "b", "ul", "li"} >= set(html.harm)  # These tags are our own.


@EVERY_TEXT
def test_a_history_keeps_a_text_as_it_came(text: str, shown: str) -> None:
    """Only texts for people are escaped."""
    del shown
    client, _ = _failed(lambda _: PLACES["message"](text))
    answer = client.history[0].answer
    assert text == answer["errors"][0]["message"]
    assert [] == bwp.compare(client.history, client.history)


def test_a_path_in_a_message_is_not_opened() -> None:
    """It is only shown."""
    client, error = _failed(lambda _: PLACES["message"]("/etc/passwd"))
    assert "root:" not in str(error) + bwp.explain(error).to_string() + client.history.frame().to_string()


def test_a_thousand_errors_are_not_a_thousand_rows() -> None:
    """The table is cut after a hundred."""
    _, error = _failed(lambda _: _json({"errors": [{}] * 10_000}))
    assert 101 == len(bwp.explain(error))
    assert "and 9900 more" in error.rows()[-1]["what"]


def test_what_looks_like_a_formula_is_not_typeset() -> None:
    """A notebook typesets text between dollar signs, unless a class prevents it."""
    _, error = _failed(lambda _: PLACES["message"]("It costs $5 or $6."))
    assert error._repr_html_().startswith('<div class="tex2jax_ignore mathjax_ignore">')
