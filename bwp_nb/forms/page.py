"""What a form does on its page: it makes widgets, shows errors of their callbacks, and keeps keys to itself."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from html import escape
from importlib.resources import files
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython

from bwp_nb.forms import style
from bwp_nb.text import readable

# Scripts in a widget's HTML do not run, but an attribute does, in JupyterLab and in Voila. Keys that are pressed on a
# form do not leave it: JupyterLab would take an X on a button, for example, to cut the cell with the form. The second
# click of a double click, and a key that is held down, press a button once.
_KEYS = (
    "const form = this.closest('.bwp');"
    "form.onkeydown = event => {"
    " if (event.repeat && event.target.matches('button')) { event.preventDefault(); }"
    " if (!event.ctrlKey && !event.metaKey) { event.stopPropagation(); } };"
    "form.addEventListener('click', event => {"
    " if (event.detail > 1 && event.target.closest('.bwp-once')) { event.stopImmediatePropagation(); } }, true);"
)
# A field may be made or shown only a moment later, and JupyterLab moves a focus that is lost to the cell.
_FOCUS = (
    "const form = this.closest('.bwp'); let left = 40;"
    "const put = () => {"
    " const place = form.querySelector('button.bwp-focus, .bwp-focus :is(input, select, textarea)');"
    " if (place?.offsetParent) { place.focus(); }"
    " else if (left-- > 0) { setTimeout(put, 50); } }; put();"
)
_ANSWER = "this.closest('.bwp').querySelector('.bwp-answer').click();"

#: Seconds after which a page no longer answers.
_PATIENCE = 30.0


def head() -> Any:
    """Return the widget with the style sheet and the handling of keys."""
    css = files(__package__ or "").joinpath("style.css").read_text("utf-8")
    return widgets.HTML(f'<style onload="{escape(_KEYS)}">{css}</style>')


class Page:
    """Makes the widgets of one form, which share a layout and a style for each kind: others would be models too.

    `errors` shows an error in a callback, which ipywidgets only logs. A kernel may run two callbacks at the same time:
    each waits for its `turn`.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._layout = widgets.Layout()
        self._styles: dict[Any, Any] = {}
        self.errors = self.make(widgets.HTML)
        self._answer = self.button("The page answers", self._answered, classes=("bwp-answer", "bwp-hidden"))
        self._script = self.make(widgets.HTML, classes=("bwp-hidden",))
        self._runs, self._can_answer = 0, False
        self._waiting: tuple[float, Callable[[], object]] | None = None
        self._focused: Any = None
        self._run(_ANSWER)

    @property
    def views(self) -> list[Any]:
        """The widgets that a form needs anywhere in it."""
        return [self.errors, self._answer, self._script]

    def make(self, kind: Any, *values: Any, classes: tuple[str, ...] = (), **options: Any) -> Any:
        """Return a new widget; `changed` is called after its value has changed."""
        changed = options.pop("changed", None)
        traits = kind.class_traits()
        if "style" in traits:
            klass = traits["style"].klass
            options["style"] = self._styles[klass] = self._styles.get(klass) or klass()
        made = kind(*values, **options, layout=self._layout, _dom_classes=classes)
        if changed is not None:
            made.observe(self.guard(changed), "value")
        return made

    def button(self, label: str, pressed: Callable[[], object], **options: Any) -> Any:
        """Return a new button that calls a function."""
        made = self.make(widgets.Button, description=label, **options)
        made.on_click(self.guard(pressed))
        return made

    def guard(self, handler: Callable[[], object], *, in_turn: bool = True) -> Callable[[object], None]:
        """Return a handler as a callback of a widget; an error in it is shown, and raised again.

        With `in_turn` no other callback runs meanwhile; a handler that takes long takes its `turn` itself, for parts
        of its work.
        """

        def callback(_event: object = None) -> None:
            try:
                with self.turn if in_turn else nullcontext():
                    handler()
            except Exception as error:
                text = readable(f"{type(error).__name__}: {error}")
                self.errors.value = style.status(f"The form failed; this is a bug in bwp_nb. {text}", "bad")
                raise

        return callback

    def focus(self, place: Any) -> None:
        """Move the keyboard's focus to an input or a button, unless a program or a cell is what runs."""
        if _is_callback():
            if self._focused is not None:
                self._focused.remove_class("bwp-focus")
            self._focused = place.add_class("bwp-focus")
            self._run(_FOCUS)

    def when_typed(self, action: Callable[[], object]) -> None:
        """Call a function once the page has sent all that was typed before.

        While the kernel is busy, ipywidgets holds typed text back, but not clicks. So the page is asked for an answer,
        which comes after the text. A page that runs no attributes of HTML is not asked, nor is a program.
        """
        if self._can_answer and _is_callback():
            self._waiting = (time.monotonic(), action)
            self._run(_ANSWER)
        else:
            action()

    def _run(self, script: str) -> None:
        """Run a script on the page, where that is possible."""
        self._runs += 1
        self._script.value = f'<style data-run="{self._runs}" onload="{escape(script)}"></style>'

    def _answered(self) -> None:
        self._can_answer, waiting, self._waiting = True, self._waiting, None
        if waiting is not None and time.monotonic() - waiting[0] < _PATIENCE:
            waiting[1]()


def set_visible(view: widgets.Widget, visible: bool) -> None:
    """Show or hide a widget."""
    if visible == ("bwp-hidden" in view._dom_classes):
        (view.remove_class if visible else view.add_class)("bwp-hidden")


def _is_callback() -> bool:
    """Whether the running code responds to a user's action on the page, and not to a cell or a program."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and kernel.get_parent("shell").get("header", {}).get("msg_type") == "comm_msg"
