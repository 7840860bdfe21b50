"""What a form does on its page: it makes widgets and pieces of HTML, shows errors of callbacks, and moves the focus."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from html import escape
from importlib.resources import files
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython
from pygments.style import Style
from pygments.token import Comment, Keyword, Name, Number, String

from bwp_nb.displays.html import highlighted
from bwp_nb.text import readable

#: What a widget calls.
Act = Callable[[], object]

#: The longest text that is highlighted, in characters: marks make a text up to four times as long.
_MOST_HIGHLIGHTED = 8_000

#: The colours of code, which follow JupyterLab's theme.
_COLOURED = (Comment, Keyword, Name.Tag, Name.Attribute, Number, String)
_THEME: Any = type("_Theme", (Style,), {"styles": {kind: f"var(--bwp-{kind[-1].lower()})" for kind in _COLOURED}})


class Page:
    """Makes the widgets of a form, which share a layout and a style for each kind: others would be models too.

    `head` contains the style sheet and the script of the form, and shows errors of callbacks, which ipywidgets only
    logs. A kernel may run two callbacks at the same time: each waits for its `turn`.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._layout = widgets.Layout()
        self._styles: dict[Any, Any] = {}
        css, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("style.css", "page.js"))
        start = escape(f"(form => {{\n{script}\n}})(this.closest('.bwp'))")
        self.errors, self._script = self.html(), self.html(css="bwp-hidden")
        self._answer = self.make(widgets.Button, description="The page answers", css="bwp-answer bwp-hidden")
        self._answer.on_click(self.guard(self._answered, in_turn=False))
        self.head = [self.html(f'<style onload="{start}">{css}</style>'), self.errors, self._answer, self._script]
        self._runs, self._can_answer, self._focused = 0, False, self._answer
        self._waiting: deque[Act] = deque()

    def make(self, kind: Any, *values: Any, css: str = "", changed: Act | None = None, **more: Any) -> Any:
        """Return a new widget with some CSS classes; `changed` is called after each change of its value."""
        if "style" in kind.class_traits():
            klass = kind.class_traits()["style"].klass
            more["style"] = self._styles[klass] = self._styles.get(klass) or klass()
        made = kind(*values, **more, layout=self._layout, _dom_classes=css.split())
        if changed is not None:
            made.observe(self.guard(changed), "value")
        return made

    def html(self, value: str = "", css: str = "bwp-note") -> Any:
        """Return a new piece of HTML, by default in a line of its own."""
        return self.make(widgets.HTML, value, css=css)

    def box(self, children: Iterable[Any], css: str) -> Any:
        """Return a new box."""
        return self.make(widgets.HBox, [*children], css=css)

    def button(self, label: str, pressed: Act, css: str = "", *, in_turn: bool = True, **more: Any) -> Any:
        """Return a new button that calls a function, which takes long if it is not called `in_turn`."""
        made = self.make(widgets.Button, description=label, css=css if in_turn else "bwp-once", **more)
        made.on_click(self.guard(partial(self._when_typed, self.guard(pressed, in_turn=in_turn)), in_turn=False))
        return made

    def fold(self, label: str, make: Callable[[], Any]) -> list[Any]:
        """Return a button that shows and hides a widget, which is made when it is first shown, and its box."""
        box = self.box([], "bwp-note bwp-hidden")

        def turn() -> None:
            box.children = box.children or [make()]
            set_visible(box, visible=toggle.value)

        toggle = self.make(widgets.ToggleButton, description=label, tooltip=label, changed=turn)
        return [toggle, box]

    def guard(self, handler: Act, *, in_turn: bool = True) -> Callable[..., None]:
        """Return a handler as a callback of a widget; an error in it is shown, and raised again.

        With `in_turn` no other callback runs meanwhile; a handler that takes long takes its `turn` itself, for parts
        of its work.
        """

        def callback(_event: object = None) -> None:
            try:
                with self.turn if in_turn else nullcontext():
                    handler()
            except Exception as error:
                self.errors.value = status(f"The form failed; this is a bug in bwp_nb. {readable(repr(error))}", "bad")
                raise

        return callback

    def focus(self, place: Any) -> None:
        """Move the keyboard's focus to an input or a button, unless a program or a cell is what runs."""
        if _is_callback():
            self._focused.remove_class("bwp-focus")
            self._focused = place.add_class("bwp-focus")
            self._run("focus")

    def _when_typed(self, action: Act) -> None:
        """Call a function once all that was typed before has arrived.

        While the kernel is busy, ipywidgets holds typed text back, but not clicks, and it may handle clicks in another
        thread than text. So the page is asked for an answer: the first one comes after the text that was sent, the
        second one after the text that was held back. A page that runs no scripts is not asked, nor is a program.
        """
        if self._can_answer and _is_callback():
            self._ask(partial(self._ask, action))
        else:
            action()

    def _ask(self, action: Act) -> None:
        self._waiting.append(action)
        self._answer.send_state("description")  # ipykernel handles the answer where it handles text from now on
        self._run("answer")

    def _answered(self) -> None:
        self._can_answer = True
        for _ in range(len(self._waiting)):  # what an action asks for now has an answer of its own
            self._waiting.popleft()()

    def _run(self, name: str) -> None:
        """Call a function of the form's script."""
        self._runs += 1
        self._script.value = f"""<style data-run="{self._runs}" onload="this.closest('.bwp').bwp.{name}()"></style>"""


def set_visible(view: widgets.Widget, visible: bool) -> None:
    """Show or hide a widget."""
    (view.remove_class if visible else view.add_class)("bwp-hidden")


def show_in(box: Any, children: list[Any]) -> None:
    """Show other widgets in a box, and close those that were in it, with what they contain."""
    gone = [widget for widget in box.children if widget not in children]
    box.children = children
    for widget in gone:
        for part in (*getattr(widget, "children", ()), widget):
            part.close()


def _is_callback() -> bool:
    """Whether the running code responds to a user's action on the page, and not to a cell or a program."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and kernel.get_parent().get("header", {}).get("msg_type") == "comm_msg"


def code(source: str, label: str, language: str) -> str:
    """Return a text of a language in an area that scrolls, also by keyboard."""
    shown = highlighted(f"{source}\n", language, _THEME)[:-1] if len(source) <= _MOST_HIGHLIGHTED else escape(source)
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{shown}</pre>'


def status(message: str, mood: str = "") -> str:
    """Return a line that a screen reader announces; `mood` is good, bad, warn or busy."""
    role = "alert" if mood in ("bad", "warn") else "status"
    return f'<p role="{role}" class="bwp-state bwp-{escape(mood)}">{escape(message)}</p>' if message else ""
