"""The charts: the bars have the numbers of the table, and the same numbers give the same bytes."""

import base64
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import plots, traffic
from bwp_nb.displays.chart import bars


def _busy_client() -> bwp.Client:
    """Return a client with a day of faults and mistakes."""
    faults = {"throttled": 0.1, "reset_after": 0.1, "html": 0.05, "slow": 0.1}
    client = bwp.connect(bwp.Sandbox(fault_rates=faults, latency=(0.05, 0.6), seed=1))
    traffic.replay(client, traffic.shop_day(60, invalid_rate=0.2), check=False)
    return client


#: One for all tests that only look.
BUSY = _busy_client()


def _report(client: bwp.Client) -> bwp.Report:
    """Return the report of a table that is as long as a client's history, with mistakes and faults."""
    day = traffic.shop_day(max(1, len(client.history)), invalid_rate=0.2)[: len(client.history)]
    return bwp.send_table(bwp.connect(bwp.Sandbox(seed=1)), day, workers=1, progress=False)


CHARTS: list[Callable[[bwp.Client], plots.Chart]] = [
    lambda client: plots.outcomes(client.history),
    lambda client: plots.outcomes(_report(client)),
    lambda client: plots.errors(client.history),
    lambda client: plots.latency(client.history),
    lambda client: plots.arrivals(client.sandbox),
    lambda client: plots.rows(_report(client)),
    lambda client: plots.reasons(_report(client)),
]
NAMES = ["outcomes", "outcomes of rows", "errors", "latency", "arrivals", "rows", "reasons"]
EVERY_CHART = pytest.mark.parametrize("draw", CHARTS, ids=NAMES)


def _drawn_bars(chart: plots.Chart, *, horizontal: bool = False) -> list[float]:
    """Return the lengths of the bars in the SVG, in its own units, in drawing order."""
    paths = re.findall(r'd="M ([\d. ML-]+) z\s*"\s+clip-path', chart.svg.replace("\n", " "))
    corners = [[float(number) for number in re.findall(r"-?[\d.]+", path)] for path in paths]
    return [abs(corner[2] - corner[0]) if horizontal else abs(corner[5] - corner[1]) for corner in corners]


