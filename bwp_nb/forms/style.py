"""Pieces of a form's HTML, in which every text is escaped."""

import re
from collections.abc import Iterable
from html import escape
from itertools import groupby

from bwp_nb.contract.sources import CITED, PAGES
from bwp_nb.forms.fields import Field
from bwp_nb.problems import Problem
from bwp_nb.text import readable

# A page without HTTPS has no clipboard object; the text is then copied from a text area.
_COPY = (
    "const box = this.closest('.bwp-copied'), text = box.querySelector('pre');"
    "const done = () => { box.querySelector('[role=status]').textContent = 'Copied.'; };"
    "if (navigator.clipboard) { navigator.clipboard.writeText(text.textContent).then(done); }"
    "else { const area = document.createElement('textarea'); area.value = text.textContent; box.append(area);"
    " area.select(); document.execCommand('copy'); area.remove(); this.focus(); done(); }"
)

#: The longest text that is highlighted, in characters: marks make a text up to four times as long.
_MOST_HIGHLIGHTED = 8_000


def copyable(text: str, label: str, language: str) -> str:
    """Return a text, highlighted unless it is long, with a button that copies it."""
    return (
        f'<div class="bwp-copied"><button type="button" class="bwp-copy" onclick="{escape(_COPY)}">Copy</button>'
        f'<span role="status"></span>{code(text, label, language)}</div>'
    )


def code(text: str, label: str, language: str) -> str:
    """Return a text of a language in an area that scrolls, also by keyboard."""
    shown = highlighted(text, language) if len(text) <= _MOST_HIGHLIGHTED else escape(text)
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{shown}</pre>'


def highlighted(text: str, language: str) -> str:
    """Return a text of a programming language with marks for strings, names, keywords, numbers and comments."""
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment, Keyword, Name, Number, String

    kinds = {Comment: "c", Name.Tag: "n", Name.Attribute: "n", String: "s", Keyword: "k", Number: "m"}
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    runs = groupby(lexer.get_tokens(text), lambda token: next((kinds[kind] for kind in kinds if token[0] in kind), ""))
    texts = [(mark, escape("".join(part for _, part in run))) for mark, run in runs]
    return "".join(f'<i class="bwp-{mark}">{part}</i>' if mark else part for mark, part in texts)


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
    runs = [(rule, [problem.message for problem in same]) for rule, same in groupby(found, lambda one: one.rule)]
    return "".join(
        f'<p class="bwp-problem">{"<br>".join(escape(readable(message)) for message in messages)} '
        f'<span class="bwp-rule">Rule: {sourced(rule)}</span></p>'
        for rule, messages in runs
    )


def help_text(field: Field) -> str:
    """Return the schema's description of a field, folded up behind a question mark."""
    limits = f" {field.length[0]} to {field.length[1]} characters." if field.length else ""
    description = re.sub("`([^`]+)`", r"<code>\1</code>", sourced(field.description + limits))
    sources = "; ".join(map(sourced, field.sources))
    required = "Required." if field.required else "Optional: left out while it is empty."
    name = f"About {escape(field.api_name)}"
    return (
        f'<details name="bwp-help"><summary aria-label="{name}" title="{name}">?</summary>'
        f'<p>{description} {required} <span class="bwp-rule">({sources})</span></p></details>'
    )
