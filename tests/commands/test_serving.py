"""The command `serve` beside the tests of a shop: the log, the summary, the exit status."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import bwp_nb as bwp
from bwp_nb.connection import live_client
from bwp_nb.settings import Settings
from bwp_nb.wire.auth import Credentials, Secret
from tests.served import ask

#: Events as a shop sends them.
RIGHT = bwp.UserEvent("click", "11c7e59a-d462-4254-bc7e-3e44528ef6d0", "2024-12-03T10:15:30Z", "SERVER_CLIENT", "1.0")
WRONG = bwp.UserEvent("page-load", "b8a0f1de-4e0c-4e56-8e46-6f3b7b2f1f0e", "2023", "SERVER_CLIENT", "1.0")


@dataclass
class Served:
    """A running `bwp-nb serve`: a client of it and, after its end, what it printed."""

    process: subprocess.Popen[str]
    client: bwp.Client
    given: dict[str, Any]
    status: int = -1
    out: str = ""
    err: str = ""

    def send(self, *events: bwp.UserEvent) -> None:
        """Send events unchecked, as a shop without this package does."""
        with contextlib.suppress(bwp.MutationRejected):
            self.client.send(events, check=False)


@contextlib.contextmanager
def serving(*options: str, stop: str = "SIGTERM") -> Iterator[Served]:
    """Run the command until the block ends, and then stop it by a signal."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "bwp_nb", "serve", "--json", *options]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        given = json.loads(process.stdout.readline())
        own = given["credentials"]
        credentials = Credentials(own["client_id"], Secret(own["client_secret"]), own["target_id"])
        settings = Settings(credentials, "2024-11-01", given["endpoint"], given["token_endpoint"], confirm=False)
        served = Served(process, stack.enter_context(live_client(settings)), given)
        yield served
        process.send_signal(getattr(signal, stop))
        served.out, served.err = process.communicate(timeout=30)
    served.status = process.returncode


def test_a_wrong_event_ends_with_status_1_a_log_a_summary_and_junit(tmp_path: Path) -> None:
    """All say which event it was and why; the right ones are there too."""
    log, junit = tmp_path / "events.jsonl", tmp_path / "events.xml"
    with serving("--fail-on-invalid", "--log", str(log), "--junit", str(junit)) as served:
        served.send(RIGHT)
        served.send(WRONG)
        first, second = map(json.loads, log.read_text("utf-8").splitlines())  # before it ends
    assert 1 == served.status
    assert ["time", "state", "event", "reason", "problems", "hints", "simulated"] == list(first)
    assert ("accepted", RIGHT.input, "", [], []) == tuple(first[name] for name in list(first)[1:6])
    assert ("rejected", WRONG.input) == (second["state"], second["event"])
    problem = "eventTime: '2023' is not a UTC date-time; expected e.g. '2023-12-03T10:15:30Z'"
    assert [problem] == second["problems"]
    assert "eventTime 2023 is invalid" in second["reason"]
    summary = json.loads(served.out)
    assert {"click": {"events": 1, "invalid": 0}, "page-load": {"events": 1, "invalid": 1}} == summary["types"]
    (suite,) = ElementTree.fromstring(junit.read_bytes())  # noqa: S314  # we wrote it
    assert [("click", 0), ("page-load", 1)] == [(case.attrib["name"], len(case)) for case in suite]
    assert f"page-load {WRONG.event_id}, rejected: {problem}" == suite[1][0].text


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_right_events_end_with_status_0_by_either_signal(stop: str) -> None:
    """The summary says how many arrived."""
    with serving("--fail-on-invalid", stop=stop) as served:
        served.send(RIGHT)
    assert (0, True) == (served.status, json.loads(served.out)["ok"])
    assert "Traceback" not in served.err


@pytest.mark.parametrize(("ignored", "status"), [([], 1), (["--ignore-hint", "clientType"], 0)])
def test_hints_fail_unless_they_are_ignored(ignored: list[str], status: int) -> None:
    """A browser's events have a hint on clientType, which may not matter to a shop."""
    with serving("--fail-on-invalid", *ignored) as served:
        served.send(bwp.UserEvent("click", RIGHT.event_id, RIGHT.event_time, "WEBSITE_CLIENT", "1.0"))
    assert status == served.status


