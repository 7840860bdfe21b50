"""Charts of requests, rows and events: each an SVG and the table of its numbers.

The same numbers give the same bytes. The colours, by Okabe and Ito, are distinct for people with colour vision
deficiencies; hatching repeats the distinction.
"""

import html
import io
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bwp_nb.history import History
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.tables.report import Report
from bwp_nb.text import readable

#: The states of an event, with their colour and hatching.
STATES = {
    "sent": ("#009E73", ""),
    "rejected": ("#D55E00", "//"),
    "invalid": ("#0072B2", "\\\\"),
    "failed": ("#E69F00", ".."),
    "unknown": ("#CC79A7", "xx"),
}
_ONE_COLOUR = ("#0072B2", "")
_ATTEMPTS = {"1": ("#56B4E9", ""), "2": ("#E69F00", "//"), "3 or more": ("#D55E00", "xx")}
_BIN_EDGES = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, float("inf"))
_BIN_WIDTHS = ("1s", "10s", "1min", "10min", "1h", "6h", "1D", "7D", "28D")
_STEPS = [digit * 10**power for power in range(12) for digit in (1, 2, 5)]
_MAX_BINS = 24
_MAX_BARS = 12
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "bwp_nb",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,
}


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart: its `title`, the `table` of the numbers that are drawn, and the drawing as `svg`.

    `note` says what is missing in the numbers; it is empty if nothing is.
    """

    title: str
    table: pd.DataFrame
    svg: str
    note: str = ""

    def __repr__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The chart as text: its title, its note and its table."""
        head = f"{self.title}\n{self.note}".rstrip()
        return f"{head}\n\n{self.table.to_string() if len(self.table) else 'nothing yet'}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.text}


def outcomes(source: History | Report) -> Chart:
    """Return the number of events in each state over time; of a report, the number of rows in each state.

    In a history, an event counts once for each call that sent it; a row of a report counts once.
    """
    if isinstance(source, Report):
        counts = {state: source.counts[state] for state in STATES if source.counts[state]}
        table = pd.DataFrame({"rows": counts.values()}, index=list(counts), dtype=int)
        return _bars("Outcomes of the rows by state", table, "state", "rows")
    frame = source.frame()
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
    table.index = pd.Index([_moment(moment, width) for moment in table.index], name="time (UTC)")
    table.columns.name = "state"
    title = f"Outcomes of the events, in steps of {width}" if len(table) else "Outcomes of the events"
    note = source.note
    if (frame["operation"] == "send_table").any():
        note = "; ".join(filter(None, [note, "rows count once for each request (the report counts each row once)"]))
    return _chart(title, table, STATES, lambda axes: _label(axes, "time (UTC)", "events"), note)


def errors(history: History) -> Chart:
    """Return the number of failed calls by classification and field."""
    frame = history.frame()
    frame = frame[frame["classification"] != ""]
    fields = frame["fields"].map(lambda named: sorted(set(named)) or ["no field named"])
    rows = frame.assign(field=fields).explode("field")
    counts = rows.groupby(["classification", "field"]).size().sort_values(ascending=False, kind="stable")
    table = pd.DataFrame({"calls": counts.to_numpy()}, index=[f"{kind}: {name}" for kind, name in counts.index])
    table.index.name = "classification: field"
    return _bars("Failed calls by classification and field", table, "classification: field", "calls", history.note)


def latency(history: History) -> Chart:
    """Return the duration of calls, with all attempts and waits, and their number of attempts."""
    frame = history.frame()
    frame = frame[frame["attempts"] > 0]
    labels = [_span(*edges) for edges in itertools.pairwise(_BIN_EDGES)]
    spans = pd.cut(frame["elapsed"], list(_BIN_EDGES), labels=labels, right=False)
    attempts = frame["attempts"].map(lambda count: str(count) if count < 3 else "3 or more")
    table = pd.crosstab(spans, attempts).reindex(columns=list(_ATTEMPTS), fill_value=0)
    table = table.reindex(labels[: _last(spans, labels) + 1], fill_value=0)
    table = pd.DataFrame(table.to_numpy(), index=list(table.index), columns=pd.Index(table.columns, name="attempts"))
    table.index.name = "seconds"
    title = "Duration of calls by number of attempts"
    return _chart(title, table, _ATTEMPTS, lambda axes: _label(axes, "seconds, with waits", "calls"), history.note)


def arrivals(sandbox: Sandbox) -> Chart:
    """Return the number of events that a sandbox accepted, by event type."""
    types = pd.Series([readable(event["eventType"], 64) for event in sandbox.accepted], dtype=object)
    kept, accepted = len(types), sandbox.counts["accepted"]
    note = f"{kept:,} of {accepted:,} events kept" if kept < accepted else ""
    counts = types.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    table = pd.DataFrame({"events": counts.to_numpy()}, index=pd.Index(counts.index, name="event type"))
    return _bars("Events in the sandbox by event type", table, "event type", "events", note)


