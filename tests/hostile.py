"""Texts of a malicious server, and what a page, a terminal or a chart must not get of them."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

#: Each text, and how it is shown: unchanged, or with escapes for invisible characters.
HOSTILE: dict[str, tuple[str, str]] = {
    "image": ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    "script": ("</script><script>alert(1)</script>", "</script><script>alert(1)</script>"),
    "style": ("</style></svg>]]><b>", "</style></svg>]]><b>"),
    "entity": ("&lt;b&gt; &amp;", "&lt;b&gt; &amp;"),
    "terminal": ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
    "one-byte terminal": ("\x9b31mred", r"\x9b31mred"),
    "TeX": (r"$\frac{$ and $x^2$", r"$\frac{$ and $x^2$"),
    "path": ("/etc/passwd", "/etc/passwd"),
    "format": ("{0.__class__} %s %(name)s", "{0.__class__} %s %(name)s"),
    "formula": ("=HYPERLINK(1)", "=HYPERLINK(1)"),
    "direction": ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
    "nothing to see": ("a\u200b\ufeffb", r"a\u200b\ufeffb"),
    "nought": ("a\x00b", r"a\x00b"),
    "lines": ("a\r\nb\u2028c\x85d", r"a\r\nb\u2028c\x85d"),
    "half a pair": ("a\ud800b", r"a\ud800b"),
    "outside the plane": ("a😀b", "a😀b"),
    "megabyte": ("a" * 1_000_000, "aaa"),
    "megabyte of escapes": ("\x1b" * 160_000, r"\x1b\x1b"),
}

#: The tags that our own tables and charts are made of.
_TABLE_TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "style", "p", "a", "b", "br", "span"}
_TABLE_TAGS |= {"details", "summary", "pre", "code"}
_CHART_TAGS = {"svg", "desc", "title", "metadata", "defs", "style", "g", "path", "use", "text", "tspan", "clipPath"}
_CHART_TAGS |= {"rect", "pattern", "RDF", "Work", "type", "date", "format", "creator", "Agent", "image"}


def harm_of_text(text: str, longest: int = 20_000) -> list[str]:
    """Return the harmful parts of a text for people, which may have several lines."""
    found = [f"{character!r}" for character in sorted(set(text)) if not (character.isprintable() or character == "\n")]
    return [*found, f"{len(text)} characters"] if len(text) > longest else found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag and its attributes."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Collect a text."""
        self.text += data


@dataclass
class Page:
    """The text of a page, and its harmful parts."""

    text: str
    harm: list[str]


def page(html: str) -> Page:
    """Parse HTML like a browser."""
    read = _Page()
    read.feed(html)
    read.close()
    strange = sorted(read.tags - _TABLE_TAGS) + sorted(name for name in read.attributes if name.startswith("on"))
    return Page(read.text, [*strange, *harm_of_text(read.text, 40_000)])


def chart(svg: str) -> Page:
    """Parse SVG like a browser."""
    root = ElementTree.fromstring(svg)  # noqa: S314  # made by ourselves
    tags = {re.sub(r"\{.*\}", "", element.tag) for element in root.iter()}
    text = " ".join(root.itertext())
    links = [value for element in root.iter() for name, value in element.items() if name.endswith("href")]
    outside = [link for link in links if not link.startswith("#")]
    events = [name for element in root.iter() for name in element.keys() if name.startswith("on")]  # noqa: SIM118
    return Page(text, [*sorted(tags - _CHART_TAGS), *outside, *events, *harm_of_text(text, 100_000)])
