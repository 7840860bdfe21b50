"""Forms for a notebook, or for a page of Voila: make events, check them, send them, see what comes back."""

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb import snippets
from bwp_nb.client import Client
from bwp_nb.errors import BwpError, InvalidEvent, MutationRejected
from bwp_nb.event import TEXT_FIELDS, UNICODE_RULE, UserEvent
from bwp_nb.forms import outcome, style
from bwp_nb.forms.editor import EventEditor
from bwp_nb.forms.panel import refresh
from bwp_nb.history import Exchange
from bwp_nb.mutation import MAX_EVENTS, Mutation
from bwp_nb.problems import Problem
from bwp_nb.tables import rows
from bwp_nb.text import counted, quoted, readable
from bwp_nb.wire.answer import Receipt

#: More than a call takes, so that it can be tried, and few enough to be shown.
_MOST_SHOWN, _MOST_PROPERTIES = MAX_EVENTS + 10, 1000
_SHOWN_RULE = f"at most {_MOST_SHOWN} events and {_MOST_PROPERTIES} properties on one form (our own rule)"
_COUNT_RULE = f"1 to {MAX_EVENTS} events a call (documented, that 50 are the most: IFACE)"

_ENDS = ("sent", "rejected", "failed", "unknown")
_MOODS = {"valid": "good", "sent": "good", "sending": "busy", "unknown": "warn", "not checked": ""}
_SAID = {
    "not checked": "Not checked. Press Check.",
    "valid": "Valid. It can be sent.",
    "sending": "Sending …",
    "sent": "Sent: the API accepted all events. Check again to send once more.",
    "rejected": "Rejected: the API refused the request.",
    "failed": "Failed: the events were not accepted.",
    "unknown": "Unknown: the events may have been accepted. Send them again with the same ids.",
}


_EARLIER = '<p class="bwp-rule">This answered the request as it was before the last edit.</p>'


