"""How results are written for programs: JUnit files, annotations, errors as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import bwp_nb as bwp
from bwp_nb.__main__ import main
from bwp_nb.commands.result import Case, annotation, junit_xml
from bwp_nb.settings import SETTINGS


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin in an empty folder, with no settings."""
    monkeypatch.chdir(tmp_path)
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)


def _suite(content: bytes) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return the attributes of the one suite of a JUnit file, and for each test case its name, outcome and message."""
    (suite,) = ElementTree.fromstring(content)  # noqa: S314  # we wrote it
    cases = []
    for case in suite:
        assert {"classname", "name", "time"} == set(case.attrib)
        (outcome,) = [*case] or [ElementTree.Element("passed", message="", type="")]
        assert {"message", "type"} == set(outcome.attrib)
        cases.append((case.attrib["name"], outcome.tag, outcome.attrib["message"]))
    return suite.attrib, cases


def test_a_junit_file_has_a_case_for_each_thing_that_was_checked() -> None:
    """The numbers of the suite are those of its cases."""
    cases = [
        Case("a"),
        Case("b", "failed", "wrong", "1\n2"),
        Case("c", "not answered", "not found out"),
        Case("d", "skipped", "no"),
    ]
    attributes, found = _suite(junit_xml("drift", cases))
    counts = {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert {"name": "bwp-nb drift", "time": "0", **counts} == attributes
    expected = [("a", "passed", ""), ("b", "failure", "wrong"), ("c", "error", "not found out"), ("d", "skipped", "no")]
    assert expected == found


def test_a_junit_file_is_xml_whatever_is_in_it() -> None:
    """XML cannot contain control characters, and no parser may be led astray."""
    hostile = "\x00\x1b[31m\ud800\ufffe]]><b a='\"'>&\r\nline"
    _, found = _suite(junit_xml("check", [Case(hostile, "failed", hostile, hostile)]))
    assert 1 == len(found)
    assert r"\x00\x1b[31m\ud800\ufffe]]><b a='" in found[0][0]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case("a", "failed", "m"), "::error title=bwp-nb drift%3A a::m"),
        (
            Case("a: b, c", "misconfigured", "50 %\n:,", "x\ny"),
            "::error title=bwp-nb drift%3A a%3A b%2C c::50 %25%0A:,%0Ax%0Ay",
        ),
        (Case("a", "failed", "m\r", file="b,c.csv"), r"::error file=b%2Cc.csv,title=bwp-nb drift%3A a::m\r"),
    ],
)
def test_an_annotation_is_one_escaped_line(case: Case, expected: str) -> None:
    """Percent signs and line ends are escaped everywhere, colons and commas in properties."""
    assert expected == annotation("drift", case)


def test_a_hostile_text_cannot_begin_another_workflow_command() -> None:
    """Nothing of it is at the beginning of a line."""
    shown = annotation("drift", Case("\n::stop-commands::x", "failed", "\r\n::set-env name=a::b", "\n::add-mask::c"))
    assert [0] == [number for number, line in enumerate(shown.splitlines()) if line.startswith("::")]
    assert 1 == len(shown.splitlines())


def test_annotations_and_the_junit_file_leave_the_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is one object; the annotation is on standard error, with the file that it is about."""
    bwp.traffic.shop_day(60, invalid_rate=0.1).to_csv("day.csv", index=False)
    assert 1 == main(["check", "day.csv", "--json", "--junit", "check.xml", "--annotations"])
    out, err = capsys.readouterr()
    assert 54 == json.loads(out)["valid"]
    (line,) = [line for line in err.splitlines() if line.startswith("::")]
    assert line.startswith("::error file=day.csv,title=bwp-nb check%3A day.csv::54 of 60 rows are valid")
    attributes, cases = _suite(Path("check.xml").read_bytes())
    assert ("1", "1") == (attributes["tests"], attributes["failures"])
    assert ("day.csv", "failure") == cases[0][:2]


def test_what_passes_has_no_annotation(capsys: pytest.CaptureFixture[str]) -> None:
    """A step of the doctor is a case; those that do not apply are skipped."""
    assert 0 == main(["doctor", "--junit", "doctor.xml", "--annotations"])
    assert "::" not in capsys.readouterr().err
    _, cases = _suite(Path("doctor.xml").read_bytes())
    names = ["environment", "settings", "network", "token", "clock", "schema"]
    assert names == [name for name, _, _ in cases]
    assert {"passed", "skipped"} == {outcome for _, outcome, _ in cases}


def test_drift_has_a_case_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not found out is an error, not a failure."""
    with bwp.serve() as server:
        for name, text in {**server.environment, "BWP_TARGET_ID": "bp-x"}.items():
            monkeypatch.setenv(name, text)
        assert 4 == main(["drift", "--junit", "drift.xml"])
    attributes, cases = _suite(Path("drift.xml").read_bytes())
    assert ("2", "0", "2") == (attributes["tests"], attributes["failures"], attributes["errors"])
    assert [("schema", "error"), ("invalid_event_time", "error")] == [case[:2] for case in cases]


def test_an_error_is_a_result_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON on standard output, as a sentence on standard error, as an annotation and in the JUnit file."""
    monkeypatch.setenv("BWP_MODE", "live")
    assert 4 == main(["drift", "--json", "--junit", "drift.xml", "--annotations"])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (["error"], "InvalidSettings") == (list(found), found["error"]["type"])
    assert "BWP_CLIENT_ID is required" in found["error"]["message"]
    assert found["error"]["message"] == err.splitlines()[0]
    assert err.splitlines()[1].startswith("::error title=bwp-nb drift%3A drift::Settings are missing or malformed")
    _, cases = _suite(Path("drift.xml").read_bytes())
    assert [("drift", "error", found["error"]["message"])] == cases


def test_a_junit_file_that_cannot_be_written_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The status says so although nothing else failed, and the result is printed."""
    assert 1 == main(["doctor", "--json", "--junit", "missing/doctor.xml"])
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"]
    said = "Cannot write the result. No such file or directory: 'missing/doctor.xml'.\n"
    assert said == err


def _ran(redirection: str, *options: str) -> tuple[int, str]:
    """Run the doctor with its output redirected by a shell; return its status, and what it printed to stderr."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "bwp_nb", "doctor", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="It needs a shell of POSIX")
@pytest.mark.parametrize(("redirection", "status"), [(">&-", 0), (">&- 2>&-", 0), ("< /dev/null 2>&-", 0)])
def test_a_closed_output_is_none_that_matters(redirection: str, status: int) -> None:
    """Somebody wants the exit status only, or the JUnit file."""
    assert (status, "") == _ran(redirection, "--junit", "doctor.xml")
    assert Path("doctor.xml").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Only Linux has a file that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_an_output_that_cannot_be_written_is_an_error_in_one_sentence(options: list[str]) -> None:
    """Not a traceback at Python's end; the JUnit file is written."""
    assert (1, "Cannot write the result. No space left on device.\n") == _ran(
        "> /dev/full", "--junit", "doctor.xml", *options
    )
    assert Path("doctor.xml").exists()
