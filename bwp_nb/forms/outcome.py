"""The outcome of a send as HTML: the call in figures, the receipt or the error, and the response."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from bwp_nb.errors import BwpError
from bwp_nb.forms import style
from bwp_nb.history import Exchange
from bwp_nb.text import counted, readable
from bwp_nb.wire.answer import Receipt

_MOST = 10


def html(outcome: Receipt | BwpError, exchange: Exchange | None) -> str:
    """Return an outcome, and the exchange that led to it if there was one."""
    if isinstance(outcome, BwpError):
        said = _listed([_row(row) for row in outcome.rows()])
    else:
        events, status = counted(outcome.events, "event"), escape(readable(outcome.status))
        said = (
            f"<p>{events} accepted, with the status <code>{status}</code>.</p>{_listed([*map(_text, outcome.notes)])}"
        )
    return f"<h4>Answer</h4>{_figures(exchange)}{said}{_response(exchange)}"


def _figures(call: Exchange | None) -> str:
    if call is None:
        return ""
    status = "no response" if call.status_code is None else f"HTTP {call.status_code}"
    sizes = f"{call.bytes_sent:,} bytes sent, {call.bytes_received:,} received"
    return f"<p>{call.outcome} · {status} · {counted(call.attempts, 'attempt')} · {call.elapsed:.2f} s · {sizes}</p>"


def _response(call: Exchange | None) -> str:
    if call is None or call.answer is None:
        return ""
    return style.code(json.dumps(call.answer, indent=2), "Response", "json")


def _listed(items: Sequence[str]) -> str:
    more = [f"and {len(items) - _MOST} more"] if len(items) > _MOST else []
    return "".join(["<ul>", *(f"<li>{item}</li>" for item in [*items[:_MOST], *more]), "</ul>"]) if items else ""


def _text(text: str) -> str:
    return escape(readable(text))


def _row(row: dict[str, Any]) -> str:
    """Return a row of an error; a form counts its events from 1."""
    place = f"event {row['event'] + 1}, {row['field']} {row['value']}" if row["field"] and row["event"] != "" else ""
    parts = {"Where": escape(place), "Rule": style.sourced(row["rule"]), "What to do": style.sourced(row["advice"])}
    return "<br>".join([escape(row["what"]), *(f"<b>{name}:</b> {text}" for name, text in parts.items() if text)])
