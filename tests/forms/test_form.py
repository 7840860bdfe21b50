"""The forms, used through their widgets, without a kernel."""

import base64
import io
import json
import re
import threading
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest
from comm import DummyComm
from hypothesis import given, settings

import bwp_nb as bwp
from bwp_nb import snippets
from bwp_nb.event import UNICODE_RULE
from bwp_nb.forms import EventForm, SandboxPanel, outcome, page, style
from tests.strategies import PROPERTY, any_events, nearly_valid_events

WRONG_TIME = "'2023' is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'"
SERVER_HTML = "<img src=x onerror=alert(1)></script>"


@pytest.fixture(autouse=True)
def _no_callback_fails(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which a callback raised: without a kernel, ipywidgets only logs that."""
    yield
    if "planted" not in request.node.name:
        assert [] == [record.getMessage() for record in caplog.get_records("call")]


@pytest.fixture
def form() -> EventForm:
    """Make a form for a new sandbox."""
    return EventForm(bwp.connect())


def sandbox_of(form: EventForm) -> bwp.Sandbox:
    """Return the sandbox that a form sends to."""
    assert form.client.sandbox is not None
    return form.client.sandbox


def is_hidden(view: Any) -> bool:
    """Return whether a widget is hidden."""
    return "bwp-hidden" in view._dom_classes


def shown_texts(view: Any) -> str:
    """Return all HTML of a view, without what is hidden."""
    if is_hidden(view):
        return ""
    if isinstance(view, widgets.HTML):
        return str(view.value)
    return "\n".join(shown_texts(child) for child in getattr(view, "children", ()))


def every_widget(view: Any) -> Iterator[Any]:
    """Yield a widget and all widgets in it."""
    yield view
    for child in getattr(view, "children", ()):
        yield from every_widget(child)


def test_a_new_form_has_one_valid_event_and_is_not_checked(form: EventForm) -> None:
    """The first event comes from the client's clock and ids; Send is disabled before a check."""
    assert ("not checked", [], True) == (form.state, form.problems, form.send.disabled)
    assert {
        "eventType": "page-load",
        "eventId": "00000000-0000-4000-8000-000000000001",
        "eventTime": "2024-11-22T09:00:00Z",
        "clientType": "WEBSITE_CLIENT",
        "clientVersion": "1.0",
    } == form.mutation.events[0].input


def test_a_checked_form_is_sent(form: EventForm) -> None:
    """Check, then send: the event is in the sandbox, the receipt and the response in the form."""
    form.check.click()
    assert ("valid", False) == (form.state, form.send.disabled)
    form.send.click()
    assert ("sent", True) == (form.state, form.send.disabled)
    assert isinstance(form.outcome, bwp.Receipt)
    assert {"data": {"sendUserEvents": {"status": "successful"}}} == form.answer
    assert [form.mutation.events[0].input] == sandbox_of(form).accepted


def test_a_second_click_sends_nothing(form: EventForm) -> None:
    """Each check allows one send, however often Send is pressed."""
    form.check.click()
    form.send.click()
    form.send.click()
    assert 1 == len(sandbox_of(form).requests)
    form.check.click()
    form.send.click()
    assert 2 == len(sandbox_of(form).requests)


def test_send_does_nothing_before_a_check(form: EventForm) -> None:
    """The button sends neither an unchecked nor an invalid form."""
    form.send.click()
    form.events[0].event_time.value = "2023"
    form.check.click()
    form.send.click()
    assert ("invalid", []) == (form.state, sandbox_of(form).requests)


def test_sending_anyway_shows_the_response(form: EventForm) -> None:
    """Send anyway sends an invalid event, once, and the rejection appears beside the field."""
    form.events[0].event_time.value = "2023"
    form.check.click()
    form.send_anyway.value = True
    assert form.send.disabled is False
    form.send.click()
    form.send.click()
    assert ("rejected", False, 1) == (form.state, form.send_anyway.value, len(sandbox_of(form).requests))
    assert "The API rejected &#x27;2023&#x27;" in form.events[0].controls["eventTime"].problems.value
    assert "rejected" in shown_texts(form.events[0].view)


def test_an_edit_clears_send_anyway(form: EventForm) -> None:
    """An unchecked send sends what was there when the box was ticked, not what was typed since."""
    form.send_anyway.value = True
    form.events[0].event_time.value = "2023"
    form.send.click()
    assert (False, []) == (form.send_anyway.value, sandbox_of(form).requests)


def test_each_event_has_the_state_that_a_rejection_proves(form: EventForm) -> None:
    """The event that the response names is marked; what happened to the other one is unknown."""
    form.add.click()
    form.events[1].event_time.value = "2023"
    form.send_anyway.value = True
    form.send.click()
    headings = re.findall('<h4>Event . of 2 <span class="bwp-rule">(.*?)</span>', shown_texts(form.view))
    assert ["unknown", "rejected: named in the response"] == headings


def test_every_edit_returns_to_not_checked(form: EventForm) -> None:
    """Every control of an event makes the check out of date."""
    form.events[0].add_property.click()
    edits: list[tuple[Any, Any]] = [
        *((control.input, "another") for control in form.events[0].controls.values()),
        (form.events[0].controls["eventType"].choice, "click"),
        (form.events[0].controls["schemaName"].sent, False),
        (form.events[0].properties[0].name, "ubid"),
        (form.events[0].properties[0].value, "a"),
    ]
    buttons = [form.events[0].new_id, form.events[0].add_property, form.events[0].duplicate, form.add]
    for control, value in edits:
        form.check.click()
        control.value = value
        assert "not checked" == form.state, control
    for button in buttons:
        form.check.click()
        button.click()
        assert "not checked" == form.state, button


def test_a_problem_appears_beside_its_field_while_typing(form: EventForm) -> None:
    """The rule is shown before any check, with a link to its source, until the text is fixed."""
    problems = form.events[0].controls["eventTime"].problems
    form.events[0].event_time.value = "2023"
    assert WRONG_TIME in unescape(problems.value)
    assert (
        '<a href="https://documents.buywithprime.amazon.com/bwp-api/docs/user-event-schema" target="_blank" '
        'rel="noopener">User Event Schema</a>' in problems.value
    )
    form.events[0].event_time.value = "2023-12-03T10:15:30Z"
    assert "" == problems.value


def test_a_rule_is_shown_once_for_our_check_and_the_response(form: EventForm) -> None:
    """Both messages are above one rule."""
    form.events[0].event_time.value = "2023"
    form.send_anyway.value = True
    form.send.click()
    shown = unescape(form.events[0].controls["eventTime"].problems.value)
    assert f"{WRONG_TIME}<br>The API rejected '2023' <span" in shown
    assert 1 == shown.count("Rule: ")


def test_a_check_links_to_each_problem(form: EventForm) -> None:
    """Each place with a problem has one button that moves the focus there."""
    form.add.click()
    form.events[1].event_time.value = "2023"
    form.events[0].client_type.value = "IOS"
    form.check.click()
    links = [link for link in every_widget(form.view) if "bwp-link" in link._dom_classes]
    assert ["Go to event 1, clientType", "Go to event 2, eventTime"] == [link.description for link in links]
    sent: list[Any] = []
    form.events[1].event_time.send = sent.append
    links[1].click()
    assert [{"do": "focus"}] == sent


def test_events_are_added_duplicated_removed_and_moved(form: EventForm) -> None:
    """A duplicate is the same event with a new id, right after the first."""
    first = form.events[0]
    first.add_property.click()
    first.properties[0].name.value, first.properties[0].value.value = "ubid", "a"
    first.duplicate.click()
    form.add.click()
    assert [
        ("1", [("ubid", "a")]),
        ("2", [("ubid", "a")]),
        ("3", []),
    ] == [(editor.event_id.value[-1], editor.pairs) for editor in form.events]
    first.down.click()
    form.events[2].up.click()
    assert ["2", "3", "1"] == [editor.event_id.value[-1] for editor in form.events]
    form.events[1].remove.click()
    assert ["2", "1"] == [editor.event_id.value[-1] for editor in form.events]
    assert [(True, False), (False, True)] == [(editor.up.disabled, editor.down.disabled) for editor in form.events]


def test_a_form_without_events_is_invalid(form: EventForm) -> None:
    """An empty request is refused by its number of events."""
    form.events[0].remove.click()
    form.check.click()
    assert ("invalid", "events: expected 1 to 50 events, got 0") == (form.state, str(form.problems[0]))


def test_the_event_type_is_a_choice_that_allows_another_text(form: EventForm) -> None:
    """The documented types are in a list; another text has an input of its own, which is visible while it is used."""
    editor = form.events[0]
    control = editor.controls["eventType"]
    assert (*bwp.EVENT_TYPES, "another text …") == control.choice.options
    assert ("page-load", True) == (control.choice.value, is_hidden(control.input))
    control.choice.value = "click"
    assert "click" == editor.event_type.value
    control.choice.value = "another text …"
    assert not is_hidden(control.input)
    for typed in ("cl", "click", "clicks"):
        editor.event_type.value = typed
        assert ("another text …", False) == (control.choice.value, is_hidden(control.input))


def test_the_picker_and_the_text_of_the_event_time_follow_each_other(form: EventForm) -> None:
    """A picked time is written in UTC, a written time is picked, and any other text is left unchanged."""
    editor = form.events[0]
    picker = editor.controls["eventTime"].picker
    picker.value = pd.Timestamp("2024-02-29 12:00:01").to_pydatetime()
    assert "2024-02-29T12:00:01Z" == editor.event_time.value
    editor.event_time.value = "2023-12-03T10:15:30.250Z"
    assert "2023-12-03T10:15:30.250000" == picker.value.isoformat()
    assert "2023-12-03T10:15:30.250Z" == editor.event_time.value
    editor.event_time.value = "2023"
    assert ("2023", None) == (editor.event_time.value, picker.value)
    editor.controls["eventTime"].now.click()
    assert "2024-11-22T09:00:00Z" == editor.event_time.value


def test_an_optional_field_is_left_out_while_it_is_empty(form: EventForm) -> None:
    """Typing ticks its box, clearing unticks it, and a tick alone sends an empty text."""
    editor = form.events[0]
    sent = editor.controls["schemaName"].sent
    assert (False, False) == (sent.value, "schemaName" in form.mutation.events[0].input)
    editor.schema_name.value = "sfcc-schema"
    assert (True, "sfcc-schema") == (sent.value, form.mutation.events[0].schema_name)
    editor.schema_name.value = ""
    assert (False, None) == (sent.value, form.mutation.events[0].schema_name)
    sent.value = True
    assert "" == form.mutation.events[0].schema_name


def test_properties_are_rows_with_names_suggested_and_any_allowed(form: EventForm) -> None:
    """A missing name is a problem of its row; a repeated name prevents the request."""
    editor = form.events[0]
    editor.add_property.click()
    assert (True, 1) == ("current_url" in editor.properties[0].name.options, len(form.problems))
    assert "the property name is required" in editor.properties[0].problems.value
    editor.properties[0].name.value = "mine"
    editor.add_property.click()
    editor.properties[1].name.value = "mine"
    assert "duplicate property name" in editor.properties[1].problems.value
    assert "The request is incomplete" in shown_texts(form.view)
    form.send_anyway.value = True
    form.send.click()
    assert ("invalid", []) == (form.state, sandbox_of(form).requests)
    editor.properties[1].remove.click()
    assert {"mine": ""} == form.mutation.events[0].additional_properties


def test_the_fields_are_those_of_the_schema(form: EventForm) -> None:
    """Each field of the schema has its control, with the schema's description and source as help."""
    helps = [child.value for child in every_widget(form.events[0].view) if "bwp-help" in child._dom_classes]
    assert 8 == len(helps)
    assert "When it happened, in UTC" in helps[2]
    assert "3 to 64 characters." in helps[0]
    assert [True] * 5 + [False] * 3 == [("Required." in text) for text in helps]
    assert all('(documented: “<a href="https://documents.buywithprime.amazon.com/' in text for text in helps)


@pytest.mark.parametrize("name", list(snippets.FORMS))
def test_the_request_is_shown_live_in_every_form(form: EventForm, name: str) -> None:
    """The request is beside the form, and pasting it fills the form with the same events."""
    form.request_as.value = name
    form.events[0].event_type.value = "click"
    text = unescape(re.findall("<pre[^>]*>(.*?)</pre>", shown_texts(form.view), re.DOTALL)[0])
    before = form.mutation
    form.fill([])
    form.pasted.value = text
    form.fill_in.click()
    assert before == form.mutation
    assert "click" == before.events[0].event_type


@settings(PROPERTY, max_examples=40)
@given(event=any_events | nearly_valid_events())
def test_any_event_fills_the_form_and_comes_out_unchanged(event: bwp.UserEvent) -> None:
    """An event with any texts passes through the controls unchanged, or is refused before it reaches them."""
    form = EventForm(bwp.connect())
    if any(problem.rule == UNICODE_RULE for problem in event.problems()):
        with pytest.raises(bwp.InvalidEvent, match="lone surrogate"):
            form.fill(event)
    else:
        form.fill(event)
        assert bwp.Mutation(event) == form.mutation


@pytest.mark.parametrize("as_row", [dict, pd.Series, lambda row: pd.DataFrame([row])])
def test_a_row_of_a_table_fills_the_form(form: EventForm, as_row: Any) -> None:
    """Names are ours or the API's, other columns are properties, missing values are generated or left out."""
    row = {"event_type": "click", "eventTime": "2023", "product_sku": "00123", "ubid": None}
    form.fill(as_row(row))
    assert bwp.UserEvent(
        "click", "00000000-0000-4000-8000-000000000002", "2023", "WEBSITE_CLIENT", "1.0", None, None,
        {"product_sku": "00123"},
    ) == form.mutation.events[0]  # fmt: skip


def test_exports_read_back_as_the_same_events(form: EventForm) -> None:
    """The links contain the events, as JSON that can be pasted and CSV that pandas reads."""
    form.events[0].add_property.click()
    form.events[0].properties[0].name.value, form.events[0].properties[0].value.value = "a b", "=1,\n\"2'"
    before = form.mutation
    links = dict(re.findall(r'download="events.(\w+)" href="data:[\w/]+;base64,([^"]*)"', shown_texts(form.view)))
    form.pasted.value = base64.b64decode(links["json"]).decode()
    form.fill_in.click()
    assert before == form.mutation
    form.fill(pd.read_csv(io.BytesIO(base64.b64decode(links["csv"])), dtype=str))
    assert before == form.mutation


def _quarantine(folder: Path) -> tuple[bwp.Report, Path]:
    """Return the report of a run with three rows that were not sent, and the file with them."""
    day = pd.DataFrame([{"event_type": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1.0"}] * 60)
    day["event_time"] = ["2023", *["2024-11-22T09:00:00Z"] * 59]
    day["note"] = [None, "'\n\u2028\U0001f600\\\"", "=1", *["fine"] * 57]
    day["price"] = ["1.50", 1.5, *["2"] * 58]
    sandbox = bwp.Sandbox()
    sandbox.refuse("=1")
    report = bwp.send_table(bwp.connect(sandbox), day, workers=1, progress=False)
    report.save_quarantine(folder / "fix.jsonl")
    return report, folder / "fix.jsonl"


def test_a_quarantine_opens_in_the_form_and_is_sent_once_fixed(form: EventForm, tmp_path: Path) -> None:
    """The events have the ids of the rows; a number appears as its digits."""
    report, path = _quarantine(tmp_path)
    assert {"sent": 57, "rejected": 1, "invalid": 2, "failed": 0, "unknown": 0} == report.counts
    _choose(form, path.name, path.read_bytes())
    opened = form.mutation.events
    assert list(report.quarantine()["event_id"]) == [event.event_id for event in opened]
    assert ["2023", "1.5", "=1"] == [
        opened[0].event_time,
        opened[1].additional_properties["price"],
        opened[2].additional_properties["note"],
    ]
    assert ["eventTime"] == [problem.field for problem in form.problems]
    form.events[0].event_time.value = "2024-11-22T09:00:00Z"
    form.check.click()
    form.send.click()
    assert "sent" == form.state
    form.fill(path)
    assert opened == form.mutation.events


def test_files_that_the_form_wrote_open_in_it(form: EventForm) -> None:
    """JSON and CSV do, with a byte order mark, and the same file twice."""
    form.events[0].add_property.click()
    form.events[0].properties[0].name.value, form.events[0].properties[0].value.value = "a b", "=1,\n\"2'"
    before = form.mutation
    links = dict(re.findall(r'download="(events.\w+)" href="data:[\w/]+;base64,([^"]*)"', shown_texts(form.view)))
    for name in ("events.json", "events.csv", "events.csv"):
        form.fill([])
        _choose(form, name, b"\xef\xbb\xbf" + base64.b64decode(links[name]))
        assert before == form.mutation
        assert "The form is filled: 1 event." in shown_texts(form.view)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("day.csv", b"row,state,reason,event_id\n1,invalid,no,a\n", "was written by save_spreadsheet"),
        ("day.csv", b'a,b\n"1', "day.csv, line 2 cannot be read as CSV: unexpected end of data"),
        ("day.csv", b"\xff", "day.csv, line 1 is not UTF-8: 'utf-8' codec can't decode byte 0xff"),
        ("day.json", b"\xff", "day.json, line 1 is not UTF-8: 'utf-8' codec can't decode byte 0xff"),
        ("day.json", b"", "cannot parse this as a sendUserEvents request"),
    ],
)
def test_a_file_that_cannot_fill_the_form_says_why_and_changes_nothing(
    form: EventForm, name: str, content: bytes, reason: str
) -> None:
    """The reason appears beside the button, and the events are unchanged."""
    before = form.mutation
    _choose(form, name, content)
    assert reason in unescape(shown_texts(form.view))
    assert before == form.mutation


def _choose(form: EventForm, name: str, content: bytes) -> None:
    """Do what the browser does after a file was chosen."""
    moment = datetime(2024, 11, 22, tzinfo=UTC)
    chosen = {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": moment}
    form.opened.value = (chosen,)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nonsense", "cannot parse this as a sendUserEvents request"),
        ("[1]", "event 1, row: expected a UserEvent, a dict or a Series, got '1'"),
        ('{"event_type": [1]}', "event 1, eventType: must be a str, got"),
        ("{}\n" * 61, "expected at most 60 events, got 61"),
        (json.dumps([{f"p{n}": "" for n in range(501)}] * 2), "expected at most 1000 properties, got 1002"),
        ('[{"event_type": "\\ud83d"}]', "contains a lone surrogate and cannot be encoded as UTF-8"),
        ('{"additional_properties": 1}', "expected a dict of str to str, got '1'"),
    ],
)
def test_a_text_that_cannot_fill_the_form_says_why_and_changes_nothing(
    form: EventForm, source: str, reason: str
) -> None:
    """The reason appears beside the text, which stays, and the events are unchanged."""
    before = form.mutation
    form.pasted.value = source
    form.fill_in.click()
    assert reason in unescape(shown_texts(form.view))
    assert (before, source) == (form.mutation, form.pasted.value)


def test_a_planted_error_of_a_callback_appears_on_the_form_and_is_raised(
    form: EventForm, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in the form is shown on the form and raised to the caller, not only logged."""

    def fail() -> None:
        raise ZeroDivisionError(SERVER_HTML)

    with pytest.raises(ZeroDivisionError):
        form.errors.guard(fail)(None)
    assert '<p role="alert"' in form.errors.view.value
    assert "ZeroDivisionError: &lt;img src=x onerror=alert(1)&gt;" in shown_texts(form.view)
    form.client.new_event = lambda *_: fail()  # type: ignore[assignment, method-assign]
    form.add.click()
    assert [ZeroDivisionError] == [record.exc_info[0] for record in caplog.records if record.exc_info]


def test_every_callback_shows_its_own_errors(form: EventForm) -> None:
    """All callbacks of the form and the panel are guarded."""
    panel = SandboxPanel(sandbox_of(form))
    form.events[0].add_property.click()
    form.events[0].event_time.value = "2023"
    form.check.click()
    for widget in [*every_widget(form.view), *every_widget(panel.view)]:
        click = getattr(widget, "_click_handlers", None)
        for handler in click.callbacks if click else ():
            assert "ErrorBoundary.guard.<locals>.callback" == handler.__qualname__, widget
        for handler in widget._trait_notifiers.get("value", {}).get("change", ()):
            if getattr(handler, "__module__", "").startswith("bwp_nb"):
                assert "ErrorBoundary.guard.<locals>.callback" == handler.__qualname__, widget


def test_an_interrupted_send_ends_in_unknown(form: EventForm) -> None:
    """The events may have been accepted, and the outcome of an earlier send is gone."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    form.events[0].event_time.value = "2023"
    form.send_anyway.value = True
    form.send.click()
    form.check.click()
    form.send_anyway.value = True
    form.client.send = interrupted  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        form._send()
    assert ("unknown", None, True) == (form.state, form.outcome, "may have been accepted" in shown_texts(form.view))
    assert "The API rejected" not in shown_texts(form.view)


def test_while_it_sends_the_form_says_so(form: EventForm) -> None:
    """The state is on the form before the client is called."""
    seen: list[tuple[str, bool, bool]] = []
    send = form.client.send

    def watching(*given: Any, **how: Any) -> bwp.Receipt:
        seen.append((form.state, "Sending" in shown_texts(form.view), form.send.disabled))
        return send(*given, **how)

    form.check.click()
    form.client.send = watching  # type: ignore[method-assign]
    form.send.click()
    assert [("sending", True, True)] == seen


def test_text_of_users_and_servers_is_escaped(form: EventForm) -> None:
    """HTML in values, in errors and in the sandbox's events is shown as text."""
    panel = SandboxPanel(sandbox_of(form))
    editor = form.events[0]
    for control in editor.controls.values():
        control.input.value = SERVER_HTML
    editor.add_property.click()
    editor.properties[0].name.value = editor.properties[0].value.value = SERVER_HTML
    form.check.click()
    form.send_anyway.value = True
    form.send.click()
    form.pasted.value = SERVER_HTML
    form.fill_in.click()
    assert "rejected" == form.state
    form.fill(bwp.connect().new_event("click", note=SERVER_HTML))
    form.check.click()
    form.send.click()
    assert "sent" == form.state
    html = shown_texts(form.view) + shown_texts(panel.view)
    assert "note: &lt;img" in html
    assert (False, False) == ("<img" in html, "</script>" in html)


def test_a_receipt_is_shown_in_words(form: EventForm) -> None:
    """Status, number and attempts are a sentence; notes are a list, which is cut."""
    for _ in range(2):
        form.check.click()
        form.send.click()
    shown = shown_texts(form.view)
    assert "<p>1 event accepted after 1 attempt, with the status <code>successful</code>.</p>" in shown
    assert "<p><b>Notes:</b></p><ul><li>unknown: whether the API keeps an event whose eventId it has seen;" in shown
    many = outcome.html(bwp.Receipt("a<b", 2, 3, notes=("<i>",) * 12), None)
    assert "2 events accepted after 3 attempts, with the status <code>a&lt;b</code>" in many
    assert (10, True) == (many.count("<li>&lt;i&gt;</li>"), "<li>and 2 more</li></ul>" in many)


def test_the_text_of_the_form_has_its_state() -> None:
    """A notebook without widgets has the events, the problems and the outcome as text."""
    form = EventForm(bwp.connect())
    form.events[0].event_time.value = "2023"
    form.check.click()
    text = (
        "EventForm(Client(sandbox)): invalid\n"
        "  event 1: page-load | 00000000-0000-4000-8000-000000000001 | 2023 | WEBSITE_CLIENT | 1.0\n"
        f"  problem: event 1, eventTime: {WRONG_TIME}"
    )
    assert text == repr(form)
    bundle = form._repr_mimebundle_()
    assert repr(form) == bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_a_live_form_says_so_unmistakably() -> None:
    """Its title says that the events are real, and where they go."""
    import httpx

    client = bwp.Client(httpx.MockTransport(lambda _: httpx.Response(500)), "https://shop.example/graphql")
    texts = shown_texts(EventForm(client).view)
    assert "<b>Live.</b> They go to https://shop.example/graphql and are real." in texts


def test_a_live_form_asks_on_the_form_before_its_first_send() -> None:
    """The form asks instead of the keyboard; one tick is enough for all sends."""
    import httpx

    done = {"data": {"sendUserEvents": {"status": "successful"}}}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=done))
    form = EventForm(bwp.Client(transport, "https://shop.example/graphql", confirm=lambda _: pytest.fail("asked")))
    form.check.click()
    assert (True, False) == (form.send.disabled, is_hidden(form.confirm))
    form.send.click()
    assert "valid" == form.state
    form.confirm.value = True
    form.send.click()
    assert ("sent", True) == (form.state, is_hidden(form.confirm))
    form.check.click()
    assert not form.send.disabled


