"""The example shops of the documentation: their tests pass, and fail when the shop sends a wrong event time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import needs

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / ".site" / "examples"
PAGE = (ROOT / ".site" / "ci.md").read_text("utf-8")

#: The line that makes the event time, in each shop.
TIMES = {
    "python": ("shop.py", 'datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")'),
    "node": ("shop.mjs", "new Date().toISOString()"),
}


def _ran(language: str, shop: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a shop as the page says, with this package and no other plugin."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST", "COV", "NODE"))}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "bwp_nb.checks.pytest_plugin"]
    if language == "node":
        needs("node")
        script = shop / "bin" / "bwp-nb"  # as an installation puts it on the PATH
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bwp_nb "$@"\n')
        script.chmod(0o755)
        environment["PATH"] = os.pathsep.join([str(script.parent), environment["PATH"]])
        command = ["node", "--test"]
    return subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("language", TIMES)
def test_an_example_passes_and_fails_when_the_event_time_is_wrong(language: str, tmp_path: Path) -> None:
    """The failure says which value it was, although the shop itself goes on as if nothing had happened."""
    right, wrong = (shutil.copytree(EXAMPLES / language, tmp_path / name) for name in ("right", "wrong"))
    done = _ran(language, right)
    assert 0 == done.returncode, done.stdout + done.stderr
    name, expression = TIMES[language]
    source = (wrong / name).read_text("utf-8")
    assert 1 == source.count(expression)
    (wrong / name).write_text(source.replace(expression, '"2023"'), "utf-8")
    done = _ran(language, wrong)
    assert 1 == done.returncode, done.stdout + done.stderr
    assert "'2023' is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'" in done.stdout


def test_the_page_shows_the_files_that_are_tested() -> None:
    """Each file of an example is included by the page as it is."""
    files = sorted(f"examples/{path.parent.name}/{path.name}" for path in EXAMPLES.glob("*/*.*"))
    assert files == sorted(line.split()[-1] for line in PAGE.splitlines() if line.startswith("```{literalinclude}"))
