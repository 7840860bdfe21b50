"""The lab in Chromium: a fresh profile, no cache, and no host but the one that serves the site."""

import gzip
import json
import time
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.site.conftest import Served

#: What a host of static sites does not compress again.
COMPRESSED = (".whl", ".zip", ".png", ".woff2")


@pytest.fixture
def form(served: Served, context: BrowserContext) -> Iterator[Page]:
    """Open the form as a first visitor of the site does; fail if anything is asked of another host."""
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(f"{served.url}/lab.html")
    started = time.monotonic()
    page.get_by_role("link", name="Open the form").click()
    expect(page.get_by_role("textbox", name="eventTime *")).to_be_visible(timeout=180_000)
    print(f"Seconds to the form: {time.monotonic() - started:.0f}")
    yield page
    assert [] == [url for url in asked if not url.startswith((served.url, "data:", "blob:"))]


def _write(page: Page, text: str) -> None:
    """Type the time of the event, and wait until the request has it."""
    box = page.get_by_role("textbox", name="eventTime *")
    box.press("Control+a")
    box.press_sequentially(text)
    expect(page.get_by_text(f'eventTime: "{text}"').first).to_be_visible()


def _press(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_role("button", name=name, exact=True).click()


def test_an_event_is_made_refused_fixed_and_sent(form: Page, served: Served) -> None:
    """By mouse and keys: a wrong time is named, refused, and fixed; legible in light and dark; the size is printed."""
    _write(form, "2023")
    expect(form.get_by_text("'2023' is not a UTC date-time").first).to_be_visible()
    _press(form, "Send anyway")
    expect(form.get_by_text("Rejected:").first).to_be_visible()
    _write(form, "2023-12-03T10:15:30Z")
    _press(form, "Send")
    expect(form.get_by_text("Sent:").first).to_be_visible()
    files = {path: path.read_bytes() for path in served.files}
    sizes = [len(data) if path.suffix in COMPRESSED else len(gzip.compress(data, 6)) for path, data in files.items()]
    print(f"First visit: {sum(sizes) / 1e6:.1f} MB compressed, {sum(map(len, files.values())) / 1e6:.1f} MB of files")
    for scheme in ("light", "dark"):
        form.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(form.locator("body")).to_have_attribute("data-jp-theme-light", str(scheme == "light").lower())
        found = Axe().run(form, context=".jp-OutputArea-output").response["violations"]
        assert [] == [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]


def test_all_notebooks_get_pandas_from_the_host_of_pyodide(served: Served) -> None:
    """It cannot be reached here: only the settings of that page and the addresses are tested."""
    lab = served.folder / "lab"
    data = json.loads((lab / "lab" / "jupyter-lite.json").read_text("utf-8"))["jupyter-config-data"]
    (settings,) = data["litePluginSettings"].values()
    packages = json.loads((lab / "static" / "pyodide" / "pyodide-lock.json").read_text("utf-8"))["packages"]
    loaded = {name: packages[name]["file_name"] for name in settings["loadPyodideOptions"]["packages"]}
    assert ["matplotlib", "pandas"] == sorted(name for name, file in loaded.items() if file.startswith("https://"))


def test_the_notebook_runs_to_its_end(served: Served, context: BrowserContext) -> None:
    """Its last cells show the receipt and the request."""
    page = context.new_page()
    with page.expect_console_message(lambda message: message.text == "No new packages to load", timeout=180_000):
        page.goto(f"{served.url}/lab/notebooks/index.html?path=try_it.ipynb")  # until Python runs, cells would not
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    expect(page.get_by_role("cell", name="successful").first).to_be_visible(timeout=180_000)
    expect(page.get_by_text("sendUserEvents").last).to_be_visible()
    expect(page.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
