"""Errors of the form's own callbacks, shown on the form."""

import threading
from collections.abc import Callable
from contextlib import nullcontext

import ipywidgets as widgets

from bwp_nb.forms import page, style
from bwp_nb.text import readable


class ErrorBoundary:
    """Shows an error in a callback on the form; ipywidgets only logs it.

    A kernel may run the callbacks of two clicks, or of a click and a key, at the same time: each waits for its `turn`.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.view = page.make(widgets.HTML, classes=("bwp-hidden",))

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
                self.view.value = style.status(f"The form failed; this is a bug in bwp_nb. {text}", "bad", alert=True)
                page.set_visible(self.view, visible=True)
                raise

        return callback
