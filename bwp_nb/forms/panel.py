"""A panel that shows what a sandbox accepted and rejected, and orders faults from it."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import ipywidgets as widgets

from bwp_nb.displays.html import html_table
from bwp_nb.forms import page, style
from bwp_nb.forms.boundary import ErrorBoundary
from bwp_nb.forms.controls import NARROW
from bwp_nb.sandbox.faults import faults
from bwp_nb.text import counted, readable

if TYPE_CHECKING:
    from bwp_nb.sandbox.api import Sandbox

_SHOWN = 10
_COLUMNS = ("eventType", "eventId", "eventTime", "clientType", "clientVersion", "additionalProperties")
_TITLE = (
    "<h3>The sandbox</h3><p>Order a fault for the next requests, then send. The client retries after a temporary "
    "fault; order several to see it stop.</p>"
)
_panels: WeakSet["SandboxPanel"] = WeakSet()


class SandboxPanel:
    """A panel that shows the events in a sandbox, orders faults from it, and resets it.

    `fault` and `times` select what to order; `order`, `reset` and `refresh` are its buttons. It is refreshed after a
    form's send; after a send from a cell, press `refresh`.
    """

    def __init__(self, sandbox: "Sandbox") -> None:
        self.sandbox = sandbox
        self.errors = ErrorBoundary()
        guard = self.errors.guard
        options = [(f"{fault.name}: {fault.summary}", fault.name) for fault in faults()]
        self.fault = page.make(
            widgets.Dropdown, options=options, description="Fault", style=NARROW, classes=("bwp-grow",)
        )
        self.times = page.make(
            widgets.BoundedIntText, 1, min=1, max=50, description="times", style=NARROW, layout={"width": "7em"}
        )
        self.order = page.button("Order it", guard(self._order))
        self.reset = page.button("Reset the sandbox", guard(self._reset))
        self.refresh = page.button("Refresh", guard(self.show))
        self._status, self._arrived = page.make(widgets.HTML), page.make(widgets.HTML)
        ordering = page.make(widgets.HBox, [self.fault, self.times, self.order], classes=("bwp-row",))
        buttons = page.make(widgets.HBox, [self.refresh, self.reset], classes=("bwp-row",))
        head = [widgets.HTML(style.STYLE), widgets.HTML(_TITLE), self.errors.view]
        parts = [*head, ordering, self._status, self._arrived, buttons]
        self.view = page.make(widgets.VBox, parts, classes=("bwp",))
        self.show()
        _panels.add(self)

    def __repr__(self) -> str:
        """Return the panel as text, for a notebook that is read without widgets."""
        return f"SandboxPanel({self.sandbox!r})"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**options)
        return {**bundle, "text/plain": repr(self)}

    def show(self) -> None:
        """Show the current state of the sandbox."""
        accepted, rejected, counts = self.sandbox.accepted, self.sandbox.rejected, self.sandbox.counts
        duplicates = f"{counted(counts['duplicates'], 'duplicate')} dropped, " if counts["duplicates"] else ""
        requests = f"{duplicates}{counted(counts['requests'], 'request')}"
        parts = [style.status(f"{counts['accepted']} accepted, {counts['rejected']} rejected, {requests}.")]
        if accepted:
            parts.append(_table("Accepted", _COLUMNS, map(_cells, accepted[-_SHOWN:])))
        if rejected:
            rows = ([str(item["reason"]), *_cells(item["event"])] for item in rejected[-_SHOWN:])
            parts.append(_table("Rejected", ("reason", *_COLUMNS), rows))
        self._arrived.value = "".join(parts)
        self._status.value = _pending(self.sandbox.pending_faults)

    def _order(self) -> None:
        self.sandbox.fail_next(self.fault.value, times=self.times.value)
        self.show()

    def _reset(self) -> None:
        self.sandbox.reset()
        self.show()
        self._status.value = style.status("The sandbox was reset.")


def refresh(sandbox: "Sandbox") -> None:
    """Refresh every panel of a sandbox."""
    for panel in list(_panels):
        if panel.sandbox is sandbox:
            panel.show()


def _pending(names: list[str]) -> str:
    """Return a line on the ordered faults, if there are any."""
    runs = [(name, len(list(same))) for name, same in groupby(names)]
    if not runs:
        return ""
    responses = "response" if len(names) == 1 else f"{len(names)} responses"
    text = ", ".join(name if count == 1 or len(runs) == 1 else f"{count} times {name}" for name, count in runs)
    return style.status(f"Ordered for the next {responses}: {text}.", "warn")


def _cells(event: dict[str, Any]) -> list[str]:
    pairs = (event.get("additionalProperties") or {}).get("additionalProperties") or []
    properties = ", ".join(f"{pair['property']}: {pair['value']}" for pair in pairs)
    return [*(str(event.get(name, "")) for name in _COLUMNS[:-1]), properties]


def _table(title: str, columns: Iterable[str], rows: Iterable[list[str]]) -> str:
    caption = f"{title}, the last {_SHOWN} at most"
    return style.scrolling(
        html_table(([readable(cell, 200) for cell in row] for row in rows), columns, caption), caption
    )
