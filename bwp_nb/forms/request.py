"""The request of a form as text for other tools, and its events as files."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from bwp_nb import snippets
from bwp_nb.client import Client
from bwp_nb.errors import InvalidEvent
from bwp_nb.forms import style
from bwp_nb.forms.drafts import Draft
from bwp_nb.forms.page import Page, set_visible
from bwp_nb.mutation import Mutation
from bwp_nb.tables import rows
from bwp_nb.text import readable

if TYPE_CHECKING:
    from bwp_nb.sandbox.server import Server

_LANGUAGES = {
    "GraphQL": "graphql",
    "JSON body": "json",
    "cURL": "bash",
    "Python with httpx": "python",
    "Python with bwp_nb": "python",
    "JavaScript for Node.js": "javascript",
}
_ONE, _ALL = "the selected event", "all events"
_LIVE, _SANDBOX = "the live API", "this sandbox"

#: The longest request, in characters, that is shown anew after each key.
_MOST_WHILE_TYPING = 4_000

# The link is pressed at once; where HTML runs no attributes, the user presses it.
_PRESS = "this.previousSibling.querySelector('a').click();"


class RequestArea:
    """Shows the request of the selected event or of all, for the live API or for this sandbox, and saves events.

    `request_as`, `request_of` and `request_for` select what is shown; `show_request` shows a long one after an edit.
    `save_json`, `save_csv` and `save_postman` download all events. The sandbox is served from its first selection until
    `close`.
    """

    def __init__(self, page: Page, client: Client) -> None:
        self._client = client
        self._server: Server | None = None
        self._drafts: Sequence[Draft] = ()
        self._selected: Draft | None = None

        def choice(label: str, options: list[str]) -> Any:
            return page.make(widgets.Dropdown, options=options, description=label, changed=self.show)

        self.request_as = choice("Request as", list(snippets.FORMS))
        self.request_of = choice("of", [_ONE, _ALL])
        self.request_for = choice("for", [_LIVE] if client.sandbox is None else [_LIVE, _SANDBOX])
        self.show_request = page.button("Show the request", self.show, classes=("bwp-hidden",))
        self._request, self._saved = page.make(widgets.HTML), page.make(widgets.HTML, classes=("bwp-note",))
        self.save_json, self.save_csv, self.save_postman = (
            page.button(label, partial(self._save, name, media_type, write))
            for label, name, media_type, write in (
                ("events.json", "events.json", "application/json", lambda: rows.to_json(self._mutation(_ALL).events)),
                ("events.csv", "events.csv", "text/csv", lambda: rows.to_csv(self._mutation(_ALL).events)),
                ("Postman", "sendUserEvents.postman_collection.json", "application/json", self._postman),
            )
        )
        title = page.make(widgets.HTML, "Save all as", classes=("bwp-title",))
        top = [self.request_as, self.request_of, self.request_for]
        last = [title, self.save_json, self.save_csv, self.save_postman, self._saved]
        self.view = page.make(widgets.HBox, [*top, self._request, self.show_request, *last], classes=("bwp-request",))

    @property
    def text(self) -> str:
        """The request as it is selected; empty if an event repeats the name of a property."""
        try:
            return snippets.FORMS[self.request_as.value](self._mutation(self.request_of.value), self._destination())
        except InvalidEvent:
            return ""

    def edited(self, drafts: Sequence[Draft], selected: Draft | None, *, is_typed: bool) -> None:
        """Show the request of other events, unless it is long and somebody is typing."""
        self._drafts, self._selected = drafts, selected
        self._saved.value = ""
        self._render(_MOST_WHILE_TYPING if is_typed else None)

    def show(self) -> None:
        """Show the request, however long it is."""
        self._render(None)

    def close(self) -> None:
        """Stop serving the sandbox."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _render(self, most: int | None) -> None:
        name, is_late = self.request_as.value, False
        try:
            text = snippets.FORMS[name](self._mutation(self.request_of.value), self._destination())
            is_late = most is not None and len(text) > most
            shown = style.copyable(text, f"Request: {name}", _LANGUAGES[name])
        except InvalidEvent as error:
            shown = style.status(f"The request is incomplete: {error.problems[0].message}.", "bad")
        self._request.value = style.status("The events were edited.") if is_late else shown
        set_visible(self.show_request, visible=is_late)

    def _mutation(self, which: str) -> Mutation:
        given = self._drafts if which == _ALL or self._selected is None else [self._selected]
        return Mutation([draft.event for draft in given])

    def _destination(self) -> snippets.Destination:
        if self._client.sandbox is None:
            return snippets.Destination.of(self._client)
        if self.request_for.value == _LIVE:
            return snippets.LIVE
        if self._server is None:
            from bwp_nb.sandbox.server import serve

            self._server = serve(self._client.sandbox)
        return snippets.Destination.served(self._server.environment)

    def _postman(self) -> str:
        return snippets.postman(self._mutation(_ALL), self._destination())

    def _save(self, name: str, media_type: str, write: Callable[[], str]) -> None:
        try:
            content = base64.b64encode(write().encode()).decode()
        except InvalidEvent as error:
            self._saved.value = style.status(f"Not saved: {readable(error.problems[0].message)}.", "bad")
            return
        note = "" if not name.endswith(".csv") else " Not for spreadsheets: cells that begin like a formula are kept."
        link = f'<a download="{name}" href="data:{media_type};base64,{content}">{name}</a>'
        self._saved.value = f'<p>{link}{note}</p><style onload="{escape(_PRESS)}"></style>'