class EventForm:
    """A form that makes events and sends them through a client.

    `events` are its editors, one an event; `check`, `send`, `add` and `fill_in` are its buttons, `send_anyway` and
    `pasted` two of its boxes, `opened` takes a file; a live client wants `confirm` ticked before its first send.
    `state` is `not checked`, `invalid`, `valid`, `sending`, or what became of the send: `sent`, `rejected`, `failed`,
    `unknown`. `outcome` is its receipt or error, `answer` the answer's JSON.
    """

    def __init__(self, client: Client, events: Any = None) -> None:
        self.client = client
        self.state = "not checked"
        self.outcome: Receipt | BwpError | None = None
        self.answer: dict[str, Any] | None = None
        self.events: list[EventEditor] = []
        self.faults, self._cursor = style.ErrorBoundary(), style.Cursor()
        self._edited_meanwhile = False
        self._answered = ""
        self._make_controls()
        self.view = style.classed(widgets.VBox(self._parts()), "bwp")
        self.fill([client.new_event("page-load")] if events is None else events)

    def __repr__(self) -> str:
        """Return the form as text, for readers who see no widgets."""
        lines = [f"EventForm({self.client!r}): {self.state}"]
        for index, editor in enumerate(self.events):
            values = [readable(value, 80) for value in editor.values.values() if value is not None]
            lines.append(f"  event {index + 1}: {' | '.join(values)}")
            lines += [f"    {readable(name, 80)}: {readable(value, 80)}" for name, value in editor.pairs]
        lines += [f"  problem: {_problem_text(problem)}" for problem in self.problems]
        if self.outcome is not None:
            lines.append(f"  {'outcome' if self.state in _ENDS else 'last outcome'}: {self.outcome}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**options)
        return {**bundle, "text/plain": repr(self)}

    @property
    def mutation(self) -> Mutation:
        """The request as it stands; raises `InvalidEvent` where an event holds a property's name twice."""
        return Mutation([editor.event for editor in self.events])

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the request as it stands; each problem tells the event's place."""
        count = len(self.events)
        if not 1 <= count <= MAX_EVENTS:
            return [Problem("events", count, _COUNT_RULE, f"one call takes 1 to {MAX_EVENTS} events, here are {count}")]
        return [
            Problem(problem.field, problem.value, problem.rule, problem.message, index)
            for index, editor in enumerate(self.events)
            for problem in editor.found()
        ]

    def fill(self, source: Any) -> None:
        """Put other events in place of these.

        From a `Mutation`, a `UserEvent` or several, a row of a DataFrame, a dict, a DataFrame, any text that
        `Mutation.parse` reads, rows as JSON or JSONL, or the `Path` of a file of these or of CSV, such as a quarantine.
        Raises `InvalidEvent`, with the form as it was, for anything else.
        """
        made = rows.events_of(source, lambda: self.client.new_event("page-load"))
        _refuse_too_many("events", len(made), _MOST_SHOWN)
        _refuse_too_many("properties", sum(len(event.additional_properties) for event in made), _MOST_PROPERTIES)
        for event in made:
            _refuse_half_characters(event)
        with self.faults.turn:
            replaced = self.events
            self.events = [self._editor(_values(event), event.additional_properties.items()) for event in made]
            self._lay_out_events()
            self._edited()
            style.close(*(editor.view for editor in replaced))

    # ---- What is on the form ----

    def _make_controls(self) -> None:
        shown = self.faults.shown
        self.add = _button("Add an event", shown(self._add))
        self.check = _button("Check", shown(self._check))
        self.send = _button("Send", shown(self._send, in_turn=False), button_style="primary")
        self.send_anyway = widgets.Checkbox(description="Send anyway, to see what the API says", indent=False)
        self.send_anyway.observe(shown(self._settle_send), "value")
        self.send_anyway.layout.width = "auto"
        self.confirm = widgets.Checkbox(description=f"Yes, send real events to {self.client.endpoint}", indent=False)
        self.confirm.observe(shown(self._settle_send), "value")
        self.confirm.layout.width = "auto"
        self.request_as = widgets.Dropdown(
            options=list(snippets.FORMS),
            description="The request as",
            style={"description_width": "initial"},
        )
        self.request_as.observe(shown(self._show_request), "value")
        self.request_as.layout.width = "auto"
        self.pasted = widgets.Textarea(
            description="Paste a request",
            placeholder="GraphQL, JSON, a cURL line, Python code, or rows as JSON or JSONL",
            rows=4,
        )
        self.pasted.layout.width, self.pasted.style.description_width = "auto", "initial"
        self.fill_in = _button("Fill the form with it", shown(self._fill_in))
        self.opened = widgets.FileUpload(description="Open a file", accept=".json,.jsonl,.csv,.graphql,.txt")
        self.opened.observe(shown(self._open), "value")
        self._events_box = widgets.VBox()
        self._links = style.classed(widgets.VBox(), "bwp-stack")
        self._status, self._answer, self._request, self._paste_said, self._downloads = (
            widgets.HTML() for _ in range(5)
        )

    def _parts(self) -> list[Any]:
        actions = style.classed(widgets.HBox([self.check, self.send, self.send_anyway, self.confirm]), "bwp-row")
        left = widgets.VBox([self._events_box, self.add, actions, self._status, self._links, self._answer])
        request = widgets.VBox([self.request_as, self._request, self._downloads])
        sources = style.classed(widgets.HBox([self.fill_in, self.opened]), "bwp-row")
        paste = widgets.VBox([self.pasted, sources, self._paste_said])
        right = widgets.VBox([style.classed(request, "bwp-card"), style.classed(paste, "bwp-card")])
        for box, flex in ((left, "3 1 30em"), (right, "2 1 26em")):
            box.layout.flex, box.layout.overflow = flex, "visible"
        left.layout.grid_gap = "8px"
        columns = style.classed(widgets.HBox([left, right]), "bwp-columns")
        return [widgets.HTML(style.STYLE), widgets.HTML(self._title()), self.faults.view, columns, self._cursor.view]

    def _title(self) -> str:
        if self.client.sandbox is not None:
            return "<h3>Make events</h3><p>They go to the sandbox: nothing leaves this notebook.</p>"
        where = escape(self.client.endpoint)
        return f'<h3>Make events</h3><p class="bwp-state bwp-bad"><b>Live.</b> They go to {where} and are real.</p>'

    def _editor(self, values: Mapping[str, str | None], properties: Iterable[tuple[str, str]]) -> EventEditor:
        shown = self.faults.shown
        editor = EventEditor(
            values,
            properties,
            shown=shown,
            edited=self._edited,
            new_id=self.client.new_id,
            now=self.client.clock.now,
            focus=self._cursor.put,
        )
        for button, act in (
            (editor.duplicate, self._duplicate),
            (editor.remove, self._remove),
            (editor.up, partial(self._move, by=-1)),
            (editor.down, partial(self._move, by=1)),
        ):
            button.on_click(shown(partial(self._of_event, act, editor)))
        return editor

    # ---- What its buttons do ----

    def _add(self) -> None:
        self._insert(len(self.events), self._new_editor())

    def _new_editor(self) -> EventEditor:
        return self._editor(_values(self.client.new_event("page-load")), ())

    def _of_event(self, act: Callable[[EventEditor], object], editor: EventEditor) -> None:
        """Do what a button of an event does, unless the click came late and the event is gone."""
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
        self._edited(f"Event {index + 1} is removed.")
        style.close(editor.view)
        left = self.events[index : index + 1] or self.events[-1:]
        self._cursor.put(left[0].remove if left else self.add)

    def _move(self, editor: EventEditor, by: int) -> None:
        index = self.events.index(editor)
        if not 0 <= index + by < len(self.events):
            return
        self.events.insert(index + by, self.events.pop(index))
        self._lay_out_events()
        self._edited(f"Event {index + 1} is event {index + by + 1} now.")
        first, second = (editor.up, editor.down) if by < 0 else (editor.down, editor.up)
        self._cursor.put(second if first.disabled else first)

    def _check(self) -> None:
        if self.state != "sending":
            self._become("invalid" if self.problems else "valid")

    def _send(self) -> None:
        """Send, once: the state moves on, so that a second click finds nothing to send. Edits may come meanwhile."""
        with self.faults.turn:
            if not self._may_send():
                return
            check, before = not self.send_anyway.value, self._newest_exchange()
            self.client.confirm = None  # It was answered on the form: no keyboard can answer while a form waits.
            self._edited_meanwhile = False
            self._become("sending")
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
        except BaseException:  # Also an interrupted kernel: whether the request went out is then not known.
            with self.faults.turn:
                self._become("unknown")
            raise
        exchange = self._newest_exchange()
        self._end(found, None if exchange is before else exchange)

    def _end(self, found: Receipt | BwpError, exchange: Exchange | None) -> None:
        with self.faults.turn:
            self.outcome = found
            self._show_outcome(exchange)
            if self._edited_meanwhile:
                self._become("not checked", "It was sent as it stood before you edited it.")
            else:
                self._become(found.state)
        if self.client.sandbox is not None:
            refresh(self.client.sandbox)
        self._cursor.put(self.check)  # Send, which had the focus, is disabled

    def _newest_exchange(self) -> Exchange | None:
        return self.client.history[-1] if len(self.client.history) else None

    def _fill_in(self) -> None:
        if self._take(lambda: self.pasted.value):
            self.pasted.value = ""

    def _open(self) -> None:
        """Fill the form from the file that was chosen, and let the same one be chosen again."""
        if self.opened.value:
            file, self.opened.value = self.opened.value[0], ()
            self._take(lambda: rows.File(file["name"], bytes(file["content"])))

    def _take(self, source: Callable[[], Any]) -> bool:
        """Fill the form with what somebody pasted or opened, and tell whether that worked."""
        self._paste_said.value = style.status("Filling the form …", "busy")
        try:
            self.fill(source())
        except InvalidEvent as error:
            said = "; ".join(_problem_text(problem) for problem in error.problems[:5])
            self._paste_said.value = style.status(said, "bad", alert=True)
            return False
        self._paste_said.value = style.status(f"The form is filled: {counted(len(self.events), 'event')}.", "good")
        return True

    # ---- What it shows ----

    def _edited(self, done: str = "") -> None:
        self.send_anyway.value = False  # Who ticked it meant what stood there then.
        self._paste_said.value = ""
        if self.state == "sending":
            self._edited_meanwhile = True
        else:
            self._become("not checked", done)
        self._show_answer(is_earlier=True)
        self._show_request()
        self._show_downloads()

    def _become(self, state: str, done: str = "") -> None:
        """Pass to a state and say so; `done` is said before it."""
        self.state = state
        found = self.problems
        self._show_problems(found)
        said = f"Invalid: {counted(len(found), 'problem')}." if state == "invalid" else _SAID[state]
        mood = _MOODS.get(state, "bad")
        self._status.value = style.status(f"{done} {said}".strip(), mood, alert=mood in ("bad", "warn"))
        self._settle_send()

    def _may_send(self) -> bool:
        return self._is_confirmed() and self._is_ready()

    def _is_confirmed(self) -> bool:
        return self.client.confirm is None or bool(self.confirm.value)

    def _is_ready(self) -> bool:
        return self.state == "valid" or (self.state in ("not checked", "invalid") and self.send_anyway.value)

    def _settle_send(self) -> None:
        style.shown(self.confirm, visible=self.client.confirm is not None)
        self.send.disabled = not self._may_send()
        self.check.disabled = self.state == "sending"

    def _show_problems(self, found: list[Problem]) -> None:
        """Show problems beside their fields at once, and as links to them once Check was pressed."""
        shown = found + self._rejected_values()
        named_events = {problem.index for problem in self._rejected_values()}
        for index, editor in enumerate(self.events):
            editor.show([problem for problem in shown if problem.index == index])
            named = ": the answer names it" if index in named_events else ""
            editor.number(index, len(self.events), f"{self.state}{named}" if self.state in _ENDS else "")
        links = shown if self.state not in ("not checked", "sending") else []
        # One link a place, also where our checks and the API both refuse what stands there.
        replaced = self._links.children
        self._links.children = [self._link(problem) for problem in {_place_text(p): p for p in links}.values()]
        style.close(*replaced)

    def _rejected_values(self) -> list[Problem]:
        """Return the values that the API's refusal names, as problems."""
        if self.state != "rejected" or not isinstance(self.outcome, MutationRejected):
            return []
        return [
            Problem(
                found.field,
                found.value,
                found.rule or "unknown; the API's answer stands below",
                f"The API refused {quoted(found.value)}",
                found.index,
            )
            for found in self.outcome.rejected_values
        ]

    def _link(self, problem: Problem) -> widgets.Button:
        """Return a button that puts the cursor where the problem is."""
        button = style.made(
            widgets.Button,
            description=f"Go to {_place_text(problem)}",
            tooltip=readable(problem.message, 200),
            classes=("bwp-link",),
        )
        button.on_click(self.faults.shown(lambda: self._go_to(problem)))
        return button

    def _go_to(self, problem: Problem) -> None:
        editor = None if problem.index is None else self.events[problem.index]
        place = (editor and editor.place(problem.field)) or self.add
        place.focus()

    def _show_request(self) -> None:
        try:
            text = snippets.FORMS[self.request_as.value](self.mutation, self.client.endpoint)
        except InvalidEvent as error:
            self._request.value = style.status(f"There is no request yet. {error.problems[0].message}", "bad")
        else:
            self._request.value = style.copyable(text, f"Request: {self.request_as.value}")

    def _show_downloads(self) -> None:
        try:
            events = self.mutation.events
        except InvalidEvent:  # the place of the request says so
            self._downloads.value = ""
            return
        links = [
            _download(events, "JSON", "application/json", rows.to_json),
            _download(events, "CSV", "text/csv", rows.to_csv),
        ]
        note = "For machines: in CSV, cells that begin like a formula stay as they are."
        self._downloads.value = f'<p>Save the events: {" ".join(links)} <span class="bwp-rule">{note}</span></p>'

    def _show_outcome(self, exchange: Exchange | None) -> None:
        self.answer = exchange.answer if exchange else None
        self._answered = outcome.html(self.outcome, exchange)
        self._show_answer(is_earlier=self._edited_meanwhile)

    def _show_answer(self, *, is_earlier: bool) -> None:
        note = _EARLIER if is_earlier and self._answered else ""
        self._answer.value = note + self._answered

    def _lay_out_events(self) -> None:
        self._events_box.children = [editor.view for editor in self.events]


def _button(name: str, callback: Callable[[object], None], **options: Any) -> widgets.Button:
    button = widgets.Button(description=name, **options)
    button.on_click(callback)
    button.layout.align_self = "flex-start"  # Else it would be as wide as its column.
    return button


def _download(
    events: Iterable[UserEvent], kind: str, media_type: str, write: Callable[[Iterable[UserEvent]], str]
) -> str:
    try:
        content = base64.b64encode(write(events).encode()).decode()
    except InvalidEvent as error:
        return f"(no {kind}: {escape(readable(error.problems[0].message))})"
    name = f"events.{kind.lower()}"
    return f'<a download="{name}" href="data:{media_type};base64,{content}">{name}</a>'


def _values(event: UserEvent) -> dict[str, str | None]:
    return {name: getattr(event, name) for name in TEXT_FIELDS}


def _place_text(problem: Problem) -> str:
    return problem.field if problem.index is None else f"event {problem.index + 1}, {problem.field}"


def _problem_text(problem: Problem) -> str:
    return f"{_place_text(problem)}: {readable(problem.message)}"


def _refuse_too_many(things: str, count: int, most: int) -> None:
    if count > most:
        message = f"a form holds {most} {things}, and here are {count}: give some of the events, or use send_table"
        raise InvalidEvent([Problem("events", count, _SHOWN_RULE, message)])


def _refuse_half_characters(event: UserEvent) -> None:
    """Refuse what no page can show and no request carry, before it reaches a control."""
    found = [problem for problem in event.problems() if problem.rule == UNICODE_RULE]
    if found:
        raise InvalidEvent(found)