def test_that_nothing_arrived_is_status_3() -> None:
    """Tests that send nothing have not shown anything."""
    with serving("--fail-on-invalid") as served:
        pass
    assert (3, {}) == (served.status, json.loads(served.out)["types"])


def test_without_the_option_the_log_is_written_and_the_status_is_0(tmp_path: Path) -> None:
    """It is a log only."""
    with serving("--log", str(tmp_path / "events.jsonl")) as served:
        served.send(WRONG)
    assert (0, False) == (served.status, json.loads(served.out)["ok"])


def test_a_request_that_the_server_refuses_is_an_arrival(tmp_path: Path) -> None:
    """With the wrong media type no event arrives; that must not pass unnoticed."""
    log = tmp_path / "events.jsonl"
    with serving("--fail-on-invalid", "--log", str(log)) as served:
        served.send(RIGHT)
        body = json.dumps(bwp.Mutation(RIGHT).payload)
        assert 415 == ask("POST", served.given["endpoint"], content=body).status_code
    assert ["accepted", "refused"] == [json.loads(line)["state"] for line in log.read_text("utf-8").splitlines()]
    assert 1 == served.status


def test_the_log_has_no_secrets(tmp_path: Path) -> None:
    """Neither tokens nor credentials, also if they are posted to the wrong address."""
    log = tmp_path / "events.jsonl"
    with serving("--log", str(log)) as served:
        served.send(RIGHT, WRONG)
        form = {"client_id": "amzn1.live-client", "client_secret": "live-secret-value"}
        ask("POST", served.given["endpoint"], data=form)
        ask("POST", served.given["endpoint"], json=form, headers={"Authorization": "Bearer live-token"})
    kept = log.read_text("utf-8") + served.out + served.err
    assert 4 == len(log.read_text("utf-8").splitlines())
    secrets = ("live-secret-value", "live-token", "amzn1", "sandbox-secret", "sandbox-token")
    assert [] == [secret for secret in secrets if secret in kept]


def test_a_log_that_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    """Nothing is served."""
    path = str(tmp_path / "missing" / "events.jsonl")
    command = [sys.executable, "-m", "bwp_nb", "serve", "--log", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = f"No such file or directory: '{path}'.\n"
    assert (1, "", said) == (done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Only Linux has a file that is always full")
def test_a_full_disk_ends_the_command_with_a_clear_error() -> None:
    """The client gets its response; the log would lack events, so it ends with status 1."""
    with serving("--log", "/dev/full") as served:
        served.send(RIGHT)
        served.process.wait(timeout=30)
    assert 1 == served.status
    expected = "Cannot write /dev/full: No space left on device. It does not have all events."
    assert expected == served.err.splitlines()[-1]


def test_pages_of_an_allowed_origin_only_get_the_api() -> None:
    """The preflight allows what the page asks for, and the response is readable by it; others are refused."""
    with serving("--allow-origin", "http://localhost:3000") as served:
        endpoint, asked = served.given["endpoint"], {"Access-Control-Request-Method": "POST"}
        allowed, refused = (
            ask("OPTIONS", endpoint, headers={"Origin": origin, **asked})
            for origin in ("http://localhost:3000", "http://localhost:3001")
        )
        assert (204, 403) == (allowed.status_code, refused.status_code)
        assert "http://localhost:3000" == allowed.headers["Access-Control-Allow-Origin"]
    assert 0 == served.status


@pytest.mark.parametrize("origin", ["*", "localhost:3000", "http://localhost:3000/", "null", "http://a b"])
def test_what_is_not_an_origin_is_wrong_usage(origin: str) -> None:
    """The message shows one that is."""
    command = [sys.executable, "-m", "bwp_nb", "serve", "--allow-origin", origin]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (2, "") == (done.returncode, done.stdout)
    assert "expected an origin such as http://localhost:3000" in done.stderr
