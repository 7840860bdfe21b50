"""Make the pictures of the README and the site from the form and a chart in JupyterLab: python -m tests.pictures.

It needs Chromium, and writes `.site/pictures/`: each picture once for a light and once for a dark page.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.browser.conftest import DONE, FLAGS, THEME, TIMEOUT, TOKEN, Server, jupyterlab
from tests.browser.conftest import _count_idle as count_idle
from tests.browser.conftest import _notebook as as_notebook
from tests.browser.conftest import _until as wait_until
from tests.refresh import NOTEBOOKS

PICTURES = NOTEBOOKS.parent / ".site" / "pictures"
FORM = """\
import bwp_nb as bwp
client = bwp.connect()
form = bwp.forms.EventForm(client)
form.fill(bwp.documented.PAGE_LOAD.request)
form"""

CHART = ".jp-OutputArea-output img[src^='data:image/svg']"

#: A picture's notebook, and the output that it shows.
SHOWN = {"form": ("form.ipynb", ".bwp"), "chart": ("06_chart_responses.ipynb", CHART)}


@contextmanager
def _jupyterlab(folder: Path) -> Iterator[Server]:
    nbformat.write(as_notebook((FORM,)), folder / "form.ipynb")
    shutil.copy(NOTEBOOKS / "06_chart_responses.ipynb", folder)
    server = jupyterlab(folder)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _page(browser: Browser, server: Server, notebook: str) -> Page:
    """Return a notebook of which all cells have run."""
    page = browser.new_page(viewport={"width": 1200, "height": 1600}, device_scale_factor=1.5)
    page.set_default_timeout(TIMEOUT)
    idle: list[int] = []
    page.on("websocket", lambda socket: count_idle(socket, idle))
    page.goto(f"{server.url}/doc/tree/{notebook}?token={TOKEN}")
    page.wait_for_selector(".jp-Notebook")
    wait_until(page, lambda: bool(idle))  # the page shows the kernel as idle before it is connected
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(DONE)
    return page


def _save(shown: Locator, path: Path) -> None:
    """Save what is shown, in at most 128 colours."""
    shown.scroll_into_view_if_needed()
    shown.screenshot(path=path, animations="disabled")
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)


def main() -> None:
    """Write every picture."""
    PICTURES.mkdir(exist_ok=True)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, _jupyterlab(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for theme in ("Light", "Dark"):
            _write(Path(folder) / "settings" / THEME, f'{{"theme": "JupyterLab {theme}"}}')
            for name, (notebook, output) in SHOWN.items():
                page = _page(browser, server, notebook)
                path = PICTURES / f"{name}-{theme.lower()}.png"
                _save(page.locator(output).first, path)
                print(f"{path.name}: {path.stat().st_size // 1024} kB")
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
