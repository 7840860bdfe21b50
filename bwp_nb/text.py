"""Text for people: values on one line, numbers of things; everything is escaped and cut."""

from collections.abc import Sequence


def quoted(value: object) -> str:
    """Return the repr of a value on one line, cut to about 80 characters."""
    shown = readable(repr(value)[:100], 100)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def typed(value: object) -> str:
    """Return the type and the repr of a value, as messages say what they got."""
    return "None" if value is None else f"{type(value).__name__} {quoted(value)}"


def readable(text: str, limit: int = 400) -> str:
    """Return somebody else's text on one line: unprintable characters are escaped, long texts are cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters in all)"


def counted(count: int, noun: str) -> str:
    """Return a number of things, such as "1 row" or "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def shortened(lines: Sequence[str], most: int, noun: str = "line") -> list[str]:
    """Return at most some lines, and how many more there are."""
    more = len(lines) - most
    return [*lines[:most], f"and {counted(more, f'more {noun}')}"] if more > 0 else [*lines]
