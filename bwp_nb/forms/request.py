"""The request of a form as text for other tools, the answer to it, and texts and files that fill the form."""

import base64
import json
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import ipywidgets as widgets

from bwp_nb import snippets
from bwp_nb.client import Client
from bwp_nb.displays.html import Html, card, html_table
from bwp_nb.errors import BwpError, InvalidEvent
from bwp_nb.event import UserEvent
from bwp_nb.forms.drafts import Drafts, mutation, place
from bwp_nb.forms.page import Page, code, set_visible, status
from bwp_nb.history import Exchange, History
from bwp_nb.mutation import Mutation
from bwp_nb.tables import rows
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import Receipt

_ONE, _ALL = "this event", "all events"
_LIVE, _SANDBOX = "the live API", "this sandbox"
_CSV = "Not for spreadsheets: cells that begin like a formula are unchanged"
_COLLECTION = "sendUserEvents.postman_collection.json"

_MOST_LISTED, _MOST_SHOWN = 10, 20_000
_EARLIER = '<p class="bwp-rule">This is the answer to the request before the last edit.</p>'

#: The longest request, in characters, that is shown anew after each key.
_MOST_WHILE_TYPING = 4_000

_HINT = "GraphQL, JSON, a cURL command, Python or JavaScript code, JSONL, CSV, or cells of a spreadsheet"

# The link is pressed at once; where HTML runs no attributes, the user presses it.
_PRESS = """<style onload="this.parentNode.querySelector('a').click()"></style>"""
_COPY = """<button class="bwp-copy" onclick="this.closest('.bwp').bwp.copy(this)">Copy</button>"""


class RequestArea:
    """Shows the request of the selected event or of all as `html`, for the live API or this sandbox; saves events.

    `request_as`, `request_of` and `request_for` select what is shown; `show_request` shows a long one after an edit.
    `save_json`, `save_csv` and `save_postman` download all events. The sandbox is served from its first selection until
    `close`.
    """

    def __init__(self, page: Page, client: Client, drafts: Drafts) -> None:
        self._client, self._drafts = client, drafts
        self.html = ""
        choice = partial(page.make, widgets.Dropdown, changed=self.show)
        self.request_as = choice(description="Request", options=list(snippets.FORMS))
        self.request_of = choice(description="of", options=[_ONE, _ALL])
        self.request_for = choice(description="for", options=[_LIVE, _SANDBOX][: 1 + (client.sandbox is not None)])
        self.show_request = page.button("Show the request", self.show, css="bwp-hidden")
        self.save_json = page.button("events.json", partial(self._save, "events.json", rows.to_json))
        self.save_csv = page.button("events.csv", partial(self._save, "events.csv", rows.to_csv), tooltip=_CSV)
        self.save_postman = page.button("Postman collection", partial(self._save, _COLLECTION, self._postman))
        self._request, self._saved = page.html(), page.html()
        parts = [self.request_as, self.request_of, self.request_for, self._request, self.show_request]
        parts += [page.html("Save all as", css="bwp-title"), self.save_json, self.save_csv, self.save_postman]
        self.view = page.box([*parts, self._saved], "bwp-request")

    def text(self) -> str:
        """Return the request as it is selected; raises `InvalidEvent` if an event repeats a property name."""
        selected = None if self.request_of.value == _ALL else self._drafts.selected
        request = mutation([selected] if selected else self._drafts.items)
        return snippets.FORMS[self.request_as.value](request, self._destination())

    def show(self, *, is_typed: bool = False) -> None:
        """Show the request, unless it is long and somebody is typing."""
        self._saved.value = ""
        name, text = self.request_as.value, ""
        try:
            text = self.text()
            self.html = code(text, f"Request: {name}", snippets.LANGUAGES[name])
            shown = f'<div class="bwp-copied">{_COPY}<span role="status"></span>{self.html}</div>'
        except InvalidEvent as error:
            self.html = shown = status(f"The request is incomplete: {error.problems[0].message}.", "bad")
        is_late = is_typed and len(text) > _MOST_WHILE_TYPING
        self._request.value = status("The events were edited.") if is_late else shown
        set_visible(self.show_request, visible=is_late)

    def close(self) -> None:
        """Stop serving the sandbox."""
        if "_server" in vars(self):
            vars(self).pop("_server").close()

    @cached_property
    def _server(self) -> Any:
        from bwp_nb.sandbox.server import serve  # without tornado a form works, too

        return serve(self._client.sandbox)

    def _destination(self) -> snippets.Destination:
        if self._client.sandbox is None:
            return snippets.Destination.of(self._client)
        return snippets.LIVE if self.request_for.value == _LIVE else snippets.served(self._server.environment)

    def _postman(self, events: Sequence[UserEvent]) -> str:
        return snippets.postman(Mutation(events), self._destination())

    def _save(self, name: str, write: Callable[[Sequence[UserEvent]], str]) -> None:
        try:
            content = base64.b64encode(write(mutation(self._drafts.items).events).encode()).decode()
        except InvalidEvent as error:
            self._saved.value = status(f"Not saved: {readable(error.problems[0].message)}.", "bad")
            return
        link = f'<a download="{name}" href="data:application/octet-stream;base64,{content}">{name}</a>'
        self._saved.value = f"<p>{link}{_PRESS}</p>"


