"""The form in JupyterLab and Voila, in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect

import bwp_nb as bwp
from bwp_nb import snippets
from tests.refresh import NOTEBOOKS

FORM = """\
import bwp_nb as bwp
from bwp_nb import forms
client = bwp.connect()
form = forms.EventForm(client)
form"""
PANEL = "forms.SandboxPanel(client.sandbox)"
SLOW_FORM = """\
import time
from pathlib import Path
import bwp_nb as bwp
from bwp_nb import forms

class Slow(bwp.Sandbox):
    def handle_request(self, request):
        while not Path("go").exists():
            time.sleep(0.02)
        return super().handle_request(request)

form = forms.EventForm(bwp.connect(Slow()))
form"""

OpenNotebook = Callable[..., Page]


def status(page: Page, text: str) -> Locator:
    """Return the line that announces the state of the form."""
    return page.locator(".jp-OutputArea-output [role=status], .jp-OutputArea-output [role=alert]").filter(has_text=text)


def press(page: Page, name: str) -> None:
    """Press the button of that name."""
    page.get_by_role("button", name=name, exact=True).click()


def time_of(page: Page, index: int = 0) -> Locator:
    """Return the input of an event's time."""
    return page.get_by_label("eventTime *").nth(index)


def write(box: Locator, text: str) -> None:
    """Replace the text of an input by keys, and wait until the form has all of it.

    ipywidgets sends typed text in pieces, and a click right after the last key can arrive before the last piece. The
    form is then correctly "not checked" again.
    """
    box.press("Control+a")
    box.press_sequentially(text)
    request = box.page.get_by_role("region", name="Request: GraphQL").first
    expect(request).to_contain_text(json.dumps(text, ensure_ascii=False))


def violations(page: Page) -> list[str]:
    """Return the serious accessibility faults that axe-core finds in the outputs of cells."""
    found = Axe().run(page, context=".jp-OutputArea-output").response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in found if fault["impact"] in ("serious", "critical")
    ]


def test_two_events_are_made_refused_fixed_and_sent(open_in_lab: OpenNotebook) -> None:
    """By clicks and keys alone: two events, three properties, an invalid time shown beside its field, fixed, sent."""
    page = open_in_lab(FORM, PANEL)
    page.get_by_label("eventType *").select_option("click")
    for index, (name, value) in enumerate([("product_sku", "00123"), ("mine", "a 'b' \U0001f600")]):
        press(page, "Add a property")
        write(page.get_by_label("property", exact=True).nth(index), name)
        write(page.get_by_label("value", exact=True).nth(index), value)
    press(page, "Add an event")
    expect(page.get_by_text("Event 2 of 2")).to_be_visible()
    page.get_by_role("button", name="Add a property", exact=True).nth(1).click()
    write(page.get_by_label("property", exact=True).nth(2), "current_url")
    write(page.get_by_label("value", exact=True).nth(2), "https://example.com")
    write(time_of(page, 1), "2023")
    press(page, "Check")
    expect(status(page, "Invalid: 1 problem.")).to_be_visible()
    second = page.locator(".bwp-card").filter(has_text="Event 2 of 2")
    expect(second.get_by_text("'2023' is not a UTC date-time")).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    write(time_of(page, 1), "2023-12-03T10:15:30Z")
    expect(status(page, "Not checked.")).to_be_visible()
    expect(second.get_by_text("is not a UTC date-time")).to_have_count(0)
    expect(second.locator(".bwp-problems:visible")).to_have_count(0)
    press(page, "Check")
    expect(status(page, "Valid.")).to_be_visible()
    press(page, "Send")
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()
    expect(page.get_by_text("2 events accepted after 1 attempt, with the status successful.")).to_be_visible()
    expect(status(page, "2 accepted, 0 rejected, 1 request.")).to_be_visible()
    for arrived in ("product_sku: 00123, mine: a 'b' \U0001f600", "current_url: https://example.com"):
        expect(page.get_by_role("cell", name=arrived)).to_be_visible()


