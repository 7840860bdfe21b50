"""A panel that shows what a sandbox accepted and rejected, and orders faults from it."""

from collections import Counter
from typing import Any
from weakref import WeakSet

import ipywidgets as widgets

from bwp_nb.displays.html import html_table
from bwp_nb.forms.page import Page, set_visible, status
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.sandbox.faults import faults
from bwp_nb.text import counted, readable

_SHOWN = 10
_FIELDS = ("eventType", "eventTime", "eventId")
_NUMBERS: dict[str, Any] = {"seconds": float, "mebibytes": int}
_TITLE = "<h3>The sandbox</h3><p>Order a fault, then send. The client retries; order several to see it stop.</p>"
_panels: WeakSet["SandboxPanel"] = WeakSet()


class SandboxPanel:
    """A panel that shows the events in a sandbox, orders faults from it, and resets it.

    `fault`, `times` and the texts in `options` select what to order; an empty option has its default. `order`, `reset`
    and `refresh` are buttons. The panel is refreshed after a form's send; after a send from a cell, press `refresh`.

    Parameters
    ----------
    sandbox : Sandbox
        The sandbox.
    page : Page, optional
        The form's page of which the panel is a part. Default: a page of its own.
    """

    def __init__(self, sandbox: Sandbox, page: Page | None = None) -> None:
        self.sandbox = sandbox
        own = page or Page()
        self._takes = {fault.name: fault.options for fault in faults()}
        given = [(f"{fault.name}: {fault.summary}", fault.name) for fault in faults()]
        self.fault = own.make(widgets.Dropdown, options=given, description="Fault", changed=self._choose)
        names = dict.fromkeys(name for options in self._takes.values() for name in options)
        self.options = [own.make(widgets.Text, description=name, placeholder="default") for name in names]
        self.times = own.make(widgets.BoundedIntText, 1, min=1, max=50, description="times")
        self.order = own.button("Order it", self._order)
        self.reset, self.refresh = own.button("Reset the sandbox", self._reset), own.button("Refresh", self.show)
        self._status, self._arrived = own.html(), own.html()
        parts = [self.fault, *self.options, self.times, self.order, self.refresh, self.reset, self._status]
        self.view = own.box([own.html(_TITLE), *parts, self._arrived], "bwp-panel")
        if page is None:
            self.view = own.make(widgets.VBox, [*own.head, self.view], css="bwp")
        self._choose()
        self.show()
        _panels.add(self)

    def __repr__(self) -> str:
        """Return the panel as text, for a notebook that is read without widgets."""
        return f"SandboxPanel({self.sandbox!r})"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        static = {"text/plain": repr(self), "text/html": f"<h3>The sandbox</h3>{self._arrived.value}"}
        return {**self.view._repr_mimebundle_(**options), **static}

    def show(self) -> None:
        """Show the current state of the sandbox."""
        names = Counter(self.sandbox.pending_faults).items()
        pending = ", ".join(name if count == 1 else f"{count} times {name}" for name, count in names)
        self._status.value = status(f"Ordered for the next requests: {pending}.", "warn") if names else ""
        self._arrived.value = _arrived(self.sandbox)

    def _choose(self) -> None:
        """Show the options of the chosen fault."""
        for option in self.options:
            option.value = ""
            set_visible(option, visible=option.description in self._takes[self.fault.value])

    def _order(self) -> None:
        try:
            given = {it.description: _NUMBERS.get(it.description, str)(it.value) for it in self.options if it.value}
            self.sandbox.fail_next(self.fault.value, times=self.times.value, **given)
            self.show()
        except ValueError as error:
            self._status.value = status(f"Not ordered: {readable(str(error))}.", "bad")

    def _reset(self) -> None:
        self.sandbox.reset()
        self.show()


def refresh(sandbox: Sandbox | None) -> None:
    """Refresh every panel of a sandbox, if there is one."""
    for panel in [panel for panel in _panels if panel.sandbox is sandbox]:
        panel.show()


def _arrived(sandbox: Sandbox) -> str:
    """Return what arrived: the numbers, and the latest events of each kind, with a mark at those with the same id."""
    counts, accepted = sandbox.counts, sandbox.accepted
    said = f"{counts['accepted']} accepted, {counts['rejected']} rejected, {counted(counts['requests'], 'request')}"
    dropped = f", {counted(counts['duplicates'], 'duplicate')} dropped" if counts["duplicates"] else ""
    ids = Counter(event["eventId"] for event in accepted)
    rows = [
        *(_row("accepted", event, "same id as another" * (ids[event["eventId"]] > 1)) for event in accepted[-_SHOWN:]),
        *(_row("dropped", event, "known id") for event in sandbox.duplicates[-_SHOWN:]),
        *(_row("rejected", item["event"], item["reason"]) for item in sandbox.rejected[-_SHOWN:]),
    ]
    table = html_table(rows, ["", *_FIELDS, "properties", "note"], f"The last {_SHOWN} of each kind") if rows else ""
    return status(f"{said}{dropped}.") + table


def _row(state: str, event: dict[str, Any], note: str) -> list[object]:
    pairs = (event.get("additionalProperties") or {}).get("additionalProperties") or []
    return [state, *map(event.get, _FIELDS), [f"{pair['property']}: {pair['value']}" for pair in pairs], note]
