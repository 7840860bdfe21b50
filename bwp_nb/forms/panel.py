"""A panel that shows what a sandbox accepted and rejected, and orders faults from it."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import ipywidgets as widgets

from bwp_nb.forms import style
from bwp_nb.forms.page import Page, head, set_visible
from bwp_nb.sandbox.faults import faults
from bwp_nb.text import counted, html_table, quoted, readable

if TYPE_CHECKING:
    from bwp_nb.sandbox.api import Sandbox

_SHOWN = 10
_COLUMNS = ("eventType", "eventTime", "eventId", "properties")
_NUMBERS = ("seconds", "mebibytes")
_TITLE = (
    "<h3>The sandbox</h3><p>Order a fault for the next requests, then send. The client retries after a temporary "
    "fault; order several to see it stop.</p>"
)
_panels: WeakSet["SandboxPanel"] = WeakSet()


class SandboxPanel:
    """A panel that shows the events in a sandbox, orders faults from it, and resets it.

    `fault`, `times` and the texts in `options` select what to order; an empty option has its default. `order`, `reset`
    and `refresh` are buttons. The panel is refreshed after a form's send; after a send from a cell, press `refresh`.
    """

    def __init__(self, sandbox: "Sandbox", page: Page | None = None) -> None:
        self.sandbox = sandbox
        own = Page() if page is None else None
        page = self._page = page or own
        given = [(f"{fault.name}: {fault.summary}", fault.name) for fault in faults()]
        self._options = {fault.name: fault.options for fault in faults()}
        self.fault = page.make(widgets.Dropdown, options=given, description="Fault", changed=self._choose)
        most = max(map(len, self._options.values()))
        self.options = [
            page.make(widgets.Text, description=f"option {n}", placeholder="default") for n in range(1, most + 1)
        ]
        self.times = page.make(widgets.BoundedIntText, 1, min=1, max=50, description="times")
        self.order = page.button("Order it", self._order)
        self.reset = page.button("Reset the sandbox", self._reset)
        self.refresh = page.button("Refresh", self.show)
        self._status = page.make(widgets.HTML, classes=("bwp-note",))
        self._arrived = page.make(widgets.HTML, classes=("bwp-note",))
        title = page.make(widgets.HTML, _TITLE, classes=("bwp-note",))
        ordering = [self.fault, *self.options, self.times, self.order, self.refresh, self.reset]
        parts = [title, *ordering, self._status, self._arrived]
        self.view = page.make(widgets.HBox, parts, classes=("bwp-panel",))
        if own is not None:
            self.view = own.make(widgets.VBox, [head(), *own.views, self.view], classes=("bwp",))
        self._choose()
        self.show()
        _panels.add(self)

    def __repr__(self) -> str:
        """Return the panel as text, for a notebook that is read without widgets."""
        return f"SandboxPanel({self.sandbox!r})"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.view._repr_mimebundle_(**options)
        return {**bundle, "text/plain": repr(self), "text/html": f"<h3>The sandbox</h3>{self._arrived.value}"}

    def show(self) -> None:
        """Show the current state of the sandbox."""
        self._arrived.value = _arrived(self.sandbox)
        self._status.value = _pending(self.sandbox.pending_faults)

    def _choose(self) -> None:
        """Show the options of the chosen fault."""
        names = self._options[self.fault.value]
        for place, option in enumerate(self.options):
            option.value, option.description = "", names[place] if place < len(names) else f"option {place + 1}"
            set_visible(option, visible=place < len(names))

    def _order(self) -> None:
        given = {option.description: option.value for option in self.options if option.value}
        wrong = [name for name in given if name in _NUMBERS and not given[name].replace(".", "", 1).isdigit()]
        if wrong:
            text = f"Not ordered: {wrong[0]}: expected a number, got {quoted(given[wrong[0]])}."
            self._status.value = style.status(text, "bad")
            return
        numbers = {name: float(text) if "." in text else int(text) for name, text in given.items() if name in _NUMBERS}
        self.sandbox.fail_next(self.fault.value, times=self.times.value, **given | numbers)
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


def _arrived(sandbox: "Sandbox") -> str:
    """Return what arrived: the numbers, and the latest events of each kind."""
    counts, accepted = sandbox.counts, sandbox.accepted
    dropped = f"{counted(counts['duplicates'], 'duplicate')} dropped, " if counts["duplicates"] else ""
    requests = f"{dropped}{counted(counts['requests'], 'request')}"
    text = style.status(f"{counts['accepted']} accepted, {counts['rejected']} rejected, {requests}.")
    times = Counter(event["eventId"] for event in accepted)
    kept = [(event, "duplicate id" if times[event["eventId"]] > 1 else "") for event in accepted[-_SHOWN:]]
    tables = {
        "Accepted": (kept, "note" if any(note for _, note in kept) else ""),
        "Duplicates, dropped": ([(event, "") for event in sandbox.duplicates[-_SHOWN:]], ""),
        "Rejected": ([(item["event"], str(item["reason"])) for item in sandbox.rejected[-_SHOWN:]], "reason"),
    }
    return text + "".join(_table(title, found, last) for title, (found, last) in tables.items() if found)


def _table(title: str, found: Iterable[tuple[dict[str, Any], str]], last: str) -> str:
    rows = [[readable(cell, 200) for cell in [*_cells(event), *([note] if last else [])]] for event, note in found]
    return html_table(rows, [*_COLUMNS, *([last] if last else [])], f"{title}, the last {_SHOWN} at most")


def _cells(event: dict[str, Any]) -> list[str]:
    pairs = (event.get("additionalProperties") or {}).get("additionalProperties") or []
    properties = ", ".join(f"{pair['property']}: {pair['value']}" for pair in pairs)
    return [*(str(event.get(name, "")) for name in _COLUMNS[:-1]), properties]
