"""The command line: what each command prints, and the exit status that it ends with."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb.__main__ import main
from bwp_nb.commands.result import MOST_LINES
from bwp_nb.sandbox.server import Server
from bwp_nb.settings import SETTINGS
from tests.served import ask
from tests.servers import Connection, serving

COMMANDS = ["check", "send", "doctor", "drift", "serve"]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin in an empty folder, with no settings and no keyring."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A served sandbox that plays the live host, with this process set up as its live client."""
    with bwp.serve() as server:
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        yield server


def _ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, in which every warning is an error."""
    command = [sys.executable, "-W", "error", "-m", "bwp_nb", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_healthy_setup_passes_in_a_process_of_its_own(server: Server) -> None:
    """The status is 0, and there is one line for each step."""
    done = _ran("doctor")
    assert (0, "") == (done.returncode, done.stderr)
    assert len(bwp.doctor().steps) == len(done.stdout.splitlines())


def test_the_keys_of_the_doctors_json_are_stable(capsys: pytest.CaptureFixture[str]) -> None:
    """A program may rely on them."""
    assert 0 == main(["doctor", "--json"])
    found = _json(capsys)
    assert ["ok", "steps"] == list(found)
    assert {("name", "outcome", "found", "next_step", "cause")} == {tuple(step) for step in found["steps"]}


def test_no_drift_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON has the rows of the drift."""
    assert 0 == main(["drift", "--json"])
    found = _json(capsys)
    assert (True, ["schema", "invalid_event_time"]) == (found["ok"], [item["place"] for item in found["changes"]])
    assert {("place", "result", "concerns", "severity", "path", "before", "after")} == {
        tuple(item) for item in found["changes"]
    }


@pytest.mark.parametrize(("message", "status"), [("changed", 1), (None, 3)])
def test_a_change_is_status_1_and_no_answer_is_status_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], message: str | None, status: int
) -> None:
    """A program can distinguish the two."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            if b" /token " in request:
                connection.answer(b'{"access_token": "a-token"}')
            elif message is None:
                connection.answer(b"", "503 Service Unavailable")
            else:
                connection.answer(json.dumps({"errors": [{"message": message}], "data": None}).encode())

    with serving(answer) as other:
        _point_at(monkeypatch, other.endpoint)
        assert status == main(["drift"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("not answered  schema: ")


def _point_at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    given = {"BWP_ENDPOINT": endpoint, "BWP_TOKEN_ENDPOINT": endpoint.replace("/graphql", "/token")}
    given |= {"BWP_MODE": "live", "BWP_CONFIRM": "no"}
    for name, text in {**given, **dict.fromkeys(["BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID"], "x")}.items():
        monkeypatch.setenv(name, text)


def test_a_refused_target_is_status_4(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a wrong setting, not a drift."""
    monkeypatch.setenv("BWP_TARGET_ID", "bp-somebody-else")
    assert 4 == main(["drift"])


