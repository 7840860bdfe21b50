"""Text for people: values and text of others on one line, escaped and cut."""


def quoted(value: object) -> str:
    """Return a value's repr, on one line, cut to some 80 characters."""
    shown = readable(repr(value)[:100], 100)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def readable(text: str, limit: int = 400) -> str:
    """Return somebody else's text on one line: what cannot be printed is escaped, what is long is cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters)"
