"""A form for a notebook, or a page of Voila, that makes events, checks them, sends them and shows the outcome."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.errors import BwpError, InvalidEvent, MutationRejected
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.forms import outcome, page, style
from bwp_nb.forms.boundary import ErrorBoundary
from bwp_nb.forms.controls import AUTO
from bwp_nb.forms.editor import EventEditor
from bwp_nb.forms.panel import refresh
from bwp_nb.forms.request import RequestColumn, events_of
from bwp_nb.history import Exchange
from bwp_nb.mutation import COUNT_RULE, MAX_EVENTS, Mutation
from bwp_nb.problems import Problem, RejectedValue
from bwp_nb.text import counted, quoted, readable
from bwp_nb.wire.answer import Receipt

_ENDS = ("sent", "rejected", "failed", "unknown")
_MOODS = {"valid": "good", "sent": "good", "sending": "busy", "unknown": "warn", "not checked": ""}
_STATUS = {
    "not checked": "Not checked. Press Check.",
    "valid": "Valid. The request can be sent.",
    "sending": "Sending …",
    "sent": "Sent: the API accepted all events. Check again to send once more.",
    "rejected": "Rejected: the API rejected the request.",
    "failed": "Failed: the events were not accepted.",
    "unknown": "Unknown: events may have been accepted. Resend them with the same ids.",
}
_EARLIER = '<p class="bwp-rule">This is the outcome of the request before the last edit.</p>'


class EventForm:
    """A form that makes events and sends them through a client.

    `events` are its editors, one for each event. `check`, `send`, `add` and `fill_in` are its buttons, `send_anyway`
    and `confirm` its checkboxes (`confirm` must be ticked before a live client's first send), `pasted` is its text
    area, `opened` its file upload. `state` is `not checked`, `invalid`, `valid`, `sending`, or the outcome of the send:
    `sent`, `rejected`, `failed`, `unknown`. `outcome` is the receipt or error, `answer` the JSON of the response.
    """

    def __init__(self, client: Client, events: Any = None) -> None:
        self.client = client
        self.state = "not checked"
        self.outcome: Receipt | BwpError | None = None
        self.answer: dict[str, Any] | None = None
        self.events: list[EventEditor] = []
        self.errors, self._cursor = ErrorBoundary(), page.Cursor()
        self._edited_meanwhile = False
        self._outcome_html = ""
        self._make_controls()
        self.view = page.make(widgets.VBox, self._parts(), classes=("bwp",))
        self.fill([client.new_event("page-load")] if events is None else events)

    def __repr__(self) -> str:
        """Return the form as text, for a notebook that is read without widgets."""
        lines = [f"EventForm({self.client!r}): {self.state}"]
        for index, editor in enumerate(self.events):
            values = [readable(value, 80) for value in editor.values.values() if value is not None]
            lines.append(f"  event {index + 1}: {' | '.join(values)}")
            lines += [f"    {readable(name, 80)}: {readable(value, 80)}" for name, value in editor.pairs]
        lines += [f"  problem: {style.located(problem)}" for problem in self.problems]
        if self.outcome is not None:
            lines.append(f"  {'outcome' if self.state in _ENDS else 'last outcome'}: {self.outcome}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**options)
        return {**bundle, "text/plain": repr(self)}

    @property
    def mutation(self) -> Mutation:
        """The request as typed; raises `InvalidEvent` if an event repeats a property name."""
        return Mutation([editor.event for editor in self.events])

    @property
    def problems(self) -> list[Problem]:
        """The problems of the request as typed, each with the index of its event."""
        count = len(self.events)
        if not 1 <= count <= MAX_EVENTS:
            return [Problem("events", count, COUNT_RULE, f"expected 1 to {MAX_EVENTS} events, got {count}")]
        found = enumerate(editor.problems() for editor in self.events)
        return [replace(problem, index=index) for index, problems in found for problem in problems]

    def fill(self, source: Any) -> None:
        """Replace the events of the form.

        `source` is a `Mutation`, one or several events, a row of a DataFrame, a dict, a DataFrame, any text that
        `Mutation.parse` reads, rows as JSON or JSONL, or the `Path` of a file of these or of CSV, such as a quarantine.
        For anything else raises `InvalidEvent` and leaves the form unchanged.
        """
        events = events_of(source, lambda: self.client.new_event("page-load"))
        with self.errors.turn:
            replaced = self.events
            self.events = [self._editor(_values(event), event.additional_properties.items()) for event in events]
            self._lay_out_events()
            self._edited()
            page.close(*(editor.view for editor in replaced))

    # ---- The parts of the form ----

    def _make_controls(self) -> None:
        guard = self.errors.guard
        self.add = page.button("Add an event", guard(self._add), layout={"align_self": "flex-start"})
        self.check = page.button("Check", guard(self._check))
        self.send = page.button("Send", guard(self._send, in_turn=False), button_style="primary")
        labels = "Send anyway, to see the API's response", f"Yes, send real events to {self.client.endpoint}"
        self.send_anyway, self.confirm = (
            page.make(widgets.Checkbox, description=label, indent=False, layout=AUTO) for label in labels
        )
        for box in (self.send_anyway, self.confirm):
            box.observe(guard(self._settle_send), "value")
        self._column = column = RequestColumn(self.client.endpoint, lambda: self.mutation, self.fill, guard)
        self.request_as, self.pasted, self.fill_in, self.opened = (
            column.request_as, column.pasted, column.fill_in, column.opened,
        )  # fmt: skip
        self._events_box = page.make(widgets.VBox)
        self._links = page.make(widgets.VBox, classes=("bwp-stack",))
        self._status, self._outcome_view = page.make(widgets.HTML), page.make(widgets.HTML)

    def _parts(self) -> list[Any]:
        actions = page.make(widgets.HBox, [self.check, self.send, self.send_anyway, self.confirm], classes=("bwp-row",))
        left = [self._events_box, self.add, actions, self._status, self._links, self._outcome_view]
        columns = [
            page.make(widgets.VBox, left, layout={"flex": "3 1 30em", "overflow": "visible", "grid_gap": "8px"}),
            page.make(widgets.VBox, self._column.views, layout={"flex": "2 1 26em", "overflow": "visible"}),
        ]
        return [
            widgets.HTML(style.STYLE),
            widgets.HTML(self._title()),
            self.errors.view,
            page.make(widgets.HBox, columns, classes=("bwp-columns",)),
            self._cursor.view,
        ]

    def _title(self) -> str:
        if self.client.sandbox is not None:
            return "<h3>Make events</h3><p>They go to the sandbox: nothing leaves this notebook.</p>"
        where = escape(self.client.endpoint)
        return f'<h3>Make events</h3><p class="bwp-state bwp-bad"><b>Live.</b> They go to {where} and are real.</p>'

    def _editor(self, values: Mapping[str, str | None], properties: Iterable[tuple[str, str]]) -> EventEditor:
        guard = self.errors.guard
        editor = EventEditor(
            values, properties, client=self.client, guard=guard, edited=self._edited, focus=self._cursor.put
        )
        for button, act in (
            (editor.duplicate, self._duplicate),
            (editor.remove, self._remove),
            (editor.up, partial(self._move, by=-1)),
            (editor.down, partial(self._move, by=1)),
        ):
            button.on_click(guard(partial(self._of_event, act, editor)))
        return editor

    # ---- What its buttons do ----

    def _add(self) -> None:
        self._insert(len(self.events), self._editor(_values(self.client.new_event("page-load")), ()))

    def _of_event(self, act: Callable[[EventEditor], object], editor: EventEditor) -> None:
        """Call the handler of an event's button, unless the click is late and the event is gone."""
        if editor in self.events:
            act(editor)

    def _duplicate(self, editor: EventEditor) -> None:
        copy = self._editor({**editor.values, "event_id": self.client.new_id()}, editor.pairs)
        self._insert(self.events.index(editor) + 1, copy)

    def _insert(self, index: int, editor: EventEditor) -> None:
        self.events.insert(index, editor)
        self._lay_out_events()
        self._edited()

    def _remove(self, editor: EventEditor) -> None:
        index = self.events.index(editor)
        self.events.remove(editor)
        self._lay_out_events()
        self._edited(f"Event {index + 1} was removed.")
        page.close(editor.view)
        left = self.events[index : index + 1] or self.events[-1:]
        self._cursor.put(left[0].remove if left else self.add)

    def _move(self, editor: EventEditor, by: int) -> None:
        index = self.events.index(editor)
        if not 0 <= index + by < len(self.events):
            return
        self.events.insert(index + by, self.events.pop(index))
        self._lay_out_events()
        self._edited(f"Event {index + 1} is now event {index + by + 1}.")
        first, second = (editor.up, editor.down) if by < 0 else (editor.down, editor.up)
        self._cursor.put(second if first.disabled else first)

    def _check(self) -> None:
        if self.state != "sending":
            self._set_state("invalid" if self.problems else "valid")

    def _send(self) -> None:
        """Send once: the state changes first, so that a second click sends nothing. Edits may come meanwhile."""
        with self.errors.turn:
            if not self._may_send():
                return
            check, before = not self.send_anyway.value, self._newest_exchange()
            self.client.confirm = None  # The form has asked; the keyboard cannot answer while a callback runs.
            self._edited_meanwhile = False
            self._set_state("sending")
            self.send_anyway.value = False
            try:
                mutation = self.mutation
            except InvalidEvent as error:
                self._end(error, None)
                return
        try:
            found: Receipt | BwpError = self.client.send(mutation, check=check)
        except BwpError as error:
            found = error
        except BaseException:  # Also an interrupted kernel: whether the request went out is not known.
            with self.errors.turn:
                self.outcome, self.answer, self._outcome_html = None, None, ""
                self._show_outcome(is_earlier=False)
                self._set_state("unknown")
            raise
        exchange = self._newest_exchange()
        self._end(found, None if exchange is before else exchange)

    def _end(self, found: Receipt | BwpError, exchange: Exchange | None) -> None:
        with self.errors.turn:
            self.outcome, self.answer = found, exchange.answer if exchange else None
            self._outcome_html = outcome.html(found, exchange)
            self._show_outcome(is_earlier=self._edited_meanwhile)
            if self._edited_meanwhile:
                self._set_state("not checked", "The request was sent as it was before your edit.")
            else:
                self._set_state(found.state)
        if self.client.sandbox is not None:
            refresh(self.client.sandbox)
        self._cursor.put(self.check)  # Send, which had the focus, is disabled.

    def _newest_exchange(self) -> Exchange | None:
        return self.client.history[-1] if len(self.client.history) else None

    # ---- What it shows ----

    def _edited(self, note: str = "") -> None:
        self.send_anyway.value = False  # It was ticked for the request before the edit.
        if self.state == "sending":
            self._edited_meanwhile = True
        else:
            self._set_state("not checked", note)
        self._show_outcome(is_earlier=True)
        self._column.edited()

    def _set_state(self, state: str, note: str = "") -> None:
        """Change the state and show it, after a note on what was done."""
        self.state = state
        found = self.problems
        self._show_problems(found)
        text = f"Invalid: {counted(len(found), 'problem')}." if state == "invalid" else _STATUS[state]
        mood = _MOODS.get(state, "bad")
        self._status.value = style.status(f"{note} {text}".strip(), mood, alert=mood in ("bad", "warn"))
        self._settle_send()

    def _may_send(self) -> bool:
        is_confirmed = self.client.confirm is None or self.confirm.value
        is_ready = self.state == "valid" or (self.state in ("not checked", "invalid") and self.send_anyway.value)
        return bool(is_confirmed and is_ready)

    def _settle_send(self) -> None:
        page.set_visible(self.confirm, visible=self.client.confirm is not None)
        self.send.disabled = not self._may_send()
        self.check.disabled = self.state == "sending"

    def _show_problems(self, found: list[Problem]) -> None:
        """Show the problems beside their fields, and as links to them once Check was pressed."""
        refusal = self.outcome if self.state in _ENDS and isinstance(self.outcome, MutationRejected) else None
        rejected = [_problem(value) for value in refusal.rejected_values] if refusal else []
        states = refusal.states if refusal else (self.state if self.state in _ENDS else "",) * len(self.events)
        named = {problem.index for problem in rejected}
        shown = found + rejected
        for index, editor in enumerate(self.events):
            editor.show([problem for problem in shown if problem.index == index])
            note = ": named in the response" if index in named else ""
            editor.number(index, len(self.events), f"{states[index]}{note}")
        links = shown if self.state not in ("not checked", "sending") else []
        # One link for each place, even if our checks and the API refuse the same value.
        replaced = self._links.children
        self._links.children = [self._link(problem) for problem in {style.place(p): p for p in links}.values()]
        page.close(*replaced)

    def _link(self, problem: Problem) -> Any:
        """Return a button that moves the focus to the field of a problem."""
        label, tooltip = f"Go to {style.place(problem)}", readable(problem.message, 200)
        go = self.errors.guard(lambda: self._go_to(problem))
        return page.button(label, go, tooltip=tooltip, classes=("bwp-link",))

    def _go_to(self, problem: Problem) -> None:
        editor = None if problem.index is None else self.events[problem.index]
        place = (editor and editor.place(problem.field)) or self.add
        place.focus()

    def _show_outcome(self, *, is_earlier: bool) -> None:
        note = _EARLIER if is_earlier and self._outcome_html else ""
        self._outcome_view.value = note + self._outcome_html

    def _lay_out_events(self) -> None:
        self._events_box.children = [editor.view for editor in self.events]


def _values(event: UserEvent) -> dict[str, str | None]:
    return {name: getattr(event, name) for name in TEXT_FIELDS}


def _problem(value: RejectedValue) -> Problem:
    message = f"The API rejected {quoted(value.value)}"
    return Problem(value.field, value.value, value.rule or "unknown; see the outcome below", message, value.index)
