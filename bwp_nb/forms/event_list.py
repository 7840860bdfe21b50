"""The list of a form's events: a line for each, of which one is selected."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from bwp_nb.forms.drafts import Draft
from bwp_nb.forms.page import Page
from bwp_nb.text import readable

MARKS = {"invalid": "✗", "valid": "○", "sending": "…", "sent": "✓", "rejected": "✗", "failed": "!", "unknown": "?"}


class EventList:
    """A list of events: number, type, time, the end of the id, and the state as a mark and a word.

    `selected` is called with the index that a user or a program selects.
    """

    def __init__(self, page: Page, selected: Callable[[int], object]) -> None:
        self._selected, self._is_showing = selected, False
        self.view = page.make(widgets.Select, rows=5, description="Events", classes=("bwp-list",))
        self.view.observe(page.guard(self._chosen), "index")

    @property
    def index(self) -> int | None:
        """The index of the selected event; None if there is none."""
        index: int | None = self.view.index
        return index

    @index.setter
    def index(self, index: int) -> None:
        self.view.index = index

    def show(self, drafts: Sequence[Draft], states: Sequence[str], index: int) -> None:
        """Show the events and which is selected, without a call of `selected`.

        Other options reset the index, so both are set before either is sent.
        """
        labels = [
            _label(number, draft, state) for number, (draft, state) in enumerate(zip(drafts, states, strict=True), 1)
        ]
        self._is_showing = True
        try:
            with self.view.hold_sync():
                if labels != list(self.view.options):
                    self.view.options = labels
                self.view.index = index if labels else None
        finally:
            self._is_showing = False

    def _chosen(self) -> None:
        if not self._is_showing and self.index is not None:
            self._selected(self.index)


def _label(number: int, draft: Draft, state: str) -> str:
    kind, time, end = (readable(draft.values[name] or "", 60) for name in ("event_type", "event_time", "event_id"))
    columns = [f"{number:>2}", _cut(kind, 18), _cut(time, 20), f"…{end[-6:]:<6}", f"{MARKS[state]} {state}"]
    return " ".join(columns).replace(" ", "\N{NO-BREAK SPACE}")


def _cut(text: str, width: int) -> str:
    return f"{text if len(text) <= width else f'{text[: width - 1]}…':<{width}}"
