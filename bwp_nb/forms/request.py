"""The right column of a form: its request as text, downloads of its events, and what fills it."""

import base64
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb import snippets
from bwp_nb.errors import InvalidEvent
from bwp_nb.event import UNICODE_RULE, UserEvent
from bwp_nb.forms import page, style
from bwp_nb.forms.controls import AUTO, NARROW, Guard
from bwp_nb.mutation import MAX_EVENTS, Mutation
from bwp_nb.problems import Problem
from bwp_nb.tables import rows
from bwp_nb.text import counted, readable

#: More than a request may have, so that its refusal can be seen, and few enough to show.
_MAX_SHOWN, _MAX_PROPERTIES = MAX_EVENTS + 10, 1000
_SHOWN_RULE = f"at most {_MAX_SHOWN} events and {_MAX_PROPERTIES} properties in a form (our own rule)"


class RequestColumn:
    """Shows a form's request, and fills the form from pasted text or a file.

    `mutation` returns the request and `fill` replaces the form's events; both may raise `InvalidEvent`.
    """

    def __init__(
        self, endpoint: str, mutation: Callable[[], Mutation], fill: Callable[[Any], object], guard: Guard
    ) -> None:
        self._endpoint, self._mutation, self._fill = endpoint, mutation, fill
        formats = list(snippets.FORMS)
        self.request_as = page.make(
            widgets.Dropdown, options=formats, description="The request as", layout=AUTO, style=NARROW
        )
        self.request_as.observe(guard(self.show), "value")
        hint = "GraphQL, JSON, a cURL command, Python code, or rows as JSON or JSONL"
        self.pasted = page.make(
            widgets.Textarea, description="Paste a request", placeholder=hint, rows=4, layout=AUTO, style=NARROW
        )
        self.fill_in = page.button("Fill the form with it", guard(self._fill_in))
        self.opened = page.make(widgets.FileUpload, description="Open a file", accept=".json,.jsonl,.csv,.graphql,.txt")
        self.opened.observe(guard(self._open), "value")
        self._request, self._downloads, self._paste_status = (page.make(widgets.HTML) for _ in range(3))
        sources = page.make(widgets.HBox, [self.fill_in, self.opened], classes=("bwp-row",))
        self.views = [
            page.make(widgets.VBox, parts, classes=("bwp-card",))
            for parts in ([self.request_as, self._request, self._downloads], [self.pasted, sources, self._paste_status])
        ]

    def edited(self) -> None:
        """Show the request after an edit, and no longer how the form was filled."""
        self._paste_status.value = ""
        self.show()

    def show(self) -> None:
        """Show the request and the downloads."""
        try:
            mutation = self._mutation()
        except InvalidEvent as error:
            self._request.value = style.status(f"The request is incomplete: {error.problems[0].message}.", "bad")
            self._downloads.value = ""
            return
        text = snippets.FORMS[self.request_as.value](mutation, self._endpoint)
        self._request.value = style.copyable(text, f"Request: {self.request_as.value}")
        self._downloads.value = _downloads(mutation.events)

    def _fill_in(self) -> None:
        if self._take(lambda: self.pasted.value):
            self.pasted.value = ""

    def _open(self) -> None:
        """Fill the form from the chosen file, and let the same file be chosen again."""
        if self.opened.value:
            file, self.opened.value = self.opened.value[0], ()
            self._take(lambda: rows.File(file["name"], bytes(file["content"])))

    def _take(self, source: Callable[[], Any]) -> bool:
        """Fill the form from a source; if that fails, show why and return False."""
        self._paste_status.value = style.status("Filling the form …", "busy")
        try:
            self._fill(source())
        except InvalidEvent as error:
            text = "; ".join(map(style.located, error.problems[:5]))
            self._paste_status.value = style.status(text, "bad", alert=True)
            return False
        count = counted(len(self._mutation().events), "event")
        self._paste_status.value = style.status(f"The form is filled: {count}.", "good")
        return True


def events_of(source: Any, default: Callable[[], UserEvent]) -> list[UserEvent]:
    """Return the events in a source, or raise `InvalidEvent` if a form cannot show them."""
    events = rows.events_of(source, default)
    properties = sum(len(event.additional_properties) for event in events)
    for things, count, most in (("events", len(events), _MAX_SHOWN), ("properties", properties, _MAX_PROPERTIES)):
        if count > most:
            message = f"expected at most {most} {things}, got {count}; use fewer events, or send_table"
            raise InvalidEvent([Problem("events", count, _SHOWN_RULE, message)])
    for event in events:
        if found := [problem for problem in event.problems() if problem.rule == UNICODE_RULE]:
            raise InvalidEvent(found)
    return events


def _downloads(events: Iterable[UserEvent]) -> str:
    links = [
        _link(events, "JSON", "application/json", rows.to_json),
        _link(events, "CSV", "text/csv", rows.to_csv),
    ]
    note = "Not for spreadsheets: in the CSV file, cells that begin like a formula are not changed."
    return f'<p>Save the events: {" ".join(links)} <span class="bwp-rule">{note}</span></p>'


def _link(events: Iterable[UserEvent], kind: str, media_type: str, write: Callable[[Iterable[UserEvent]], str]) -> str:
    try:
        content = base64.b64encode(write(events).encode()).decode()
    except InvalidEvent as error:
        return f"(no {kind}: {escape(readable(error.problems[0].message))})"
    name = f"events.{kind.lower()}"
    return f'<a download="{name}" href="data:{media_type};base64,{content}">{name}</a>'
