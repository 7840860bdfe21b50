"""Parts of HTML displays: tables, states, code, links to the documentation; every text is escaped and cut.

JupyterLab removes style sheets, scripts and unknown attributes from notebooks that are not trusted, and a code host
removes inline styles as well: the parts are readable without any of them. Colours are translucent, or come with their
own background, so that they suit light and dark pages.
"""

import html
import json
from collections.abc import Iterable
from itertools import compress
from typing import Any, TypeVar

from bwp_nb.displays.sources import CITED, PAGES
from bwp_nb.text import counted, quoted, readable

_MAX_ROWS = 100
_MAX_CELL = 1_000
_MAX_CODE = 20_000
_MAX_UNBROKEN = 36  # a UUID
_COLOURS = {
    **dict.fromkeys(("sent", "passed", "same", "accepted", "successful"), "#00452f; background-color: #cdeee2"),
    **dict.fromkeys(("rejected", "problem"), "#6b2a00; background-color: #f9d9c6"),
    **dict.fromkeys(("failed", "changed", "breaking"), "#5c3d00; background-color: #fbe6bd"),
    **dict.fromkeys(("unknown", "not answered"), "#5e2044; background-color: #f2dbe8"),
    "invalid": "#003e66; background-color: #cfe4f5",
}
_OTHER_COLOURS = "#333333; background-color: #e4e4e4"
_CELL = "padding: 3px 12px 3px 0; text-align: left; vertical-align: top;"
_CODE = (
    "color: #1f1f1f; background-color: #f6f6f6; border: 1px solid #d8d8d8; border-radius: 4px; padding: 8px 10px;"
    " margin: 4px 0; overflow: auto; white-space: pre-wrap; word-break: normal; font-size: 12px; line-height: 1.4;"
)

T = TypeVar("T")


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as HTML: escaped and cut, with links to the pages that it cites; HTML as it is."""
    if isinstance(value, Html):
        return value
    if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value)
    if value is None or value is ...:
        value = "" if value is None else "absent"
    shown = value if isinstance(value, str) else quoted(value)
    return Html(CITED.sub(_page_link, html.escape(readable(shown, _MAX_CELL))))


def card(*parts: object) -> str:
    """Return a display of some parts, texts being paragraphs; MathJax looks for no formula in it."""
    inner = "".join(part if isinstance(part, Html) else f"<p>{text(part)}</p>" for part in parts if part)
    return f'<div class="tex2jax_ignore mathjax_ignore">{inner}</div>'


def html_table(rows: Iterable[Iterable[object]], head: Iterable[str] = (), caption: str = "") -> Html:
    """Return rows as a table without its empty columns; after a hundred rows it says how many are left."""
    given, names = list(rows), list(map(text, head))
    shown = [list(map(text, row)) for row in given[:_MAX_ROWS]]
    kept = list(map(any, zip(*shown, strict=True))) or [True] * len(names)
    top = f'<caption style="text-align: left;">{text(caption)}</caption>' if caption else ""
    top += f"<thead>{_row('th', compress(names, kept))}</thead>" if names else ""
    body = "".join(_row("td", compress(row, kept)) for row in shown)
    more = f"<p>and {counted(len(given) - len(shown), 'more row')}</p>" if len(given) > len(shown) else ""
    return Html(f'<table class="tex2jax_ignore mathjax_ignore">{top}<tbody>{body}</tbody></table>{more}')


def chip(state: str) -> Html:
    """Return a state or another single word, on its colour."""
    style = f"color: {_COLOURS.get(state, _OTHER_COLOURS)}; border-radius: 8px; padding: 1px 7px; white-space: nowrap;"
    return Html(f'<span style="{style}">{text(state)}</span>') if state else Html()


def code(given: object, language: str) -> Html:
    """Return code, or a value as JSON, on a light card of its own; very long code is cut."""
    source = given if isinstance(given, str) else json.dumps(given, indent=2, ensure_ascii=False)
    shown = source if len(source) <= _MAX_CODE else f"{source[:_MAX_CODE]}\n… ({len(source):,} characters)"
    shown = "\n".join(readable(line, _MAX_CODE) for line in shown.split("\n"))
    return Html(f'<pre style="{_CODE}">{highlighted(shown, language)}</pre>')


def highlighted(source: str, language: str, style: Any = "xcode") -> str:
    """Return code as HTML in the colours of a style of Pygments; what is not of its language is not highlighted."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    lexer.add_filter("raiseonerror", excclass=ValueError)
    try:
        return str(highlight(source, lexer, HtmlFormatter(nowrap=True, noclasses=True, style=style)))
    except ValueError:
        return html.escape(source)


def folded(summary: str, *parts: Html) -> Html:
    """Return parts that unfold below a summary."""
    return Html(f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>") if any(parts) else Html()


def beside(**parts: Html) -> Html:
    """Return parts side by side, each below its name."""
    return Html(html_table([parts.values()], [name.replace("_", " ") for name in parts]))


def document(title: str, body: str) -> str:
    """Return a display as an HTML document of its own."""
    style = "body {font: 15px/1.5 sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1f1f1f}"
    head = f'<meta charset="utf-8"><title>{text(title)}</title><style>{style} td, th {{padding-right: 1rem}}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{text(title)}</h1>{body}</body></html>\n'


def columns(item: Any) -> dict[str, object]:
    """Return what a dataclass has to show, by name: everything but functions; a state is on its colour."""
    found = vars(item) | {name: chip(vars(item)[name]) for name in ("outcome", "result") if name in vars(item)}
    return {name.replace("_", " "): value for name, value in found.items() if not callable(value)}


class Shown:
    """A dataclass that a notebook shows as a table of its fields."""

    def _repr_html_(self) -> str:
        return card(html_table((Html(f"<b>{text(name)}</b>"), value) for name, value in columns(self).items() if value))


class Listing(list[T]):
    """A list of dataclasses of one kind, which a notebook shows as a table."""

    def __init__(self, items: Iterable[T] = (), what: str = "item") -> None:
        super().__init__(items)
        self.what = what

    def _repr_html_(self) -> str:
        rows = [columns(item) for item in self]
        return card(counted(len(self), self.what), html_table((row.values() for row in rows), rows[0]) if rows else "")


class Catalogue(dict[str, T]):
    """Dataclasses of one kind by name, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return Listing(self.values(), "row")._repr_html_()


def _row(tag: str, cells: Iterable[str]) -> str:
    styles = ((cell, " white-space: nowrap;" if len(cell) <= _MAX_UNBROKEN else "") for cell in cells)
    inner = "".join(f'<{tag} style="{_CELL}{style}">{cell}</{tag}>' for cell, style in styles)
    return f"<tr>{inner}</tr>"


def _page_link(cited: Any) -> str:
    address = html.escape(PAGES[html.unescape(cited[1])])
    return f'“<a href="{address}" target="_blank" rel="noopener">{cited[1]}</a>”'
