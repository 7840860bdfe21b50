"""The outcome of the last send, and the latest sends, of which each can be loaded again."""

import json
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from bwp_nb.displays.html import Html, card, html_table
from bwp_nb.errors import BwpError
from bwp_nb.forms.page import Page, code
from bwp_nb.history import Exchange, History
from bwp_nb.mutation import Mutation
from bwp_nb.text import counted
from bwp_nb.wire.answer import Receipt

_MOST_LISTED = 10
_EARLIER = '<p class="bwp-rule">This is the answer to the request before the last edit.</p>'


class AnswerArea:
    """Shows the outcome of the last send as `html`; `load` fills the form with the events of the send in `past`."""

    def __init__(self, page: Page, fill: Callable[[Mutation], object]) -> None:
        self._fill, self._answer, self._shown = fill, "", page.html()
        self.html = ""
        self.past = page.make(widgets.Dropdown, description="Latest sends")
        self.load = page.button("Load", self._load, tooltip="Fill the form with the events of this send")
        self.view = page.box([self._shown, self.past, self.load], "bwp-note")

    def take(self, outcome: Receipt | BwpError | None, call: Exchange | None, history: History) -> None:
        """Take the outcome of a send, and list the latest sends of a client."""
        self._answer = "" if outcome is None else answer(outcome, call)
        calls = [call for call in history if call.operation != "execute" and call.attempts]
        labels = [f"{call.time[11:19]} {call.outcome}, {counted(call.events, 'event')}" for call in calls]
        self.past.options = [*zip(labels, calls, strict=True)][:-11:-1]
        self.past.index = 0 if calls else None

    def show(self, *, is_earlier: bool) -> None:
        """Show the outcome, which may be that of a request before the last edit."""
        self.html = self._shown.value = f"{_EARLIER * (is_earlier and self._answer != '')}{self._answer}"

    def _load(self) -> None:
        if self.past.value is not None:
            self._fill(Mutation.parse(json.dumps(self.past.value.request)))


def answer(outcome: Receipt | BwpError, call: Exchange | None) -> str:
    """Return an outcome, and of the call that led to it, if there was one, the figures and the response."""
    if isinstance(outcome, Receipt):
        said = [f"{counted(outcome.events, 'event')} accepted, with the status {outcome.status}.", *outcome.notes]
    else:
        said = [_table(row) for row in outcome.rows()]
    more = [f"and {len(said) - _MOST_LISTED} more"] if len(said) > _MOST_LISTED else []
    figures, response = ("", "") if call is None else _call(call)
    return f"<h4>Answer</h4>{card(figures, *said[:_MOST_LISTED], *more, Html(response))}"


def _table(row: dict[str, Any]) -> Html:
    """Return a row of an error, one of its cells below the other; a form counts its events from 1."""
    given = {**row, "event": row["event"] + 1 if row["event"] != "" else "", "source": ""}
    return html_table((name.replace("_", " "), cell) for name, cell in given.items() if cell)


def _call(call: Exchange) -> tuple[str, str]:
    """Return the figures of a call, and its response."""
    status = "no response" if call.status_code is None else f"HTTP {call.status_code}"
    sizes = f"{call.elapsed:.2f} s · {call.bytes_sent:,} bytes sent, {call.bytes_received:,} received"
    response = "" if call.answer is None else code(json.dumps(call.answer, indent=2), "Response", "json")
    return f"{call.outcome} · {status} · {counted(call.attempts, 'attempt')} · {sizes}", response
