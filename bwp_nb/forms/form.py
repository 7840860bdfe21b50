"""A form for a notebook, or a page of Voila, that makes events, checks them, sends them and shows the outcome."""

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from operator import is_
from typing import Any, NamedTuple

import ipywidgets as widgets

from bwp_nb.client import Client
from bwp_nb.displays.html import Html, beside, card, code
from bwp_nb.errors import BwpError, InvalidEvent, MutationRejected, Problem
from bwp_nb.event import UNICODE_RULE
from bwp_nb.forms.drafts import MAX_SHOWN, UNSENDABLE, Draft, Drafts, mutation, place
from bwp_nb.forms.editor import Editor, helps
from bwp_nb.forms.page import Page, set_visible, show_in, status
from bwp_nb.forms.panel import SandboxPanel, refresh
from bwp_nb.forms.request import AnswerArea, RequestArea, Sources
from bwp_nb.mutation import Mutation
from bwp_nb.tables import rows
from bwp_nb.text import counted, quoted, readable
from bwp_nb.wire.answer import Receipt

_ENDS = {
    "sending": ("busy", "Sending …"),
    "sent": ("good", "Sent: the API accepted all events."),
    "rejected": ("bad", "Rejected: the API rejected the request."),
    "failed": ("bad", "Failed: the events were not accepted."),
    "unknown": ("warn", "Unknown: events may have been accepted. Resend them with the same ids."),
}
_MARKS = {"invalid": "✗", "valid": "○", "sending": "…", "sent": "✓", "rejected": "✗", "failed": "!", "unknown": "?"}
_MOST_LINKS, _MOST_PROPERTIES = 10, 1000
_SHOWN_RULE = f"at most {MAX_SHOWN} events and {_MOST_PROPERTIES} properties in a form (our own rule)"
_AGAIN = "Not sent: the API has accepted these events already. Edit them, or press Send anyway to send them once more."


