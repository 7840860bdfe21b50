"""Errors in IPython: the line of the user's cell and a message, in at most eight lines; everywhere else as usual."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

import bwp_nb as bwp
from bwp_nb.displays.short_errors import InvalidArgument, ShortError
from tests.strategies import event


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """Return an IPython shell that knows a client."""
    shell = InteractiveShell.instance()
    shell.user_ns |= {"bwp": bwp, "pd": pd, "client": bwp.connect(), "event": event}
    yield shell
    InteractiveShell.clear_instance()


def shown(shell: InteractiveShell, cell: str) -> list[str]:
    """Return the lines that IPython shows for the error of a cell."""
    lines: list[str] = []
    shell._showtraceback = lambda _kind, _value, found: lines.extend("\n".join(found).split("\n"))  # type: ignore[method-assign]
    shell.run_cell(cell, store_history=True)
    return lines


CELLS = {
    "invalid": 'client.send(event(event_time="2023"))',
    "many problems": "client.send([event(event_time=str(number), event_type='x') for number in range(50)])",
    "rejected": 'client.send([event(), event(event_time="2023"), event(event_type="x")], check=False)',
    "no response": 'client.sandbox.fail_next("html"); client.send(event())',
    "lost": 'client.sandbox.fail_next("timeout_after", times=9); client.send(event())',
    "long": "client.sandbox.fail_next('message', text='word ' * 100_000); client.send(event())",
    "settings": "from bwp_nb import settings; settings.live({'BWP_ENDPOINT': 'http://' + 'a' * 300})",
    "table": "bwp.send_table(client, 'missing.csv')",
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_an_error_has_the_line_of_the_cell_and_at_most_eight_lines(shell: InteractiveShell, cell: str) -> None:
    """However many problems there are, and however long the server's text is."""
    lines = shown(shell, f"1 + 1\n{cell}")
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith(f"Cell In[{shell.execution_count - 1}], line 2: {cell[:60]}")
    assert lines[1].partition(": ")[0] in dir(bwp)


def test_an_error_shows_each_event_and_field_with_its_value_and_rule(shell: InteractiveShell) -> None:
    """What is wrong, where, by which rule, what was sent, what to do."""
    expected = """\
        Cell In[1], line 1: client.send(event(event_type="x"))
        InvalidEvent: Not sent, 1 problem
          event 0, eventType: expected 3 to 64 characters, got 1: 'x'. Rule: 3 to 64 characters (documented in
            “UserEvent”, version 2024-01-01; that it counts UTF-16 code units is inferred).
        Fix the value and send again, or pass check=False to see the API's answer."""
    shell.execution_count = 1
    assert textwrap.dedent(expected).split("\n") == shown(shell, 'client.send(event(event_type="x"))')


def test_rules_give_way_to_further_problems(shell: InteractiveShell) -> None:
    """With many problems each has one line, and the last ones are counted."""
    lines = shown(shell, CELLS["many problems"])
    assert "  event 0, eventType: expected 3 to 64 characters, got 1: 'x'" == lines[2]
    assert lines[-2].startswith("  and 9")


@pytest.mark.parametrize("how", ["verbose", "environment"])
def test_the_whole_traceback_is_a_switch_away(
    shell: InteractiveShell, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By %xmode Verbose, or by BWP_TRACEBACK=full."""
    if how == "verbose":
        shell.run_line_magic("xmode", "Verbose")
    else:
        monkeypatch.setenv("BWP_TRACEBACK", "full")
    text = "\n".join(shown(shell, CELLS["invalid"]))
    shell.run_line_magic("xmode", "Context")
    assert "Traceback (most recent call last)" in text
    assert "_send" in text


def test_plain_python_shows_the_usual_traceback() -> None:
    """Every frame, and the message as one paragraph."""
    code = "import bwp_nb as bwp\nbwp.connect().send(bwp.UserEvent('x', 'id', '2023', 'WEBSITE_CLIENT', '1.0'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert found.startswith("Traceback (most recent call last):\n")
    assert found.count("  File ") >= 3
    assert "bwp_nb.errors.InvalidEvent: Not sent, 2 problems: event 0, eventType: expected 3 to 64" in found


MISTAKES: dict[str, tuple[str, str]] = {
    "a DataFrame": (
        "client.send(pd.DataFrame({'event_type': ['click']}))",
        "got a DataFrame; use send_table for a table",
    ),
    "a mode": ("bwp.connect('live')", "expected a Sandbox, got str 'live'; for the live API set BWP_MODE=live"),
    "a misspelt keyword": ("client.new_event('click', client_vesion='2')", "did you mean client_version?"),
    "an API name": ("client.new_event('click', eventTime='2024-11-22T09:00:00Z')", "did you mean event_time?"),
    "a misspelt fault": ("client.sandbox.fail_next('throtled')", "did you mean 'throttled'?"),
    "one property": (
        "bwp.send_table(client, [event()], properties='product_sku')",
        "expected a list of column names, got str 'product_sku'; use ['product_sku'].",
    ),
    "no error": ("bwp.explain(None)", "got None; last_error is None until a call fails"),
    "another chart": ("bwp.plots.rows(client.history)", "plots.rows: expected a Report, got History"),
    "another suffix": ("client.history.save('a.txt')", "path: expected a .jsonl or .csv file, got 'a.txt'"),
    "no workers": ("bwp.send_table(client, [event()], workers=0)", "workers: expected an int from 1 to 9999, got 0"),
    "a sandbox": ("bwp.Sandbox(refuses='batch')", "refuses: expected 'event' or 'call', got 'batch'"),
    "a checklist": ("bwp.checklist(client.history)", "expected a Client, got History"),
}


@pytest.mark.parametrize(("cell", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_likely_mistake_gets_one_sentence(shell: InteractiveShell, cell: str, expected: str) -> None:
    """Below the line of the cell; it may be wrapped."""
    lines = shown(shell, cell)
    assert len(lines) <= 3
    assert expected in " ".join(line.strip() for line in lines)


def test_a_keyword_that_is_nearly_a_field_can_be_a_property() -> None:
    """The message says how."""
    with pytest.raises(bwp.InvalidEvent, match=r"pass additional_properties=\{'client_vesion': …\}"):
        bwp.connect().new_event("click", client_vesion="2")
    made = bwp.connect().new_event("click", additional_properties={"client_vesion": "2"}, product_sku="3")
    assert {"client_vesion": "2", "product_sku": "3"} == dict(made.additional_properties)


@pytest.mark.parametrize("name", ["product_sku", "page_type", "event_name", "client_id", "schema", "eventual_type"])
def test_other_keywords_are_properties(name: str) -> None:
    """Also those that only begin like a field."""
    given: dict[str, Any] = {name: "1"}
    assert given == dict(bwp.connect().new_event("click", **given).additional_properties)


def test_id_and_time_of_a_new_event_are_fields() -> None:
    """If they are given; otherwise they come from the client."""
    made = bwp.connect().new_event("click", event_id="an-id", event_time="2023-12-03T10:15:30Z")
    assert ("an-id", "2023-12-03T10:15:30Z", {}) == (made.event_id, made.event_time, dict(made.additional_properties))


def test_a_slice_of_a_history_is_the_last_calls() -> None:
    """As one expects of history[-5:]."""
    client = bwp.connect()
    for _ in range(7):
        client.send(client.new_event("click"))
    assert list(client.history)[-5:] == list(client.history[-5:])


def test_a_wrong_argument_is_a_value_error() -> None:
    """Which programs can catch as before."""
    assert issubclass(InvalidArgument, ValueError)
    assert issubclass(bwp.BwpError, ShortError)