def test_the_notebook_of_forms_runs_as_people_run_it(open_in_lab: OpenNotebook) -> None:
    """In JupyterLab its form shows what the cells below it did, and can be used."""
    cells = nbformat.read(NOTEBOOKS / "03_make_events.ipynb", as_version=4).cells
    page = open_in_lab(*(cell.source for cell in cells if cell.cell_type == "code"), errors=1)
    first = page.locator(".bwp").first
    expect(first.get_by_role("status").filter(has_text="Sent:")).to_be_visible()
    first.get_by_role("button", name="Check", exact=True).click()  # Its callback runs after all cells.
    expect(first.get_by_role("status").filter(has_text="Valid.")).to_be_visible()
    write(first.get_by_label("eventTime *"), "2023")
    expect(first.get_by_text("'2023' is not a UTC date-time")).to_be_visible()


def test_a_double_click_delivers_once(open_in_lab: OpenNotebook) -> None:
    """A double click on Send makes one request."""
    page = open_in_lab(FORM, PANEL)
    press(page, "Check")
    expect(status(page, "Valid.")).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).dblclick()
    expect(status(page, "Sent:")).to_be_visible()
    press(page, "Check")  # Its callback runs after those of both clicks.
    expect(status(page, "Valid.")).to_be_visible()
    expect(status(page, "1 accepted, 0 rejected, 1 request.")).to_be_visible()


def test_a_problem_leads_to_its_field(open_in_lab: OpenNotebook) -> None:
    """By keyboard alone, the link under the status moves the focus to the field that it names."""
    page = open_in_lab(FORM)
    write(time_of(page), "2023")
    press(page, "Check")
    page.get_by_role("button", name="Go to event 1, eventTime").press("Enter")
    expect(time_of(page)).to_be_focused()


def test_only_a_link_moves_the_cursor(open_in_lab: OpenNotebook) -> None:
    """A property that is added, by a click or from a cell, does not move the focus."""
    page = open_in_lab(FORM, "form.events[0].add_property.click()")
    time_of(page).focus()
    page.get_by_role("button", name="Add a property", exact=True).dispatch_event("click")
    expect(page.get_by_label("property", exact=True)).to_have_count(2)
    press(page, "Check")
    expect(status(page, "Invalid:")).to_be_visible()
    expect(page.get_by_role("button", name="Check", exact=True)).to_be_focused()


