"""How a chart is drawn and shown: a picture on a light card of its own, with the table of its numbers.

The same numbers give the same bytes. Hatching repeats what the colours say.
"""

import base64
import html
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from bwp_nb.displays.html import Html, card, folded, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.text import readable

#: A colour and a hatching.
Look = tuple[str, str]

_MAX_TICKS = 8
_NAME_WIDTH = 34
_STYLE = Path(__file__).with_name("chart.mplstyle")


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart: its `title`, the `table` of the numbers that are drawn, and the drawing as a matplotlib `figure`.

    `note` says what is missing in the numbers or what else to know of them. A notebook shows the drawing, with the
    table folded below.
    """

    title: str
    table: pd.DataFrame
    figure: Figure = field(repr=False)
    note: str = ""

    def __repr__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The chart as text: its title, its note and its table."""
        head = f"{self.title}\n{self.note}".rstrip()
        return f"{head}\n\n{self.table.to_string() if len(self.table) else 'nothing yet'}"

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, reproducible to the byte, with a description for screen readers."""
        buffer = io.StringIO()
        with mpl.rc_context(fname=_STYLE):
            metadata: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.figure.savefig(buffer, format="svg", metadata=metadata)
        svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
        svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"-?\d+\.\d+", _rounded, tag[0]), svg)
        head = f'<svg role="img" aria-label="{html.escape(self.title)}"'
        return svg.replace("<svg", head, 1).replace("<defs>", f"<desc>{html.escape(self._words)}</desc><defs>", 1)

    def save(self, path: str | Path) -> None:
        """Write the drawing to an `.svg` or `.png` file."""
        if Path(path).suffix == ".svg":
            Path(path).write_text(self.svg, "utf-8")
        elif Path(path).suffix == ".png":
            with mpl.rc_context(fname=_STYLE):
                self.figure.savefig(path, dpi=200)
        else:
            raise InvalidArgument(f"save: expected the path of an .svg or .png file, got {Path(path).name!r}")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        picture = base64.b64encode(self.svg.encode()).decode()
        style = "background-color: #ffffff; border-radius: 6px; max-width: 100%;"
        alt = html.escape(readable(self._words, 2_000))
        image = Html(f'<img src="data:image/svg+xml;base64,{picture}" alt="{alt}" style="{style}">')
        shown = self.table.reset_index().astype(str)
        table = html_table(shown.to_numpy(), shown.columns)
        return {"text/html": card(image, folded("The numbers as a table", table)), "text/plain": self.text}

    @property
    def _words(self) -> str:
        """The title, the note and the numbers in words."""
        return ". ".join(filter(None, [self.title, self.note, "; ".join(_rows_in_words(self.table))]))


def stacked(
    title: str,
    table: pd.DataFrame,
    looks: Mapping[str, Look],
    axes_labels: tuple[str, str],
    *,
    note: str = "",
    lines: Mapping[str, float] | None = None,
) -> Chart:
    """Return a chart of upright bars: one for each row of a table, with a part for each column.

    `lines` are upright lines by their label, at a position counted in bars.
    """
    with mpl.rc_context(fname=_STYLE):
        figure, axes = _figure(title, 3.6, note)
        _draw(axes.bar, table, looks, 0.8)
        for (label, place), dashes in zip((lines or {}).items(), ("--", ":"), strict=False):
            axes.axvline(place, color="#333333", linestyle=dashes, label=label)
        ticks = _ticks([_drawable(str(name)) for name in table.index])
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set(xlabel=axes_labels[0], ylabel=axes_labels[1])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.02, y=0.1)
        if len(table) and (len(table.columns) > 1 or lines):
            axes.legend(title=table.columns.name, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        return _finished(title, table, figure, note)


def lying(title: str, table: pd.DataFrame, look: Look, *, note: str = "") -> Chart:
    """Return a chart of lying bars: the one number of each row of a table, by its name."""
    names = [textwrap.fill(_drawable(str(name)), _NAME_WIDTH) for name in table.index]
    with mpl.rc_context(fname=_STYLE):
        lines = sum(name.count("\n") + 1.6 for name in names)
        figure, axes = _figure(title, 1.3 + 0.22 * max(2, lines), note)
        unit = str(table.columns[0])
        bars = _draw(axes.barh, table, {unit: look}, 0.7)
        if len(table):
            axes.bar_label(bars, padding=3)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=unit, ylabel=table.index.name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.1, y=0.02)
        axes.invert_yaxis()
        return _finished(title, table, figure, note)


def one_bar(title: str, table: pd.DataFrame, looks: Mapping[str, Look], *, note: str = "") -> Chart:
    """Return a chart of one bar, with a part for each row of a table; the legend has the numbers."""
    unit = str(table.columns[0])
    with mpl.rc_context(fname=_STYLE):
        figure, axes = _figure(title, 2.2, note)
        total = table[unit].sum()
        labels = {name: f"{name}: {count:,} ({count / total:.1%})" for name, count in table[unit].items()}
        _draw(axes.barh, table.rename(labels).T, {label: looks[str(name)] for name, label in labels.items()}, 0.6)
        axes.set(xlabel=unit, ylabel=table.index.name, yticks=[])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0, y=0.1)
        if len(table):
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1.1), frameon=False)
        return _finished(title, table, figure, note)


def _figure(title: str, height: float, note: str) -> tuple[Figure, Axes]:
    """Return an empty figure with a margin, its title and its note."""
    figure = Figure(figsize=(7.2, height), layout=ConstrainedLayoutEngine(w_pad=0.16, h_pad=0.16), facecolor="white")
    figure.suptitle(title, fontsize="large")
    if note:
        figure.supxlabel(textwrap.fill(note, 100), fontsize="small", color="#555555")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw(draw: Callable[..., Any], table: pd.DataFrame, looks: Mapping[str, Look], width: float) -> Any:
    """Draw a bar for each row of a table, with a part for each column; return the last parts."""
    base, drawn = pd.Series(0, index=table.index), None
    for name, counts in table.items():
        colour, hatch = looks[str(name)]
        drawn = draw(range(len(table)), counts, width, base, color=colour, hatch=hatch, edgecolor="white", label=name)
        base = base + counts
    return drawn


def _finished(title: str, table: pd.DataFrame, figure: Figure, note: str) -> Chart:
    if not len(table):
        axes = figure.axes[0]
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axes.transAxes)
    return Chart(title, table, figure, note)


def _ticks(names: Sequence[str]) -> dict[int, str]:
    """Return the labels that fit below bars, by their position; of times, the date where it changes."""
    step = -(-len(names) // _MAX_TICKS) if len(names) > _MAX_TICKS + 2 else 1
    ticks, previous = {}, ""
    for place in range(0, len(names), step):
        date, _, clock = names[place].partition(" ")
        is_time = re.fullmatch(r"\d\d-\d\d", date) and clock
        ticks[place] = names[place] if not is_time else clock if date == previous else f"{clock}\n{date}"
        previous = date
    return ticks


def _drawable(text: str) -> str:
    """Return a text without characters that the font may lack, short enough to leave room for bars."""
    shown = readable(text, 100).encode("ascii", "backslashreplace").decode()
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]) + 0.0:.1f}"


def _rows_in_words(table: pd.DataFrame) -> Iterable[str]:
    for name, row in table.iterrows():
        parts = ", ".join(f"{count} {column}" for column, count in row.items() if count)
        yield f"{name}: {parts or 'none'}"
