"""A form for a notebook, or a page of Voila, that makes events, checks them, sends them and shows the outcome."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.errors import BwpError, InvalidEvent, MutationRejected
from bwp_nb.forms import outcome, style
from bwp_nb.forms.drafts import Draft, place
from bwp_nb.forms.editor import Editor
from bwp_nb.forms.event_list import EventList
from bwp_nb.forms.fields import fields
from bwp_nb.forms.page import Page, head, set_visible
from bwp_nb.forms.panel import SandboxPanel, refresh
from bwp_nb.forms.picture import Snapshot, title
from bwp_nb.forms.request import RequestArea
from bwp_nb.forms.sources import Sources, drafts_of
from bwp_nb.history import Exchange
from bwp_nb.mutation import COUNT_RULE, MAX_EVENTS, Mutation
from bwp_nb.problems import Problem, RejectedValue
from bwp_nb.text import counted, quoted, readable
from bwp_nb.wire.answer import Receipt

_ENDS = {
    "sent": ("good", "Sent: the API accepted all events."),
    "rejected": ("bad", "Rejected: the API rejected the request."),
    "failed": ("bad", "Failed: the events were not accepted."),
    "unknown": ("warn", "Unknown: events may have been accepted. Resend them with the same ids."),
}
_EARLIER = '<p class="bwp-rule">This is the answer to the request before the last edit.</p>'
_MOST_LINKS = 10


class EventForm:
    """A form that makes events and sends them through a client.

    `event_list` lists the events, and its `index` selects the one that `editor` shows. Buttons: `add`, `duplicate`,
    `remove`, `up`, `down`, `undo`; `send`, and `send_anyway`, which sends events with problems as they are. `confirm`
    must be ticked before a live client's first send. `request` shows the request, `sources` fills the form.

    `state` is `invalid`, `valid`, `sending`, or the outcome of the send: `sent`, `rejected`, `failed`, `unknown`.
    `outcome` is the receipt or error, `answer` the JSON of the response. `close` stops what the form serves.

    Parameters
    ----------
    client
        Where the events go.
    events
        What the form begins with, as `fill` takes it; by default one new event.
    """

    def __init__(self, client: Client, events: Any = None) -> None:
        self.client = client
        self.outcome: Receipt | BwpError | None = None
        self.answer: dict[str, Any] | None = None
        self._page = Page()
        self._drafts: list[Draft] = []
        self._sent: list[Draft] = []
        self._undone: list[tuple[list[Draft], int]] = []
        self._is_sending = False
        self._sent_state = self._outcome_html = ""
        self._make_list()
        self._make_editors()
        self._make_actions()
        self._make_answer()
        self.request = RequestArea(self._page, client)
        self.sources = Sources(self._page, self.fill)
        self.view = self._page.make(widgets.VBox, self._parts(), classes=("bwp",))
        self.fill([client.new_event("page-load")] if events is None else events)
        self._undone.clear()

    def __repr__(self) -> str:
        """Return the form as text, for a notebook that is read without widgets."""
        lines = [f"EventForm({self.client!r}): {self.state}"]
        for number, (draft, state) in enumerate(zip(self._drafts, self.states, strict=True), 1):
            values = [readable(text, 80) for text in draft.values.values() if text is not None]
            lines.append(f"  event {number}, {state}: {' | '.join(values)}")
            lines += [f"    {readable(item.name, 80)}: {readable(item.value, 80)}" for item in draft.properties]
        lines += [f"  problem: {place(problem)}: {readable(problem.message)}" for problem in self.problems]
        if self.outcome is not None:
            lines.append(f"  {'outcome' if self.state in _ENDS else 'last outcome'}: {self.outcome}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**options)
        return {**bundle, **self.snapshot()._repr_mimebundle_()}

    def snapshot(self) -> Snapshot:
        """Return a picture of the form as it is now, which later edits do not change."""
        request, answer = self.request.text, self._outcome_view.value
        return Snapshot.of(repr(self), self.client, self._drafts, self.states, self.problems, request, answer)

    @property
    def editor(self) -> Editor:
        """The controls of the selected event."""
        return self._editors[0]

    @property
    def mutation(self) -> Mutation:
        """The request as typed; raises `InvalidEvent` if an event repeats a property name."""
        return Mutation([draft.event for draft in self._drafts])

    @property
    def problems(self) -> list[Problem]:
        """The problems of the request as typed, each with the index of its event."""
        count = len(self._drafts)
        if not 1 <= count <= MAX_EVENTS:
            return [Problem("events", count, COUNT_RULE, f"expected 1 to {MAX_EVENTS} events, got {count}")]
        found = enumerate(draft.problems() for draft in self._drafts)
        return [replace(problem, index=index) for index, problems in found for problem in problems]

    @property
    def state(self) -> str:
        """The state of the request as typed."""
        if self._is_sending:
            return "sending"
        if self._drafts == self._sent and self._drafts:
            return self._sent_state
        return "invalid" if self.problems else "valid"

    @property
    def states(self) -> list[str]:
        """The state of each event."""
        return [self._state_of(draft, bool(draft.problems())) for draft in self._drafts]

    def fill(
        self, source: Any, *, columns: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> None:
        """Replace the events of the form.

        Parameters
        ----------
        source
            A `Mutation`, one or several events or rows (dicts, or a Series), a DataFrame, the `Path` of a file, or a
            text: rows as JSON, JSONL, CSV or cells of a spreadsheet, or what `Mutation.parse` reads.
        columns, fields
            Names of columns that are fields, and values for all rows, as `send_table` takes them.

        Raises
        ------
        InvalidEvent
            If the source cannot be read, or has more events than a form shows. The form is unchanged then.
        """
        drafts = drafts_of(source, lambda: self.client.new_event("page-load"), columns, fields)
        with self._page.turn:
            self._replace(drafts, 0, f"The form is filled: {counted(len(drafts), 'event')}.")

    def close(self) -> None:
        """Close the widgets, and stop serving the sandbox."""
        self.request.close()
        self.view.close()

    # ---- The parts of the form ----

    def _make_list(self) -> None:
        button = self._page.button
        self.event_list = EventList(self._page, self._select)
        self.add = button("Add", self._add, tooltip="Add an event")
        duplicate = partial(self._page.when_typed, self._in_turn(self._duplicate))
        self.duplicate = button("Duplicate", duplicate, tooltip="Copy the selected event, with a new id")
        self.remove = button("Remove", self._remove, tooltip="Remove the selected event")
        self.up = button("Up", partial(self._move, -1), tooltip="Move the selected event up")
        self.down = button("Down", partial(self._move, 1), tooltip="Move the selected event down")
        self.undo = button("Undo", self._undo, tooltip="Undo the last fill or change of the list")

    def _make_editors(self) -> None:
        """Make two editors that are used in turn, so that a late key goes to the event that was shown before."""
        helps = {
            field.api_name: self._page.make(widgets.HTML, style.help_text(field), classes=("bwp-help",))
            for field in fields()
        }
        self._editors = [Editor(self._page, self.client, self._edit, helps) for _ in range(2)]

    def _make_actions(self) -> None:
        def sender(label: str, check: bool, **options: Any) -> Any:
            press = partial(self._page.when_typed, partial(self._send, check))
            made = self._page.make(widgets.Button, description=label, classes=("bwp-once",), **options)
            made.on_click(self._page.guard(press, in_turn=False))
            return made

        self.send = sender("Send", True, button_style="primary")
        self.send_anyway = sender("Send anyway", False, tooltip="Send events with problems too, to see the response")
        label = f"Yes, send real events to {self.client.endpoint}"
        self.confirm = self._page.make(widgets.Checkbox, description=label, indent=False, classes=("bwp-confirm",))
        self._status = self._page.make(widgets.HTML, classes=("bwp-note",))
        self._links: list[Any] = []
        self._targets: list[Problem] = []
        self._links_box = self._page.make(widgets.HBox, classes=("bwp-note", "bwp-links"))

    def _make_answer(self) -> None:
        self._outcome_view = self._page.make(widgets.HTML, classes=("bwp-note",))
        self.past = self._page.make(widgets.Dropdown, description="Latest sends")
        self.load = self._page.button("Load", self._load, tooltip="Fill the form with the events of this send")
        self._panel_box = self._page.make(widgets.HBox, classes=("bwp-hidden",))
        self.show_sandbox = self._page.make(
            widgets.ToggleButton, description="The sandbox", icon="caret-down", changed=self._toggle_panel
        )

    def _parts(self) -> list[Any]:
        make = self._page.make
        actions = [self.send, self.send_anyway, self.confirm, self._status, self._links_box]
        listed = [self.event_list.view, self.add, self.duplicate, self.remove, self.up, self.down, self.undo]
        editors = [editor.view for editor in self._editors]
        left = make(widgets.HBox, [*listed, *editors, *actions], classes=("bwp-column",))
        answer = [self._outcome_view, self.past, self.load]
        right = make(widgets.HBox, [self.request.view, *answer], classes=("bwp-column",))
        columns = make(widgets.HBox, [left, right], classes=("bwp-columns",))
        folded = [self.sources.toggle, *([self.show_sandbox] if self.client.sandbox is not None else [])]
        below = make(widgets.HBox, [*folded, self.sources.view, self._panel_box], classes=("bwp-columns",))
        return [head(), make(widgets.HTML, title(self.client)), *self._page.views, columns, below]

    def _toggle_panel(self) -> None:
        if not self._panel_box.children and self.client.sandbox is not None:
            self._panel_box.children = [SandboxPanel(self.client.sandbox, self._page).view]
        set_visible(self._panel_box, visible=self.show_sandbox.value)

    # ---- What changes the events ----

    def _in_turn(self, act: Callable[[], object]) -> Callable[[], object]:
        def action() -> None:
            with self._page.turn:
                act()

        return action

    def _replace(self, drafts: Sequence[Draft], index: int, note: str) -> None:
        """Take other events, and remember those before for Undo."""
        self._undone = [*self._undone[-99:], (self._drafts, self.event_list.index or 0)]
        self._drafts = list(drafts)
        self._select(min(index, len(drafts) - 1), note)

    def _select(self, index: int, note: str = "") -> None:
        """Show the event of an index in the other editor."""
        if 0 <= index < len(self._drafts):
            self._editors.reverse()
            self.editor.bind(self._drafts[index])
        self._refresh(index, note)

    def _add(self) -> None:
        self._insert(len(self._drafts), Draft.of(self.client.new_event("page-load")), "was added")

    def _duplicate(self) -> None:
        if self._drafts:
            index = self._index
            self._insert(index + 1, self._drafts[index].copy(self.client.new_id()), f"is a copy of event {index + 1}")

    def _insert(self, index: int, draft: Draft, note: str) -> None:
        self._replace([*self._drafts[:index], draft, *self._drafts[index:]], index, f"Event {index + 1} {note}.")

    def _remove(self) -> None:
        if self._drafts:
            index = self._index
            left = [*self._drafts[:index], *self._drafts[index + 1 :]]
            self._replace(left, index, f"Event {index + 1} was removed.")

    def _move(self, by: int) -> None:
        index, drafts = self._index, list(self._drafts)
        if not 0 <= index + by < len(drafts):
            self._refresh(index, f"Event {index + 1} is already the {'first' if by < 0 else 'last'} one.")
            return
        drafts.insert(index + by, drafts.pop(index))
        self._replace(drafts, index + by, f"Event {index + 1} is now event {index + by + 1}.")

    def _undo(self) -> None:
        """Return to the events before the last fill or change of the list; those that are left keep their edits."""
        if not self._undone:
            self._refresh(self._index, "There is nothing to undo.")
            return
        before, index = self._undone.pop()
        now = {draft.key: draft for draft in self._drafts}
        self._drafts = [now.get(draft.key, draft) for draft in before]
        self._select(index, "Undone.")

    def _edit(self, key: int, change: Callable[[Draft], Draft]) -> None:
        """Change the event of a key, unless it was removed before a late key arrived."""
        places = {draft.key: place for place, draft in enumerate(self._drafts)}
        if key in places:
            self._drafts = [*self._drafts]
            self._drafts[places[key]] = change(self._drafts[places[key]])
            self._refresh(self._index, is_typed=True)

    def _load(self) -> None:
        if self.past.value is not None:
            self.fill(Mutation.parse(json.dumps(self.past.value.request)))

    # ---- Sending ----

    def _send(self, check: bool) -> None:
        """Send once: the state changes first, so that a second click sends nothing. Edits may come meanwhile."""
        with self._page.turn:
            if not self._may_send(check):
                return
            before, sent = self._newest_exchange(), self._drafts
            self.client.confirm = None  # The form has asked; the keyboard cannot answer while a callback runs.
            self._is_sending = True
            self._refresh(self._index)
            try:
                mutation = self.mutation
            except InvalidEvent as error:
                self._end(error, None, sent)
                return
        try:
            found: Receipt | BwpError = self.client.send(mutation, check=check)
        except BwpError as error:
            found = error
        except BaseException:  # Also an interrupted kernel: whether the request went out is not known.
            self._end(None, None, sent)
            raise
        exchange = self._newest_exchange()
        self._end(found, None if exchange is before else exchange, sent)

    def _may_send(self, check: bool) -> bool:
        """Whether to send; if not, the status says why, and the first problem has the focus."""
        if self._is_sending:
            return False
        self._drafts = [draft.to_send() for draft in self._drafts]
        if check and (problems := self.problems):
            self._go_to(problems[0])
            self._refresh(self._index, f"Not sent. {place(problems[0]).capitalize()}: {problems[0].message}.", "bad")
        elif check and self.state == "sent":
            advice = "Edit them, or press Send anyway to send them once more with the same ids."
            self._refresh(self._index, f"Not sent: the API has accepted these events already. {advice}", "warn")
        elif self.client.confirm is not None and not self.confirm.value:
            self._page.focus(self.confirm)
            self._refresh(self._index, "Not sent. These are real events: tick Yes, then press Send again.", "warn")
        else:
            return True
        return False

    def _end(self, found: Receipt | BwpError | None, exchange: Exchange | None, sent: list[Draft]) -> None:
        """Give each event that was sent its state, unless it was edited meanwhile, and show the outcome."""
        with self._page.turn:
            self._is_sending = False
            self.outcome, self.answer = found, exchange.answer if exchange else None
            self._sent_state = "unknown" if found is None else found.state
            states = found.states if isinstance(found, MutationRejected) else (self._sent_state,) * len(sent)
            is_unsent = self._sent_state == "invalid"
            ended = {
                draft: replace(draft, outcome="" if is_unsent else state)
                for draft, state in zip(sent, states, strict=True)
            }
            self._drafts = [ended.get(draft, draft) for draft in self._drafts]
            self._sent = [] if is_unsent else [*ended.values()]
            self._outcome_html = "" if found is None else outcome.html(found, exchange)
            self._list_past()
            note = "Not sent." if is_unsent else ""
            if self._drafts != self._sent and not is_unsent:
                note = "The request was sent as it was before your edit."
            self._refresh(self._index, note)
        if self.client.sandbox is not None:
            refresh(self.client.sandbox)

    def _newest_exchange(self) -> Exchange | None:
        return self.client.history[-1] if len(self.client.history) else None

    # ---- What it shows ----

    @property
    def _index(self) -> int:
        """The index of the selected event."""
        keys = [draft.key for draft in self._drafts]
        return keys.index(self.editor.key) if self.editor.key in keys else 0

    def _state_of(self, draft: Draft, has_problems: bool) -> str:
        if self._is_sending:
            return "sending"
        return draft.outcome or ("invalid" if has_problems else "valid")

    def _refresh(self, index: int, note: str = "", mood: str | None = None, *, is_typed: bool = False) -> None:
        """Show the events, what was found in them, and a note on what was done."""
        found = self.problems
        shown = [*found, *self._rejected()]
        states = self.states
        self.event_list.show(self._drafts, states, index)
        selected = self._drafts[index] if 0 <= index < len(self._drafts) else None
        for editor in self._editors:
            set_visible(editor.view, visible=selected is not None and editor is self.editor)
        if selected is not None:
            heading = f"Event {index + 1} of {len(self._drafts)}"
            self.editor.show(heading, states[index], [problem for problem in shown if problem.index == index])
        set_visible(self.confirm, visible=self.client.confirm is not None)
        self._show_status(found, note, mood)
        self._show_links(shown)
        self._outcome_view.value = (
            _EARLIER if self._drafts != self._sent and self._outcome_html else ""
        ) + self._outcome_html
        self.request.edited(self._drafts, selected, is_typed=is_typed)

    def _show_status(self, found: list[Problem], note: str, mood: str | None) -> None:
        state = self.state
        usual, text = _ENDS.get(state, ("bad" if found else "", f"{counted(len(self._drafts), 'event')}, "))
        if state == "sending":
            usual, text = "busy", "Sending …"
        elif state not in _ENDS:
            more = f"; the first {_MOST_LINKS} are below" if len(found) > _MOST_LINKS else ""
            text += f"{counted(len(found), 'problem')}{more}." if found else "no problems."
        if state == "valid" and (again := sum(draft.outcome == "sent" for draft in self._drafts)):
            text += f" {counted(again, 'event')} of them will be sent once more."
        self._status.value = style.status(f"{note} {text}".strip(), usual if mood is None else mood)

    def _rejected(self) -> list[Problem]:
        """Return the values that the API rejected of events that are as they were sent."""
        if not isinstance(self.outcome, MutationRejected):
            return []
        places = {draft: place for place, draft in enumerate(self._drafts)}
        named = [value for value in self.outcome.rejected_values if self._sent and self._sent[value.index] in places]
        return [_problem(value, places[self._sent[value.index]]) for value in named]

    def _show_links(self, found: list[Problem]) -> None:
        """Show a button for each place, even if our checks and the API refuse the same value."""
        self._targets = list({place(problem): problem for problem in found}.values())[:_MOST_LINKS]
        while len(self._links) < len(self._targets):
            follow = partial(self._follow, len(self._links))
            self._links.append(self._page.button("", follow, classes=("bwp-link", "bwp-hidden")))
            self._links_box.children = self._links
        for number, link in enumerate(self._links):
            set_visible(link, visible=number < len(self._targets))
        for link, problem in zip(self._links, self._targets, strict=False):
            link.description, link.tooltip = f"Go to {place(problem)}", readable(problem.message, 200)

    def _follow(self, number: int) -> None:
        if number < len(self._targets):
            self._go_to(self._targets[number])

    def _go_to(self, problem: Problem) -> None:
        """Select the event of a problem, and move the focus to its field."""
        if problem.index is None:
            self._page.focus(self.add)
            return
        if problem.index != self._index:
            self._select(problem.index)
        self._page.focus(self.editor.place(problem.field))

    def _list_past(self) -> None:
        calls = [call for call in self.client.history if call.operation != "execute" and call.attempts]
        self.past.options = [(f"{n}. {outcome.summary(call)}", call) for n, call in enumerate(calls, 1)][:-11:-1]


def _problem(value: RejectedValue, index: int) -> Problem:
    message = f"The API rejected {quoted(value.value)}"
    return Problem(value.field, value.value, value.rule or "unknown; see the answer", message, index)