def test_every_control_is_reached_by_the_tab_key(open_in_lab: OpenNotebook) -> None:
    """Tab moves from the first field through all controls in their visible order, and Enter presses a button."""
    page = open_in_lab(FORM)
    page.get_by_label("eventType *").focus()
    names: list[str] = []
    while "Check" not in names and len(names) < 60:
        page.keyboard.press("Tab")
        names.append(page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"))
    assert [
        "eventId *", "New id", "eventTime *", "Now", "or pick, in UTC", "clientType *", "clientVersion *",
        "schemaName", "send schemaName", "schemaVersion", "send schemaVersion", "Add a property", "Add an event",
        "Check",
    ] == [name for name in dict.fromkeys(names) if name != "?"]  # fmt: skip
    page.keyboard.press("Enter")
    expect(status(page, "Valid.")).to_be_visible()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_focus_is_visible(open_in_lab: OpenNotebook, theme: str) -> None:
    """A focused control has an outline, against ipywidgets' own rules."""
    page = open_in_lab(FORM, theme=theme)
    press(page, "Add a property")
    expect(page.get_by_label("value", exact=True)).to_be_visible()
    page.get_by_label("eventType *").focus()
    page.keyboard.press("Tab")
    for part in page.locator(".bwp :is(input, select, textarea, button, summary, a, pre):visible:enabled").all():
        part.focus()
        expect(part).to_have_css("outline-style", "solid")
        expect(part).to_have_css("outline-width", "2px")


def test_a_question_mark_stays_under_the_mouse(open_in_lab: OpenNotebook) -> None:
    """A second click at the same place closes the help."""
    page = open_in_lab(FORM)
    mark = page.get_by_label("About eventId")
    place = mark.bounding_box()
    mark.click()
    expect(page.locator(".bwp details[open]")).to_have_count(1)
    assert place == mark.bounding_box()


def test_a_long_value_is_read_in_full(open_in_lab: OpenNotebook) -> None:
    """Its input has a row for each line, and stays within its card."""
    page = open_in_lab(FORM)
    press(page, "Add a property")
    box = page.get_by_label("value", exact=True)
    box.fill("one\ntwo\nthree")
    assert box.evaluate("box => box.scrollHeight <= box.clientHeight")
    box.fill("x" * 5000)
    card = page.locator(".bwp-card").first
    assert card.evaluate("card => card.scrollWidth <= card.clientWidth")


def test_a_pasted_curl_line_fills_the_form(open_in_lab: OpenNotebook) -> None:
    """A copied request becomes the form's events, with line breaks and quotes."""
    page = open_in_lab(FORM)
    event = bwp.UserEvent(
        "widget-viewed", "x", "2024-05-31T13:15:30Z", "SERVER_CLIENT", "2", "a b", None, {"n": "'\n\""}
    )
    page.get_by_label("Paste a request").fill(snippets.curl(bwp.Mutation(event)))
    press(page, "Fill the form with it")
    expect(status(page, "The form is filled: 1 event.")).to_be_visible()
    expect(page.get_by_label("eventType *")).to_have_value("widget-viewed")
    expect(page.get_by_label("schemaName", exact=True)).to_have_value("a b")
    expect(page.get_by_label("value", exact=True)).to_have_value("'\n\"")
    page.get_by_label("The request as").select_option("JSON body")
    shown = page.get_by_role("region", name="Request: JSON body")
    expect(shown).to_contain_text('"query"')
    assert bwp.Mutation(event).payload == json.loads(shown.inner_text())


@pytest.mark.parametrize(
    "clipboard",
    [
        pytest.param("", id="clipboard"),
        pytest.param("Object.defineProperty(navigator, 'clipboard', {value: undefined})", id="no-clipboard"),
    ],
)
def test_the_request_is_copied_without_a_network(
    open_in_lab: OpenNotebook, context: BrowserContext, clipboard: str
) -> None:
    """Copy copies the exact text, also on a page without a clipboard object."""
    context.add_init_script(clipboard)
    page = open_in_lab(FORM)
    page.get_by_label("The request as").select_option("cURL")
    shown = page.get_by_role("region", name="Request: cURL")
    expect(shown).to_contain_text("curl https://sandbox.invalid/graphql")
    press(page, "Copy")
    expect(status(page, "Copied.")).to_be_visible()
    box = page.get_by_label("Paste a request")
    box.press("Control+v")
    expect(box).to_have_value(shown.inner_text())


def test_events_are_saved_as_files(open_in_lab: OpenNotebook) -> None:
    """The links download files."""
    page = open_in_lab(FORM)
    with page.expect_download() as started:
        page.get_by_role("link", name="events.csv").click()
    assert "events.csv" == started.value.suggested_filename
    text = (
        "event_type,event_id,event_time,client_type,client_version,schema_name,schema_version\n"
        "page-load,00000000-0000-4000-8000-000000000001,2024-11-22T09:00:00Z,WEBSITE_CLIENT,1.0,,\n"
    )
    assert text == Path(started.value.path()).read_text()


def test_while_the_kernel_is_busy_sending_the_form_shows_it(open_in_lab: OpenNotebook, lab_folder: Path) -> None:
    """Until the response comes, the form shows that it is sending, and Send is disabled."""
    (lab_folder / "go").unlink(missing_ok=True)
    page = open_in_lab(SLOW_FORM)
    press(page, "Check")
    press(page, "Send")
    expect(status(page, "Sending …")).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    (lab_folder / "go").touch()
    expect(status(page, "Sent:")).to_be_visible()


def test_an_edit_during_a_send_leaves_the_form_not_checked(open_in_lab: OpenNotebook, lab_folder: Path) -> None:
    """The form does not show the edited request as sent."""
    (lab_folder / "go").unlink(missing_ok=True)
    page = open_in_lab(SLOW_FORM)
    press(page, "Check")
    press(page, "Send")
    expect(status(page, "Sending …")).to_be_visible()
    page.get_by_label("clientVersion *").press_sequentially("9")
    (lab_folder / "go").touch()
    expect(page.get_by_text("This is the outcome of the request before the last edit.")).to_be_visible()
    expect(status(page, "Not checked.")).to_be_visible()
    expect(page.get_by_text("Event 1 of 1", exact=True)).to_be_visible()


def test_an_error_of_the_form_itself_is_on_the_form(open_in_lab: OpenNotebook) -> None:
    """An error in a callback is shown on the form, not only in a log."""
    page = open_in_lab(FORM, "client.new_event = None")
    press(page, "Add an event")
    expect(page.get_by_role("alert").filter(has_text="The form failed")).to_contain_text("TypeError")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious_in_any_state(open_in_lab: OpenNotebook, theme: str) -> None:
    """Fresh, invalid, rejected and sent, in both themes; and a fault made on purpose is found."""
    page = open_in_lab(FORM, PANEL, theme=theme)
    assert [] == violations(page)
    press(page, "Add a property")
    write(time_of(page), "2023")
    page.locator("summary").first.click()
    press(page, "Check")
    expect(status(page, "Invalid: 2 problems.")).to_be_visible()
    assert [] == violations(page)
    page.get_by_label("Send anyway").check()
    press(page, "Send")
    expect(status(page, "Rejected:")).to_be_visible()
    page.locator("summary", has_text="As JSON").click()
    assert [] == violations(page)
    page.get_by_title("Remove this property").click()
    write(time_of(page), "2023-12-03T10:15:30Z")
    press(page, "Check")
    press(page, "Send")
    expect(status(page, "Sent:")).to_be_visible()
    assert [] == violations(page)
    page.evaluate("document.querySelector('.bwp').append(document.createElement('button'))")
    assert ["button-name"] == [found.partition(":")[0] for found in violations(page)]


def test_nothing_is_cut_off_at_twice_the_size(open_in_lab: OpenNotebook) -> None:
    """At 200 % zoom a window of 1280 pixels has room for 640: columns are stacked, nothing overflows."""
    page = open_in_lab(FORM, PANEL)
    page.set_viewport_size({"width": 640, "height": 500})
    press(page, "Add a property")
    write(time_of(page), "2023")
    press(page, "Check")
    expect(status(page, "Invalid: 2 problems.")).to_be_visible()
    cut_off = page.evaluate(
        """() => [...document.querySelectorAll('.bwp :is(input, textarea, select, button, p, label)')]
        .filter(part => part.offsetParent && part.getBoundingClientRect().right > innerWidth)
        .map(part => part.outerHTML)"""
    )
    assert [] == cut_off


def test_the_form_works_under_voila(open_in_voila: OpenNotebook) -> None:
    """On a page without JupyterLab, an invalid form links to the field, and is sent once it is fixed."""
    page = open_in_voila(FORM, PANEL)
    write(time_of(page), "2023")
    press(page, "Check")
    press(page, "Go to event 1, eventTime")
    expect(time_of(page)).to_be_focused()
    write(time_of(page), "2023-12-03T10:15:30Z")
    press(page, "Check")
    press(page, "Send")
    expect(page.get_by_role("status").filter(has_text="Sent:")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="1 accepted, 0 rejected, 1 request.")).to_be_visible()


