"""What fills a form: a pasted text, or a file."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from bwp_nb.errors import InvalidEvent
from bwp_nb.event import UNICODE_RULE, UserEvent
from bwp_nb.forms import style
from bwp_nb.forms.drafts import Draft, place
from bwp_nb.forms.page import Page, set_visible
from bwp_nb.mutation import MAX_EVENTS
from bwp_nb.problems import Problem
from bwp_nb.tables import rows
from bwp_nb.text import readable

#: More than a request may have, so that its refusal can be seen, and few enough to show.
_MAX_SHOWN, _MAX_PROPERTIES = MAX_EVENTS + 10, 1000
_SHOWN_RULE = f"at most {_MAX_SHOWN} events and {_MAX_PROPERTIES} properties in a form (our own rule)"
_HINT = "GraphQL, JSON, a cURL command, Python or JavaScript code, JSONL, CSV, or cells of a spreadsheet"


class Sources:
    """Fills a form by `fill`, which may raise `InvalidEvent`, from `pasted` text or an `opened` file.

    `toggle` shows and hides them.
    """

    def __init__(self, page: Page, fill: Callable[[Any], object]) -> None:
        self._fill = fill
        self.pasted = page.make(widgets.Textarea, description="Paste events", placeholder=_HINT, rows=4)
        self.fill_in = page.button("Fill the form with it", self._fill_in)
        kinds = ".json,.jsonl,.csv,.tsv,.parquet,.graphql,.sh,.py,.js,.txt,.xlsx"
        self.opened = page.make(widgets.FileUpload, description="Open a file", accept=kinds, changed=self._open)
        self._status = page.make(widgets.HTML, classes=("bwp-note",))
        parts = [self.pasted, self.fill_in, self.opened, self._status]
        self.view = page.make(widgets.HBox, parts, classes=("bwp-sources", "bwp-hidden"))
        self.toggle = page.make(
            widgets.ToggleButton, description="Paste or open", icon="caret-down", changed=self._toggle
        )

    def _toggle(self) -> None:
        set_visible(self.view, visible=self.toggle.value)

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


def drafts_of(
    source: Any,
    default: Callable[[], UserEvent],
    columns: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> list[Draft]:
    """Return the events in a source as drafts, or raise `InvalidEvent` if a form cannot show them."""
    events = rows.events_of(source, default, columns, fields)
    properties = sum(len(event.additional_properties) for event in events)
    for things, count, most in (("events", len(events), _MAX_SHOWN), ("properties", properties, _MAX_PROPERTIES)):
        if count > most:
            message = f"expected at most {most} {things}, got {count}; use fewer events, or send_table"
            raise InvalidEvent([Problem("events", count, _SHOWN_RULE, message)])
    for event in events:
        if found := [problem for problem in event.problems() if problem.rule == UNICODE_RULE]:
            raise InvalidEvent(found)
    return [Draft.of(event) for event in events]