def test_every_control_has_a_label(form: EventForm) -> None:
    """Every input, list and button has a name."""
    form.events[0].add_property.click()
    panel = SandboxPanel(sandbox_of(form))
    for widget in [*every_widget(form.view), *every_widget(panel.view)]:
        if not isinstance(widget, widgets.Box | widgets.HTML):
            assert widget.description, widget


def test_outcomes_are_announced(form: EventForm) -> None:
    """A success has the role of a status, a problem that of an alert."""
    form.check.click()
    assert '<p role="status" class="bwp-state bwp-good">Valid' in shown_texts(form.view)
    form.events[0].event_time.value = "2023"
    form.check.click()
    assert '<p role="alert" class="bwp-state bwp-bad">Invalid: 1 problem.' in shown_texts(form.view)


def test_the_panel_is_refreshed_after_a_send(form: EventForm) -> None:
    """After a form's send the panel of its sandbox shows the event, and only that panel."""
    panel, other = SandboxPanel(sandbox_of(form)), SandboxPanel(bwp.Sandbox())
    form.check.click()
    form.send.click()
    assert "1 accepted, 0 rejected, 1 request." in shown_texts(panel.view)
    assert ">page-load</td>" in shown_texts(panel.view)
    assert "0 accepted, 0 rejected, 0 requests." in shown_texts(other.view)
    panel.reset.click()
    assert (True, []) == ("0 accepted" in shown_texts(panel.view), sandbox_of(form).accepted)