def test_rows_to_fix_are_opened_from_a_file(open_in_lab: OpenNotebook, tmp_path: Path) -> None:
    """A chosen quarantine file fills the form; the same file can be chosen again."""
    page = open_in_lab(FORM)
    path = tmp_path / "fix.jsonl"
    rows = [{"event_type": "pl", "event_id": "a"}, {"event_type": "click", "additional_properties": {"note": "'\n"}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for count in (2, 3):
        press(page, "Add an event")
        expect(page.get_by_text(f"Event {count} of {count}")).to_be_visible()
        with page.expect_file_chooser() as chosen:
            page.get_by_role("button", name="Open a file").press("Enter")
        chosen.value.set_files(path)
        expect(status(page, "The form is filled: 2 events.")).to_be_visible()
    expect(page.get_by_label("eventId *").first).to_have_value("a")
    expect(page.get_by_label("value", exact=True)).to_have_value("'\n")


def test_a_choice_is_made_by_keys_and_a_letter_stays_on_the_form(open_in_lab: OpenNotebook) -> None:
    """JupyterLab, which would move to another cell at an arrow and cut this one at an X, gets neither."""
    page = open_in_lab(FORM)
    cells = page.locator(".jp-CodeCell").count()
    choice = page.get_by_label("eventType *")
    choice.press("ArrowDown")
    expect(choice).to_have_value("click")
    expect(choice).to_be_focused()
    for control in (choice, page.get_by_role("button", name="Check", exact=True), page.get_by_label("send schemaName")):
        for key in ("x", "a", "d", "d"):
            control.press(key)
    expect(page.get_by_text("Event 1 of 1")).to_be_visible()
    assert cells == page.locator(".jp-CodeCell").count()


def test_the_focus_follows_the_action(open_in_lab: OpenNotebook) -> None:
    """It stays on the button that moved an event, and goes to the next Remove button, or to Check after a send."""
    page = open_in_lab(FORM)

    def button(name: str, index: int = 0) -> Locator:
        return page.get_by_role("button", name=name, exact=True).nth(index)

    button("Add an event").press("Enter")
    expect(page.get_by_text("Event 2 of 2")).to_be_visible()
    button("Duplicate", 1).press("Enter")
    expect(page.get_by_text("Event 3 of 3")).to_be_visible()
    button("Down").press("Enter")
    expect(status(page, "Event 1 is now event 2.")).to_be_visible()
    expect(button("Down", 1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(status(page, "Event 2 is now event 3.")).to_be_visible()
    expect(button("Up", 2)).to_be_focused()
    button("Remove", 1).press("Enter")
    expect(page.get_by_text("Event 2 of 2")).to_be_visible()
    expect(button("Remove", 1)).to_be_focused()
    button("Check").press("Enter")
    expect(status(page, "Valid.")).to_be_visible()
    button("Send").press("Enter")
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()
    expect(button("Check")).to_be_focused()


def test_fifty_events_are_shown(open_in_lab: OpenNotebook) -> None:
    """Pasted as rows, with properties, twice, and sent."""
    page = open_in_lab(FORM)
    for tag in ("first", "second"):
        rows = [{"event_id": f"{tag} {n}", "product_sku": f"{tag} sku {n}", "page_type": tag} for n in range(50)]
        page.get_by_label("Paste a request").fill(json.dumps(rows))
        press(page, "Fill the form with it")
        expect(page.get_by_text("Event 50 of 50")).to_be_visible()
        expect(page.get_by_label("eventId *").last).to_have_value(f"{tag} 49")
        expect(page.get_by_label("value", exact=True)).to_have_count(100)
        expect(page.get_by_label("value", exact=True).last).to_have_value(tag)
        expect(status(page, "The form is filled: 50 events.")).to_be_visible()
    press(page, "Check")
    expect(status(page, "Valid.")).to_be_visible()
    press(page, "Send")
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()
