"""The site, built as the README says, and served on 127.0.0.1."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import browser, context  # noqa: F401

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "build" / "site"


@pytest.fixture(scope="session")
def site() -> Path:
    """Build the site and return its folder; without the extra `docs` or npm these tests are skipped."""
    if find_spec("myst_nb") is None or find_spec("jupyterlite_core") is None:
        pytest.skip("the extra docs is not installed")
    if shutil.which("npm") is None:
        assert os.environ.get("CI") != "true", "npm is missing"
        pytest.skip("npm is not installed")
    subprocess.run([sys.executable, ROOT / ".site" / "build.py"], check=True, timeout=1800)
    return SITE


class Served(ThreadingHTTPServer):
    """A static server that keeps the path of each file that it served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[Path] = set()
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Served

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        if Path(found).is_file():
            self.server.files.add(Path(found))
        return found

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def served(site: Path) -> Iterator[Served]:
    """Serve the site, to a browser that has not visited it."""
    server = Served(site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