class AnswerArea:
    """Shows the outcome of the last send as `html`; `load` fills the form with the events of the send in `past`."""

    def __init__(self, page: Page, fill: Callable[[Mutation], object]) -> None:
        self._fill, self._shown, self._answer, self.html = fill, page.html(), "", ""
        self.past = page.make(widgets.Dropdown, description="Latest sends")
        self.load = page.button("Load", self._load, tooltip="Fill the form with the events of this send")
        self.view = page.box([self._shown, self.past, self.load], "bwp-request")

    def take(self, outcome: Receipt | BwpError | None, history: History) -> None:
        """Take the outcome of the last call in a history, and list the latest sends."""
        self._answer = answer(outcome, history[-1]) if outcome else ""
        calls = [call for call in history if call.operation != "execute" and call.attempts][:-11:-1]
        self.past.options = [(f"{one.time[11:19]} {one.outcome}, {counted(one.events, 'event')}", one) for one in calls]
        self.past.index = 0 if calls else None

    def show(self, *, is_earlier: bool) -> None:
        """Show the outcome, which may be that of a request before the last edit."""
        self.html = self._shown.value = f"{_EARLIER * (is_earlier and self._answer != '')}{self._answer}"

    def _load(self) -> None:
        if self.past.value is not None:
            request = json.dumps(self.past.value.request)
            self._shown.value = _why_not(lambda: self._fill(Mutation.parse(request))) or self._shown.value


class Sources:
    """Fills a form by `fill`, which may raise `InvalidEvent`, from `pasted` text or an `opened` file."""

    def __init__(self, page: Page, fill: Callable[[Any], object]) -> None:
        self._fill = fill
        self.pasted = page.make(widgets.Textarea, description="Paste events", placeholder=_HINT, rows=4)
        self.fill_in = page.button("Fill the form with it", lambda: self._take(self.pasted.value))
        self.opened = page.make(widgets.FileUpload, description="Open a file", tooltip="≤ 10 MB", changed=self._open)
        self._status = page.html()
        self.view = page.box([self.pasted, self.fill_in, self.opened, self._status], "bwp-sources")

    def _open(self) -> None:
        """Fill the form from the chosen file, and let the same file be chosen again."""
        if self.opened.value:
            file, self.opened.value = self.opened.value[0], ()
            self._take(rows.file(file["name"], file["content"]))

    def _take(self, source: Any) -> None:
        """Fill the form from a source; if that fails, show why, and leave the pasted text."""
        self._status.value = _why_not(lambda: self._fill(source))
        if not self._status.value:
            self.pasted.value = ""


def _why_not(fill: Callable[[], object]) -> str:
    """Fill a form; return an empty text, or why that is not possible."""
    try:
        fill()
    except InvalidEvent as error:
        said = [f"{place(one)}: " * (one.index is not None) + readable(one.message) for one in error.problems]
        more = f"; and {len(said) - 5} more" * (len(said) > 5)
        return status(f"Not filled: {'; '.join(said[:5]).rstrip('.')}{more}.", "bad")
    return ""


def answer(outcome: Receipt | BwpError, call: Exchange) -> str:
    """Return an outcome, and the figures and the response of the call that led to it."""
    if isinstance(outcome, Receipt):
        said = [f"{counted(outcome.events, 'event')} accepted, with the status {outcome.status}.", *outcome.notes]
    else:
        said = [_table(row) for row in outcome.rows()]
    more = f"and {len(said) - _MOST_LISTED} more" if len(said) > _MOST_LISTED else ""
    came = "no response" if call.status_code is None else f"HTTP {call.status_code}"
    sizes = f"{call.elapsed:.2f} s · {call.bytes_sent:,} bytes sent, {call.bytes_received:,} received"
    figures = f"{call.outcome} · {came} · {counted(call.attempts, 'attempt')} · {sizes}"
    text = "" if call.answer is None else json.dumps(call.answer, indent=2)
    response = code(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} …", "Response", "json") if text else ""
    return f"<h4>Answer</h4>{card(figures * (call.outcome != 'invalid'), *said[:_MOST_LISTED], more, Html(response))}"


def _table(row: dict[str, Any]) -> Html:
    """Return a row of an error, one of its cells below the other; a form counts its events from 1."""
    given = {**row, "event": row["event"] + 1 if row["event"] != "" else "", "source": ""}
    return html_table((name.replace("_", " "), cell) for name, cell in given.items() if cell)