class Snapshot(NamedTuple):
    """A picture of a form at one moment, as text and as HTML."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


class EventForm:
    """A form that makes events and sends them through a client.

    `event_list` lists the events, and its `index` selects the one that `editor` shows. Buttons: `add`, `duplicate`,
    `remove`, `up`, `down`, `undo`; `send`, and `send_anyway`, which sends events with problems as they are. `confirm`
    must be ticked before a live client's first send. `request` shows the request, `sources` fills the form, `answers`
    shows the outcome and the latest sends.

    `state` is `invalid`, `valid`, `sending`, or the outcome of the send: `sent`, `rejected`, `failed`, `unknown`.
    `outcome` is the receipt or error, `answer` the JSON of the response.

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
        self._page, self._drafts = Page(), Drafts(client)
        self._sent: list[Draft] = []
        self._request = Mutation([])
        self._sent_state = ""
        self.request = RequestArea(self._page, client, self._drafts)
        self.sources = Sources(self._page, self.fill)
        self.answers = AnswerArea(self._page, self.fill)
        self.view = self._page.make(widgets.VBox, self._parts(), css="bwp")
        self._drafts.items = self._read([client.new_event("page-load")] if events is None else events)
        self._show()

    def __repr__(self) -> str:
        """Return the form as text, for a notebook that is read without widgets."""
        outcome = [f"{'outcome' if self._is_as_sent else 'last outcome'}: {self.outcome}"] if self.outcome else []
        return "\n  ".join([f"EventForm({self.client!r}): {self.state}", *self._listed(), *outcome])

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        shown = self.view._repr_mimebundle_(**options)
        return {**shown, "text/plain": repr(self), "text/html": self.snapshot().html}

    def snapshot(self) -> Snapshot:
        """Return a picture of the form as it is now, which later edits do not change."""
        events = Html(code("\n".join(self._listed()), "text") + self._status.value)
        if selected := self._drafts.selected:
            events = Html(f"{events}{self.editor.heading.value}{selected.event._repr_html_()}")
        columns = beside(events=events, request_and_answer=Html(self.request.html + self.answers.html))
        return Snapshot(repr(self), card(Html(_where(self.client)), columns))

    def _listed(self) -> list[str]:
        """Return a line for each event and each problem."""
        return self._lines() + [f"problem: {place(found)}: {readable(found.message)}" for found in self.problems]

    def _lines(self) -> list[str]:
        """Return a line for each event."""
        return [*map(_line, range(1, MAX_SHOWN + 1), self._drafts.items, self.states)]

    @property
    def mutation(self) -> Mutation:
        """The request as typed; raises `InvalidEvent` if an event repeats a property name."""
        return mutation(self._drafts.items)

    @property
    def problems(self) -> list[Problem]:
        """The problems of the request as typed, each with the index of its event."""
        return self._drafts.problems()

    @property
    def state(self) -> str:
        """The state of the request as typed."""
        if self._is_as_sent or self._sent_state == "sending":
            return self._sent_state
        return "invalid" if self.problems else "valid"

    @property
    def states(self) -> list[str]:
        """The state of each event."""
        is_sending = self._sent_state == "sending"
        return ["sending"] * len(self._drafts.items) if is_sending else self._drafts.states()

    def fill(self, source: Any, **how: Mapping[str, str]) -> None:
        """Replace the events of the form.

        Parameters
        ----------
        source
            A `Mutation`, one or several events or rows (dicts, or a Series), a DataFrame, the `Path` of a file, or a
            text: rows as JSON, JSONL, CSV or cells of a spreadsheet, or what `Mutation.parse` reads.
        **how
            `columns` and `fields`, as `send_table` takes them: which columns are fields, and values for all rows.

        Raises
        ------
        InvalidEvent
            If the source cannot be read, or has more events than a form shows. The form is unchanged then.
        """
        drafts = self._read(source, **how)
        with self._page.turn:
            self._show(self._drafts.replace(drafts, 0, "The form is filled."))

    def close(self) -> None:
        """Close the form, and stop serving the sandbox."""
        self.request.close()
        self.view.close()

    def _parts(self) -> list[Any]:
        below = self._page.fold("Paste or open", lambda: self.sources.view)
        if (sandbox := self.client.sandbox) is not None:
            below += self._page.fold("The sandbox", lambda: SandboxPanel(sandbox, self._page).view)
        left = self._page.box([*self._list(), *self._editors(), *self._actions()], "bwp-column")
        right = self._page.box([self.request.view, self.answers.view], "bwp-column")
        columns = [self._page.box([left, right], "bwp-columns"), self._page.box(below, "bwp-columns")]
        return [*self._page.head, self._page.html(_where(self.client)), *columns]

    def _list(self) -> list[Any]:
        make, button, drafts = self._page.make, self._page.button, self._drafts
        self.event_list = make(widgets.Select, changed=self._chosen, rows=5, description="Events", css="bwp-list")
        self.add = button("Add", self._changer(drafts.add), tooltip="Add an event")
        self.duplicate = button("Duplicate", self._changer(drafts.duplicate), tooltip="Copy the selected event")
        self.remove = button("Remove", self._changer(drafts.remove), tooltip="Remove the selected event")
        self.up = button("Up", self._changer(partial(drafts.move, -1)), tooltip="Move the selected event up")
        self.down = button("Down", self._changer(partial(drafts.move, 1)), tooltip="Move the selected event down")
        self.undo = button("Undo", self._changer(drafts.undo), tooltip="Undo the last fill or change of the list")
        return [self.event_list, self.add, self.duplicate, self.remove, self.up, self.down, self.undo]

    def _editors(self) -> list[Any]:
        """Make two editors that are used in turn, so that a late key goes to the event that was shown before."""
        marks = {name: self._page.html(text, css="bwp-help") for name, text in helps().items()}
        typed = partial(self._show, is_typed=True)
        self.editor, self._other_editor = (Editor(self._page, self.client, typed, marks) for _ in range(2))
        return [self.editor.view, self._other_editor.view]

    def _actions(self) -> list[Any]:
        send, anyway = (partial(self._send, check) for check in (True, False))
        self.send = self._page.button("Send", send, in_turn=False, button_style="primary")
        self.send_anyway = self._page.button("Send anyway", anyway, in_turn=False, tooltip="Send with problems, too")
        label = f"Yes, send real events to {self.client.endpoint}"
        self.confirm = self._page.make(widgets.Checkbox, description=label, indent=False, css="bwp-confirm")
        self._status, self._links_box = self._page.html(), self._page.box([], "bwp-note")
        return [self.send, self.send_anyway, self.confirm, self._status, self._links_box]

    def _read(self, source: Any, **how: Mapping[str, str]) -> list[Draft]:
        """Return the events in a source, or raise `InvalidEvent` if a form cannot show them."""
        events = rows.events_of(source, lambda: self.client.new_event("page-load"), **how)
        size = (len(events), sum(len(event.additional_properties) for event in events))
        if size[0] > MAX_SHOWN or size[1] > _MOST_PROPERTIES:
            message = f"got {counted(size[0], 'event')} with {size[1]} properties; use fewer, or send_table"
            raise InvalidEvent([Problem("events", size[0], _SHOWN_RULE, f"expected {_SHOWN_RULE}, {message}")])
        if found := [problem for event in events for problem in event.problems() if problem.rule == UNICODE_RULE]:
            raise InvalidEvent(found)
        return [Draft.of(event) for event in events]

    def _changer(self, change: Callable[[], str]) -> Callable[[], None]:
        """Return what a button of the list does: change the list, and show the event that is selected then."""
        return lambda: self._show(change())

    def _chosen(self) -> None:
        if self.event_list.index not in (None, self._drafts.index):
            self._drafts.index = self.event_list.index
            self._show()

    def _send(self, check: bool) -> None:
        """Send once: the state changes first, so that a second click sends nothing. Edits may come meanwhile."""
        with self._page.turn:
            if not self._may_send(check):
                return
            self._request = self.mutation
            self._sent = self._drafts.items
            self._sent_state = "sending"
            self.outcome = None
            self.client.confirm = None  # The form has asked; the keyboard cannot answer while a callback runs.
        found: Receipt | BwpError | None = None  # also if the kernel is interrupted: it is not known what was sent
        try:
            with self._page.turn:
                self._show()
            found = self.client.send(self._request, check=check)
        except BwpError as error:
            found = error
        finally:
            self._end(found)

    def _may_send(self, check: bool) -> bool:
        """Whether to send; if not, the status says why, and the first problem has the focus."""
        if self.state == "sending":
            return False
        self._drafts.is_pressed = True
        if problems := [one for one in self.problems if check or one.rule in UNSENDABLE]:
            self._go_to(problems[0], f"Not sent; {place(problems[0])}: {problems[0].message}.", "bad")
        elif check and set(self.states) == {"sent"}:
            self._show(_AGAIN, "warn")
        elif self.client.confirm is not None and not self.confirm.value:
            self._page.focus(self.confirm)
            self._show("Not sent. These are real events: tick Yes, then press Send again.", "warn")
        else:
            return True
        return False

    def _end(self, found: Receipt | BwpError | None) -> None:
        """Give each event that was sent its state, unless it was edited meanwhile, and show the outcome."""
        with self._page.turn:
            self.outcome, self._sent_state = found, found.state if found else "unknown"
            self.answer = self.client.history[-1].answer if found else None
            note = "" if self._is_as_sent else "The request was sent as it was before your edit."
            states = found.states if isinstance(found, MutationRejected) else (self._sent_state,) * len(self._sent)
            if self._sent_state == "invalid":  # an event that was sent earlier keeps the outcome of that
                states, note = tuple(draft.outcome for draft in self._sent), "Not sent."
            for draft, event, state in zip(self._sent, self._request.events, states, strict=True):
                draft.outcome = state if draft.event is event else draft.outcome
            self.answers.take(found, self.client.history)
            self._show(note)
        refresh(self.client.sandbox)

    @property
    def _is_as_sent(self) -> bool:
        """Whether the events are those of the last send, unedited."""
        events = [draft.event for draft in self._drafts.items]
        return bool(self._sent) and self._drafts.items == self._sent and all(map(is_, events, self._request.events))

    def _show(self, note: str = "", mood: str = "", *, is_typed: bool = False) -> None:
        """Show the events, what was found in them, and a note on what was done."""
        found, states, index = self.problems, self.states, self._drafts.index
        shown = [*found, *self._rejected()]
        self._show_list()
        if selected := self._drafts.selected:
            self._bind(selected)
            own = [problem for problem in shown if problem.index == index]
            self.editor.show(f"Event {index + 1} of {len(states)} · {states[index]}", own, selected.event.hints())
        set_visible(self.editor.view, visible=selected is not None)
        set_visible(self._other_editor.view, visible=False)
        set_visible(self.confirm, visible=self.client.confirm is not None)
        usual, text = _ENDS.get(self.state) or ("bad" if found else "", self._summary(found))
        self._status.value = status(f"{note} {text}".strip(), mood or usual)
        self._show_links(shown)
        self.answers.show(is_earlier=self.outcome is None or not self._is_as_sent)
        self.request.show(is_typed=is_typed)

    def _bind(self, selected: Draft) -> None:
        """Show another event in the other editor."""
        if self.editor.draft is not selected:
            self.editor, self._other_editor = self._other_editor, self.editor
            self.editor.bind(selected)

    def _summary(self, found: list[Problem]) -> str:
        """Return the numbers of events and problems in words."""
        again = sum(draft.outcome == "sent" for draft in self._drafts.items)
        more = f"; the first {_MOST_LINKS} are below" if len(found) > _MOST_LINKS else ""
        problems = counted(len(found), "problem") if found else "no problems"
        text = f"{counted(len(self._drafts.items), 'event')}, {problems}{more}."
        return f"{text} {counted(again, 'event')} would be sent once more." if again else text

    def _show_list(self) -> None:
        """Show a line for each event."""
        lines = [line.replace(" ", "\N{NO-BREAK SPACE}") for line in self._lines()]
        with self.event_list.hold_sync():
            if lines != list(self.event_list.options):
                self.event_list.index = None  # other options would select the first one
                self.event_list.options = lines
            self.event_list.index = self._drafts.index if lines else None

    def _rejected(self) -> list[Problem]:
        """Return the values that the API rejected of events that are as they were sent."""
        named = self.outcome.rejected_values if isinstance(self.outcome, MutationRejected) else ()
        places = {draft: index for index, draft in enumerate(self._drafts.items) if draft.outcome}
        found = [(it, places[self._sent[it.index]]) for it in named if self._sent[it.index] in places]
        return [Problem(it.field, it.value, it.rule, f"The API rejected {quoted(it.value)}", at) for it, at in found]

    def _show_links(self, found: list[Problem]) -> None:
        """Show a button for each place, even if our checks and the API refuse the same value."""
        targets = {f"Go to {place(problem)}": problem for problem in found}
        labels, box = [*targets][:_MOST_LINKS], self._links_box
        if labels != [link.description for link in box.children]:
            go = [partial(self._go_to, targets[label]) for label in labels]
            show_in(box, [*map(partial(self._page.button, css="bwp-link"), labels, go)])

    def _go_to(self, problem: Problem, note: str = "", mood: str = "") -> None:
        """Select the event of a problem, and move the focus to its field."""
        self._drafts.index = self._drafts.index if problem.index is None else problem.index
        self._show(note, mood)
        self._page.focus(self.add if problem.index is None else self.editor.place(problem.field))


def _where(client: Client) -> str:
    """Return what a form says above its events: where they go."""
    live = f'<p class="bwp-state bwp-bad"><b>Live.</b> They go to {escape(client.endpoint)} and are real.</p>'
    said = live if client.sandbox is None else "<p>They go to the sandbox: nothing leaves this notebook.</p>"
    return f"<h3>Make events</h3>{said}"


def _line(number: int, draft: Draft, state: str) -> str:
    """Return an event as a line of a list: number, state as a mark and a word, type, time, the end of the id."""
    kind, time, end = (readable(getattr(draft.event, name), 60) for name in ("event_type", "event_time", "event_id"))
    return f"{number:>2} {_MARKS[state]} {state:<8} {kind:<18.18} {time:<20.20} …{end[-6:]}"
