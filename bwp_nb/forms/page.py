"""Widgets on a page: made and closed at a rate that the page can follow, hidden, and given the keyboard's focus."""

import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython

_shared: dict[Any, Any] = {}

# The pressed button is disabled, removed or redrawn a moment later, and JupyterLab then moves the lost focus to the
# cell. So this waits until the focus is lost, and does it again if it is lost again, until a key or button is pressed.
_FOCUS = (
    "const form = this.closest('.bwp'), pressed = document.activeElement; let until = Date.now() + 10000;"
    "for (const kind of ['pointerdown', 'keydown'])"
    " { document.addEventListener(kind, () => { until = 0; }, { capture: true, once: true }); }"
    "const put = () => {"
    " if (Date.now() > until) { return; }"
    " const place = form.querySelector('.bwp-focus'), focused = document.activeElement ?? document.body;"
    " const inForm = form.contains(focused) && !focused.disabled;"
    " if (inForm && focused !== place && focused !== pressed) { return; }"
    " if (place && !inForm && !focused.isContentEditable && !focused.matches('input, textarea, select'))"
    " { place.focus(); }"
    " setTimeout(put, 50); }; put();"
)


def make(
    kind: Any, *values: Any, classes: tuple[str, ...] = (), layout: Any = None, style: Any = None, **options: Any
) -> Any:
    """Return a new widget with these CSS classes; widgets that look the same share their layout and style.

    Separate ones would be two more models for each widget, and a class that is added later is one more message: too
    many for a form of 50 events.
    """
    _wait()
    traits = kind.class_traits()
    return kind(
        *values,
        **options,
        _dom_classes=classes,
        layout=shared(widgets.Layout, **(layout or {})),
        **({"style": shared(traits["style"].klass, **(style or {}))} if "style" in traits else {}),
    )


def button(label: str, callback: Callable[[object], object] | None = None, **options: Any) -> Any:
    """Return a new button that calls a function when it is pressed."""
    made = make(widgets.Button, description=label, **options)
    if callback:
        made.on_click(callback)
    return made


def shared(kind: Any, **traits: Any) -> Any:
    """Return the one widget of a kind with these traits, which must not be changed; a new one if it was closed."""
    key = (kind, *sorted(traits.items()))
    if key not in _shared or _shared[key].comm is None:
        _shared[key] = kind(**traits)
    return _shared[key]


def close(*views: Any) -> None:
    """Close widgets and their children, except shared ones, at the same rate as they were made."""
    for view in views:
        close(*getattr(view, "children", ()))
        if view not in _shared.values():
            _wait()
            view.close()


def set_visible(view: widgets.Widget, visible: bool) -> None:
    """Show or hide a widget."""
    (view.remove_class if visible else view.add_class)("bwp-hidden")


class Cursor:
    """Moves the keyboard's focus to a control when the button that had it is gone.

    The focus is not moved for a program or a cell, nor if the user has focused another field or button meanwhile.
    """

    def __init__(self) -> None:
        self.view = make(widgets.HTML, classes=("bwp-hidden",))
        self._place: Any = None
        self._times = 0

    def put(self, place: Any) -> None:
        """Move the focus to a control."""
        if not _is_callback():
            return
        if self._place is not None:
            self._place.remove_class("bwp-focus")
        self._place, self._times = place.add_class("bwp-focus"), self._times + 1
        self.view.value = f'<style data-times="{self._times}" onload="{escape(_FOCUS)}"></style>'


def _wait() -> None:
    """Keep to 800 widgets a second.

    Faster messages get lost: a Jupyter server passes on at most 3,000 changes in three seconds, and lost some of 6,000
    new widgets (measured).
    """
    if _kernel() is not None:
        time.sleep(1 / 800)


def _kernel() -> Any:
    return getattr(get_ipython(), "kernel", None)


def _is_callback() -> bool:
    """Whether the running code responds to a user's action on the page, and not to a cell or a program."""
    kernel = _kernel()
    return kernel is not None and kernel.get_parent().get("header", {}).get("msg_type") == "comm_msg"
