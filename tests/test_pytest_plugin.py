"""The pytest plugin, in a process of its own, as a shop's project has it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_public import HEAVY

ROOT = Path(__file__).parent.parent

SUITE = '''
import httpx
import pytest


def sent(bwp_server, time):
    """Send an event as a shop does that does not use this package."""
    sandbox = bwp_server.sandbox
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    token = httpx.post(bwp_server.token_endpoint, data=form).json()["access_token"]
    event = {"eventType": "click", "eventId": "11c7e59a-d462-4254-bc7e-3e44528ef6d0", "eventTime": time}
    event |= {"clientType": "SERVER_CLIENT", "clientVersion": "1.0"}
    query = "mutation ($input: SendUserEventInput!) { sendUserEvents(input: $input) { status } }"
    headers = {"Authorization": f"Bearer {token}", "x-api-target-id": sandbox.target_id}
    body = {"query": query, "variables": {"input": {"events": [event]}}}
    return httpx.post(bwp_server.endpoint, headers=headers, json=body).json()


def test_served(bwp_server, bwp_sandbox, bwp_arrivals):
    sent(bwp_server, "2024-12-03T10:15:30Z")
    assert len(bwp_sandbox.accepted) == 1
    bwp_arrivals.assert_valid()


def test_in_process(bwp_client, bwp_sandbox, bwp_arrivals):
    assert bwp_sandbox.accepted == []
    bwp_client.send(bwp_client.new_event("click", client_type="SERVER_CLIENT"))
    bwp_arrivals.assert_valid()


def test_ignored_hint(bwp_client, bwp_arrivals):
    bwp_client.send(bwp_client.new_event("click", client_type="WEBSITE_CLIENT"))
    bwp_arrivals.assert_valid()


def test_wrong(bwp_server, bwp_arrivals):
    sent(bwp_server, "2023")
    bwp_arrivals.assert_valid()
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A shop's project, with the package installed as its metadata says."""
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "installed" / "bwp_nb-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: bwp-nb\nVersion: 0\n")
    lines = [f"{name} = {module}" for name, module in entry_points.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\nbwp_ignore_hints = clientType\n")
    return shop


def _pytest(shop: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with this plugin and no other: `-p` finds it by its entry point."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(shop.parent / "installed"), str(ROOT)])
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "bwp_nb", *options]
    return subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_fixtures_work_and_a_wrong_event_fails_readably(project: Path) -> None:
    """The failure shows the test's own line, which event it was and why, and no code of this package."""
    (project / "test_shop.py").write_text(SUITE)
    shown = _pytest(project).stdout
    assert "1 failed, 3 passed" in shown, shown
    failure = shown.partition("short test summary")[0]
    assert ">       bwp_arrivals.assert_valid()\n" in failure
    assert "rejected: eventTime: '2023' is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'" in failure
    assert "raise AssertionError" not in failure


def test_loading_it_loads_nothing_heavy(project: Path) -> None:
    """Tests that do not use it do not wait for it."""
    own = ["bwp_nb", "bwp_nb.checks", "bwp_nb.checks.pytest_plugin"]
    (project / "test_light.py").write_text(f"""
import sys

def test_light():
    assert {own} == sorted(name for name in sys.modules if name.startswith("bwp_nb"))
    assert [] == [name for name in {HEAVY} if name in sys.modules]
""")
    done = _pytest(project)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_its_fixtures_are_documented(project: Path) -> None:
    """`pytest --fixtures` has a sentence for each."""
    shown = _pytest(project, "--fixtures").stdout.partition("fixtures defined from bwp_nb")[2]
    found = re.findall(r"^(bwp_\w+) -- .*\n    (.*)", shown, re.MULTILINE)
    assert ["bwp_sandbox", "bwp_client", "bwp_server", "bwp_arrivals"] == [name for name, _ in found]
    assert [] == [name for name, text in found if not text.endswith(".")]
