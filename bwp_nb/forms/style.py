"""How forms look: their style sheet, and pieces of HTML in which every text is escaped."""

import re
from html import escape
from importlib.resources import files
from itertools import groupby

from bwp_nb.displays.sources import CITED, PAGES
from bwp_nb.forms.fields import Field
from bwp_nb.problems import Problem
from bwp_nb.text import readable

# Scripts in a widget's HTML do not run, but an attribute does, in JupyterLab and in Voila. Keys that are pressed on a
# form do not leave it: on a choice or a button JupyterLab would take an X, for example, to cut the cell with the form.
_KEYS = (
    "this.closest('.bwp').onkeydown = event => { if (!event.ctrlKey && !event.metaKey) { event.stopPropagation(); } };"
)

#: The style sheet, as a piece of HTML.
STYLE = f'<style onload="{escape(_KEYS)}">{files(__package__ or "").joinpath("style.css").read_text("utf-8")}</style>'

# A page without HTTPS has no clipboard object; the text is then copied from a text area.
_COPY = (
    "const box = this.closest('.bwp-copied'), text = box.querySelector('pre');"
    "const done = () => { box.querySelector('[role=status]').textContent = 'Copied.'; };"
    "if (navigator.clipboard) { navigator.clipboard.writeText(text.textContent).then(done); }"
    "else { const area = document.createElement('textarea'); area.value = text.textContent; box.append(area);"
    " area.select(); document.execCommand('copy'); area.remove(); this.focus(); done(); }"
)


def copyable(text: str, label: str) -> str:
    """Return a text with a button that copies it."""
    return (
        f'<div class="bwp-copied"><button type="button" class="bwp-copy" onclick="{escape(_COPY)}">Copy</button>'
        f'<span role="status"></span>'
        f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{escape(text)}</pre></div>'
    )


def scrolling(html: str, label: str) -> str:
    """Return a piece of HTML, such as a table, that scrolls sideways where it is too wide, also by keyboard."""
    return f'<div class="bwp-scroll" tabindex="0" role="region" aria-label="{escape(label)}">{html}</div>'


def status(text: str, mood: str = "", *, alert: bool = False) -> str:
    """Return a line that a screen reader announces; `mood` is good, bad, warn or busy."""
    role = "alert" if alert else "status"
    return f'<p role="{role}" class="bwp-state bwp-{escape(mood)}">{escape(text)}</p>'


def sourced(text: str) -> str:
    """Return a text with the documentation pages that it cites as links."""
    return CITED.sub(_page_link, escape(text))


def _page_link(cited: re.Match[str]) -> str:
    return f'“<a href="{escape(PAGES[cited[1]])}" target="_blank" rel="noopener">{cited[1]}</a>”'


def problems(found: list[Problem]) -> str:
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
        f'<details><summary aria-label="{name}" title="{name}">?</summary>'
        f'<p>{description} {required} <span class="bwp-rule">({sources})</span></p></details>'
    )


def place(problem: Problem) -> str:
    """Return the place of a problem; a form counts its events from 1."""
    return problem.field if problem.index is None else f"event {problem.index + 1}, {problem.field}"


def located(problem: Problem) -> str:
    """Return the message of a problem with its place."""
    return f"{place(problem)}: {readable(problem.message)}"
