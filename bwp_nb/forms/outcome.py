"""What a send came to, as HTML: the receipt, or the error explained, with the exchange that led to it."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from bwp_nb.errors import BwpError
from bwp_nb.forms import style
from bwp_nb.history import Exchange
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import Receipt

_COLUMNS = ("time", "operation", "events", "attempts", "outcome", "classification", "status_code", "elapsed")
_MOST_ROWS = 10


def html(outcome: Receipt | BwpError | None, exchange: Exchange | None) -> str:
    """Return an outcome with the exchange that led to it, if there was one."""
    said = _explained(outcome) if isinstance(outcome, BwpError) else _received(outcome) if outcome else ""
    return f"<h4>The answer</h4>{said}{_exchange(exchange) if exchange else ''}"


def _received(receipt: Receipt) -> str:
    events, attempts = counted(receipt.events, "event"), counted(receipt.attempts, "attempt")
    status = escape(readable(receipt.status))
    said = f"<p>{events} accepted after {attempts}, with the status <code>{status}</code>.</p>"
    return said + _listed("Notes", receipt.notes)


def _listed(title: str, texts: Sequence[str]) -> str:
    """Return what a server wrote as a list, cut; nothing if it wrote nothing."""
    more = [f"and {len(texts) - _MOST_ROWS} more"] if len(texts) > _MOST_ROWS else []
    items = "".join(f"<li>{escape(readable(text))}</li>" for text in [*texts[:_MOST_ROWS], *more])
    return f"<p><b>{title}:</b></p><ul>{items}</ul>" if items else ""


def _explained(error: BwpError) -> str:
    rows = error.rows()
    more = f"<p>And {len(rows) - _MOST_ROWS} more.</p>" if len(rows) > _MOST_ROWS else ""
    return "".join(map(_row, rows[:_MOST_ROWS])) + more


def _row(row: dict[str, Any]) -> str:
    """Return one thing that went wrong; a form counts its events from 1."""
    place = f"event {row['event'] + 1}, {row['field']} {row['value']}" if row["field"] and row["event"] != "" else ""
    lines = [
        f"<p>{escape(row['what'])}</p>",
        f"<p><b>Where:</b> {escape(place)}</p>" if place else "",
        f"<p><b>Rule:</b> {style.sourced(row['rule'])}</p>" if row["rule"] else "",
        f"<p><b>What to do:</b> {style.sourced(row['advice'])}</p>" if row["advice"] else "",
    ]
    return f'<div class="bwp-explained">{"".join(lines)}</div>'


def _exchange(exchange: Exchange) -> str:
    cells = {name: _cell(getattr(exchange, name)) for name in _COLUMNS}
    lines = (f'<tr><th scope="row">{name}</th><td>{escape(readable(cell))}</td></tr>' for name, cell in cells.items())
    row = f"<details><summary>Its row in the history</summary><table>{''.join(lines)}</table></details>"
    if exchange.answer is None:
        return row
    answer = style.copyable(json.dumps(exchange.answer, indent=2), "The answer as JSON")
    return f"{row}<details><summary>As JSON</summary>{answer}</details>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f} s"
    return "" if value is None else str(value)
