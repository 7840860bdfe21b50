"""The outcome of a send as HTML: the receipt or the error, the call in figures, and the response."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from bwp_nb.errors import BwpError
from bwp_nb.forms import style
from bwp_nb.history import Exchange
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import Receipt

_MAX_ROWS = 10


def html(outcome: Receipt | BwpError, exchange: Exchange | None) -> str:
    """Return an outcome, and the exchange that led to it if there was one."""
    text = _explained(outcome) if isinstance(outcome, BwpError) else _received(outcome)
    return f"<h4>Answer</h4>{_figures(exchange)}{text}{_answer(exchange)}"


def summary(exchange: Exchange) -> str:
    """Return an exchange as one line: when it was, its outcome, and what was sent."""
    return f"{exchange.time[11:19]} {exchange.outcome}, {counted(exchange.events, 'event')}"


def _figures(exchange: Exchange | None) -> str:
    if exchange is None:
        return ""
    status = "no response" if exchange.status_code is None else f"HTTP {exchange.status_code}"
    sizes = f"{exchange.bytes_sent:,} bytes sent, {exchange.bytes_received:,} received"
    attempts = counted(exchange.attempts, "attempt")
    return f"<p>{escape(exchange.outcome)} · {status} · {attempts} · {exchange.elapsed:.2f} s · {sizes}</p>"


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


def _answer(exchange: Exchange | None) -> str:
    if exchange is None or exchange.answer is None:
        return ""
    return style.code(json.dumps(exchange.answer, indent=2), "Response", "json")
