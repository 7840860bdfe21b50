"""The request of a form as text for other tools, its events as files, and texts and files that fill the form."""

import base64
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb import snippets
from bwp_nb.client import Client
from bwp_nb.errors import InvalidEvent
from bwp_nb.forms import style
from bwp_nb.forms.drafts import Drafts, place
from bwp_nb.forms.page import Page, set_visible
from bwp_nb.mutation import Mutation
from bwp_nb.tables import rows
from bwp_nb.text import readable

_ONE, _ALL = "this event", "all events"
_LIVE, _SANDBOX = "the live API", "this sandbox"

#: The longest request, in characters, that is shown anew after each key.
_MOST_WHILE_TYPING = 4_000

_HINT = "GraphQL, JSON, a cURL command, Python or JavaScript code, JSONL, CSV, or cells of a spreadsheet"
_KINDS = ".json,.jsonl,.csv,.tsv,.parquet,.graphql,.sh,.py,.js,.txt,.xlsx"

# The link is pressed at once; where HTML runs no attributes, the user presses it.
_PRESS = escape("this.parentNode.querySelector('a').click()")


class RequestArea:
    """Shows the request of the selected event or of all, for the live API or for this sandbox, and saves events.

    `request_as`, `request_of` and `request_for` select what is shown; `show_request` shows a long one after an edit.
    `save_json`, `save_csv` and `save_postman` download all events. The sandbox is served from its first selection until
    `close`.
    """

    def __init__(self, page: Page, client: Client, drafts: Drafts) -> None:
        self._client, self._drafts = client, drafts
        self._server: Any = None  # without tornado a form works, too

        def choice(label: str, options: list[str]) -> Any:
            return page.make(widgets.Dropdown, options=options, description=label, changed=self.show)

        def saver(label: str, name: str, write: Callable[[Mutation], str]) -> Any:
            return page.button(label, lambda: self._save(name, write))

        self.request_as, self.request_of = choice("Request", list(snippets.FORMS)), choice("of", [_ONE, _ALL])
        self.request_for = choice("for", [_LIVE] if client.sandbox is None else [_LIVE, _SANDBOX])
        self.show_request = page.button("Show the request", self.show, css="bwp-hidden")
        self.save_json = saver("events.json", "events.json", lambda mutation: rows.to_json(mutation.events))
        self.save_csv = saver("events.csv", "events.csv", lambda mutation: rows.to_csv(mutation.events))
        self.save_postman = saver("Postman collection", "sendUserEvents.postman_collection.json", self._postman)
        self._request, self._saved = page.html(), page.html()
        saving = [page.html("Save all as", css="bwp-title"), self.save_json, self.save_csv, self.save_postman]
        choices = [self.request_as, self.request_of, self.request_for]
        self.view = page.box([*choices, self._request, self.show_request, *saving, self._saved], "bwp-request")

    def text(self) -> str:
        """Return the request as it is selected; raises `InvalidEvent` if an event repeats a property name."""
        selected = None if self.request_of.value == _ALL else self._drafts.selected
        mutation = self._drafts.mutation if selected is None else Mutation(selected.event)
        return snippets.FORMS[self.request_as.value](mutation, self._destination())

    def show(self, *, is_typed: bool = False) -> None:
        """Show the request, unless it is long and somebody is typing."""
        self._saved.value = ""
        name, text = self.request_as.value, ""
        try:
            text = self.text()
            shown = style.copyable(text, f"Request: {name}", snippets.LANGUAGES[name])
        except InvalidEvent as error:
            shown = style.status(f"The request is incomplete: {error.problems[0].message}.", "bad")
        is_late = is_typed and len(text) > _MOST_WHILE_TYPING
        self._request.value = style.status("The events were edited.") if is_late else shown
        set_visible(self.show_request, visible=is_late)

    def close(self) -> None:
        """Stop serving the sandbox."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _destination(self) -> snippets.Destination:
        if self._client.sandbox is None:
            return snippets.Destination.of(self._client)
        if self.request_for.value == _LIVE:
            return snippets.LIVE
        if self._server is None:
            from bwp_nb.sandbox.server import serve

            self._server = serve(self._client.sandbox)
        return snippets.served(self._server.environment)

    def _postman(self, mutation: Mutation) -> str:
        return snippets.postman(mutation, self._destination())

    def _save(self, name: str, write: Callable[[Mutation], str]) -> None:
        try:
            content = base64.b64encode(write(self._drafts.mutation).encode()).decode()
        except InvalidEvent as error:
            self._saved.value = style.status(f"Not saved: {readable(error.problems[0].message)}.", "bad")
            return
        note = "Not for spreadsheets: cells that begin like a formula are unchanged." if name.endswith("csv") else ""
        link = f'<a download="{name}" href="data:application/octet-stream;base64,{content}">{name}</a>'
        self._saved.value = f'<p>{link} {note}<style onload="{_PRESS}"></style></p>'


class Sources:
    """Fills a form by `fill`, which may raise `InvalidEvent`, from `pasted` text or an `opened` file."""

    def __init__(self, page: Page, fill: Callable[[Any], object]) -> None:
        self._fill = fill
        self.pasted = page.make(widgets.Textarea, description="Paste events", placeholder=_HINT, rows=4)
        self.fill_in = page.button("Fill the form with it", self._fill_in)
        self.opened = page.make(widgets.FileUpload, description="Open a file", accept=_KINDS, changed=self._open)
        self._status = page.html()
        self.view = page.box([self.pasted, self.fill_in, self.opened, self._status], "bwp-sources")

    def _fill_in(self) -> None:
        if self._take(self.pasted.value):
            self.pasted.value = ""

    def _open(self) -> None:
        """Fill the form from the chosen file, and let the same file be chosen again."""
        if self.opened.value:
            file, self.opened.value = self.opened.value[0], ()
            self._take(rows.File(file["name"], bytes(file["content"])))

    def _take(self, source: Any) -> bool:
        """Fill the form from a source; if that fails, show why and return False."""
        try:
            self._fill(source)
        except InvalidEvent as error:
            text = "; ".join(f"{place(problem)}: {readable(problem.message)}" for problem in error.problems[:5])
            self._status.value = style.status(f"Not filled: {text.rstrip('.')}.", "bad")
            return False
        self._status.value = ""
        return True
