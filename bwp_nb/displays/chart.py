"""How a chart is drawn and shown: a picture on a light card of its own, with the table of its numbers.

The same numbers give the same bytes. Hatching repeats what the colours say.
"""

import base64
import html
import io
import re
import textwrap
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bwp_nb.displays.html import Html, card, folded, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.text import readable

with redirect_stderr(io.StringIO()):  # what matplotlib says of its caches, which would be in the output of a cell
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

#: A colour and a hatching.
Look = tuple[str, str]

_NAME_WIDTH = 34
_MAX_NAME = 100
_TICKS_WIDTH = 60  # in characters, below upright bars
_STYLE = Path(__file__).with_name("chart.mplstyle")


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart: its `title`, the `table` of the numbers that are drawn, and the drawing as a matplotlib `figure`.

    `note` says what is missing in the numbers or what else to know of them. A notebook shows the drawing, with the
    table folded below.
    """

    title: str
    table: pd.DataFrame
    figure: Figure
    note: str = ""

    def __repr__(self) -> str:
        """Return the chart as text: its title, its note and its table."""
        head = f"{self.title}\n{self.note}".rstrip()
        return f"{head}\n\n{self.table.to_string() if len(self.table) else 'nothing yet'}"

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, reproducible to the byte, with the text of the chart as a description.

        It is drawn once: a figure that is drawn again is laid out again, from where it was.
        """
        buffer = io.StringIO()
        with mpl.rc_context(fname=_STYLE):
            metadata: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.figure.savefig(buffer, format="svg", metadata=metadata)
        drawing = buffer.getvalue().partition("<svg")[2]
        drawing = re.sub(r"<[^>]+>", lambda tag: re.sub(r"-?\d+\.\d+", _rounded, tag[0]), drawing)
        head = f'<svg role="img" aria-label="{html.escape(self.title)}"'
        return head + drawing.replace("<defs>", f"<desc>{html.escape(repr(self))}</desc><defs>", 1)

    def save(self, path: str | Path) -> None:
        """Write the drawing to a file.

        Parameters
        ----------
        path : str or Path
            The path of an `.svg` or `.png` file, which is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        OSError
            If the file cannot be written.
        """
        if Path(path).suffix == ".svg":
            Path(path).write_text(self.svg, "utf-8")
        elif Path(path).suffix == ".png":
            with mpl.rc_context(fname=_STYLE):
                self.figure.savefig(path, dpi=200)
        else:
            raise InvalidArgument(f"save: expected the path of an .svg or .png file, got {Path(path).name!r}")

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self.svg.encode()).decode()
        style = "background-color: #ffffff; border-radius: 6px; max-width: 100%;"
        alt = html.escape(readable(self._words, 2_000))
        image = Html(f'<img src="data:image/svg+xml;base64,{picture}" alt="{alt}" style="{style}">')
        shown = self.table.reset_index().astype(str)
        table = html_table(shown.to_numpy(), shown.columns)
        return card(image, folded("The numbers as a table", table))

    @property
    def _words(self) -> str:
        """The title, the note and the numbers that are not 0, for screen readers."""
        parts = ([f"{name} = {count:,}" for name, count in row.items() if count] for _, row in self.table.iterrows())
        bars = [f"{name}: {', '.join(part) or 'none'}" for name, part in zip(_labels(self.table), parts, strict=True)]
        return ". ".join(filter(None, [self.title, self.note, "; ".join(bars) or "nothing yet"]))


@mpl.rc_context(fname=_STYLE)
def bars(
    title: str,
    table: pd.DataFrame,
    looks: Mapping[str, Look],
    unit: str,
    *,
    lying: bool = False,
    note: str = "",
    lines: Mapping[str, float] | None = None,
) -> Chart:
    """Return a chart with a bar for each row of a table, and in each bar a part for each column.

    Bars that lie have room for long names. `lines` cross upright bars: the label of each, and its position in bars.
    """
    names = list(map(_drawable, _labels(table)))
    names = [textwrap.fill(name, _NAME_WIDTH) if lying else name.replace(" ", "\n") for name in names]
    figure = Figure(figsize=(7.2, 1.7 + 0.22 * sum(name.count("\n") + 1.6 for name in names) if lying else 3.6))
    figure.suptitle(title)
    if note:
        figure.supxlabel(textwrap.fill(note, 100), fontsize="small", color="#555555")
    axes = figure.add_subplot()
    if not len(table):
        axes.set_axis_off()
        axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axes.transAxes)
        return Chart(title, table, figure, note)
    _draw(axes, table, looks, lying)
    for (label, place), dashes in zip((lines or {}).items(), ("--", ":"), strict=False):
        axes.axvline(place, color="#333333", linestyle=dashes, label=label)
    if table.columns.name is not None or lines:
        axes.legend(title=table.columns.name, loc="upper left", bbox_to_anchor=(1, 1))
    _label(axes, names, str(table.index.name), unit, lying)
    return Chart(title, table, figure, note)


def _draw(axes: Axes, table: pd.DataFrame, looks: Mapping[str, Look], lying: bool) -> None:
    """Draw the parts of the bars, with the totals in the legend, or beside bars that lie and have one part."""
    draw, base = axes.barh if lying else axes.bar, pd.Series(0, table.index)
    total = table.to_numpy().sum() or 1
    for name, counts in table.items():
        colour, hatch = looks[str(name)]
        label = f"{name}: {counts.sum():,} ({counts.sum() / total:.1%})"
        parts = draw(range(len(table)), counts, 0.75, base, color=colour, hatch=hatch, edgecolor="white", label=label)
        base = base + counts
    if lying and len(table.columns) == 1:
        axes.bar_label(parts, fmt="{:,.0f}", padding=3)


def _label(axes: Axes, names: list[str], what: str, unit: str, lying: bool) -> None:
    """Label the axes: the names of the bars, all of them or as many as fit, and a scale of whole numbers."""
    across, along = (axes.yaxis, axes.xaxis) if lying else (axes.xaxis, axes.yaxis)
    width = sum(max(map(len, name.split("\n"))) + 1 for name in names)
    step = 1 if lying else -(-width // _TICKS_WIDTH)
    across.set_ticks(range(0, len(names), step), names[::step])
    across.set_label_text(what)
    along.set_label_text(unit)
    along.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.1 if lying else 0.02, y=0.02 if lying else 0.1)
    if lying:
        axes.invert_yaxis()


def _labels(table: pd.DataFrame) -> list[str]:
    """Return the names of the rows; times are without what is 0 in all of them."""
    index = table.index
    if isinstance(index, pd.DatetimeIndex) and not index.second.any():
        index = index.strftime("%Y-%m-%d %H:%M" if any(index != index.normalize()) else "%Y-%m-%d")
    return list(map(str, index))


def _drawable(name: str) -> str:
    """Return a name in characters that the font has, cut to leave room for the bars."""
    shown = readable(name.encode("ascii", "backslashreplace").decode())
    return shown if len(shown) <= _MAX_NAME else f"{shown[: _MAX_NAME - 1]}…"


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]) + 0.0:.1f}"