def test_a_fault_ordered_on_the_panel_is_what_the_form_meets(form: EventForm) -> None:
    """A send fails as often as ordered, and succeeds after that."""
    panel = SandboxPanel(sandbox_of(form))
    assert [fault.name for fault in bwp.faults()] == [name for _, name in panel.fault.options]
    panel.fault.value = "access_denied"
    panel.times.value = 2
    panel.order.click()
    assert "Ordered for the next 2 responses: access_denied." in shown_texts(panel.view)
    form.check.click()
    form.send.click()
    assert "failed" == form.state
    form.check.click()
    form.send.click()
    assert "sent" == form.state


def test_the_style_follows_the_theme() -> None:
    """Every colour is one of JupyterLab's, with a default for pages without them."""
    colours = re.findall(r"#[0-9a-fA-F]{3,8}\b", style.STYLE)
    assert len(re.findall(r"var\(--jp-[\w-]+, #[0-9a-fA-F]{6}\)", style.STYLE)) == len(colours)


def test_a_repeated_name_hides_no_other_problem(form: EventForm) -> None:
    """It appears beside both rows and counts once, and the time is a problem as well."""
    editor = form.events[0]
    for _ in range(2):
        editor.add_property.click()
        editor.properties[-1].name.value = "product_sku"
    editor.event_time.value = "2023"
    assert ["eventTime", "additionalProperties['product_sku']"] == [problem.field for problem in form.problems]
    assert [1, 1] == [row.problems.value.count("duplicate property name") for row in editor.properties]
    form.check.click()
    assert ("invalid", 2) == (form.state, len(form._links.children))


