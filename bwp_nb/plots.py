"""Charts of requests, rows and events: each a drawing and the table of its numbers.

The colours, by Okabe and Ito, are distinct for people with colour vision deficiencies.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

from bwp_nb.displays.short_errors import InvalidArgument, extra
from bwp_nb.displays.sources import facts
from bwp_nb.history import History
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.text import readable, typed

with extra("charts"):
    import numpy as np
    import pandas as pd

    from bwp_nb.displays.chart import Chart, bars
    from bwp_nb.tables.report import Report

__all__ = ["STATES", "Chart", "arrivals", "errors", "latency", "outcomes", "reasons", "rows"]

#: The states of an event, and of a row that was never in a request, with their colour and hatching.
STATES = {
    "sent": ("#009E73", ""),
    "rejected": ("#D55E00", "//"),
    "invalid": ("#0072B2", "\\\\"),
    "failed": ("#E69F00", ".."),
    "unknown": ("#CC79A7", "xx"),
    "never tried": ("#BBBBBB", ""),
}
_ONE_LOOK = ("#0072B2", "")
_ATTEMPTS = {"1": ("#56B4E9", ""), "2": ("#E69F00", "//"), "3 or more": ("#D55E00", "xx")}
_SPANS = ("0-0.1", "0.1-0.2", "0.2-0.5", "0.5-1", "1-2", "2-5", "5-10", "10-20", "20-60", "60 or more")
_SPAN_EDGES = [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, float("inf")]
_BIN_WIDTHS = ("1s", "10s", "1min", "10min", "1h", "6h", "1D", "7D", "28D")
_STEPS = [digit * 10**power for power in range(12) for digit in (1, 2, 5)]
_MAX_BINS = 24
_MAX_BARS = 12

_QUOTED = re.compile("'[^']*'")

T = TypeVar("T")


def outcomes(source: History | Report) -> Chart:
    """Return the number of events in each state over time, or of a table's rows in each state.

    In a history, an event counts once for each call that sent it; a row of a report counts once.

    Parameters
    ----------
    source : History, Client or Report
        What to count: the calls of a client, or a table that was sent.

    Returns
    -------
    Chart
        Bars of events over time; of a report, one bar.

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(source, Report):
        states = _columns(_outcomes(source)["state"], STATES, "state")
        table = states.groupby(lambda _: "all rows").sum().rename_axis("table")
        return bars("Outcomes of the rows by state", table, STATES, "rows", lying=True)
    history = _given("outcomes", source, History)
    frame = history.frame()
    frame = frame[frame["outcome"].isin(list(STATES))]
    width = _bin_width(frame["time"])
    events = _columns(frame["outcome"], STATES, "state").mul(frame["events"], axis="index")
    table = events.set_index(frame["time"].dt.tz_localize(None)).resample(width).sum()
    table.index.name = "time (UTC)"
    twice = "rows count once for each request (the report counts each row once)"
    notes = [history.note, twice if (frame["operation"] == "send_table").any() else ""]
    title = f"Outcomes of the events, in steps of {width}" if len(table) else "Outcomes of the events"
    return bars(title, table, STATES, "events", note="; ".join(filter(None, notes)))


def errors(history: History) -> Chart:
    """Return the number of failed calls by their cause and by the field that the error names.

    Parameters
    ----------
    history : History or Client
        The calls.

    Returns
    -------
    Chart
        A bar for each cause.

    Raises
    ------
    ValueError
        For anything else.
    """
    history = _given("errors", history, History)
    names: list[str] = []
    for call in history:
        if call.classification:
            cause = _cause(f"{call.classification} {call.message}", call.classification)
            names += [f"{cause}: {field}" for field in call.fields] if call.fields else [cause]
    return _by_name("Failed calls by cause", names, "cause", "calls", history.note)


def latency(history: History) -> Chart:
    """Return the duration of calls, with all attempts and waits, and their number of attempts.

    Half of the calls take at most p50, 95 % of them at most p95.

    Parameters
    ----------
    history : History or Client
        The calls.

    Returns
    -------
    Chart
        Calls by their duration in seconds.

    Raises
    ------
    ValueError
        For anything else.
    """
    history = _given("latency", history, History)
    frame = history.frame()
    frame = frame[frame["attempts"] > 0]
    spans = pd.cut(frame["elapsed"], _SPAN_EDGES, labels=list(_SPANS), right=False)
    attempts = frame["attempts"].map(lambda count: str(count) if count < 3 else "3 or more")
    table = _columns(attempts, _ATTEMPTS, "attempts").groupby(spans, observed=False).sum()
    table = table.head(int(spans.cat.codes.to_numpy().max(initial=-1)) + 1).rename_axis("seconds, with waits")
    found = {"p50": frame["elapsed"].quantile(0.5), "p95": frame["elapsed"].quantile(0.95)}
    places = np.interp([*found.values()], _SPAN_EDGES[:-1], range(len(_SPANS))) - 0.5  # from the middle of a bar
    lines = {f"{name}: {found[name]:.2g} s": float(place) for name, place in zip(found, places, strict=True)}
    return bars("Duration of calls by number of attempts", table, _ATTEMPTS, "calls", note=history.note, lines=lines)


