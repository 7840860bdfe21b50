"""How forms look: their style sheet, pieces of HTML with everything escaped, and errors of their own shown on them."""

import re
from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import Any

import ipywidgets as widgets

from bwp_nb.errors import Problem, readable
from bwp_nb.fields import Field
from bwp_nb.sources import PAGES

#: The style sheet, as a piece of HTML.
STYLE = f"<style>{files('bwp_nb').joinpath('forms.css').read_text('utf-8')}</style>"

# Scripts in a widget's HTML do not run, but an attribute of it does, in JupyterLab and Voila alike. Without a secure
# address there is no clipboard object; then the text is copied in the older way, out of a box.
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
    """Return a piece of HTML, such as a table, that scrolls sideways where it is too wide, by keyboard too."""
    return f'<div class="bwp-scroll" tabindex="0" role="region" aria-label="{escape(label)}">{html}</div>'


def status(text: str, mood: str = "", *, alert: bool = False) -> str:
    """Return a line that a screen reader announces; `mood` is good, bad, warn or busy."""
    role = "alert" if alert else "status"
    return f'<p role="{role}" class="bwp-state bwp-{escape(mood)}">{escape(text)}</p>'


def sourced(text: str) -> str:
    """Return a rule with the names of documentation pages as links to them."""
    names = "|".join(map(re.escape, sorted(PAGES, key=len, reverse=True)))
    return re.sub(rf"(?<![\w-])({names})(?![\w-])", _page_link, escape(text))


def _page_link(match: re.Match[str]) -> str:
    return f'<a href="{escape(PAGES[match[1]])}" target="_blank" rel="noopener">{match[1]}</a>'


def problems(found: list[Problem]) -> str:
    """Return problems as they stand beside their field: what is wrong, the rule and its source."""
    return "".join(
        f'<p class="bwp-problem">{escape(readable(problem.message))} '
        f'<span class="bwp-rule">Rule: {sourced(problem.rule)}</span></p>'
        for problem in found
    )


def help_text(field: Field) -> str:
    """Return what the schema says of a field, folded up behind a question mark."""
    limits = f" {field.length[0]} to {field.length[1]} characters." if field.length else ""
    said = re.sub("`([^`]+)`", r"<code>\1</code>", sourced(field.description + limits))
    sources = "; ".join(map(sourced, field.sources))
    required = "Required." if field.required else "Optional: left out while it is empty."
    name = f"About {escape(field.api_name)}"
    return (
        f'<details><summary aria-label="{name}" title="{name}">?</summary>'
        f'<p>{said} {required} <span class="bwp-rule">({sources})</span></p></details>'
    )


def counted(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def shown(view: widgets.Widget, visible: bool) -> None:
    """Show or hide a widget."""
    view.layout.display = None if visible else "none"


def classed(view: Any, *names: str) -> Any:
    """Return a widget with these CSS classes added."""
    for name in names:
        view.add_class(name)
    return view


class Faults:
    """Shows an error of the form itself on the form, where else it would only stand in a log."""

    def __init__(self) -> None:
        self.last: Exception | None = None
        self.view = widgets.HTML()
        shown(self.view, visible=False)

    def shown(self, handler: Callable[[], object]) -> Callable[[object], None]:
        """Return a handler as a callback of a widget; what it raises is shown, and raised further."""

        def callback(_event: object = None) -> None:
            try:
                handler()
            except Exception as error:
                self.last = error
                said = readable(f"{type(error).__name__}: {error}")
                self.view.value = status(
                    f"The form itself failed, which is a mistake in bwp_nb. {said}", "bad", alert=True
                )
                shown(self.view, visible=True)
                raise

        return callback