def test_an_edit_during_a_send_is_not_reported_as_sent() -> None:
    """A kernel may run the callback of an edit during a send: the request at the time of the click was sent."""
    sandbox = bwp.Sandbox()
    client = bwp.connect(sandbox)
    form = EventForm(client)

    states: list[str] = []

    def type_and_press() -> None:
        form.events[0].client_version.value = "1.09"
        form.check.click()
        form.send.click()
        states.append(form.state)

    def type_meanwhile(seconds: float) -> None:
        typing = threading.Thread(target=type_and_press, daemon=True)
        typing.start()
        typing.join(10)  # The edit does not wait for the end of the request.
        states.append(form.state)

    sandbox.clock.sleep = type_meanwhile  # type: ignore[method-assign]
    form.check.click()
    form.send.click()
    assert ["sending", "sending"] == states
    assert ["1.0"] == [event["clientVersion"] for event in sandbox.accepted]
    assert ("not checked", "1.09") == (form.state, form.mutation.events[0].client_version)
    texts = shown_texts(form.view)
    assert "The request was sent as it was before your edit. Not checked." in texts
    assert "This is the outcome of the request before the last edit." in texts
    assert "Event 1 of 1</h4>" in texts


def test_the_outcome_of_an_earlier_request_is_labelled(form: EventForm) -> None:
    """It stays visible after an edit, with a note that it belongs to the request before."""
    note = "This is the outcome of the request before the last edit."
    form.check.click()
    form.send.click()
    assert note not in shown_texts(form.view)
    form.events[0].event_time.value = "2023"
    assert note in shown_texts(form.view)


