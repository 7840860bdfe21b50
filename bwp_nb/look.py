"""How forms look: their style sheet, pieces of HTML with everything escaped, and errors of their own shown on them."""

import re
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from bwp_nb.errors import Problem, readable
from bwp_nb.fields import Field
from bwp_nb.sources import PAGES

# JupyterLab's colours, so that its themes hold; the second of each pair is for pages that have none, such as VS Code.
STYLE = """<style>
.bwp {
  --bwp-text: var(--jp-ui-font-color1, #1f2328); --bwp-muted: var(--jp-ui-font-color2, #59636e);
  --bwp-line: var(--jp-border-color2, #d1d9e0); --bwp-panel: var(--jp-layout-color1, #ffffff);
  --bwp-shade: var(--jp-layout-color2, #f3f4f6); --bwp-link: var(--jp-content-link-color, #0a5cad);
  --bwp-bad: var(--jp-error-color1, #c62828); --bwp-good: var(--jp-success-color1, #2e7d32);
  --bwp-warn: var(--jp-warn-color1, #b26a00); --bwp-mono: var(--jp-code-font-family, monospace);
  color: var(--bwp-text); padding: 4px 2px 12px; overflow: visible; line-height: 1.45; }
body[data-jp-theme-light="false"] .bwp { color-scheme: dark; }
.bwp .widget-html-content { font-size: var(--jp-ui-font-size1, 13px); line-height: 1.45; overflow-wrap: anywhere; width: 100%; }
.bwp .jupyter-widgets:not(.widget-container) { margin: 0; }
.bwp select { appearance: auto; background-image: none !important; }
.bwp p, .bwp h3, .bwp h4 { margin: 0; color: var(--bwp-text); }
.bwp h3 { font-size: 1.25em; font-weight: 600; } .bwp h4 { font-size: 1.08em; font-weight: 600; }
.bwp a { color: var(--bwp-link); text-decoration: underline; }
.bwp code, .bwp pre { font-family: var(--bwp-mono); font-size: 12px; background: var(--bwp-shade); color: var(--bwp-text); }
.bwp code { padding: 0 3px; border-radius: 3px; }
.bwp pre { margin: 0; padding: 8px 10px; border: 1px solid var(--bwp-line); border-radius: 4px;
  max-height: 26em; overflow: auto; white-space: pre; line-height: 1.4; }
.bwp-scroll { overflow-x: auto; }
.bwp table { border-collapse: collapse; margin: 6px 0; font-size: inherit; overflow-wrap: normal; }
.bwp caption { text-align: left; caption-side: top; padding: 4px 0; color: var(--bwp-text); font-weight: 600; }
.bwp th, .bwp td { text-align: left; vertical-align: top; padding: 3px 10px 3px 0; border-bottom: 1px solid var(--bwp-line);
  background: transparent; color: var(--bwp-text); }
.bwp .widget-label { color: var(--bwp-text); }
.bwp :is(input, textarea, select) { border-radius: 3px; min-width: 0; }
.bwp ::placeholder { color: var(--bwp-muted); opacity: 1; }
.bwp .widget-label-basic { display: flex; align-items: center; gap: 5px; line-height: 1.3; white-space: normal; height: auto; }
.bwp .widget-checkbox { height: auto; min-height: 28px; display: flex; align-items: center; } .bwp .widget-label-basic input { margin: 0; flex: none; }
.bwp input[type="datetime-local"] { font: inherit; font-size: var(--jp-widgets-font-size, 13px); height: 28px; padding: 0 8px; box-sizing: border-box;
  border: 1px solid var(--jp-widgets-input-border-color, var(--bwp-line)); background: var(--jp-widgets-input-background-color, transparent);
  color: var(--jp-widgets-input-color, var(--bwp-text)); flex: 0 1 16em; }
.bwp :is(input, textarea, select, button, a, summary, pre):focus-visible { outline: 2px solid var(--bwp-link); outline-offset: 1px; }
.bwp-columns { flex-flow: row wrap !important; gap: 20px 28px; align-items: flex-start; overflow: visible; }
.bwp-columns > * { min-width: min(100%, 25em); }
.bwp-card { border: 1px solid var(--bwp-line); border-radius: 6px; background: var(--bwp-panel); padding: 10px 14px 12px;
  margin: 0 0 12px; gap: 6px; overflow: visible; }
.bwp-stack { gap: 4px; overflow: visible; }
.bwp-row { flex-flow: row wrap !important; gap: 4px 8px; align-items: center; overflow: visible; }
.bwp-row > * { margin: 0; } .bwp .jupyter-button { width: auto; border-radius: 3px; }
.bwp-indent { width: 144px; text-align: right; }
.bwp-grow { flex: 1 1 14em; width: auto; min-width: min(100%, 14em); }
.bwp-name { flex: 2 1 19em; }
.bwp-head { justify-content: space-between; }
.bwp .bwp-row > .bwp-help { min-width: 0; margin-left: auto; } .bwp-help:has(details[open]) { flex: 1 0 100%; }
.bwp .bwp-help summary { padding: 0; list-style: none; width: 20px; height: 20px; line-height: 18px; text-align: center;
  border: 1px solid var(--bwp-line); border-radius: 50%; color: var(--bwp-muted); margin-left: auto; }
.bwp-help summary::-webkit-details-marker { display: none; }
.bwp-help details[open] p { background: var(--bwp-shade); border-radius: 4px; padding: 6px 10px; margin-top: 4px; }
.bwp-problem { border-left: 3px solid var(--bwp-bad); padding: 2px 0 2px 9px; margin: 2px 0 4px 152px !important; }
.bwp-rule { color: var(--bwp-muted); } .bwp-problem .bwp-rule { display: block; }
.bwp-state { border-left: 4px solid var(--bwp-muted); padding: 5px 10px; background: var(--bwp-shade); border-radius: 0 4px 4px 0; }
.bwp-good { border-left-color: var(--bwp-good); } .bwp-bad { border-left-color: var(--bwp-bad); }
.bwp-warn { border-left-color: var(--bwp-warn); }
.bwp summary { cursor: pointer; padding: 2px 0; }
.bwp-busy::after { content: ""; display: block; height: 3px; margin-top: 5px; border-radius: 2px; animation: bwp-busy 1.2s linear infinite;
  background: linear-gradient(90deg, transparent, var(--bwp-link), transparent) 0 / 40% 100% no-repeat; }
@keyframes bwp-busy { from { background-position: -60% 0; } to { background-position: 160% 0; } }
@media (prefers-reduced-motion: reduce) { .bwp-busy::after { animation: none; background: var(--bwp-link); } }
.bwp .jupyter-button.bwp-link { background: none; box-shadow: none; color: var(--bwp-link); text-decoration: underline;
  text-align: left; padding: 0 2px; height: auto; min-height: 24px; width: auto; white-space: normal; line-height: 1.4; }
.bwp .bwp-copy { font: inherit; font-size: 13px; cursor: pointer; padding: 3px 12px; margin: 0 8px 6px 0; border-radius: 3px;
  border: 1px solid var(--bwp-line); background: var(--bwp-shade); color: var(--bwp-text); }
</style>"""

# Scripts in a widget's HTML do not run, but an attribute of it does, in JupyterLab and Voila alike. Without a secure
# address there is no clipboard object; then the text is selected and copied in the older way.
_COPY = (
    "const box = this.closest('.bwp-copied'), text = box.querySelector('pre'), said = box.querySelector('[role=status]');"
    "const done = () => { said.textContent = 'Copied.'; };"
    "if (navigator.clipboard) { navigator.clipboard.writeText(text.textContent).then(done); }"
    "else { getSelection().selectAllChildren(text); document.execCommand('copy'); done(); }"
)


def copyable(text: str, label: str) -> str:
    """Return a text with a button that copies it."""
    return (
        f'<div class="bwp-copied"><button type="button" class="bwp-copy" onclick="{escape(_COPY)}">Copy</button>'
        f'<span role="status"></span><pre tabindex="0" role="region" aria-label="{escape(label)}">{escape(text)}</pre></div>'
    )


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
    return (
        f'<details><summary aria-label="About {escape(field.api_name)}" title="About {escape(field.api_name)}">?</summary>'
        f'<p>{said} {required} <span class="bwp-rule">({sources})</span></p></details>'
    )


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
