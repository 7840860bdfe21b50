"""Pieces of a form's HTML, in which every text is escaped."""

import re
from collections.abc import Iterable
from functools import cache
from html import escape
from itertools import groupby
from typing import Any

from bwp_nb.client import Client
from bwp_nb.contract import schema_text
from bwp_nb.displays.sources import CITED, PAGES
from bwp_nb.errors import Problem
from bwp_nb.forms.drafts import Draft
from bwp_nb.text import readable

_MARKS = {"invalid": "✗", "valid": "○", "sending": "…", "sent": "✓", "rejected": "✗", "failed": "!", "unknown": "?"}

#: The longest text that is highlighted, in characters: marks make a text up to four times as long.
_MOST_HIGHLIGHTED = 8_000


def copyable(text: str, label: str, language: str) -> str:
    """Return a text, highlighted unless it is long, with a button that copies it."""
    copy = """<button type="button" class="bwp-copy" onclick="this.closest('.bwp').bwp.copy(this)">Copy</button>"""
    return f'<div class="bwp-copied">{copy}<span role="status"></span>{code(text, label, language)}</div>'


def code(text: str, label: str, language: str) -> str:
    """Return a text of a language in an area that scrolls, also by keyboard."""
    shown = highlighted(text, language) if len(text) <= _MOST_HIGHLIGHTED else escape(text)
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{shown}</pre>'


def plain(text: str) -> str:
    """Return a text as it is shown without style sheet and widgets."""
    return f'<pre class="tex2jax_ignore mathjax_ignore">{escape(text)}</pre>'


def highlighted(text: str, language: str) -> str:
    """Return a text of a programming language with marks for strings, names, keywords, numbers and comments."""
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment, Keyword, Name, Number, String

    kinds = {Comment: "c", Name.Tag: "n", Name.Attribute: "n", String: "s", Keyword: "k", Number: "m"}
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    runs = groupby(lexer.get_tokens(text), lambda token: next((kinds[kind] for kind in kinds if token[0] in kind), ""))
    texts = [(mark, escape("".join(part for _, part in run))) for mark, run in runs]
    return "".join(f'<span class="bwp-{mark}">{part}</span>' if mark else part for mark, part in texts)


def status(text: str, mood: str = "") -> str:
    """Return a line that a screen reader announces; `mood` is good, bad, warn or busy."""
    role = "alert" if mood in ("bad", "warn") else "status"
    return f'<p role="{role}" class="bwp-state bwp-{escape(mood)}">{escape(text)}</p>' if text else ""


def sourced(text: str) -> str:
    """Return a text with the documentation pages that it cites as links."""
    return CITED.sub(_page_link, escape(text))


def _page_link(cited: re.Match[str]) -> str:
    return f'“<a href="{escape(PAGES[cited[1]])}" target="_blank" rel="noopener">{cited[1]}</a>”'


def problems(found: Iterable[Problem]) -> str:
    """Return the problems of a field: each message, with the rule and its source once for messages in a row."""
    runs = [
        (rule, [escape(readable(one.message)) for one in same]) for rule, same in groupby(found, lambda one: one.rule)
    ]
    rules = [f'<span class="bwp-rule">{f"Rule: {sourced(rule)}" if rule else ""}</span>' for rule, _ in runs]
    texts = ["<br>".join(messages) for _, messages in runs]
    return "".join(f'<p class="bwp-problem">{text} {rule}</p>' for text, rule in zip(texts, rules, strict=True))


def hints(found: Iterable[Any]) -> str:
    """Return the hints on a field, each with its certainty and source."""
    texts = [(escape(readable(hint.message)), sourced(f"Hint, {hint.certainty}: {hint.source}")) for hint in found]
    return "".join(f'<p class="bwp-hint">{text} <span class="bwp-rule">{rule}</span></p>' for text, rule in texts)


def title(client: Client) -> str:
    """Return what a form says above its events: where they go."""
    if client.sandbox is not None:
        return "<h3>Make events</h3><p>They go to the sandbox: nothing leaves this notebook.</p>"
    where = escape(client.endpoint)
    return f'<h3>Make events</h3><p class="bwp-state bwp-bad"><b>Live.</b> They go to {where} and are real.</p>'


def line(number: int, draft: Draft, state: str) -> str:
    """Return an event as a line of a list: number, type, time, the end of the id, the state as a mark and a word."""
    kind, time, end = (readable(draft.values[name] or "", 60) for name in ("event_type", "event_time", "event_id"))
    text = f"{number:>2} {kind:<18.18} {time:<20.20} …{end[-6:]:<6} {_MARKS[state]} {state}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


@cache
def helps() -> dict[str, str]:
    """Return the help of each field by the API's name, folded up behind a question mark."""
    from graphql import build_schema

    event: Any = build_schema(schema_text()).type_map["UserEvent"]
    return {name: _help(name, field) for name, field in event.fields.items()}


def _help(name: str, field: Any) -> str:
    """Return what the schema says of a field, with its sources."""
    found = [
        (one.name.value, {given.name.value: given.value.value for given in one.arguments})
        for one in field.ast_node.directives
    ]
    limits = "".join(f" {given['min']} to {given['max']} characters." for kind, given in found if kind == "length")
    sources = [f"{given['certainty'].lower()}: {given['source']}" for kind, given in found if kind == "provenance"]
    text = re.sub("`([^`]+)`", r"<code>\1</code>", sourced(" ".join(field.description.split()) + limits))
    required = "Required." if str(field.type).endswith("!") else "Optional: left out while it is empty."
    label = f"About {escape(name)}"
    return (
        f'<details name="bwp-help"><summary aria-label="{label}" title="{label}">?</summary>'
        f'<p>{text} {required} <span class="bwp-rule">({sourced("; ".join(sources))})</span></p></details>'
    )