def rows(report: Report) -> Chart:
    """Return the outcomes of the rows along the table, in steps whose width is in the title."""
    frame = report.frame(ids=False)
    width = next(width for width in _STEPS if len(frame) <= _MAX_BINS * width)
    table = pd.crosstab(frame.index // width * width, frame["state"])
    table = table.reindex(columns=[state for state in STATES if state in set(frame["state"])])
    table = pd.DataFrame(table.to_numpy(), list(map(str, table.index)), pd.Index(table.columns, name="state"))
    table.index.name = "rows from"
    title = f"Outcomes of the rows, in steps of {width}" if len(table) else "Outcomes of the rows"
    return _chart(title, table, STATES, lambda axes: _label(axes, "rows from", "rows"))


def reasons(report: Report) -> Chart:
    """Return the number of rows that were not sent, by state and reason; quoted values are replaced by '...'."""
    frame = report.frame(ids=False)
    left = frame[frame["state"] != "sent"]
    kinds = left["state"] + ": " + left["reason"].str.replace("'[^']*'", "'...'", regex=True).map(readable)
    counts = kinds.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    table = pd.DataFrame({"rows": counts.to_numpy()}, index=pd.Index(counts.index, name="state: reason"))
    return _bars("Rows that were not sent by state and reason", table, "state: reason", "rows")


def _bin_width(times: "pd.Series[pd.Timestamp]") -> str:
    """Return the narrowest width with which the times fit into the largest number of bins."""
    span = times.max() - times.min() if len(times) else pd.Timedelta(0)
    return next((width for width in _BIN_WIDTHS if span < _MAX_BINS * pd.Timedelta(width)), _BIN_WIDTHS[-1])


def _moment(moment: pd.Timestamp, width: str) -> str:
    if width in ("1D", "7D", "28D"):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%m-%d %H:%M:%S}" if width in ("1s", "10s") else f"{moment:%m-%d %H:%M}"


def _span(shortest: float, longest: float) -> str:
    return f"{shortest:g} or more" if longest == float("inf") else f"{shortest:g} to {longest:g}"


def _last(spans: "pd.Series[Any]", labels: list[str]) -> int:
    return max((labels.index(span) for span in spans), default=-1)


def _bars(title: str, table: pd.DataFrame, what: str, unit: str, note: str = "") -> Chart:
    """Return a chart of one number for each name; if there are many names, the smallest numbers are one bar."""
    if len(table) > _MAX_BARS:
        rest = table.iloc[_MAX_BARS - 1 :]
        total = pd.DataFrame({unit: [rest[unit].sum()]}, index=pd.Index([f"{len(rest)} others"], name=what))
        table = pd.concat([table.iloc[: _MAX_BARS - 1], total])
    table.index.name = what

    def draw(axes: Axes) -> None:
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        axes.set_ylabel(what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return _chart(title, table, {unit: _ONE_COLOUR}, draw, note, horizontal=True)


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(axis="x", rotation=45)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
        label.set_rotation_mode("anchor")


def _chart(
    title: str,
    table: pd.DataFrame,
    looks: dict[str, tuple[str, str]],
    finish: Callable[[Axes], None],
    note: str = "",
    *,
    horizontal: bool = False,
) -> Chart:
    """Return a chart of stacked bars: one for each row, with a part for each column."""
    with mpl.rc_context(_STYLE):
        height = 1.2 + 0.35 * max(1, len(table)) if horizontal else 3.6
        figure = Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.add_subplot()
        # Long names leave little room above the axes.
        figure.suptitle(title, fontsize="large") if horizontal else axes.set_title(title)
        figure.supxlabel(note, fontsize="small", color="#555555") if note else None
        names = [_drawable(str(name)) for name in table.index]
        start = pd.Series(0, index=table.index)
        for column in table.columns:
            colour, hatch = looks[str(column)]
            draw = axes.barh if horizontal else axes.bar
            bars: Any = draw(
                range(len(table)), table[column], 0.8, start, color=colour, hatch=hatch, edgecolor="white", label=column
            )
            start = start + table[column]
        if horizontal:
            axes.bar_label(bars, padding=3) if len(table) else None
            axes.set_yticks(range(len(names)), names)
        else:
            axes.set_xticks(range(len(names)), names)
        axes.margins(y=0.02 if horizontal else 0.1, x=0.1 if horizontal else 0.02)
        if len(table) and len(table.columns) > 1:
            axes.legend(title=table.columns.name, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        finish(axes)
        if not len(table):
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axes.transAxes)
        return Chart(title, table, _svg(figure, title, note, table), note)


def _drawable(text: str) -> str:
    """Return a text without characters that the font may lack, short enough to leave room for bars."""
    shown = readable(text, 60).encode("ascii", "backslashreplace").decode()
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _svg(figure: Figure, title: str, note: str, table: pd.DataFrame) -> str:
    """Return the figure as SVG, reproducible to the byte, with a title and a description for screen readers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"-?\d+\.\d+", _rounded, tag[0]), svg)
    description = html.escape(". ".join(filter(None, [title, note, "; ".join(_row_in_words(table))])))
    head = f'<svg role="img" aria-label="{html.escape(title)}"'
    return svg.replace("<svg", head, 1).replace("<defs>", f"<desc>{description}</desc><defs>", 1)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]) + 0.0:.1f}"


def _row_in_words(table: pd.DataFrame) -> Iterable[str]:
    for name, row in table.iterrows():
        parts = ", ".join(f"{count} {column}" for column, count in row.items() if count)
        yield f"{name}: {parts or 'none'}"