@EVERY_CHART
def test_the_same_numbers_give_the_same_bytes(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """Two runs with the same seed give the same picture."""
    assert draw(BUSY).svg == draw(_busy_client()).svg


@EVERY_CHART
def test_the_bars_are_as_long_as_the_table_says(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """All bars have one scale, up to the rounding of coordinates to a tenth of a point."""
    chart = draw(BUSY)
    numbers = [float(number) for column in chart.table for number in chart.table[column]]
    is_lying = len(chart.table.columns) == 1 or list(chart.table.index) == ["all rows"]
    lengths = _drawn_bars(chart, horizontal=is_lying)
    scale = max(lengths) / max(numbers)
    assert len(numbers) == len(lengths)
    assert [] == [pair for pair in zip(numbers, lengths, strict=True) if abs(pair[0] * scale - pair[1]) > 0.21]


@EVERY_CHART
def test_an_empty_chart_says_so(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """In the picture and in the text."""
    chart = draw(bwp.connect())
    assert 0 == len(chart.table)
    assert "nothing yet" in chart.svg
    assert "nothing yet" in repr(chart)
    assert "nothing yet" in chart._repr_html_().partition(" alt=")[2]
    assert "steps" not in chart.title


@EVERY_CHART
def test_a_chart_has_a_title_and_labelled_axes_and_a_description(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """They are text in the picture, and the description is for screen readers."""
    chart = draw(BUSY)
    root = ElementTree.fromstring(chart.svg)  # noqa: S314  # our own
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert chart.title in texts
    assert chart.table.index.name in " ".join(str(text) for text in texts)
    assert {"img", chart.title} == {root.get("role"), root.get("aria-label")}
    assert str(chart.table.index[0]) in str(root.findtext("{http://www.w3.org/2000/svg}desc"))


@EVERY_CHART
def test_a_chart_is_shown_as_a_picture_with_its_table_folded_below(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """The picture is the SVG on a light card, and there is a text for pages without pictures."""
    chart = draw(BUSY)
    shown = chart._repr_html_()
    assert f"{chart.title}\n\n{chart.table.to_string()}" == repr(chart)
    encoded = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', shown)
    assert encoded
    assert chart.svg == base64.b64decode(encoded[1]).decode()
    assert "background-color: #ffffff" in shown
    numbers = [f"{name} = {count:,}" for name, counts in chart.table.items() for count in counts if count]
    alternative = html.unescape(shown.partition(' alt="')[2].partition('"')[0])
    assert [] == [number for number in [chart.title, *numbers] if number not in alternative]
    folded = shown.partition("<details>")[2]
    cells = [str(cell) for cell in chart.table.reset_index().to_numpy().ravel()]
    assert cells == [html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall("<td.*?</td>", folded)]


@EVERY_CHART
def test_a_chart_has_a_light_background_and_a_margin_of_its_own(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """Without any style sheet, in both themes."""
    chart = draw(BUSY)
    assert re.search(r'id="patch_1">\s+<path d="M 0 [^"]+"\s+style="fill: #ffffff"', chart.svg)
    drawn, (width, height) = chart.figure.get_tightbbox(), chart.figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= 0.1  # inches


@pytest.mark.parametrize(("name", "begins"), [("chart.svg", b"<svg"), ("chart.png", b"\x89PNG")])
def test_a_chart_is_saved_as_a_file(name: str, begins: bytes, tmp_path: Path) -> None:
    """By the ending of its name."""
    plots.latency(BUSY.history).save(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


@pytest.mark.parametrize("name", ["chart", "chart.txt", "chart.pdf"])
def test_a_chart_is_not_saved_as_something_else_than_a_picture(name: str, tmp_path: Path) -> None:
    """The error says which endings there are, and nothing is written."""
    with pytest.raises(ValueError, match=rf"save: expected the path of an \.svg or \.png file, got '{name}'"):
        plots.latency(BUSY.history).save(tmp_path / name)
    assert [] == list(tmp_path.iterdir())


def test_a_chart_has_its_figure() -> None:
    """To change it, or to put it elsewhere."""
    assert "Duration of calls by number of attempts" == plots.latency(BUSY.history).figure.get_suptitle()


def test_a_day_has_few_upright_labels() -> None:
    """As many as fit."""
    client = bwp.connect()
    for _ in range(23):
        client.send(client.new_event("click"))
        client.clock.sleep(3600)
    labels = plots.outcomes(client.history).figure.axes[0].get_xticklabels()
    hours = ["11-22\n09", "11-22\n14", "11-22\n19", "11-23\n00", "11-23\n05"]
    expected = [f"2024-{hour}:00" for hour in hours]
    assert expected == [label.get_text() for label in labels]
    assert {0.0} == {label.get_rotation() for label in labels}


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1, "2024-11-22\n09:00:00"), (3600, "2024-11-22\n09:00"), (90_000, "2024-11-22")]
)
def test_times_are_labelled_without_what_is_zero_in_all_of_them(seconds: int, expected: str) -> None:
    """Seconds are shown only of short histories, and of long ones only the days."""
    client = bwp.connect()
    for _ in range(20):
        client.send(client.new_event("click"))
        client.clock.sleep(seconds)
    labels = plots.outcomes(client.history).figure.axes[0].get_xticklabels()
    assert expected == labels[0].get_text()


def test_percentiles_are_lines_in_the_chart_of_durations() -> None:
    """The legend has the numbers, and the lines are in the bins that contain them."""
    chart = plots.latency(BUSY.history)
    frame = BUSY.history.frame()
    expected = frame[frame["attempts"] > 0]["elapsed"].quantile([0.5, 0.95])
    lines: Any = {line.get_label(): line.get_xdata() for line in chart.figure.axes[0].lines}
    assert [f"p50: {expected[0.5]:.2g} s", f"p95: {expected[0.95]:.2g} s"] == list(lines)
    for seconds, place in zip(expected, lines.values(), strict=True):
        start, end = map(float, str(chart.table.index[round(place[0])]).split("-"))
        assert start <= seconds < end


def test_rows_that_were_never_tried_are_apart_from_failed_ones() -> None:
    """A run that an outage stops leaves both."""
    client = bwp.connect()
    client.sandbox.fail_next("refused", times=100)
    report = bwp.send_table(client, traffic.shop_day(1000, invalid_rate=0), workers=1, progress=False)
    expected = {"failed": 250, "never tried": 750}
    assert expected == plots.outcomes(report).table.loc["all rows"].to_dict()
    assert expected == plots.rows(report).table.sum().to_dict()
    assert {"never tried": 750, "failed: no connection": 250} == plots.reasons(report).table["rows"].to_dict()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("html", "sign-in page instead of a response"),
        ("http_502", "error of a server or gateway"),
        ("refused", "no connection"),
        ("timeout_after", "no response in time"),
        ("reset_after", "connection lost before the response"),
        ("redirect", "redirect to another address"),
        ("http_429", "throttled"),
        ("throttled", "throttled"),
        ("access_denied", "access denied"),
        ("internal_error", "error inside the API"),
        ("http_413", "web page instead of a response"),
        ("other_status", "a status that is not documented"),
        ("message", "refused by the API"),
    ],
)
def test_causes_are_in_words(fault: str, expected: str) -> None:
    """For each way in which a call fails."""
    client = bwp.connect()
    client.sandbox.fail_next(fault, times=9)
    with pytest.raises(bwp.BwpError):
        client.send(client.new_event("click"))
    assert [expected] == list(plots.errors(client.history).table.index)


@pytest.mark.parametrize(
    ("draw", "given"),
    [(plots.errors, BUSY.sandbox), (plots.latency, None), (plots.arrivals, BUSY.history), (plots.rows, BUSY)],
)
def test_a_chart_of_something_else_is_an_error_in_one_line(draw: Any, given: Any) -> None:
    """It says what the chart is of, and what was given."""
    with pytest.raises(ValueError, match=rf"plots\.{draw.__name__}: expected a \w+, got \w+"):
        draw(given)


def test_a_client_can_be_given_for_its_history_and_its_sandbox() -> None:
    """Which is what one has at hand."""
    client: Any = BUSY
    assert repr(plots.outcomes(BUSY.history)) == repr(plots.outcomes(client))
    assert repr(plots.arrivals(BUSY.sandbox)) == repr(plots.arrivals(client))


def test_outcomes_count_the_history() -> None:
    """The sums of the table are the events in the history."""
    client = BUSY
    frame = client.history.frame()
    expected = frame.groupby("outcome")["events"].sum()
    assert expected.to_dict() == plots.outcomes(client.history).table.sum().to_dict()


def test_the_one_state_of_a_table_is_named() -> None:
    """With its number of rows, as several would be."""
    report = bwp.send_table(bwp.connect(), traffic.shop_day(100, invalid_rate=0), workers=1, progress=False)
    legend = plots.outcomes(report).figure.axes[0].get_legend()
    assert legend is not None
    assert ["sent: 100 (100.0%)"] == [text.get_text() for text in legend.get_texts()]


def test_large_numbers_beside_bars_are_written_out() -> None:
    """With commas, as in the legends."""
    chart = bars("Rows", pd.DataFrame({"rows": {"a": 1_234_567}}), {"rows": ("#0072B2", "")}, "rows", lying=True)
    assert "1,234,567" in [text.get_text() for text in chart.figure.axes[0].texts]


def test_a_long_name_is_cut_in_the_drawing() -> None:
    """The table has all of it."""
    name = "a" * 300
    chart = bars("Rows", pd.DataFrame({"rows": {name: 1}}), {"rows": ("#0072B2", "")}, "rows", lying=True)
    (label,) = chart.figure.axes[0].get_yticklabels()
    assert "a" * 99 + "…" == label.get_text().replace("\n", "")
    assert [name] == list(chart.table.index)


def test_a_call_without_events_is_drawn() -> None:
    """It was refused, and adds nothing to the numbers."""
    client = bwp.connect()
    with pytest.raises(bwp.InvalidEvent):
        client.send([])
    chart = plots.outcomes(client)
    assert {"invalid": 0} == chart.table.sum().to_dict()
    assert "invalid: 0 (0.0%)" in [label.get_label() for label in chart.figure.axes[0].containers]


def test_outcomes_leave_no_gap_in_time() -> None:
    """An hour without events is an empty bar, not a missing one."""
    client = bwp.connect()
    for seconds in (0, 7200, 3600 * 8):
        client.clock.sleep(seconds)
        client.send(client.new_event("click"))
    table = plots.outcomes(client.history).table
    assert 11 == len(table)
    assert 3 == table["sent"].sum()


def test_errors_are_counted_by_classification_and_field() -> None:
    """A call with two wrong fields counts for each of them."""
    client = bwp.connect()
    for _ in range(2):
        with pytest.raises(bwp.InvalidEvent):
            client.send(bwp.UserEvent("x", "an-id", "2023", "WEBSITE_CLIENT", "1.0"))
    client.sandbox.fail_next("html")
    with pytest.raises(bwp.RequestFailed):
        client.send(client.new_event("click"))
    check = "stopped by a check before the send"
    expected = {f"{check}: eventTime": 2, f"{check}: eventType": 2, "sign-in page instead of a response": 1}
    assert expected == plots.errors(client.history).table["calls"].to_dict()


def test_latency_counts_each_call_once() -> None:
    """By its duration and its attempts; an event that was not sent does not count."""
    client = _busy_client()
    with pytest.raises(bwp.InvalidEvent):
        client.send(bwp.UserEvent("x", "an-id", "2023", "WEBSITE_CLIENT", "1.0"))
    table = plots.latency(client.history).table
    assert len(client.history) - 1 == int(table.to_numpy().sum())
    assert (client.history.frame()["attempts"] == 2).sum() == table["2"].sum()


def test_arrivals_count_the_accepted_events() -> None:
    """By event type, the most frequent first."""
    client = BUSY
    expected = pd.Series([event["eventType"] for event in client.sandbox.accepted]).value_counts().to_dict()
    assert expected == plots.arrivals(client.sandbox).table["events"].to_dict()


def test_every_row_of_a_report_is_drawn_once() -> None:
    """In its state and at its place in the table, in at most 24 steps."""
    client = bwp.connect()
    client.sandbox.fail_next("html")
    report = bwp.send_table(client, traffic.shop_day(1000, invalid_rate=0.1), workers=1, progress=False)
    table = plots.rows(report).table
    assert {state: count for state, count in report.counts.items() if count} == table.sum().to_dict()
    assert [50] * 20 == list(table.sum(axis=1))
    assert list(range(0, 1000, 50)) == list(table.index)


def test_reasons_count_the_rows_that_were_not_sent() -> None:
    """Each row once, the most frequent reason first."""
    client = bwp.connect()
    client.sandbox.fail_next("html")
    report = bwp.send_table(client, traffic.shop_day(100, invalid_rate=0.1), workers=1, progress=False)
    table = plots.reasons(report).table
    frame = report.frame()
    assert (frame["state"] != "sent").sum() == table["rows"].sum()
    assert 50 == table["rows"].iloc[0]
    assert table.index[0].startswith("unknown: sign-in page instead of a response")


def test_many_names_are_drawn_as_a_few_and_a_rest() -> None:
    """The chart stays legible, and the total stays the same."""
    client = bwp.connect()
    client.send([client.new_event(f"type-{number:02}") for number in range(40)])
    table = plots.arrivals(client.sandbox).table
    assert 12 == len(table)
    assert 40 == table["events"].sum()
    assert "29 others" == table.index[-1]


@pytest.mark.parametrize(
    "text",
    ["<img src=x onerror=alert(1)>", "</svg><script>", "\x1b[31mred", r"$\frac{$", "$x$", "\u202eevil", "事件 😀"],
)
def test_text_of_others_is_escaped_in_a_chart(text: str) -> None:
    """Markup, formulas, control characters and characters that the font lacks are shown as text."""
    client = bwp.connect()
    client.send(client.new_event(text))
    chart = plots.arrivals(client.sandbox)
    root = ElementTree.fromstring(chart.svg)  # noqa: S314  # our own
    assert [] == [element.tag for element in root.iter() if element.tag.rpartition("}")[2] in ("script", "img")]
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", chart.svg + repr(chart))


def test_charts_do_not_change_the_settings_of_matplotlib() -> None:
    """A user's own charts keep their style."""
    import matplotlib as mpl

    mpl.get_backend()  # The first call chooses the backend.
    before = dict(mpl.rcParams)
    plots.outcomes(BUSY.history)
    assert before == dict(mpl.rcParams)


def test_charts_of_a_history_say_what_was_dropped() -> None:
    """The note is in the picture, in its description and in the text."""
    client = bwp.connect()
    client.history.limit = 2
    for count in (1, 2, 3, 4):
        client.send([client.new_event("click") for _ in range(count)])
    for draw in (plots.outcomes, plots.errors, plots.latency):
        chart = draw(client.history)
        root = ElementTree.fromstring(chart.svg)  # noqa: S314  # our own
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "2 of 4 exchanges kept; events dropped: 3" == chart.note
        assert chart.note in texts
        assert chart.note in str(root.findtext("{http://www.w3.org/2000/svg}desc"))
        assert f"{chart.title}\n{chart.note}\n\n" in repr(chart)


def test_outcomes_of_a_report_count_each_row_once() -> None:
    """A history counts events for each request, and says so; a report counts rows."""
    client = bwp.connect()
    client.history.limit = 2
    client.sandbox.fail_next("html")
    report = bwp.send_table(client, traffic.shop_day(400, invalid_rate=0.1), workers=1, progress=False)
    chart = plots.outcomes(report)
    assert {state: count for state, count in report.counts.items() if count} == chart.table.loc["all rows"].to_dict()
    assert "" == chart.note
    assert "rows count once for each request" in plots.outcomes(client.history).note
    assert "exchanges kept" in plots.outcomes(client.history).note


def test_arrivals_say_how_many_events_the_sandbox_no_longer_has() -> None:
    """A sandbox keeps a bounded number of events."""
    client = bwp.connect(bwp.Sandbox(keep=2))
    client.send([client.new_event("click") for _ in range(5)])
    assert client.sandbox is not None
    assert (2, "2 of 5 events kept") == ((chart := plots.arrivals(client.sandbox)).table["events"].sum(), chart.note)
