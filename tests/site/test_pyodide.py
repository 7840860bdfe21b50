"""The package on Pyodide, Python 3.14 for browsers, in Node.js."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parent.parent / "node"
REPLAY = Path(__file__).parent / "replay.py"


@pytest.fixture(scope="module")
def in_browser(site: Path) -> dict[str, Any]:
    """Return what the program answers in Pyodide, with the packages and settings of the lab."""
    if shutil.which("node") is None:
        assert os.environ.get("CI") != "true", "Node.js is missing"
        pytest.skip("Node.js is not installed")
    runtime = site / "lab" / "static" / "pyodide"
    config = json.loads((site / "lab" / "jupyter-lite.json").read_text("utf-8"))["jupyter-config-data"]
    (settings,) = config["litePluginSettings"].values()
    command = ["node", NODE / "replay.js", runtime, REPLAY, json.dumps(settings["loadPyodideOptions"])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (0, "") == (ran.returncode, "\n".join(line[:200] for line in ran.stderr.splitlines()))
    answers: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    """Return what the same program answers in this Python, in a process of its own."""
    code = f"import runpy, json; print(json.dumps(runpy.run_path({str(REPLAY)!r})['answers'], default=repr))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    answers: dict[str, Any] = json.loads(ran.stdout)
    return answers


@pytest.mark.parametrize("part", ["examples", "form", "drift", "nested"])
def test_the_answers_are_those_of_cpython_to_the_letter(
    in_browser: dict[str, Any], here: dict[str, Any], part: str
) -> None:
    """Without a thread, and without tornado."""
    assert here[part] == in_browser[part]


def test_the_documented_responses_are_among_them(in_browser: dict[str, Any]) -> None:
    """So that the comparison is not one of two failures."""
    responses = [example["response"] for example in in_browser["examples"]]
    assert {"sendUserEvents": {"status": "successful"}} == responses[0]["data"]
    assert "2023 is invalid local ISO 8601 UTC time format." in responses[1]["errors"][0]["message"]


def test_serving_says_that_a_browser_cannot(in_browser: dict[str, Any]) -> None:
    """In one sentence, and not that a module is missing."""
    assert in_browser["served"].startswith(
        "NotImplementedError: serve needs sockets, threads or processes, which a browser"
    )
