"""How forms look: their style sheet and pieces of HTML with everything escaped; how their widgets and handlers behave.

Widgets are made and closed no faster than a page takes them in; handlers take turns, and show their own errors.
"""

import re
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython

from bwp_nb.contract.sources import PAGES
from bwp_nb.forms.fields import Field
from bwp_nb.problems import Problem
from bwp_nb.text import readable

# Scripts in a widget's HTML do not run, but an attribute of it does, in JupyterLab and Voila alike. Keys on a form stay
# there: JupyterLab takes those on a choice or a button for its own, an X to cut the cell with the form for example.
_KEYS = (
    "this.closest('.bwp').onkeydown = event => { if (!event.ctrlKey && !event.metaKey) { event.stopPropagation(); } };"
)

#: The style sheet, as a piece of HTML.
STYLE = f'<style onload="{escape(_KEYS)}">{files(__package__ or "").joinpath("style.css").read_text("utf-8")}</style>'

# Without a secure address there is no clipboard object; then the text is copied in the older way, out of a box.
_COPY = (
    "const box = this.closest('.bwp-copied'), text = box.querySelector('pre');"
    "const done = () => { box.querySelector('[role=status]').textContent = 'Copied.'; };"
    "if (navigator.clipboard) { navigator.clipboard.writeText(text.textContent).then(done); }"
    "else { const area = document.createElement('textarea'); area.value = text.textContent; box.append(area);"
    " area.select(); document.execCommand('copy'); area.remove(); this.focus(); done(); }"
)


_shared: dict[Any, Any] = {}


# The button that was pressed is disabled, removed or drawn anew a moment later, and JupyterLab takes the focus that was
# lost for the cell. So this waits until it is lost, and again if it is lost once more, until somebody goes on.
_FOCUS = (
    "const form = this.closest('.bwp'), pressed = document.activeElement; let until = Date.now() + 10000;"
    "for (const kind of ['pointerdown', 'keydown'])"
    " { document.addEventListener(kind, () => { until = 0; }, { capture: true, once: true }); }"
    "const put = () => {"
    " if (Date.now() > until) { return; }"
    " const place = form.querySelector('.bwp-focus'), held = document.activeElement ?? document.body;"
    " const isHeld = form.contains(held) && !held.disabled;"
    " if (isHeld && held !== place && held !== pressed) { return; }"
    " if (place && !isHeld && !held.isContentEditable && !held.matches('input, textarea, select')) { place.focus(); }"
    " setTimeout(put, 50); }; put();"
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
    runs = [(rule, [problem.message for problem in same]) for rule, same in groupby(found, lambda one: one.rule)]
    return "".join(
        f'<p class="bwp-problem">{"<br>".join(escape(readable(message)) for message in messages)} '
        f'<span class="bwp-rule">Rule: {sourced(rule)}</span></p>'
        for rule, messages in runs
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


def made(
    kind: Any, *values: Any, classes: tuple[str, ...] = (), layout: Any = None, style: Any = None, **options: Any
) -> Any:
    """Return a new widget with these CSS classes, whose layout and style are those of all that look alike.

    Of their own they would be two more models each, and classes that are added later a message each: too much for a
    form of 50 events.
    """
    _breathe()
    traits = kind.class_traits()
    return kind(
        *values,
        **options,
        _dom_classes=classes,
        layout=shared(widgets.Layout, **(layout or {})),
        **({"style": shared(traits["style"].klass, **(style or {}))} if "style" in traits else {}),
    )


def shared(kind: Any, **traits: Any) -> Any:
    """Return the one widget of a kind with these traits, which nobody changes; a new one if it was closed."""
    key = (kind, *sorted(traits.items()))
    if key not in _shared or _shared[key].comm is None:
        _shared[key] = kind(**traits)
    return _shared[key]


def close(*views: Any) -> None:
    """Close widgets and all that is in them, but for what is shared; as slowly as they were made."""
    for view in views:
        close(*getattr(view, "children", ()))
        if view not in _shared.values():
            _breathe()
            view.close()


def _breathe() -> None:
    """Let a page take in what it was told of a widget: 800 a second.

    Of what a kernel tells faster, some never arrives: a Jupyter server passes on 3,000 changes in three seconds, and
    loses some of 6,000 new widgets (measured).
    """
    if _kernel() is not None:
        time.sleep(1 / 800)


def _kernel() -> Any:
    return getattr(get_ipython(), "kernel", None)


def _is_by_hand() -> bool:
    """Tell whether what runs now answers somebody at the page, and not a cell or a program."""
    kernel = _kernel()
    return kernel is not None and kernel.get_parent("shell").get("header", {}).get("msg_type") == "comm_msg"


def shown(view: widgets.Widget, visible: bool) -> None:
    """Show or hide a widget."""
    (view.remove_class if visible else view.add_class)("bwp-hidden")


def classed(view: Any, *names: str) -> Any:
    """Return a widget with these CSS classes added."""
    for name in names:
        view.add_class(name)
    return view


class Cursor:
    """Gives the keyboard's focus, lost with the button that held it, to another control; not to a cell's own doing.

    Only if no other field or button has it by then: who has gone on is left there.
    """

    def __init__(self) -> None:
        self.view = widgets.HTML()
        shown(self.view, visible=False)
        self._place: Any = None
        self._times = 0

    def put(self, place: Any) -> None:
        """Put it on a control."""
        if not _is_by_hand():
            return
        if self._place is not None:
            self._place.remove_class("bwp-focus")
        self._place, self._times = classed(place, "bwp-focus"), self._times + 1
        self.view.value = f'<style data-times="{self._times}" onload="{escape(_FOCUS)}"></style>'


class ErrorBoundary:
    """Shows an error of the form itself on the form, where else it would only stand in a log.

    Kernels may run the answers to two clicks, or to a click and a key, at the same time: each waits for its `turn`.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.last: Exception | None = None
        self.view = widgets.HTML()
        shown(self.view, visible=False)

    def shown(self, handler: Callable[[], object], *, in_turn: bool = True) -> Callable[[object], None]:
        """Return a handler as a callback of a widget; what it raises is shown, and raised further.

        With `in_turn` no other runs meanwhile; a handler that takes long takes its `turn` itself, for parts of it.
        """

        def callback(_event: object = None) -> None:
            try:
                with self.turn if in_turn else nullcontext():
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
