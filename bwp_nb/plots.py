"""Charts of requests, rows and events: each a drawing and the table of its numbers.

The colours, by Okabe and Ito, are distinct for people with colour vision deficiencies.
"""

import itertools
import re
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from bwp_nb.displays.chart import Chart, lying, one_bar, stacked
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.displays.sources import facts
from bwp_nb.history import History
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.tables.report import Report
from bwp_nb.text import readable, typed

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
_BIN_EDGES = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, float("inf"))
_BIN_STARTS = [number - 0.5 for number in range(len(_BIN_EDGES) - 1)]  # on an axis with a bar at each whole number
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
        counts = _states(source).value_counts()
        counts = counts.reindex([state for state in STATES if state in counts])
        table = pd.DataFrame({"rows": counts.to_numpy(dtype=int)}, pd.Index(counts.index, name="state", dtype=object))
        return one_bar("Outcomes of the rows by state", table, STATES)
    history = _given("outcomes", source, History)
    frame = history.frame()
    frame = frame[frame["outcome"].isin(list(STATES))]
    width = _bin_width(frame["time"])
    table = (
        frame.assign(bin=frame["time"].dt.floor(width))
        .pivot_table(index="bin", columns="outcome", values="events", aggfunc="sum", fill_value=0)
        .reindex(columns=[state for state in STATES if state in set(frame["outcome"])])
        .astype(int)
    )
    if len(table):
        table = table.reindex(pd.date_range(table.index[0], table.index[-1], freq=width), fill_value=0)
    form = "%Y-%m-%d" if width.endswith("D") else "%m-%d %H:%M:%S" if width.endswith("s") else "%m-%d %H:%M"
    table.index = pd.Index([f"{moment:{form}}" for moment in table.index], name="time (UTC)")
    table.columns.name = "state"
    title = f"Outcomes of the events, in steps of {width}" if len(table) else "Outcomes of the events"
    note = history.note
    if (frame["operation"] == "send_table").any():
        note = "; ".join(filter(None, [note, "rows count once for each request (the report counts each row once)"]))
    return stacked(title, table, STATES, ("time (UTC)", "events"), note=note)


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
    frame = history.frame()
    frame = frame[frame["classification"] != ""]
    said = zip(frame["classification"], frame["message"], strict=True)
    causes = [_cause(f"{kind} {message}", kind) for kind, message in said]
    fields = frame["fields"].map(lambda named: [f": {name}" for name in sorted(set(named))] or [""])
    rows = frame.assign(cause=causes, field=fields).explode("field")
    return _by_name("Failed calls by cause", rows["cause"] + rows["field"], "cause", "calls", history.note)


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
    labels = [_span(*edges) for edges in itertools.pairwise(_BIN_EDGES)]
    spans = pd.cut(frame["elapsed"], list(_BIN_EDGES), labels=labels, right=False)
    attempts = frame["attempts"].map(lambda count: str(count) if count < 3 else "3 or more")
    table = pd.crosstab(spans, attempts).reindex(columns=list(_ATTEMPTS), fill_value=0)
    table = table.reindex(labels[: labels.index(spans.max()) + 1] if len(spans) else [], fill_value=0)
    table = pd.DataFrame(table.to_numpy(), index=list(table.index), columns=pd.Index(table.columns, name="attempts"))
    table.index.name = "seconds"
    found = frame["elapsed"].quantile([0.5, 0.95]).to_dict() if len(frame) else {}
    places = np.interp([*found.values()], _BIN_EDGES[:-1], _BIN_STARTS)
    names = [f"p{share:.0%}: {seconds:.2g} s".replace("%", "") for share, seconds in found.items()]
    lines = dict(zip(names, map(float, places), strict=True))
    title, labelled = "Duration of calls by number of attempts", ("seconds, with waits", "calls")
    return stacked(title, table, _ATTEMPTS, labelled, note=history.note, lines=lines)


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
    types = pd.Series([readable(event["eventType"], 64) for event in sandbox.accepted], dtype=object)
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
    states = _states(_given("rows", report, Report))
    width = next(width for width in _STEPS if len(states) <= _MAX_BINS * width)
    table = pd.crosstab(states.index // width * width, states)
    table = table.reindex(columns=[state for state in STATES if state in set(states)])
    table = pd.DataFrame(table.to_numpy(), list(map(str, table.index)), pd.Index(table.columns, name="state"))
    table.index.name = "rows from"
    title = f"Outcomes of the rows, in steps of {width}" if len(table) else "Outcomes of the rows"
    return stacked(title, table, STATES, ("rows from", "rows"))


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
    frame = _given("reasons", report, Report).frame(ids=False)
    left = frame.assign(state=_states(report).to_numpy())[frame["state"].to_numpy() != "sent"]
    causes = [_cause(reason, _QUOTED.sub("'...'", reason)) for reason in left["reason"]]
    kinds = (left["state"] + ": " + pd.Series(causes, left.index, dtype=object)).astype(object)
    kinds = kinds.mask(left["state"] == "never tried", "never tried")
    return _by_name("Rows that were not sent by state and cause", kinds, "state: cause", "rows")


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


def _states(report: Report) -> "pd.Series[Any]":
    """Return the state of each row, by its number; rows that were in no request have one of their own."""
    frame = report.frame(ids=False).reset_index(drop=True)
    return frame["state"].mask((frame["state"] == "failed") & (frame["attempts"] == 0), "never tried")


def _bin_width(times: "pd.Series[pd.Timestamp]") -> str:
    """Return the narrowest width with which the times fit into the largest number of bins."""
    span = times.max() - times.min() if len(times) else pd.Timedelta(0)
    return next((width for width in _BIN_WIDTHS if span < _MAX_BINS * pd.Timedelta(width)), _BIN_WIDTHS[-1])


def _span(shortest: float, longest: float) -> str:
    return f"{shortest:g} or more" if longest == float("inf") else f"{shortest:g}-{longest:g}"


def _by_name(title: str, names: "pd.Series[Any]", what: str, unit: str, note: str = "") -> Chart:
    """Return a chart of how often each name occurs; if there are many names, the rarest are one bar."""
    counts = names.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    if len(counts) > _MAX_BARS:
        rest = counts.iloc[_MAX_BARS - 1 :]
        counts = pd.concat([counts.iloc[: _MAX_BARS - 1], pd.Series({f"{len(rest)} others": rest.sum()})])
    table = pd.DataFrame({unit: counts.to_numpy(dtype=int)}, index=pd.Index(counts.index, name=what, dtype=object))
    return lying(title, table, _ONE_LOOK, note=note)
