"""The charts: what is drawn is what the table says, and the same numbers make the same bytes."""

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb import plots, traffic


def _report(client: bwp.Client) -> bwp.Report:
    """Return the report of a table that a client sent: as long as its history, and with mistakes and faults in it."""
    day = traffic.shop_day(max(1, len(client.history)), invalid_rate=0.2)[: len(client.history)]
    return bwp.send_table(client, day, workers=1, progress=False)


CHARTS: list[Callable[[bwp.Client], plots.Chart]] = [
    lambda client: plots.outcomes(client.history),
    lambda client: plots.errors(client.history),
    lambda client: plots.latency(client.history),
    lambda client: plots.arrivals(client.sandbox),
    lambda client: plots.rows(_report(client)),
    lambda client: plots.reasons(_report(client)),
]
NAMES = ["outcomes", "errors", "latency", "arrivals", "rows", "reasons"]
EVERY_CHART = pytest.mark.parametrize("draw", CHARTS, ids=NAMES)


def _busy_client() -> bwp.Client:
    faults = {"throttled": 0.1, "reset_after": 0.1, "html": 0.05, "slow": 0.1}
    client = bwp.connect(bwp.Sandbox(fault_rates=faults, latency=(0.05, 0.6), seed=1))
    traffic.replay(client, traffic.shop_day(60, invalid_rate=0.2), check=False)
    return client


def _drawn_bars(chart: plots.Chart, *, lying: bool = False) -> list[float]:
    """Return the lengths of the bars in the SVG, in its own units, in the order in which they are drawn."""
    paths = re.findall(r'd="M ([\d. ML-]+) z\s*"\s+clip-path', chart.svg.replace("\n", " "))
    corners = [[float(number) for number in re.findall(r"-?[\d.]+", path)] for path in paths]
    return [abs(corner[2] - corner[0]) if lying else abs(corner[5] - corner[1]) for corner in corners]