def arrivals(sandbox: Sandbox) -> Chart:
    """Return the number of events that a sandbox accepted, by event type.

    Parameters
    ----------
    sandbox : Sandbox or Client
        The sandbox.

    Returns
    -------
    Chart
        A bar for each event type.

    Raises
    ------
    ValueError
        For anything else.
    """
    sandbox = _given("arrivals", sandbox, Sandbox)
    types = [readable(event["eventType"], 64) for event in sandbox.accepted]
    kept, accepted = len(types), sandbox.counts["accepted"]
    note = f"{kept:,} of {accepted:,} events kept" if kept < accepted else ""
    return _by_name("Events in the sandbox by event type", types, "event type", "events", note)


def rows(report: Report) -> Chart:
    """Return the outcomes of the rows along the table, in steps whose width is in the title.

    Parameters
    ----------
    report : Report
        A table that was sent.

    Returns
    -------
    Chart
        Bars of rows, from the first to the last.

    Raises
    ------
    ValueError
        For anything else.
    """
    states = _outcomes(_given("rows", report, Report))["state"]
    width = next(width for width in _STEPS if len(states) <= _MAX_BINS * width)
    table = _columns(states, STATES, "state").groupby(states.index // width * width).sum().rename_axis("rows from")
    title = f"Outcomes of the rows, in steps of {width}" if len(table) else "Outcomes of the rows"
    return bars(title, table, STATES, "rows")


def reasons(report: Report) -> Chart:
    """Return the number of rows that were not sent, by state and cause; quoted values are replaced by '...'.

    Parameters
    ----------
    report : Report
        A table that was sent.

    Returns
    -------
    Chart
        A bar for each cause.

    Raises
    ------
    ValueError
        For anything else.
    """
    frame = _outcomes(_given("reasons", report, Report))
    left = frame[frame["state"] != "sent"]
    causes = left["reason"].map(lambda reason: _cause(reason, _QUOTED.sub("'...'", reason)))
    names = (left["state"] + ": " + causes).where(left["state"] != "never tried", left["state"])
    return _by_name("Rows that were not sent by state and cause", names, "state: cause", "rows")


def _cause(message: str, otherwise: str) -> str:
    """Return what an error is about in words, or another text if that is not known."""
    causes = facts()["causes"].items()
    return next((words for pattern, words in causes if re.search(pattern, message)), readable(otherwise))


def _given(function: str, source: Any, kind: type[T]) -> T:
    """Return what a chart draws, which may be given by its client; raise `InvalidArgument` for anything else."""
    found = getattr(source, kind.__name__.lower(), source)
    if not isinstance(found, kind):
        raise InvalidArgument(f"plots.{function}: expected a {kind.__name__}, got {typed(found)}")
    return found


def _outcomes(report: Report) -> pd.DataFrame:
    """Return the rows of a report by their number; those that were in no request have a state of their own."""
    frame = report.frame(ids=False).reset_index(drop=True)
    is_untried = (frame["state"] == "failed") & (frame["attempts"] == 0)
    return frame.assign(state=frame["state"].mask(is_untried, "never tried"))


def _bin_width(times: "pd.Series[pd.Timestamp]") -> str:
    """Return the narrowest width with which the times fit into the largest number of bins."""
    span = times.max() - times.min() if len(times) else pd.Timedelta(0)
    return next((width for width in _BIN_WIDTHS if span < _MAX_BINS * pd.Timedelta(width)), _BIN_WIDTHS[-1])


def _columns(kinds: "pd.Series[Any]", order: Iterable[str], what: str) -> pd.DataFrame:
    """Return a column for each kind that occurs, in a given order: 1 in the rows of the kind, and 0 in the others."""
    found = pd.get_dummies(kinds, dtype=int)
    return found[[kind for kind in order if kind in found]].rename_axis(columns=what)


def _by_name(title: str, names: Iterable[str], what: str, unit: str, note: str = "") -> Chart:
    """Return a chart of how often each name occurs; if there are many names, the rarest are one bar."""
    counts = Counter(names).most_common()
    rest = counts[_MAX_BARS - 1 :]
    if len(rest) > 1:
        counts = [*counts[: _MAX_BARS - 1], (f"{len(rest)} others", sum(count for _, count in rest))]
    table = pd.DataFrame(counts, columns=[what, unit]).set_index(what)
    return bars(title, table, {unit: _ONE_LOOK}, unit, lying=True, note=note)
