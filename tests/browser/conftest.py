"""Notebooks in a real browser: JupyterLab or Voila on 127.0.0.1, Chromium, no other network."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import nbformat
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect, sync_playwright

TOKEN = "for-this-test-run-only"  # noqa: S105
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: In milliseconds; enough for a slow machine, and reached only by a failure.
TIMEOUT = 60_000

ERROR = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
DONE = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
  .every(prompt => /[0-9]/.test(prompt.textContent))"""
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}',
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": (
        '{"fetchNews": "false", "checkForUpdates": false}'
    ),
}
THEME = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"


def _chromium() -> str:
    """Return the path of Chromium; without one these tests are skipped, and in CI they fail."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Chromium is missing: apt-get install chromium")
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start Chromium, once for all tests of this folder; no other event loop can run in this thread meanwhile."""
    path = _chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Server:
    """A Jupyter server with only the settings given here."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={self.port}"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait(self) -> None:
        """Return once the server takes connections."""
        for _ in range(TIMEOUT // 100):
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"the server did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop the server and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _environment(folder: Path) -> dict[str, str]:
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    return {**os.environ, **{name: str(folder / part) for name, part in folders.items()}}


def jupyterlab(folder: Path) -> Server:
    """Start JupyterLab in a folder, with settings of its own."""
    for name, text in SETTINGS.items():
        path = folder / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Server(
        folder,
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True",
    )


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Server]:
    """Start JupyterLab, once for all tests."""
    server = jupyterlab(tmp_path_factory.mktemp("lab"))
    server.wait()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a fresh browser profile that can only reach 127.0.0.1."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(TIMEOUT)
    expect.set_options(timeout=TIMEOUT)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.route(lambda url: urlsplit(url).hostname != "127.0.0.1", lambda route: route.abort())
    yield context
    context.close()


OpenNotebook = Callable[..., Page]


class Traffic:
    """The messages about widgets between a page and its kernel, as they went over the wire."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def watch(self, socket: WebSocket) -> None:
        """Record the messages of a connection to a kernel."""

        def record(frame: str | bytes) -> None:
            message = frame if isinstance(frame, bytes) else frame.encode()
            if re.search(rb'"msg_type": ?"comm_(?:open|msg|close)"', message):
                self.messages.append(message)

        if "/channels" in socket.url:
            socket.on("framereceived", record)
            socket.on("framesent", record)

    @property
    def models(self) -> int:
        """The number of widget models that are open."""
        opened, closed = (sum(kind in message for message in self.messages) for kind in (b"comm_open", b"comm_close"))
        return opened - closed


@pytest.fixture
def traffic() -> Traffic:
    """Return the messages about widgets of the pages of a test."""
    return Traffic()


@pytest.fixture
def open_in_lab(
    lab: Server, context: BrowserContext, traffic: Traffic, request: pytest.FixtureRequest
) -> Iterator[OpenNotebook]:
    """Return a function that opens cells as a notebook in JupyterLab, runs them all, and returns the page."""

    def open_cells(*cells: str, theme: str = "JupyterLab Light", errors: int = 0) -> Page:
        settings = lab.folder / "settings" / THEME
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(f'{{"theme": "{theme}"}}')
        name = f"{request.node.name}.ipynb".replace("[", "-").replace("]", "")
        nbformat.write(_notebook(cells), lab.folder / name)
        page = context.new_page()
        idle: list[int] = []
        page.on("websocket", lambda socket: _count_idle(socket, idle))
        page.on("websocket", traffic.watch)
        page.goto(f"{lab.url}/doc/tree/{name}?token={TOKEN}")
        page.wait_for_selector(".jp-Notebook")
        _until(page, lambda: bool(idle))  # The page shows the kernel as idle before it is connected.
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        page.wait_for_function(DONE)
        expect(page.locator(ERROR)).to_have_count(errors)
        return page

    yield open_cells
    with httpx.Client(base_url=lab.url, params={"token": TOKEN}, timeout=60) as server:
        for session in server.get("/api/sessions").json():
            server.delete(f"/api/sessions/{session['id']}")


@pytest.fixture
def lab_folder(lab: Server) -> Path:
    """Return the folder in which JupyterLab's kernels run."""
    return lab.folder


@pytest.fixture
def open_in_voila(tmp_path: Path, context: BrowserContext) -> Iterator[OpenNotebook]:
    """Return a function that opens cells as a page of Voila."""
    server = Server(tmp_path, "voila", "--no-browser", "--Voila.ip=127.0.0.1")

    def open_cells(*cells: str) -> Page:
        nbformat.write(_notebook(cells), tmp_path / "form.ipynb")
        server.wait()
        page = context.new_page()
        page.goto(f"{server.url}/voila/render/form.ipynb")
        return page

    yield open_cells
    server.stop()


def _notebook(cells: tuple[str, ...]) -> nbformat.NotebookNode:
    expected = {"tags": ["raises-exception"]}  # JupyterLab goes on after such a cell, and the test counts the errors.
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, metadata=expected) for cell in cells])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


def _count_idle(socket: WebSocket, idle: list[int]) -> None:
    def look(frame: str | bytes) -> None:
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        if '"execution_state": "idle"' in text or '"execution_state":"idle"' in text:
            idle.append(1)

    if "/channels" in socket.url:
        socket.on("framereceived", look)


def _until(page: Page, happened: Callable[[], bool]) -> None:
    for _ in range(TIMEOUT // 50):
        if happened():
            return
        page.wait_for_timeout(50)
    pytest.fail("the kernel never became idle")