def test_widgets_that_are_no_longer_shown_are_closed(form: EventForm) -> None:
    """A page would keep them otherwise; widgets that all events share stay open."""
    form.fill([{}] * 5)
    form.events[1].event_time.value = "2023"
    form.check.click()
    gone = [list(every_widget(form.events[1].view)), list(every_widget(form.events[2].view)), form._links.children]
    form.events[1].remove.click()
    form.fill([{}])
    shared = set(every_widget(form.view))
    assert all(widget.comm is None or widget in shared for widgets_gone in gone for widget in widgets_gone)
    assert all(widget.comm is not None for widget in shared)
    assert all(widget.layout.comm is not None for widget in shared)


@pytest.mark.parametrize("properties", [2, 20])
def test_a_page_gets_no_more_messages_than_its_server_passes_on(
    form: EventForm, monkeypatch: pytest.MonkeyPatch, properties: int
) -> None:
    """A server drops some of more than 3,000 changes in three seconds, and lost some of 6,000 widgets (measured)."""
    now = 0.0
    messages: list[tuple[float, str]] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    kernel = SimpleNamespace(get_parent=dict)
    monkeypatch.setattr(page, "_kernel", lambda: kernel)
    monkeypatch.setattr(page.time, "sleep", sleep)
    monkeypatch.setattr(DummyComm, "publish_msg", lambda _comm, kind, *_parts, **_more: messages.append((now, kind)))
    for event_type in ("click", "", "x"):
        form.fill([{"event_type": event_type, **{f"{event_type}{n}": "" for n in range(properties)}}] * 50)
        form.check.click()
    assert 50 * (47 + 7 * properties) < len([kind for _, kind in messages if kind == "comm_close"])
    for kinds, most in (({"comm_msg", "comm_close"}, 3_000), ({"comm_msg", "comm_close", "comm_open"}, 6_000)):
        moments = [moment for moment, kind in messages if kind in kinds]
        assert max(bisect_left(moments, moment + 3) - place for place, moment in enumerate(moments)) < most


