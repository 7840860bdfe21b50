"""The form, used through its widgets, without a kernel."""

import base64
import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import ipywidgets as widgets
import pandas as pd
import pytest
from hypothesis import given, settings

import bwp_nb as bwp
from bwp_nb import snippets
from bwp_nb.event import UNICODE_RULE
from bwp_nb.forms import EventForm, SandboxPanel
from bwp_nb.forms.request import answer
from tests.strategies import PROPERTY, any_events, nearly_valid_events

WRONG_TIME = "'2023' is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'"
GOOD_TIME = "2023-12-03T10:15:30Z"
SERVER_HTML = "<img src=x onerror=alert(1)></script>"
EARLIER = "This is the answer to the request before the last edit."
HEAD = "event_type,event_id,client_type,client_version"
ROW = "click,{},SERVER_CLIENT,1.0"
DONE = {"data": {"sendUserEvents": {"status": "successful"}}}


@pytest.fixture(autouse=True)
def _no_callback_fails(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which a callback raised: without a kernel, ipywidgets only logs that."""
    yield
    if "planted" not in request.node.name:
        assert [] == [record.getMessage() for record in caplog.get_records("call")]


@pytest.fixture
def form() -> Iterator[EventForm]:
    """Make a form for a new sandbox."""
    form = EventForm(bwp.connect())
    yield form
    form.close()


def live_form(confirm: Any = None) -> EventForm:
    """Make a form for a live client whose server accepts everything."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=DONE))
    return EventForm(bwp.Client(transport, "https://shop.example/graphql", confirm=confirm))


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


def links(form: EventForm) -> list[Any]:
    """Return the buttons that lead to problems."""
    return [widget for widget in every_widget(form.view) if "bwp-link" in widget._dom_classes]


def add_property(form: EventForm, name: str, value: str) -> None:
    """Add a property to the selected event."""
    form.editor.add_property.click()
    form.editor.properties[-1].name.value, form.editor.properties[-1].value.value = name, value


def ids(form: EventForm) -> list[str]:
    """Return the last character of the id of each event."""
    return [event.event_id[-1] for event in form.mutation.events]


def shown_request(form: EventForm) -> str:
    """Return the request as it is shown."""
    (text,) = re.findall('<pre[^>]*"Request: [^>]*>(.*?)</pre>', shown_texts(form.view), re.DOTALL)
    return unescape(re.sub("<[^>]*>", "", text))


def choose(form: EventForm, name: str, content: bytes) -> None:
    """Do what the browser does after a file was chosen."""
    moment = datetime(2024, 11, 22, tzinfo=UTC)
    chosen = {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": moment}
    form.sources.opened.value = (chosen,)


def paste(form: EventForm, text: str) -> None:
    """Fill the form from a pasted text."""
    form.sources.pasted.value = text
    form.sources.fill_in.click()


# ---- Checking ----


def test_a_new_form_has_one_valid_event(form: EventForm) -> None:
    """The event comes from the client's clock and ids, and is checked at once."""
    assert ("valid", ["valid"], []) == (form.state, form.states, form.problems)
    assert {
        "eventType": "page-load",
        "eventId": "00000000-0000-4000-8000-000000000001",
        "eventTime": "2024-11-22T09:00:00Z",
        "clientType": "WEBSITE_CLIENT",
        "clientVersion": "1.0",
    } == form.mutation.events[0].input


def test_a_problem_appears_while_typing(form: EventForm) -> None:
    """In the list, the status and beside the field, with the rule and its source, until the text is fixed."""
    form.editor.event_time.value = "2023"
    assert ("invalid", True) == (form.state, "✗\N{NO-BREAK SPACE}invalid" in form.event_list.options[0])
    texts = unescape(shown_texts(form.view))
    assert '<p role="alert" class="bwp-state bwp-bad">1 event, 1 problem.</p>' in texts
    assert f"{WRONG_TIME} <span" in texts
    assert (
        '<a href="https://documents.buywithprime.amazon.com/bwp-api/docs/user-event-schema" target="_blank" '
        'rel="noopener">User Event Schema</a>' in texts
    )
    form.editor.event_time.value = GOOD_TIME
    assert ("valid", False) == (form.state, '<p class="bwp-problem"' in shown_texts(form.view))
    assert "1 event, no problems." in shown_texts(form.view)


def test_up_to_ten_buttons_lead_to_the_problems(form: EventForm) -> None:
    """Each place with a problem has one, which selects the event; the status counts the others."""
    form.fill(f"{HEAD},event_time\n" + "".join(f"{ROW.format(n)},no\n" for n in range(12)))
    assert [f"Go to event {n}, eventTime" for n in range(1, 11)] == [link.description for link in links(form)]
    assert "12 events, 12 problems; the first 10 are below." in shown_texts(form.view)
    links(form)[4].click()
    assert (4, "4") == (form.event_list.index, form.editor.event_id.value)


def test_a_new_property_is_no_problem_until_it_is_edited_or_sent(form: EventForm) -> None:
    """It is left out of the request until then."""
    form.editor.add_property.click()
    assert ("valid", {}) == (form.state, form.mutation.events[0].additional_properties)
    form.send.click()
    assert ("invalid", "the property name is required" in shown_texts(form.view)) == (form.state, True)
    form.editor.properties[0].name.value = "ubid"
    form.editor.add_property.click()
    form.editor.properties[1].value.value = "a"
    assert ("invalid", 1) == (form.state, len(form.problems))


def test_a_repeated_name_hides_no_other_problem(form: EventForm) -> None:
    """It appears beside both rows and counts once, and the time is a problem as well."""
    for _ in range(2):
        add_property(form, "product_sku", "a")
    form.editor.event_time.value = "2023"
    assert ["eventTime", "additionalProperties['product_sku']"] == [problem.field for problem in form.problems]
    assert ["duplicate property name" in row.note.value for row in form.editor.properties] == [True, True]
    assert "The request is incomplete" in shown_texts(form.view)
    form.send_anyway.click()
    assert ("invalid", []) == (form.state, sandbox_of(form).requests)
    assert "Not sent; event 1, additionalProperties['product_sku']: duplicate" in unescape(shown_texts(form.view))
    assert "" == form.answers.html


def test_every_text_of_a_field_is_kept(form: EventForm) -> None:
    """Values outside the suggested ones, and an optional field that is left out while it is empty."""
    editor = form.editor
    assert is_hidden(editor.event_type)
    for typed in ("click", "clicks", "", "page-load"):
        editor.event_type.value = typed
        assert typed == form.mutation.events[0].event_type
    choice = next(widget for widget in every_widget(editor.view) if "eventType *" == getattr(widget, "description", ""))
    assert ("another text …", False) == (choice.value, is_hidden(editor.event_type))
    choice.value = "click"
    assert ("click", True) == (form.mutation.events[0].event_type, is_hidden(editor.event_type))
    choice.value = "another text …"
    for typed in ("c", "page-load"):
        editor.event_type.value = typed
        assert (typed, False) == (form.mutation.events[0].event_type, is_hidden(editor.event_type))
    editor.schema_name.value = "sfcc-schema"
    assert "sfcc-schema" == form.mutation.events[0].schema_name
    editor.schema_name.value = ""
    assert form.mutation.events[0].schema_name is None


def test_now_says_whose_clock_it_is(form: EventForm) -> None:
    """A sandbox's clock is simulated, a live client's is the computer's."""
    assert ("Now, by the sandbox's clock", "Now") == (form.editor.now.description, live_form().editor.now.description)
    form.editor.event_time.value = ""
    form.editor.now.click()
    assert "2024-11-22T09:00:00Z" == form.mutation.events[0].event_time
    form.editor.new_id.click()
    assert "valid" == form.state


def test_the_help_of_each_field_is_that_of_the_schema(form: EventForm) -> None:
    """Its description, limits and sources, with their certainty."""
    helps = [widget.value for widget in every_widget(form.editor.view) if "bwp-help" in widget._dom_classes]
    assert 8 == len(helps)
    assert "When it happened, in UTC" in helps[2]
    assert "3 to 64 characters." in helps[0]
    assert [True] * 5 + [False] * 3 == [("Required" in text) for text in helps]
    assert all('documented: “<a href="https://documents.buywithprime.amazon.com/' in text for text in helps)


# ---- The list ----


def test_events_are_added_duplicated_moved_and_removed(form: EventForm) -> None:
    """A duplicate is the same event with a new id, after the first; each action is announced."""
    add_property(form, "ubid", "a")
    form.duplicate.click()
    assert (["1", "2"], 1, "2") == (ids(form), form.event_list.index, form.editor.event_id.value[-1])
    assert [{"ubid": "a"}] * 2 == [event.additional_properties for event in form.mutation.events]
    form.add.click()
    form.up.click()
    assert (["1", "3", "2"], 1) == (ids(form), form.event_list.index)
    assert "Event 3 is now event 2. 3 events, no problems." in shown_texts(form.view)
    form.down.click()
    form.down.click()
    assert "There is nothing to change." in shown_texts(form.view)
    form.remove.click()
    assert (["1", "2"], 1) == (ids(form), form.event_list.index)
    assert "Event 3 was removed." in shown_texts(form.view)


def test_undo_returns_to_the_list_before_and_keeps_edits(form: EventForm) -> None:
    """Of fills too; an event that is still there keeps what was typed since."""
    form.duplicate.click()
    form.remove.click()
    form.editor.client_version.value = "2"
    form.undo.click()
    assert (["1", "2"], ["2", "1.0"]) == (ids(form), [event.client_version for event in form.mutation.events])
    form.fill([])
    form.undo.click()
    form.undo.click()
    assert (["1"], "2") == (ids(form), form.editor.client_version.value)
    form.undo.click()
    assert "There is nothing to undo." in shown_texts(form.view)


def test_a_form_without_events_or_with_too_many_is_invalid(form: EventForm) -> None:
    """51 can be tried, and are refused by their number; the form shows at most 60."""
    form.remove.click()
    assert ("invalid", "events: expected 1 to 50 events, got 0") == (form.state, str(form.problems[0]))
    for button in (form.send, form.remove, form.duplicate, form.up, form.down):
        button.click()
    for _ in range(51):
        form.add.click()
    form.send.click()
    form.send_anyway.click()
    assert ("invalid", []) == (form.state, sandbox_of(form).requests)
    assert "expected 1 to 50 events, got 51" in shown_texts(form.view)
    form.editor.event_time.value = "x"
    assert [*["valid"] * 50, "invalid"] == form.states
    for _ in range(10):
        form.add.click()
    assert (60, True) == (len(form.mutation.events), "at most 60 events" in shown_texts(form.view))


def test_late_text_goes_to_the_event_that_was_shown(form: EventForm) -> None:
    """Text that was typed before the page showed another event, or the event was removed, changes no other event."""
    form.duplicate.click()
    form.event_list.index = 0
    shown = form.editor
    form.event_list.index = 1
    shown.client_version.value = "late"
    assert ["late", "1.0"] == [event.client_version for event in form.mutation.events]
    form.remove.click()
    shown = form.editor
    form.add.click()
    form.event_list.index = 0
    form.remove.click()
    shown.client_version.value = "later"
    assert ["1.0"] == [event.client_version for event in form.mutation.events]


def test_a_late_click_does_nothing(form: EventForm) -> None:
    """The button of a removed property has no effect."""
    add_property(form, "a", "b")
    add_property(form, "c", "d")
    row = form.editor.properties[0]
    row.remove.click()
    row.remove.click()
    assert {"c": "d"} == form.mutation.events[0].additional_properties


def test_fifty_events_are_few_widgets() -> None:
    """At most 150 models with three properties in an event, and five more for each further one of the shown event."""
    before = {*widgets.Widget.get_manager_state()["state"]}
    rows = f"{HEAD},a,b,c\n" + "".join(f"{ROW.format(n)},1,2,3\n" for n in range(50))
    form = EventForm(bwp.connect(), rows)
    for index in (1, 2, 49):
        form.event_list.index = index
    made = {*widgets.Widget.get_manager_state()["state"]} - before
    assert len(made) <= 150
    for name in "defg":
        add_property(form, name, "e")
    assert len({*widgets.Widget.get_manager_state()["state"]} - before - made) == 4 * 5


# ---- Sending ----


def test_a_valid_form_is_sent(form: EventForm) -> None:
    """One press: the event is in the sandbox, the receipt and the response in the form."""
    form.send.click()
    assert ("sent", ["sent"]) == (form.state, form.states)
    assert isinstance(form.outcome, bwp.Receipt)
    assert DONE == form.answer
    assert [form.mutation.events[0].input] == sandbox_of(form).accepted
    texts = shown_texts(form.view)
    assert '<p role="status" class="bwp-state bwp-good">Sent: the API accepted all events.</p>' in texts
    assert "sent · HTTP 200 · 1 attempt · 0.10 s · 324 bytes sent, 54 received" in texts
    assert "1 event accepted, with the status successful." in texts
    assert "✓" in form.event_list.options[0]


def test_what_was_accepted_is_not_sent_again_by_accident(form: EventForm) -> None:
    """Send says so; after an edit, or by Send anyway, the events are sent once more."""
    form.send.click()
    form.send.click()
    assert (1, "sent") == (len(sandbox_of(form).requests), form.state)
    assert "Not sent: the API has accepted these events already." in shown_texts(form.view)
    form.add.click()
    assert "2 events, no problems. 1 event would be sent once more." in shown_texts(form.view)
    form.remove.click()
    form.send_anyway.click()
    assert 2 == len(sandbox_of(form).requests)
    assert "unknown: whether the API keeps an event whose eventId it has seen" in shown_texts(form.view)


def test_send_leads_to_the_first_problem(form: EventForm) -> None:
    """It selects the event, says why nothing was sent, and stays enabled."""
    form.editor.event_time.value = "2023"
    form.add.click()
    form.send.click()
    assert (0, False, []) == (form.event_list.index, form.send.disabled, sandbox_of(form).requests)
    assert f"Not sent; event 1, eventTime: {WRONG_TIME}. 2 events, 1 problem." in unescape(shown_texts(form.view))


def test_sending_anyway_shows_the_response(form: EventForm) -> None:
    """The rejection is beside the field, with one rule for our check and the response; other events are unknown."""
    form.editor.event_time.value = "2023"
    form.add.click()
    form.send_anyway.click()
    assert ("unknown", ["rejected", "unknown"], 1) == (form.state, form.states, len(sandbox_of(form).requests))
    links(form)[0].click()
    shown = unescape(shown_texts(form.editor.view))
    assert f"{WRONG_TIME}<br>The API rejected '2023' <span" in shown
    assert (1, 1) == (shown.count("Rule: "), len(links(form)))
    cells = re.findall("<td[^>]*>(.*?)</td>", form.answers.html)
    assert ["event", "1", "field", "eventTime", "value", "&#x27;2023&#x27;"] == [*cells[:2], *cells[4:8]]
    form.editor.event_time.value = GOOD_TIME
    assert (["valid", "unknown"], True) == (form.states, EARLIER in shown_texts(form.view))
    assert "The API rejected" not in shown_texts(form.editor.view)


def test_a_live_form_says_so_and_asks_before_its_first_send() -> None:
    """The form asks instead of the keyboard, for Send anyway too; one tick is enough for all sends."""
    form = live_form(confirm=lambda _: pytest.fail("asked"))
    assert "<b>Live.</b> They go to https://shop.example/graphql and are real." in shown_texts(form.view)
    for button in (form.send, form.send_anyway):
        button.click()
        assert ("valid", False) == (form.state, is_hidden(form.confirm))
        assert "Not sent. These are real events: tick Yes" in shown_texts(form.view)
    form.confirm.value = True
    form.send.click()
    assert ("sent", True) == (form.state, is_hidden(form.confirm))
    form.editor.new_id.click()
    form.send.click()
    assert ("sent", 2) == (form.state, len(form.client.history))


def test_a_send_that_cannot_begin_changes_no_outcome() -> None:
    """Settings may be unusable, such as a proxy: what was sent before stays sent, and is not sent again by accident."""

    def answered(_: httpx.Request) -> httpx.Response:
        if len(form.client.history) % 2:
            raise bwp.InvalidSettings(["HTTPS_PROXY: expected the http or https address of a proxy."])
        return httpx.Response(200, json=DONE)

    form = EventForm(bwp.Client(httpx.MockTransport(answered), "https://shop.example/graphql", confirm=None))
    form.send.click()
    form.add.click()
    form.send.click()
    assert ("invalid", ["sent", "valid"]) == (form.state, form.states)
    assert "Not sent. 2 events, no problems. 1 event would be sent once more." in shown_texts(form.view)
    assert "HTTPS_PROXY: expected the http or https address" in form.answers.html
    assert [False, False] == [text in form.answers.html for text in (EARLIER, "bytes sent")]
    form.send.click()
    form.send_anyway.click()
    assert ("invalid", ["sent", "sent"]) == (form.state, form.states)
    form.send.click()
    assert (4, True) == (len(form.client.history), "Not sent: the API has accepted" in shown_texts(form.view))


def test_an_edit_during_a_send_is_not_reported_as_sent() -> None:
    """A kernel may run the callback of an edit during a send: the request at the time of the click was sent."""
    sandbox = bwp.Sandbox()
    form = EventForm(bwp.connect(sandbox))
    states: list[str] = []

    def type_and_press() -> None:
        form.editor.client_version.value = "1.09"
        form.send.click()
        states.append(form.state)

    def type_meanwhile(seconds: float) -> None:
        typing = threading.Thread(target=type_and_press, daemon=True)
        typing.start()
        typing.join(10)  # The edit does not wait for the end of the request.
        states.append("Sending …" in shown_texts(form.view))  # type: ignore[arg-type]

    sandbox.clock.sleep = type_meanwhile  # type: ignore[method-assign]
    form.send.click()
    assert ["sending", True] == states
    assert ["1.0"] == [event["clientVersion"] for event in sandbox.accepted]
    assert ("valid", ["valid"], "1.09") == (form.state, form.states, form.mutation.events[0].client_version)
    assert "The request was sent as it was before your edit." in shown_texts(form.view)
    assert EARLIER in shown_texts(form.view)


def test_an_interrupted_send_ends_in_unknown(form: EventForm) -> None:
    """The events may have been accepted, and the outcome of an earlier send is gone."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    form.editor.event_time.value = "2023"
    form.send_anyway.click()
    form.client.send = interrupted  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        form.send_anyway.click()
    assert ("unknown", None, True) == (form.state, form.outcome, "may have been accepted" in shown_texts(form.view))
    assert "The API rejected" not in shown_texts(form.view)


def test_a_rejection_is_of_the_send_that_it_answers(form: EventForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """While fewer events are sent than before, what was rejected before is not looked for among them."""
    form.add.click()
    form.editor.event_time.value = "2023"
    form.send_anyway.click()
    form.event_list.index = 0
    form.remove.click()
    shown: list[str] = []
    monkeypatch.setattr(sandbox_of(form).clock, "sleep", lambda _: shown.append(shown_texts(form.view)))
    form.send_anyway.click()
    assert (True, "rejected") == ("Sending …" in shown[0], form.state)


def test_an_earlier_send_can_be_loaded_again(form: EventForm) -> None:
    """The latest sends are listed, the newest first; loading one fills the form, and can be undone."""
    for version in ("1", "2"):
        form.editor.client_version.value = version
        form.send.click()
    assert [
        "09:00:00 sent, 1 event",
        "09:00:00 sent, 1 event",
    ] == [re.sub(r"09:00:00\.\d+", "09:00:00", label) for label, _ in form.answers.past.options]
    assert form.client.history[-1] == form.answers.past.value
    form.answers.past.index = 1
    form.answers.load.click()
    assert ("1", "valid") == (form.mutation.events[0].client_version, form.state)
    form.undo.click()
    assert "2" == form.mutation.events[0].client_version
    form.client.send([bwp.connect().new_event("click", **{f"p{n}": "" for n in range(400)})] * 3)
    form.send_anyway.click()
    form.answers.past.index = 1
    form.answers.load.click()
    assert "Not filled: expected at most 60 events and 1000 properties" in form.answers._shown.value
    assert "2" == form.mutation.events[0].client_version


# ---- The request ----


@pytest.mark.parametrize("name", list(snippets.FORMS))
def test_the_request_is_shown_and_reads_back(form: EventForm, name: str) -> None:
    """In every form, highlighted without a change of the text; pasting it fills the form with the same events."""
    form.request.request_as.value = name
    form.editor.event_type.value = "click"
    form.add.click()
    form.request.request_of.value = "all events"
    before, text = form.mutation, shown_request(form)
    assert snippets.FORMS[name](before, snippets.LIVE) == text
    form.fill([])
    paste(form, text)
    assert before == form.mutation
    form.request.request_of.value = "this event"
    assert bwp.Mutation(before.events[0]) == bwp.Mutation.parse(shown_request(form))


def test_a_long_request_waits_while_somebody_types(form: EventForm) -> None:
    """It is shown again by a button or an action, and never costs much for a key."""
    for name in "abcdefgh":
        add_property(form, name, "x" * 600)
    assert "The events were edited." in shown_texts(form.view)
    form.request.show_request.click()
    assert bwp.Mutation(form.mutation.events) == bwp.Mutation.parse(shown_request(form))
    form.editor.client_version.value = "2"
    assert ("The events were edited." in shown_texts(form.view), is_hidden(form.request.show_request)) == (True, False)
    form.up.click()
    assert is_hidden(form.request.show_request)


def test_a_copy_for_this_sandbox_is_served_until_the_form_is_closed(form: EventForm) -> None:
    """Its address answers, and no longer after that."""
    form.request.request_as.value = "cURL"
    assert "https://api.buywithprime.amazon.com/graphql" in shown_request(form)
    form.request.request_for.value = "this sandbox"
    address = re.findall(r'curl "(http://127[^"]*)"', shown_request(form))[0]
    assert 401 == httpx.post(address, json={}).status_code or httpx.post(address, json={}).json()["errors"]
    form.close()
    with pytest.raises(httpx.ConnectError):
        httpx.post(address, json={})


def test_the_copies_of_a_live_form_are_for_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its version and headers, and only names of secrets."""
    given = {
        "BWP_MODE": "live",
        "BWP_CLIENT_ID": "me",
        "BWP_CLIENT_SECRET": "planted-secret",
        "BWP_TARGET_ID": "bp-mine",
    }
    given |= {"BWP_TARGET_HEADER": "X-Omni-TargetId", "BWP_API_VERSION": "2024-04-01", "BWP_ACCESS_KEY": "planted-key"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    form = EventForm(bwp.connect())
    form.request.request_as.value = "cURL"
    text = shown_request(form)
    assert ["the live API"] == list(form.request.request_for.options)
    assert '"X-Omni-TargetId: $BWP_TARGET_ID"' in text
    assert "'x-api-version: 2024-04-01'" in text
    assert '"x-api-access-key: $BWP_ACCESS_KEY"' in text
    assert "planted" not in text


def test_events_are_saved_as_files_that_open_again(form: EventForm) -> None:
    """JSON and CSV do, with a byte order mark, and the same file twice; a Postman collection is one, too."""
    add_property(form, "a b", "=1,\n\"2'")
    before, saved = form.mutation, {}
    for button in (form.request.save_json, form.request.save_csv, form.request.save_postman):
        button.click()
        saved |= dict(re.findall('download="([^"]+)" href="data:[^,]*,([^"]*)"', shown_texts(form.view)))
    for name in ("events.json", "events.csv", "events.csv"):
        form.fill([])
        choose(form, name, b"\xef\xbb\xbf" + base64.b64decode(saved[name]))
        assert before == form.mutation
    collection = json.loads(base64.b64decode(saved["sendUserEvents.postman_collection.json"]))
    assert before == bwp.Mutation.parse(collection["item"][1]["request"]["body"]["raw"])


# ---- Filling ----


@settings(PROPERTY, max_examples=20)
@given(event=any_events | nearly_valid_events())
def test_any_event_fills_the_form_and_comes_out_unchanged(event: bwp.UserEvent) -> None:
    """An event with any texts passes through the controls unchanged, or is refused before it reaches them."""
    form = EventForm(bwp.connect())
    if any(problem.rule == UNICODE_RULE for problem in event.problems()):
        with pytest.raises(bwp.InvalidEvent, match="lone surrogate"):
            form.fill(event)
    else:
        form.fill([event, event])
        form.event_list.index = 1
        assert bwp.Mutation([event, event]) == form.mutation


CELLS = {
    "CSV": f"{HEAD},product_sku\n{ROW.format('a')},00123\n{ROW.format('b')},\n",
    "cells": f"{HEAD},product_sku\n{ROW.format('a')},00123\n{ROW.format('b')},\n".replace(",", "\t"),
    "JSONL": '{"event_type":"click","event_id":"a","clientType":"SERVER_CLIENT","client_version":1.0,'
    '"product_sku":"00123"}\n{"event_type":"click","event_id":"b","clientType":"SERVER_CLIENT","client_version":1.0}',
    "semicolons": f"{HEAD},product_sku\n{ROW.format('a')},00123\n{ROW.format('b')},\n".replace(",", ";"),
    "byte order mark": f"\ufeff\r\n{HEAD},product_sku\r\n{ROW.format('a')},00123\r\n{ROW.format('b')},\r\n",
}


@pytest.mark.parametrize("text", CELLS.values(), ids=CELLS)
def test_rows_of_a_table_fill_the_form(form: EventForm, text: str) -> None:
    """Names are ours or the API's, other columns are properties; an id or a time that is missing is generated."""
    paste(form, text)
    texts = shown_texts(form.view)
    assert "The form is filled. 2 events, " in texts
    first = bwp.UserEvent(
        "click", "a", "2024-11-22T09:00:00Z", "SERVER_CLIENT", "1.0", additional_properties={"product_sku": "00123"}
    )
    assert first == form.mutation.events[0]
    assert {} == form.mutation.events[1].additional_properties


def test_a_row_may_have_a_property_called_query(form: EventForm) -> None:
    """As events of a search have; a row names a field, and the body of a request does not."""
    paste(form, '{"event_type": "click", "query": "red shoes"}')
    assert {"query": "red shoes"} == form.mutation.events[0].additional_properties


def test_a_missing_value_is_never_guessed(form: EventForm) -> None:
    """It opens as an empty field with its problem; so does a row of a quarantine."""
    form.fill({"eventTime": "2023", "ubid": None})
    assert ["eventType", "eventTime", "clientType"] == [problem.field for problem in form.problems]
    assert ("", "") == (form.mutation.events[0].event_type, form.mutation.events[0].client_version)
    form.fill(pd.DataFrame([{"kind": "click", "a": 1.5}]).astype(str), columns={"kind": "event_type"}, fields={
        "client_type": "SERVER_CLIENT", "client_version": "1"
    })  # fmt: skip
    assert ("click", {"a": "1.5"}) == (
        form.mutation.events[0].event_type,
        form.mutation.events[0].additional_properties,
    )


def test_a_quarantine_opens_in_the_form_and_is_sent_once_fixed(form: EventForm, tmp_path: Path) -> None:
    """The events have the ids of the rows; a number appears as its digits."""
    day = pd.DataFrame([{"event_type": "click", "client_type": "WEBSITE_CLIENT", "client_version": "1.0"}] * 60)
    day["event_time"] = ["2023", *["2024-11-22T09:00:00Z"] * 59]
    day["note"] = [None, "'\n\u2028\U0001f600\\\"", "=1", *["fine"] * 57]
    day["price"] = ["1.50", 1.5, *["2"] * 58]
    sandbox = bwp.Sandbox()
    sandbox.refuse("=1")
    report = bwp.send_table(bwp.connect(sandbox), day, workers=1, progress=False)
    report.save_quarantine(tmp_path / "fix.jsonl")
    choose(form, "fix.jsonl", (tmp_path / "fix.jsonl").read_bytes())
    opened = form.mutation.events
    assert list(report.quarantine()["event_id"]) == [event.event_id for event in opened]
    assert "1.5" == opened[1].additional_properties["price"]
    assert ["eventTime"] == [problem.field for problem in form.problems]
    form.editor.event_time.value = "2024-11-22T09:00:00Z"
    form.send.click()
    assert "sent" == form.state
    form.fill(tmp_path / "fix.jsonl")
    assert opened == form.mutation.events


REFUSED = {
    "nonsense": ("nonsense", "Expected a request, or rows below a header that names a field, such as event_type"),
    "a header without fields": ("kind,when\nclick,now\n", "Expected a request, or rows below a header"),
    "other GraphQL": ("query { a }", "cannot parse this as a sendUserEvents request: expected a mutation, got a query"),
    "no row": ("[1]", "rows[0]: expected a UserEvent, or a dict with str as keys, got str '1'"),
    "nested": ('{"event_type": [1]}', "event 1, eventType: must be a str, got"),
    "no column": ("event_id,event_type\n1,click\n", "Missing column client_type, which is required"),
    "nearly named": (f"{HEAD.replace('event_type', 'Event_Type')}\n{ROW.format(1)}\n", "did you mean event_type?"),
    "nearly named JSON": ('{"Event_Type": "click"}', "did you mean event_type?"),
    "repeated": (f"{HEAD},event_type\n{ROW.format(1)},click\n", "two columns called 'event_type'"),
    "repeated JSON": ('{"event_type": "a", "event_type": "b"}', "the name 'event_type' is repeated in an object"),
    "ragged": (f"{HEAD}\n{ROW.format(1)}\n{ROW.format(1)},x\n", "event 2, row: line 3: expected 4 cells, got 5"),
    "ragged cells": (
        f"{HEAD}\n{ROW.format(1)},x\n".replace(",", "\t"),
        "event 1, row: line 2: expected 4 cells, got 5",
    ),
    "broken line": ('{"event_type": "a"}\n\n{"event_type"', "line 3: expected a JSON object, got"),
    "first line": ('{"event_type": "a"\n{}', "invalid JSON: Expecting ',' delimiter: line 2 column 1"),
    "column without a name": (
        "\t" + HEAD.replace(",", "\t") + "\n",
        "Column 0 of the text: expected a str as its name",
    ),
    "many": ("{}\n" * 61, "got 61 events with 0 properties; use fewer, or send_table"),
    "wide": (json.dumps([{f"p{n}": "" for n in range(501)}] * 2), "got 2 events with 1002 properties; use fewer"),
    "surrogate": ('[{"event_type": "\\ud83d"}]', "contains a lone surrogate and cannot be encoded as UTF-8"),
}


@pytest.mark.parametrize(("source", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_cannot_fill_the_form_says_why_and_changes_nothing(
    form: EventForm, source: str, reason: str
) -> None:
    """The reason appears beside the text, which stays, and the events are unchanged."""
    before = form.mutation
    paste(form, source)
    assert reason in unescape(form.sources._status.value)
    assert (before, source) == (form.mutation, form.sources.pasted.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("day.csv", b"row,state,reason,event_id\n1,invalid,no,a\n", "was written by save_spreadsheet"),
        ("day.csv", f'{HEAD}\n"1'.encode(), "day.csv, line 2 cannot be read as CSV: unexpected end of data"),
        ("day.csv", b"\xff", "day.csv, line 1 is not UTF-8: 'utf-8' codec can't decode byte 0xff"),
        ("day.json", b"\xff", "day.json, line 1 is not UTF-8: 'utf-8' codec can't decode byte 0xff"),
        ("day.json", b"", "Expected a request, or rows below a header that names a field"),
        ("day.xlsx", b"PK\x03\x04", "day.xlsx is a workbook: save it as CSV in UTF-8, or copy its cells and paste"),
    ],
)
def test_a_file_that_cannot_fill_the_form_says_why(form: EventForm, name: str, content: bytes, reason: str) -> None:
    """The reason appears beside the button, and the events are unchanged."""
    before = form.mutation
    choose(form, name, content)
    assert reason in unescape(form.sources._status.value)
    assert before == form.mutation


def test_files_are_read_by_what_is_in_them(form: EventForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed, or separated by semicolons as spreadsheets save it in some countries; what is missing is said."""
    text = CELLS["semicolons"].encode()
    for name, content in (("day.csv", text), ("day.csv.gz", gzip.compress(text))):
        form.fill([])
        choose(form, name, content)
        assert ["click", "click"] == [event.event_type for event in form.mutation.events]
    monkeypatch.delitem(sys.modules, "bwp_nb.tables.arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    choose(form, "day.parquet", b"PAR1")
    assert "Not filled: This part of bwp_nb needs its extra parquet" in form.sources._status.value


# ---- The page ----


def test_a_planted_error_of_a_callback_appears_on_the_form_and_is_raised(
    form: EventForm, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in the form is shown on the form and raised to the caller, not only logged."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError(SERVER_HTML)

    with pytest.raises(ZeroDivisionError):
        form._page.guard(fail)(None)
    assert '<p role="alert"' in form._page.errors.value
    assert "ZeroDivisionError(&#x27;&lt;img src=x onerror=alert(1)&gt;" in shown_texts(form.view)
    form.client.new_event = fail  # type: ignore[assignment, method-assign]
    form.add.click()
    assert [ZeroDivisionError] == [record.exc_info[0] for record in caplog.records if record.exc_info]


def test_every_callback_shows_its_own_errors(form: EventForm) -> None:
    """All callbacks of the form and the panel are guarded."""
    panel = SandboxPanel(sandbox_of(form))
    form.editor.add_property.click()
    form.editor.event_time.value = "2023"
    for widget in [*every_widget(form.view), *every_widget(panel.view)]:
        click = getattr(widget, "_click_handlers", None)
        handlers = [handler for names in widget._trait_notifiers.values() for handler in names.get("change", ())]
        own = [handler for handler in handlers if getattr(handler, "__module__", "").startswith("bwp_nb")]
        for handler in [*(click.callbacks if click else ()), *own]:
            assert "Page.guard.<locals>.callback" == handler.__qualname__, widget


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
    filling.join(0.2)  # It would end in this time if it did not wait.
    go.set()
    adding.join(60)
    filling.join(60)
    assert ["1", "2"] == ids(form)


def test_a_click_waits_for_two_answers_of_the_page(form: EventForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first comes after the text that was sent, the second after the text held back; clicks keep their order."""
    monkeypatch.setattr("bwp_nb.forms.page._is_callback", lambda: True)
    answer = form._page._answer
    answer.click()  # The page says that it runs scripts.
    form.add.click()
    answer.click()
    form.remove.click()
    counts = [len(form.mutation.events)]
    for _ in range(3):
        answer.click()
        counts.append(len(form.mutation.events))
    assert [1, 2, 1, 1] == counts


def test_text_of_users_and_servers_is_escaped(form: EventForm) -> None:
    """HTML in values, in errors, in pasted text and in the sandbox's events is shown as text."""
    panel = SandboxPanel(sandbox_of(form))
    for name in form.mutation.events[0].input:
        getattr(form.editor, re.sub("([A-Z])", r"_\1", name).lower()).value = SERVER_HTML
    add_property(form, SERVER_HTML, SERVER_HTML)
    form.send_anyway.click()
    paste(form, SERVER_HTML)
    assert "rejected" == form.state
    form.fill(bwp.connect().new_event("click", note=SERVER_HTML))
    form.send.click()
    assert "sent" == form.state
    html = shown_texts(form.view) + shown_texts(panel.view) + form.sources._status.value + form.snapshot().html
    assert "note: &lt;img" in html
    assert (False, False) == ("<img" in html, "</script>" in html)


def test_every_control_has_a_label(form: EventForm) -> None:
    """Every input, list and button has a name."""
    add_property(form, "a", "b")
    panel = SandboxPanel(sandbox_of(form))
    for widget in [*every_widget(form.view), *every_widget(form.sources.view), *every_widget(panel.view)]:
        if not isinstance(widget, widgets.Box | widgets.HTML):
            assert widget.description, widget


def test_the_style_follows_the_theme(form: EventForm) -> None:
    """Every colour is one of JupyterLab's, with a default for pages without them."""
    css = form._page.head[0].value
    colours = re.findall(r"#[0-9a-fA-F]{3,8}\b", css)
    assert len(re.findall(r"var\(--jp-[\w-]+, #[0-9a-fA-F]{3,6}\)", css)) == len(colours)


def test_without_widgets_the_form_is_text_and_html(form: EventForm) -> None:
    """A notebook that is only read shows its events, problems, request and answer; a snapshot does not change."""
    form.editor.event_time.value = "2023"
    before = form.snapshot()
    text = (
        "EventForm(Client(sandbox)): invalid\n"
        "   1 ✗ invalid  page-load          2023                 …000001\n"
        f"  problem: event 1, eventTime: {WRONG_TIME}"
    )
    assert text == repr(form) == repr(before)
    bundle = form._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert (repr(form), before.html) == (bundle["text/plain"], bundle["text/html"])
    assert "✗ invalid" in before.html
    assert f"event 1, eventTime: {WRONG_TIME}" in unescape(before.html)
    assert "mutation</span> sendEvents" in before.html
    assert not re.search("<(?:style|script|button|input)| on[a-z]+=", before.html)
    form.send_anyway.click()
    assert (text, True) == (repr(before), "Answer" in form.snapshot().html)


def test_the_picture_of_a_form_has_the_fields_and_properties_of_the_selected_event(form: EventForm) -> None:
    """Each with its problem beside it, below the list, left of the request and the answer; and no control."""
    form.add.click()
    add_property(form, "ubid", "a < b")
    form.editor.event_time.value = "2023"
    form.send_anyway.click()
    html = unescape(form.snapshot().html)
    shown = [
        "They go to",
        ">request and answer<",
        "✗ rejected",
        "Event 2 of 2",
        ">eventTime<",
        "a < b",
        "mutation",
        "Answer",
    ]
    places = [html.index(text) for text in shown]
    assert sorted(places) == places
    assert re.search(r"additionalProperties\['ubid'\]</td><td[^>]*>a < b<", html)
    assert re.search(r">2023</td><td[^>]*>.*'2023' is not a UTC date-time", html)
    assert not re.search("<(?:style|script|button|input|select|textarea)| on[a-z]+=", html)


def test_one_editor_is_shown_and_the_other_one_hidden(form: EventForm) -> None:
    """Without events both are; both stay on the page, so that the page need not draw their controls anew."""
    form.add.click()
    other = form.editor
    form.event_list.index = 0
    assert (False, True) == (is_hidden(form.editor.view), is_hidden(other.view))
    form.event_list.index = 1
    assert (other, False) == (form.editor, is_hidden(other.view))
    form.remove.click()
    form.remove.click()
    views = [widget for widget in every_widget(form.view) if "bwp-editor" in widget._dom_classes]
    assert [True, True] == [is_hidden(view) for view in views]


def test_an_answer_is_cut(form: EventForm) -> None:
    """Status and number are a sentence; with the notes there are at most ten."""
    form.send.click()
    many = answer(bwp.Receipt("a<b", 2, 3, notes=("<i>",) * 12), form.client.history[-1])
    assert "2 events accepted, with the status a&lt;b." in many
    assert (9, True) == (many.count("<p>&lt;i&gt;</p>"), "<p>and 3 more</p>" in many)


def test_hints_are_beside_their_field_and_prevent_nothing(form: EventForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its certainty and source."""
    hint = bwp.Hint("eventTime", "", "is <long> ago", "inferred", "“UserEvent”")
    monkeypatch.setattr(bwp.UserEvent, "hints", lambda _: [hint])
    form.up.click()
    texts = shown_texts(form.editor.view)
    assert re.search('<p class="bwp-hint">.*hint</span> is &lt;long&gt; ago .inferred; “<a href=', texts)
    form.send.click()
    assert "sent" == form.state
