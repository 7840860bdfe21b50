"""The outcome of a send as HTML: the receipt or the error, and the exchange that led to it."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from bwp_nb.displays.html import html_table
from bwp_nb.errors import BwpError
from bwp_nb.forms import style
from bwp_nb.history import Exchange
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import Receipt

_COLUMNS = ("time", "operation", "events", "attempts", "outcome", "classification", "status_code", "elapsed")
_MAX_ROWS = 10


def html(outcome: Receipt | BwpError, exchange: Exchange | None) -> str:
    """Return an outcome, and the exchange that led to it if there was one."""
    text = _explained(outcome) if isinstance(outcome, BwpError) else _received(outcome)
    return f"<h4>The outcome</h4>{text}{_exchange(exchange) if exchange else ''}"


def _received(receipt: Receipt) -> str:
    events, attempts = counted(receipt.events, "event"), counted(receipt.attempts, "attempt")
    status = escape(readable(receipt.status))
    text = f"<p>{events} accepted after {attempts}, with the status <code>{status}</code>.</p>"
    return text + _listed("Notes", receipt.notes)


def _listed(title: str, texts: Sequence[str]) -> str:
    """Return the first few texts as a list with a title, or nothing for no texts."""
    more = [f"and {len(texts) - _MAX_ROWS} more"] if len(texts) > _MAX_ROWS else []
    items = "".join(f"<li>{escape(readable(text))}</li>" for text in [*texts[:_MAX_ROWS], *more])
    return f"<p><b>{title}:</b></p><ul>{items}</ul>" if items else ""


def _explained(error: BwpError) -> str:
    rows = error.rows()
    more = f"<p>And {len(rows) - _MAX_ROWS} more.</p>" if len(rows) > _MAX_ROWS else ""
    return "".join(map(_row, rows[:_MAX_ROWS])) + more


def _row(row: dict[str, Any]) -> str:
    """Return a row of an error; a form counts its events from 1."""
    place = f"event {row['event'] + 1}, {row['field']} {row['value']}" if row["field"] and row["event"] != "" else ""
    labelled = {
        "Where": escape(place),
        "Rule": style.sourced(row["rule"]),
        "What to do": style.sourced(row["advice"]),
    }
    lines = "".join(f"<p><b>{label}:</b> {text}</p>" for label, text in labelled.items() if text)
    return f'<div class="bwp-explained"><p>{escape(row["what"])}</p>{lines}</div>'


def _exchange(exchange: Exchange) -> str:
    table = html_table((name, readable(_cell(getattr(exchange, name)))) for name in _COLUMNS)
    details = f"<details><summary>In the history</summary>{table}</details>"
    if exchange.answer is None:
        return details
    answer = style.copyable(json.dumps(exchange.answer, indent=2), "The response as JSON")
    return f"{details}<details><summary>As JSON</summary>{answer}</details>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f} s"
    return "" if value is None else str(value)