def test_callbacks_run_one_at_a_time(form: EventForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that is filled while an event is added has the events of the fill, whichever a kernel runs first."""
    begun, go = threading.Event(), threading.Event()
    new_event = form.client.new_event

    def new_event_later(event_type: str) -> bwp.UserEvent:
        if not begun.is_set():
            begun.set()
            go.wait(60)
        return new_event(event_type)

    monkeypatch.setattr(form.client, "new_event", new_event_later)
    adding = threading.Thread(target=form.add.click)
    filling = threading.Thread(target=form.fill, args=([{"event_id": "1"}, {"event_id": "2"}],))
    adding.start()
    begun.wait(60)
    filling.start()
    filling.join(0.5)  # It would end in this time if it did not wait.
    go.set()
    adding.join(60)
    filling.join(60)
    assert ["1", "2"] == [editor.event_id.value for editor in form.events]


def test_a_late_click_does_nothing(form: EventForm) -> None:
    """Buttons of a removed event or property have no effect."""
    form.fill([{"event_id": "1", "a": "b"}, {"event_id": "2"}])
    gone, row = form.events[1], form.events[0].properties[0]
    for button in (gone.remove, row.remove):
        button.click()
    for button in (gone.remove, gone.duplicate, gone.up, gone.down, row.remove):
        button.click()
    assert (["1"], []) == ([editor.event_id.value for editor in form.events], form.events[0].pairs)


def test_a_long_form_is_few_widgets() -> None:
    """A page gets at most 800 widgets a second, and a request has up to fifty events."""
    form = EventForm(bwp.connect(), [{"product_sku": "a", "page_type": "b"}] * 50)
    made = set(every_widget(form.view)) | {widget.layout for widget in every_widget(form.view)}
    assert 50 == len(form.events)
    assert len(made) < 3_200


def test_moving_and_removing_is_announced(form: EventForm) -> None:
    """The status line says it, for screen readers."""
    form.add.click()
    form.events[1].up.click()
    assert "Event 2 is now event 1. Not checked." in form._status.value
    form.events[0].remove.click()
    assert "Event 1 was removed. Not checked." in form._status.value


def test_a_panel_lists_the_pending_faults() -> None:
    """In their order, until they were played."""
    sandbox = bwp.Sandbox()
    panel = SandboxPanel(sandbox)
    for name, times in (("reset_after", 1), ("refused", 3)):
        panel.fault.value, panel.times.value = name, times
        panel.order.click()
    assert "Ordered for the next 4 responses: reset_after, 3 times refused." in shown_texts(panel.view)
    client = bwp.connect(sandbox)
    with pytest.raises(bwp.RequestFailed):
        client.send(client.new_event("click"))
    panel.refresh.click()
    assert "Ordered" not in shown_texts(panel.view)


def test_a_panel_counts_events_that_the_sandbox_no_longer_has() -> None:
    """A sandbox keeps a bounded number of events, and counts all."""
    sandbox = bwp.Sandbox(keep=2)
    client = bwp.connect(sandbox)
    client.send([client.new_event("click") for _ in range(5)])
    shown = shown_texts(SandboxPanel(sandbox).view)
    assert ("5 accepted, 0 rejected, 1 request." in shown, 2) == (True, shown.count(">click</td>"))