@EVERY_CHART
def test_the_same_numbers_make_the_same_bytes(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """Two runs of one seed draw one picture."""
    assert draw(_busy_client()).svg == draw(_busy_client()).svg


@EVERY_CHART
def test_the_bars_are_as_long_as_the_table_says(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """Every bar, by one scale for all, to the tenth of a point that coordinates are rounded to."""
    chart = draw(_busy_client())
    numbers = [float(number) for column in chart.table for number in chart.table[column]]
    lengths = _drawn_bars(chart, lying="by" in chart.title and len(chart.table.columns) == 1)
    scale = max(lengths) / max(numbers)
    assert len(numbers) == len(lengths)
    assert [] == [pair for pair in zip(numbers, lengths, strict=True) if abs(pair[0] * scale - pair[1]) > 0.21]


@EVERY_CHART
def test_nothing_is_drawn_honestly(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """An empty history gives an empty chart that says so."""
    chart = draw(bwp.connect())
    assert 0 == len(chart.table)
    assert "nothing yet" in chart.svg
    assert "nothing yet" in chart.text


@EVERY_CHART
def test_a_chart_has_a_title_and_labelled_axes_and_a_description(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """In the picture as text, for eyes and for screen readers."""
    chart = draw(_busy_client())
    root = ElementTree.fromstring(chart.svg)  # noqa: S314  # our own
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert chart.title in texts
    assert chart.table.index.name in " ".join(str(text) for text in texts)
    assert {"img", chart.title} == {root.get("role"), root.get("aria-label")}
    assert str(chart.table.index[0]) in str(root.findtext("{http://www.w3.org/2000/svg}desc"))


@EVERY_CHART
def test_a_chart_carries_its_numbers_as_text(draw: Callable[[bwp.Client], plots.Chart]) -> None:
    """The mime bundle holds both, so that a page without pictures is complete."""
    chart = draw(_busy_client())
    bundle = chart._repr_mimebundle_()
    assert {"image/svg+xml", "text/plain"} == set(bundle)
    assert f"{chart.title}\n\n{chart.table.to_string()}" == bundle["text/plain"] == repr(chart)


def test_outcomes_count_the_history() -> None:
    """The table's columns add up to what the history says."""
    client = _busy_client()
    frame = client.history.frame()
    expected = frame.groupby("outcome")["events"].sum()
    assert expected.to_dict() == plots.outcomes(client.history).table.sum().to_dict()


def test_outcomes_leave_no_gap_in_time() -> None:
    """A quiet hour is a bar of no height, not a missing one."""
    client = bwp.connect()
    for seconds in (0, 7200, 3600 * 8):
        client.clock.sleep(seconds)
        client.send(client.new_event("click"))
    table = plots.outcomes(client.history).table
    assert 11 == len(table)
    assert 3 == table["sent"].sum()


def test_errors_are_counted_by_classification_and_field() -> None:
    """A call that names two fields counts for each."""
    client = bwp.connect()
    for _ in range(2):
        with pytest.raises(bwp.InvalidEvent):
            client.send(bwp.UserEvent("x", "an-id", "2023", "WEBSITE_CLIENT", "1.0"))
    client.sandbox.fail_next("html")
    with pytest.raises(bwp.RequestFailed):
        client.send(client.new_event("click"))
    expected = {"InvalidEvent: eventTime": 2, "InvalidEvent: eventType": 2, "RequestFailed: no field named": 1}
    assert expected == plots.errors(client.history).table["calls"].to_dict()


def test_latency_counts_each_call_once() -> None:
    """By its whole length and by its attempts; what was never sent is not there."""
    client = _busy_client()
    with pytest.raises(bwp.InvalidEvent):
        client.send(bwp.UserEvent("x", "an-id", "2023", "WEBSITE_CLIENT", "1.0"))
    table = plots.latency(client.history).table
    assert len(client.history) - 1 == int(table.to_numpy().sum())
    assert (client.history.frame()["attempts"] == 2).sum() == table["2"].sum()


def test_arrivals_count_what_was_kept() -> None:
    """By event type, the most frequent first."""
    client = _busy_client()
    expected = pd.Series([event["eventType"] for event in client.sandbox.accepted]).value_counts().to_dict()
    assert expected == plots.arrivals(client.sandbox).table["events"].to_dict()


def test_every_row_of_a_report_is_drawn_once() -> None:
    """In the state that the report gives it, where it stands in the table, in at most 24 steps."""
    client = bwp.connect()
    client.sandbox.fail_next("html")
    report = bwp.send_table(client, traffic.shop_day(1000, invalid_rate=0.1), workers=1, progress=False)
    table = plots.rows(report).table
    assert {state: count for state, count in report.counts.items() if count} == table.sum().to_dict()
    assert [50] * 20 == list(table.sum(axis=1))
    assert list(map(str, range(0, 1000, 50))) == list(table.index)


def test_reasons_count_what_was_not_sent() -> None:
    """Each row once, the most frequent reason first."""
    client = bwp.connect()
    client.sandbox.fail_next("html")
    report = bwp.send_table(client, traffic.shop_day(100, invalid_rate=0.1), workers=1, progress=False)
    table = plots.reasons(report).table
    frame = report.frame()
    assert (frame["state"] != "sent").sum() == table["rows"].sum()
    assert 50 == table["rows"].iloc[0]
    assert table.index[0].startswith("unknown: HTTP 200 came with no GraphQL answer")


def test_many_names_are_drawn_as_a_few_and_the_others() -> None:
    """A chart stays legible, and its total stays true."""
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
def test_somebody_elses_text_is_only_text_in_a_chart(text: str) -> None:
    """Markup, mathematics and control characters are shown, not obeyed, and a font that lacks them does not matter."""
    client = bwp.connect()
    client.send(client.new_event(text))
    chart = plots.arrivals(client.sandbox)
    root = ElementTree.fromstring(chart.svg)  # noqa: S314  # our own
    assert [] == [element.tag for element in root.iter() if element.tag.rpartition("}")[2] in ("script", "img")]
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", chart.svg + chart.text)


def test_charts_keep_the_state_of_the_library_as_it_was() -> None:
    """Whoever draws beside us keeps their own style."""
    import matplotlib as mpl

    mpl.get_backend()  # which is chosen when it is first asked for
    before = dict(mpl.rcParams)
    plots.outcomes(_busy_client().history)
    assert before == dict(mpl.rcParams)
