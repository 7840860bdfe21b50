"""The request of a form as text for other tools, its events as files, and texts and files that fill the form."""

import base64
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb import snippets
from bwp_nb.client import Client
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import UserEvent
from bwp_nb.forms.drafts import Drafts, mutation, place
from bwp_nb.forms.page import Page, code, copyable, set_visible, status
from bwp_nb.mutation import Mutation
from bwp_nb.tables import rows
from bwp_nb.text import readable

_ONE, _ALL = "this event", "all events"
_LIVE, _SANDBOX = "the live API", "this sandbox"
_COLLECTION = "sendUserEvents.postman_collection.json"

#: The longest request, in characters, that is shown anew after each key.
_MOST_WHILE_TYPING = 4_000

_HINT = "GraphQL, JSON, a cURL command, Python or JavaScript code, JSONL, CSV, or cells of a spreadsheet"
_KINDS = ".json,.jsonl,.csv,.tsv,.parquet,.graphql,.sh,.py,.js,.txt,.xlsx"

# The link is pressed at once; where HTML runs no attributes, the user presses it.
_PRESS = escape("this.parentNode.querySelector('a').click()")


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
        self.save_csv = page.button("events.csv", partial(self._save, "events.csv", rows.to_csv))
        self.save_postman = page.button("Postman collection", partial(self._save, _COLLECTION, self._postman))
        self._request, self._saved = page.html(), page.html()
        choices = [self.request_as, self.request_of, self.request_for, self._request, self.show_request]
        saving = [page.html("Save all as", css="bwp-title"), self.save_json, self.save_csv, self.save_postman]
        self.view = page.box([*choices, *saving, self._saved], "bwp-request")

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
            shown = copyable(self.html)
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
        self._status.value = ""
        try:
            self._fill(source)
        except InvalidEvent as error:
            text = "; ".join(f"{place(problem)}: {readable(problem.message)}" for problem in error.problems[:5])
            self._status.value = status(f"Not filled: {text.rstrip('.')}.", "bad")
        return not self._status.value