@pytest.mark.parametrize("command", ["doctor", "drift"])
def test_missing_settings_are_status_4_without_a_traceback(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are missing are named."""
    monkeypatch.setenv("BWP_MODE", "live")
    done = _ran(command)
    assert 4 == done.returncode
    assert "Traceback" not in done.stderr
    names = ["BWP_CLIENT_ID", "BWP_CLIENT_SECRET", "BWP_TARGET_ID"]
    assert names == re.findall(r"(BWP_\w+) is required", done.stdout + done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check"],
        ["doctor", "x"],
        ["serve", "--port", "x"],
        ["serve", "--host", "0.0.0.0"],  # noqa: S104
        ["send", "a.csv", "--quarantine", "a.csv"],
        ["send", "a.csv", "--workers", "many"],
        ["check", "a.csv", "--ids-from", "rows"],
        ["check", "a.csv", "--field", "client_version"],
        ["send", "a.csv", "--column", "ts"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The usage goes to standard error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    assert capsys.readouterr().err.startswith("usage: bwp-nb ")


def test_a_port_in_use_is_status_1_without_a_traceback(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the port."""
    assert 1 == main(["serve", "--port", str(server.port)])
    assert f"Cannot serve on 127.0.0.1 port {server.port}: " in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_does_not_exist_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says which ports exist."""
    assert 2 == main(["serve", f"--port={port}"])
    assert f"port: expected a number from 0 to 65535, got {port}\n" == capsys.readouterr().err


def test_serve_prints_what_a_client_needs_as_json() -> None:
    """The addresses respond, the credentials give a token, and the control token opens the control address."""
    command = [sys.executable, "-W", "error", "-m", "bwp_nb", "serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as started:
        assert started.stdout is not None
        with contextlib.ExitStack() as stack:
            stack.callback(started.terminate)
            given = json.loads(started.stdout.readline())
            form = {name: given["credentials"][name] for name in ("client_id", "client_secret")}
            token = ask("POST", given["token_endpoint"], data={"grant_type": "client_credentials", **form}).json()
            bearer = {"Authorization": f"Bearer {token['access_token']}"}
            bearer |= {"x-api-target-id": given["credentials"]["target_id"]}
            sent = ask("POST", given["endpoint"], headers=bearer, json={"query": bwp.documented.PAGE_LOAD.request})
            assert bwp.documented.PAGE_LOAD.response["data"] == sent.json()["data"]
            control = {"Authorization": f"Bearer {given['control_token']}"}
            assert 1 == len(ask("GET", f"{given['control']}/accepted", headers=control).json())
    assert 0 == started.returncode


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_documents_every_exit_status(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command ends with its statuses."""
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    text = " ".join(capsys.readouterr().out.split())
    statuses = re.findall(r"(\d+) ", text[text.index("Exit statuses:") :])
    known = {"": "0 1 2 3 4 130", "doctor": "0 1 2 3 4", "drift": "0 1 2 3 4", "serve": "0 1 2 3"}
    known |= {"check": "0 1 2 4", "send": "0 1 2 3 4 130"}
    assert (0, known[command].split()) == (caught.value.code, statuses)


def test_help_loads_neither_pandas_nor_the_server() -> None:
    """It comes at once."""
    code = "import runpy, sys; sys.argv[1:] = ['--help']\ntry: runpy.run_module('bwp_nb', run_name='__main__')\n"
    code += "finally: print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert set() == loaded & {"pandas", "tornado", "httpx", "graphql", "ipywidgets", "matplotlib"}
    assert "argparse" in loaded


def test_the_script_is_the_same_command() -> None:
    """It is declared in the package's metadata."""
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    assert 'bwp-nb = "bwp_nb.__main__:main"' in project


@pytest.mark.parametrize("module", ["checks.doctor", "checks.drift", "sandbox.server"])
def test_there_is_one_command_line(module: str) -> None:
    """A module by itself is no longer a command: running it does nothing."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", f"bwp_nb.{module}", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (done.returncode, done.stdout)


HOSTILE = "\x1b[31m\x9b\x7f\u202e<b>\r\n\ud800" + "a" * 5000


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", ["doctor", "drift"])
def test_terminal_output_has_no_control_characters_and_is_capped(
    command: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a server sends in its messages, names and headers."""

    def answer(connection: Connection) -> None:
        while request := connection.request():
            if b" /token " in request:
                connection.answer(b'{"access_token": "a-token"}', "200 OK", "Date: \x1b[31m")
            else:
                classification = {"classification": {"type": HOSTILE}}
                error = {"message": HOSTILE, "extensions": classification}
                connection.answer(json.dumps({"errors": [error] * 300, "data": {HOSTILE: HOSTILE}}).encode())

    with serving(answer) as other:
        _point_at(monkeypatch, other.endpoint)
        main([command, *options])
    out, err = capsys.readouterr()
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert out.isascii() or not options
    assert len(out) < 150_000
    assert out.count("\n") <= MOST_LINES + 2


@pytest.mark.parametrize("command", ["doctor", "drift"])
def test_settings_with_control_characters_are_shown_escaped(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They may come from a file that somebody else wrote."""
    monkeypatch.setenv("BWP_MODE", "\x1b[31m\x9b\u202e")
    assert 4 == main([command])
    out, err = capsys.readouterr()
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert r"\x1b[31m" in out + err


def test_a_terminal_that_lacks_a_character_gets_an_escape() -> None:
    """Not a traceback."""
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "BWP_MODE": "\u00fcber"}
    command = [sys.executable, "-m", "bwp_nb", "drift"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (4, b"") == (done.returncode, done.stdout)
    assert b"\\xfcber" in done.stderr


def test_a_question_does_not_disturb_the_json(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes to standard error."""
    monkeypatch.setenv("BWP_CONFIRM", "yes")
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert 0 == main(["drift", "--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"]
    assert f"Send real events to {server.endpoint}? Type yes: " == err


@pytest.fixture
def day() -> pd.DataFrame:
    """Return 120 events, of which 3 are invalid."""
    return bwp.traffic.shop_day(120, invalid_rate=0.025)


def test_a_table_is_sent_and_what_is_left_is_sent_by_the_same_command(day: pd.DataFrame) -> None:
    """Counts go to standard output, progress and columns to standard error, rows to fix to a file."""
    day.to_csv("day.csv", index=False)
    done = _ran("send", "day.csv", "--ledger", "day.ledger", "--quarantine", "fix.jsonl", "--json")
    found = json.loads(done.stdout)
    assert (1, 120, 117, 3, "") == (done.returncode, found["rows"], found["sent"], found["invalid"], found["stopped"])
    assert ["product_sku", "page_type", "current_url"] == found["columns"]["properties"]
    assert "fields: event_type, event_id, event_time, client_type, client_version\n" in done.stderr
    assert "sent=117" in done.stderr
    assert 3 == len(Path("fix.jsonl").read_text("utf-8").splitlines())
    again = _ran("send", "day.csv", "--ledger", "day.ledger")
    assert (1, "120 rows: 117 sent, 3 invalid") == (again.returncode, again.stdout.splitlines()[0])


@pytest.mark.parametrize(("invalid_rate", "status"), [(0, 0), (0.1, 1)])
def test_a_checked_table_is_not_sent(
    invalid_rate: float, status: int, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1 if some rows are invalid; these can be saved."""
    bwp.traffic.shop_day(60, invalid_rate=invalid_rate).to_csv("day.csv", index=False)
    assert status == main(["check", "day.csv", "--json", "--quarantine", "fix.jsonl"])
    found = _json(capsys)
    assert ["rows", "valid", "requests", "bytes", "columns"] == list(found)
    assert (60, 60 - 6 * status) == (found["rows"], found["valid"])
    assert 6 * status == len(Path("fix.jsonl").read_text("utf-8").splitlines())
    assert [] == server.sandbox.requests


def test_options_say_how_the_table_is_read(day: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    """As the arguments of `send_table` do."""
    renamed = day.drop(columns=["event_id", "client_version"]).rename(columns={"event_time": "ts"})
    renamed.assign(n="é").to_csv("day.txt.csv", index=False, sep=";", encoding="cp1252")
    options = "--delimiter ; --encoding cp1252 --column ts=eventTime --field client_version=2 --ids-from content"
    options += " --property n=note --property page_type --convert --timezone UTC --on-duplicates send --json"
    assert 1 == main(["check", "day.txt.csv", *options.split()])
    found = _json(capsys)["columns"]
    assert (["ts"], {"client_version": "2"}) == (found["fields"]["event_time"], found["values"])
    assert ["page_type", "n as note"] == found["properties"]
    assert {"event_id": 120, "event_time": 0} == found["generated"]


@pytest.mark.parametrize("command", ["check", "send"])
@pytest.mark.parametrize(
    ("content", "options", "status", "words"),
    [
        (None, [], 4, "day.csv cannot be read: No such file or directory."),
        ("event_tiem\n2024\n", [], 4, "Unknown column 'event_tiem'; did you mean event_time?"),
        (
            "event_type,client_type,client_version,event_id\nclick,a,b,c\nclick,a,b,c\n",
            [],
            4,
            "is a duplicate of event 0",
        ),
        ("a\n1\n", ["--timezone", "nowhere"], 2, "timezone: expected a name such as 'Europe/Berlin'"),
    ],
)
def test_a_table_that_cannot_be_used_ends_without_a_traceback(
    command: str, content: str | None, options: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message goes to standard error, and nothing is sent."""
    if content:
        Path("day.csv").write_text(content)
    assert status == main([command, "day.csv", *options])
    out, err = capsys.readouterr()
    assert ("", True) == (out, words in err)


def test_rows_that_are_left_are_status_3(
    day: pd.DataFrame, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command sends them later."""
    monkeypatch.setenv("BWP_CONFIRM", "no")
    day.to_csv("day.csv", index=False)
    server.sandbox.fail_next("access_denied", times=2)
    assert 3 == main(["send", "day.csv", "--ledger", "a", "--workers", "1", "--json"])
    found = _json(capsys)
    assert (0, 117) == (found["sent"], found["failed"])
    assert found["stopped"].startswith("the API denies access")
    assert 1 == main(["send", "day.csv", "--ledger", "a", "--workers", "1", "--json"])
    found = _json(capsys)
    assert (117, 3) == (found["sent"], found["invalid"])


def test_an_interrupt_is_status_130(
    day: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was sent, and how to go on."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt("Stopped. 50 of 120 rows are sent.")

    monkeypatch.setattr(bwp, "send_table", interrupted)
    assert 130 == main(["send", "day.csv"])
    assert ("", "Stopped. 50 of 120 rows are sent.\n") == tuple(capsys.readouterr())
