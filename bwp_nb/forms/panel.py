"""A sandbox on a panel: what arrived, what was rejected, and a fault to order."""

from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import ipywidgets as widgets

from bwp_nb.forms import style
from bwp_nb.sandbox.faults import faults
from bwp_nb.text import counted, readable

if TYPE_CHECKING:
    from bwp_nb.sandbox.api import Sandbox

_SHOWN = 10
_COLUMNS = ("eventType", "eventId", "eventTime", "clientType", "clientVersion", "additionalProperties")
_panels: WeakSet["SandboxPanel"] = WeakSet()


class SandboxPanel:
    """A panel that shows what a sandbox holds, orders faults from it, and resets it.

    `fault` and `times` say what to order, `order`, `reset` and `refresh` are its buttons. After a form's send it shows
    by itself what arrived; after a send from a cell, press refresh.
    """

    def __init__(self, sandbox: "Sandbox") -> None:
        self.sandbox = sandbox
        self.faults = style.ErrorBoundary()
        shown = self.faults.shown
        options = [(f"{fault.name}: {fault.summary}", fault.name) for fault in faults()]
        self.fault = widgets.Dropdown(options=options, description="Fault")
        self.times = widgets.BoundedIntText(1, min=1, max=50, description="times")
        self.order, self.reset, self.refresh = (widgets.Button(description=name) for name in _BUTTONS)
        self.order.on_click(shown(self._order))
        self.reset.on_click(shown(self._reset))
        self.refresh.on_click(shown(self.show))
        self._said, self._arrived = widgets.HTML(), widgets.HTML()
        self.view = style.classed(widgets.VBox(self._parts()), "bwp")
        self.show()
        _panels.add(self)

    def __repr__(self) -> str:
        """Return the panel as text, for readers who see no widgets."""
        return f"SandboxPanel({self.sandbox!r})"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**options)
        return {**bundle, "text/plain": repr(self)}

    def show(self) -> None:
        """Show what the sandbox holds now."""
        accepted, rejected, dropped = self.sandbox.accepted, self.sandbox.rejected, len(self.sandbox.duplicates)
        requests = counted(len(self.sandbox.requests), "request")
        duplicates = f"{counted(dropped, 'duplicate')} dropped, " if dropped else ""
        counts = f"{len(accepted)} accepted, {len(rejected)} rejected, {duplicates}{requests}."
        parts = [style.status(counts)]
        if accepted:
            parts.append(_table(f"Accepted, the last {_SHOWN} at most", _COLUMNS, map(_cells, accepted[-_SHOWN:])))
        if rejected:
            rows = ([str(item["reason"]), *_cells(item["event"])] for item in rejected[-_SHOWN:])
            parts.append(_table(f"Rejected, the last {_SHOWN} at most", ("reason", *_COLUMNS), rows))
        self._arrived.value = "".join(parts)
        self._said.value = _waiting(self.sandbox.pending_faults)

    def _parts(self) -> list[Any]:
        self.fault.style.description_width = self.times.style.description_width = "initial"
        self.times.layout.width = "7em"
        ordering = style.classed(
            widgets.HBox([style.classed(self.fault, "bwp-grow"), self.times, self.order]), "bwp-row"
        )
        buttons = style.classed(widgets.HBox([self.refresh, self.reset]), "bwp-row")
        title = widgets.HTML(
            "<h3>The sandbox</h3><p>Order a fault, and see how a send ends. What may pass, the client tries again by "
            "itself: order more of it, and it gives up.</p>"
        )
        return [widgets.HTML(style.STYLE), title, self.faults.view, ordering, self._said, self._arrived, buttons]

    def _order(self) -> None:
        self.sandbox.fail_next(self.fault.value, times=self.times.value)
        self.show()

    def _reset(self) -> None:
        self.sandbox.reset()
        self.show()
        self._said.value = style.status("Reset: the sandbox is as new.")


_BUTTONS = ("Order it", "Reset the sandbox", "Refresh")


def refresh(sandbox: "Sandbox") -> None:
    """Let every panel of a sandbox show what it holds now."""
    for panel in list(_panels):
        if panel.sandbox is sandbox:
            panel.show()


def _waiting(names: list[str]) -> str:
    """Return what the next answers will be, if faults are ordered."""
    runs = [(name, len(list(same))) for name, same in groupby(names)]
    if not runs:
        return ""
    answers = "answer" if len(names) == 1 else f"{len(names)} answers"
    told = ", ".join(name if count == 1 or len(runs) == 1 else f"{count} times {name}" for name, count in runs)
    return style.status(f"Ordered: the next {answers} will be: {told}.", "warn")


def _cells(event: dict[str, Any]) -> list[str]:
    pairs = (event.get("additionalProperties") or {}).get("additionalProperties") or []
    properties = ", ".join(f"{pair['property']}: {pair['value']}" for pair in pairs)
    return [*(str(event.get(name, "")) for name in _COLUMNS[:-1]), properties]


def _table(caption: str, columns: Iterable[str], rows: Iterable[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    cells = ("".join(f"<td>{escape(readable(cell, 200))}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return style.scrolling(f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>", caption)
