"""The outcome of the last send, and the latest sends, of which each can be loaded again."""

import json
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.errors import BwpError
from bwp_nb.forms import style
from bwp_nb.forms.page import Page
from bwp_nb.history import Exchange, History
from bwp_nb.mutation import Mutation
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import Receipt

_MOST_LISTED = 10
_EARLIER = '<p class="bwp-rule">This is the answer to the request before the last edit.</p>'


class AnswerArea:
    """Shows the outcome of the last send; `load` fills the form with the events of the send that `past` names."""

    def __init__(self, page: Page, fill: Callable[[Mutation], object]) -> None:
        self._fill, self._html, self._shown = fill, "", page.html()
        self.past = page.make(widgets.Dropdown, description="Latest sends")
        self.load = page.button("Load", self._load, tooltip="Fill the form with the events of this send")
        self.view = page.box([self._shown, self.past, self.load], "bwp-note")

    @property
    def html(self) -> str:
        """What is shown of the outcome."""
        return str(self._shown.value)

    def take(self, outcome: Receipt | BwpError | None, call: Exchange | None, history: History) -> None:
        """Take the outcome of a send, and list the latest sends of a client."""
        self._html = "" if outcome is None else answer(outcome, call)
        calls = [call for call in history if call.operation != "execute" and call.attempts]
        labels = [f"{call.time[11:19]} {call.outcome}, {counted(call.events, 'event')}" for call in calls]
        self.past.options = [*zip(labels, calls, strict=True)][:-11:-1]
        self.past.index = 0 if calls else None

    def show(self, *, is_earlier: bool) -> None:
        """Show the outcome, which may be that of a request before the last edit."""
        self._shown.value = f"{_EARLIER if is_earlier and self._html else ''}{self._html}"

    def _load(self) -> None:
        if self.past.value is not None:
            self._fill(Mutation.parse(json.dumps(self.past.value.request)))


def answer(outcome: Receipt | BwpError, call: Exchange | None) -> str:
    """Return an outcome, and the call that led to it if there was one: its figures, and the response."""
    if isinstance(outcome, BwpError):
        said = _listed([_row(row) for row in outcome.rows()])
    else:
        events, status = counted(outcome.events, "event"), escape(readable(outcome.status))
        notes = _listed([escape(readable(note)) for note in outcome.notes])
        said = f"<p>{events} accepted, with the status <code>{status}</code>.</p>{notes}"
    if call is None:
        return f"<h4>Answer</h4>{said}"
    status = "no response" if call.status_code is None else f"HTTP {call.status_code}"
    sizes = f"{call.elapsed:.2f} s · {call.bytes_sent:,} bytes sent, {call.bytes_received:,} received"
    figures = f"<p>{call.outcome} · {status} · {counted(call.attempts, 'attempt')} · {sizes}</p>"
    response = "" if call.answer is None else style.code(json.dumps(call.answer, indent=2), "Response", "json")
    return f"<h4>Answer</h4>{figures}{said}{response}"


def _listed(items: list[str]) -> str:
    more = [f"and {len(items) - _MOST_LISTED} more"] if len(items) > _MOST_LISTED else []
    return "".join(["<ul>", *(f"<li>{item}</li>" for item in [*items[:_MOST_LISTED], *more]), "</ul>"]) if items else ""


def _row(row: dict[str, Any]) -> str:
    """Return a row of an error; a form counts its events from 1."""
    place = f"event {row['event'] + 1}, {row['field']} {row['value']}" if row["field"] and row["event"] != "" else ""
    parts = {"Where": escape(place), "Rule": style.sourced(row["rule"]), "What to do": style.sourced(row["advice"])}
    return "<br>".join([escape(row["what"]), *(f"<b>{name}:</b> {text}" for name, text in parts.items() if text)])
