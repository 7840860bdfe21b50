"""The form in JupyterLab and Voila, in a real browser."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect

import bwp_nb as bwp
from tests.browser.conftest import TIMEOUT, Traffic
from tests.refresh import NOTEBOOKS

FORM = """\
import bwp_nb as bwp
from bwp_nb import forms
client = bwp.connect()
form = forms.EventForm(client)
form"""
SLOW_KERNEL = """\
import time
kernel = get_ipython().kernel
handle = kernel.shell_handlers["comm_msg"]
def handle_later(*message):
    time.sleep(0.5)
    return handle(*message)
kernel.shell_handlers["comm_msg"] = handle_later"""
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
#: Whether a text of the form is shown; the page looks in each frame, so that a time is exact.
SHOWN = """text => [...document.querySelectorAll('.bwp :is(h4, pre)')]
  .some(part => part.offsetParent && part.textContent.includes(text))"""
#: The parts of the form that are cut off at a side of the page, or scroll sideways.
CUT_OFF = """() => [...document.querySelectorAll('.bwp, .bwp :is(.widget-box, input, textarea, select, button, td, p)')]
  .filter(part => part.offsetParent && (part.getBoundingClientRect().right > innerWidth
    || part.getBoundingClientRect().left < part.closest('.bwp').getBoundingClientRect().left
    || (part.matches('.bwp, .widget-box') && part.scrollWidth > part.clientWidth + 1)))
  .map(part => part.outerHTML.slice(0, 200))"""
GOOD_TIME = "2023-12-03T10:15:30Z"
THEMES = pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])

OpenNotebook = Callable[..., Page]


def status(page: Page, text: str) -> Locator:
    """Return the line that announces the state of the form."""
    return page.locator(".bwp [role=status], .bwp [role=alert]").filter(has_text=text)


def button(page: Page, name: str) -> Locator:
    """Return the button of that name."""
    return page.get_by_role("button", name=name, exact=True)


def heading(page: Page, text: str) -> Locator:
    """Return the heading of the shown event; the form has a second editor, which is hidden."""
    return page.locator(".bwp h4").filter(has_text=text, visible=True)


def field(page: Page, label: str) -> Locator:
    """Return the visible inputs with a label."""
    return page.get_by_label(label, exact=True).filter(visible=True)


def lines(page: Page) -> Locator:
    """Return the list of events."""
    return page.get_by_role("listbox", name="Events")


def write(box: Locator, text: str) -> None:
    """Replace the text of an input by keys."""
    box.press("Control+a")
    box.press_sequentially(text)


def eventually(expected: object, measure: Callable[[], object]) -> None:
    """Assert that a measure of the page has a value as soon as the page is drawn, however long that takes."""
    for _ in range(TIMEOUT // 100):
        if (found := measure()) == expected:
            return
        time.sleep(0.1)
    assert expected == found


def violations(page: Page) -> list[str]:
    """Return the serious accessibility faults that axe-core finds in the outputs of cells."""
    found = Axe().run(page, context=".jp-OutputArea-output").response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in found if fault["impact"] in ("serious", "critical")
    ]


def test_one_event_with_a_property_takes_three_clicks(open_in_lab: OpenNotebook) -> None:
    """One adds the property, one goes to its name, one sends."""
    page = open_in_lab(FORM)
    button(page, "Add a property").click()
    field(page, "property").click()
    page.keyboard.type("product_sku")
    page.keyboard.press("Tab")
    page.keyboard.type("00123")
    button(page, "Send").click()
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()


def test_two_events_with_three_properties_take_nine_clicks(open_in_lab: OpenNotebook) -> None:
    """An invalid time is shown beside its field; Send leads to it; once it is fixed, both events are accepted."""
    page = open_in_lab(FORM)
    clicks = 0

    def click(place: Locator) -> None:
        nonlocal clicks
        clicks += 1
        place.click()

    def add_property(name: str, value: str) -> None:
        count = field(page, "property").count()
        click(button(page, "Add a property"))
        click(field(page, "property").nth(count))
        page.keyboard.type(name)
        page.keyboard.press("Tab")
        page.keyboard.type(value)

    add_property("product_sku", "00123")
    click(button(page, "Duplicate"))
    expect(heading(page, "Event 2 of 2 · valid")).to_be_visible()
    add_property("mine", "a 'b' \U0001f600")
    add_property("current_url", "https://example.com")
    write(field(page, "eventTime *"), "2023")
    expect(page.get_by_text("'2023' is not a UTC date-time")).to_be_visible()
    lines(page).select_option(index=0)
    button(page, "Send").press("Enter")
    expect(status(page, "Not sent; event 2, eventTime: '2023' is not a UTC date-time")).to_be_visible()
    expect(field(page, "eventTime *")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type(GOOD_TIME)
    expect(status(page, "2 events, no problems.")).to_be_visible()
    click(button(page, "Send"))
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()
    expect(page.get_by_text("2 events accepted, with the status successful.")).to_be_visible()
    expect(lines(page)).to_contain_text("✓\N{NO-BREAK SPACE}sent")
    assert clicks <= 9
    button(page, "The sandbox").click()
    expect(status(page, "2 accepted, 0 rejected, 1 request.")).to_be_visible()
    arrived = "product_sku: 00123, mine: a 'b' \U0001f600, current_url: https://example.com"
    expect(page.get_by_role("cell", name=arrived)).to_be_visible()


def test_fifty_events_are_quick(open_in_lab: OpenNotebook, traffic: Traffic, tmp_path: Path) -> None:
    """A CSV with three properties is opened, and its events are selected, moved, duplicated, removed and edited."""
    page = open_in_lab(FORM)
    path, names = tmp_path / "fifty.csv", ["product_sku", "page_type", "ubid"]
    rows = "".join(f"click,id-{n},WEBSITE_CLIENT,1.0,sku {n},cart,user {n}\n" for n in range(50))
    path.write_text(f"event_type,event_id,client_type,client_version,{','.join(names)}\n{rows}")
    button(page, "Paste or open").click()

    def open_file() -> None:
        with page.expect_file_chooser() as chosen:
            page.get_by_role("button", name="Open a file").press("Enter")
        chosen.value.set_files(path)

    def press(name: str) -> Callable[[], object]:
        return button(page, name).first.click

    def type_key() -> None:
        field(page, "clientVersion *").press("7")

    shown = "Event {} of {} · valid"
    for name, act, end in (
        ("open", open_file, shown.format(1, 50)),
        ("select", lambda: lines(page).select_option(index=19), shown.format(20, 50)),
        ("Down", press("Down"), shown.format(21, 50)),
        ("Duplicate", press("Duplicate"), shown.format(22, 51)),
        ("Remove", press("Remove"), shown.format(22, 50)),
        ("key", type_key, "71.0"),
        ("Undo", press("Undo"), shown.format(22, 51)),
    ):
        page.wait_for_timeout(300)  # for messages of the action before
        before, started = len(traffic.messages), time.perf_counter()
        act()
        page.wait_for_function(SHOWN, arg=end)
        seconds = time.perf_counter() - started
        page.wait_for_timeout(300)
        new = traffic.messages[before:]
        size = sum(map(len, new))
        print(f"{name}: {seconds:.2f} s, {len(new)} messages, {size} bytes, {traffic.models} models")
        assert len(new) <= 60, name
        assert traffic.models <= 150, name
        assert name != "key" or size <= 20_000
    open_file()
    expect(heading(page, shown.format(1, 50))).to_be_visible()
    button(page, "Send").click()
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()


def test_what_is_typed_and_sent_under_a_slow_kernel_goes_to_the_right_event(open_in_lab: OpenNotebook) -> None:
    """A key typed just after another event is selected, text just before Send or Duplicate; a double click is one."""
    page = open_in_lab(FORM, "form.add.click(); form.event_list.index = 0", SLOW_KERNEL)
    version, cells = field(page, "clientVersion *"), page.locator(".jp-CodeCell").count()
    write(version, "first")
    lines(page).select_option(index=1)
    version.press("7")
    expect(heading(page, "Event 2 of 2")).to_be_visible()
    expect(lines(page)).to_be_focused()
    page.keyboard.type("xdd")  # JupyterLab would cut or delete the cell of the form
    assert cells == page.locator(".jp-CodeCell").count()
    button(page, "Add a property").click()
    expect(field(page, "property")).to_have_count(1)
    write(version, "second")
    field(page, "property").press_sequentially("alpha")
    page.keyboard.press("Tab")
    page.keyboard.type("beta")
    button(page, "Send").dblclick()
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()
    page.wait_for_timeout(1500)  # in which a second click would arrive
    button(page, "The sandbox").click()
    expect(status(page, "2 accepted, 0 rejected, 1 request.")).to_be_visible()
    expect(page.get_by_role("cell", name="alpha: beta")).to_be_visible()
    expect(status(page, "Sent: the API accepted all events.")).to_be_visible()
    lines(page).select_option(index=0)
    expect(heading(page, "Event 1 of 2")).to_be_visible()
    expect(version).to_have_value(re.compile("first7|7first"))
    lines(page).select_option(index=1)
    expect(heading(page, "Event 2 of 2")).to_be_visible()
    expect(version).to_have_value("second")
    write(version, "third")
    button(page, "Duplicate").click()
    expect(heading(page, "Event 3 of 3")).to_be_visible()
    expect(version).to_have_value("third")


def test_letters_and_arrows_stay_on_the_form(open_in_lab: OpenNotebook) -> None:
    """JupyterLab, which would move to another cell at an arrow and delete this one at `dd`, gets neither.

    Nor does Ctrl+Z in the form undo what was typed in a cell.
    """
    page = open_in_lab(FORM, "form.add.click(); form.add.click()")
    cells, source = page.locator(".jp-CodeCell").count(), page.locator(".jp-CodeCell .cm-content").first
    source.press("Control+End")
    page.keyboard.type("  # typed")
    lines(page).focus()
    for key, shown in (("ArrowUp", 2), ("ArrowUp", 1), ("ArrowDown", 2)):
        page.keyboard.press(key)
        expect(heading(page, f"Event {shown} of 3")).to_be_visible()
        expect(lines(page)).to_be_focused()
    version = field(page, "clientVersion *")
    write(version, "2")
    version.press("Control+z")
    expect(version).not_to_have_value("2")
    for control in (lines(page), button(page, "Send"), field(page, "eventType *"), button(page, "Paste or open")):
        for key in ("x", "a", "b", "d", "d", "Control+Backspace", "Control+Shift+m", "Control+z"):
            control.press(key)
        expect(control).to_be_focused()
    assert cells == page.locator(".jp-CodeCell").count()
    expect(source).to_contain_text("form  # typed")


def test_the_keyboard_alone_reaches_everything(open_in_lab: OpenNotebook) -> None:
    """Tab moves through all controls in their visible order, and the focus is not lost with a removed property."""
    page = open_in_lab(FORM, "form.editor.add_property.click(); form.editor.add_property.click()")
    expect(field(page, "property")).to_have_count(2)
    lines(page).focus()
    names: list[str] = []
    while "The sandbox" not in names and len(names) < 80:
        page.keyboard.press("Tab")
        names.append(page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"))
    assert [
        "Add", "Duplicate", "Remove", "Up", "Down", "Undo", "eventType *", "eventId *", "New id", "eventTime *",
        "Now, by the sandbox's clock", "clientType *", "UserEvent", "clientVersion *", "schemaName", "schemaVersion",
        "Add a property", "property", "value", "Send", "Send anyway", "Request", "of", "for", "Copy",
        "events.json", "events.csv", "Postman collection", "Latest sends", "Load", "Paste or open", "The sandbox",
    ] == [name for name in dict.fromkeys(names) if name != "?" and "mutation" not in name]  # fmt: skip
    removes = page.locator(".bwp-property button").filter(visible=True)
    removes.first.press("Enter")
    expect(field(page, "property")).to_have_count(1)
    page.wait_for_timeout(500)  # in which the page draws the rows below once more
    expect(removes.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(field(page, "property")).to_have_count(0)
    expect(button(page, "Add a property")).to_be_focused()


@THEMES
def test_axe_finds_nothing_serious_in_any_state(open_in_lab: OpenNotebook, theme: str) -> None:
    """Fresh, invalid, rejected and sent, in both themes, with a visible focus; a fault made on purpose is found."""
    page = open_in_lab(FORM, theme=theme)
    button(page, "Paste or open").click()
    button(page, "The sandbox").click()
    expect(field(page, "Fault")).to_be_visible()
    assert [] == violations(page)
    field(page, "Fault").select_option(label="message: Events that contain a given value, by default all, are rejected "
        "with a given text, unless accepted before")  # fmt: skip
    expect(field(page, "text")).to_be_visible()
    field(page, "Request").select_option("cURL")
    write(field(page, "eventTime *"), "2023")
    page.locator("summary").filter(visible=True).first.click()
    expect(status(page, "1 event, 1 problem.")).to_be_visible()
    assert [] == violations(page)
    button(page, "Send anyway").click()
    expect(status(page, "Rejected:")).to_be_visible()
    assert [] == violations(page)
    write(field(page, "eventTime *"), GOOD_TIME)
    expect(status(page, "1 event, no problems.")).to_be_visible()  # the button moves until then
    button(page, "Send").click()
    expect(status(page, "Sent:")).to_be_visible()
    assert [] == violations(page)
    lines(page).focus()
    page.keyboard.press("Tab")
    for part in page.locator(".bwp :is(input, select, textarea, button, summary, a, pre):visible:enabled").all():
        part.focus()
        expect(part).to_have_css("outline-style", "solid")
        expect(part).to_have_css("outline-width", "2px")
    page.evaluate("document.querySelector('.bwp').append(document.createElement('button'))")
    assert ["button-name"] == [found.partition(":")[0] for found in violations(page)]


def test_the_form_fits(open_in_lab: OpenNotebook) -> None:
    """Five properties in 900 pixels; nothing is cut off or scrolls sideways, at 200 % zoom too; help moves nothing."""
    properties = {name: f"value of {name}" for name in ("ubid", "ip", "referrer", "page_type", "current_url")}
    event = bwp.connect().new_event("page-load", **properties)
    page = open_in_lab(FORM, f"form.fill(bwp.{event!r}); form.send.click()")
    root = page.locator(".bwp").first
    expect(field(page, "value")).to_have_count(5)
    expect(page.get_by_role("region", name="Response")).to_be_visible()
    eventually(True, lambda: root.evaluate("form => form.getBoundingClientRect().height <= 900"))
    mark, opened = page.get_by_label("About eventId").filter(visible=True), page.locator(".bwp details[open]")

    def is_moved_by_help() -> bool:
        before = mark.bounding_box(), root.bounding_box()
        mark.click()
        expect(opened).to_have_count(1)
        after = mark.bounding_box(), root.bounding_box()
        mark.click()
        expect(opened).to_have_count(0)
        return before != after

    eventually(False, is_moved_by_help)
    field(page, "value").first.fill("one\ntwo\nthree")
    eventually(True, lambda: field(page, "value").first.evaluate("box => box.scrollHeight <= box.clientHeight"))
    field(page, "value").first.fill("x" * 5000)
    field(page, "eventTime *").fill("2023-12-03T10:15:30.123Z")
    button(page, "The sandbox").click()
    expect(page.get_by_role("cell", name="page-load")).to_be_visible()
    page.get_by_label("About eventTime").filter(visible=True).click()
    for width in (1280, 1000, 640):
        page.set_viewport_size({"width": width, "height": 1000})
        eventually([], lambda: page.evaluate(CUT_OFF))
        eventually(True, lambda: field(page, "eventTime *").evaluate("box => box.scrollWidth <= box.clientWidth"))


@pytest.mark.parametrize(
    "clipboard",
    [
        pytest.param("", id="clipboard"),
        pytest.param("Object.defineProperty(navigator, 'clipboard', {value: undefined})", id="no-clipboard"),
    ],
)
def test_the_request_is_copied_and_saved(open_in_lab: OpenNotebook, context: BrowserContext, clipboard: str) -> None:
    """Copy copies the exact text, also on a page without a clipboard object; pasted, it fills the form."""
    context.add_init_script(clipboard)
    page = open_in_lab(FORM)
    field(page, "Request").select_option("cURL")
    field(page, "for").select_option("this sandbox")
    shown = page.get_by_role("region", name="Request: cURL")
    expect(shown).to_contain_text('curl "http://127.0.0.1:')
    button(page, "Copy").click()
    expect(status(page, "Copied.")).to_be_visible()
    button(page, "Paste or open").click()
    box = field(page, "Paste events")
    box.press("Control+v")
    expect(box).to_have_value(shown.inner_text())
    button(page, "Fill the form with it").click()
    expect(status(page, "The form is filled. 1 event, ")).to_be_visible()
    for name, saved in (("events.csv", "events.csv"), ("Postman collection", "sendUserEvents.postman_collection.json")):
        with page.expect_download() as started:
            button(page, name).click()
        assert saved == started.value.suggested_filename
        text = Path(started.value.path()).read_text()
        assert "00000000-0000-4000-8000-000000000001" in text


def test_an_edit_during_a_send_is_seen(open_in_lab: OpenNotebook, lab_folder: Path) -> None:
    """The form shows that it is sending, and afterwards that the edited event was not what was sent."""
    (lab_folder / "go").unlink(missing_ok=True)
    page = open_in_lab(SLOW_FORM)
    button(page, "Send").click()
    expect(status(page, "Sending …")).to_be_visible()
    field(page, "clientVersion *").press_sequentially("9")
    (lab_folder / "go").touch()
    expect(page.get_by_text("This is the answer to the request before the last edit.")).to_be_visible()
    expect(heading(page, "Event 1 of 1 · valid")).to_be_visible()


def test_the_notebook_of_forms_runs_as_people_run_it(open_in_lab: OpenNotebook) -> None:
    """In JupyterLab its first form is a live one, and can be used; the others are pictures."""
    cells = nbformat.read(NOTEBOOKS / "03_make_events_in_a_form.ipynb", as_version=4).cells
    page = open_in_lab(*(cell.source for cell in cells if cell.cell_type == "code"), errors=1)
    first = page.locator(".bwp").first
    time_of = first.get_by_label("eventTime *").filter(visible=True)
    time_of.fill("2023")
    expect(first.get_by_text("'2023' is not a UTC date-time").filter(visible=True).first).to_be_visible()
    time_of.fill(GOOD_TIME)
    expect(first.get_by_role("status").filter(has_text="no problems.")).to_be_visible()
    first.get_by_role("button", name="Send", exact=True).click()
    expect(first.get_by_role("status").filter(has_text="Sent:")).to_be_visible()


def test_the_form_works_under_voila(open_in_voila: OpenNotebook) -> None:
    """On a page without JupyterLab, Send leads to a problem, and sends once it is fixed."""
    page = open_in_voila(FORM, "forms.SandboxPanel(client.sandbox)")
    time_of = field(page, "eventTime *")
    write(time_of, "2023")
    button(page, "Go to event 1, eventTime").click()
    expect(time_of).to_be_focused()
    write(time_of, GOOD_TIME)
    expect(status(page, "1 event, no problems.")).to_be_visible()
    button(page, "Send").click()
    expect(page.get_by_role("status").filter(has_text="Sent:")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="1 accepted, 0 rejected, 1 request.")).to_be_visible()


def test_rows_can_be_pasted_from_a_spreadsheet(open_in_lab: OpenNotebook) -> None:
    """Cells are separated by tabs; what is missing is said, and an error of the form itself is on the form."""
    page = open_in_lab(FORM, "client.new_id = None")
    button(page, "Paste or open").click()
    cells = "event_type\tclient_version\tnote\nclick\t1.0\ta b\n"
    field(page, "Paste events").fill(cells)
    button(page, "Fill the form with it").click()
    expect(status(page, "Not filled: Missing column client_type")).to_be_visible()
    button(page, "New id").click()
    expect(page.get_by_role("alert").filter(has_text="The form failed")).to_contain_text("TypeError")
