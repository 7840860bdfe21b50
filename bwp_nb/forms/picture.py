"""A form as it is read without widgets: the same parts as HTML tables and text, without controls."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from bwp_nb.client import Client
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.forms.drafts import Draft, place
from bwp_nb.forms.event_list import MARKS
from bwp_nb.problems import Problem
from bwp_nb.text import counted, html_table, readable


@dataclass(frozen=True, repr=False)
class Snapshot:
    """A picture of a form at one moment, as text and as HTML."""

    text: str
    html: str = field(repr=False)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self.html}

    @classmethod
    def of(
        cls,
        text: str,
        client: Client,
        drafts: Sequence[Draft],
        states: Sequence[str],
        problems: Sequence[Problem],
        request: str,
        answer: str,
    ) -> "Snapshot":
        """Return the picture of a form with some events."""
        columns = _columns(drafts)
        pairs = enumerate(zip(drafts, states, strict=True), 1)
        rows = [_row(number, draft, state, columns) for number, (draft, state) in pairs]
        head = ["", *columns.values(), "properties", "state"]
        found = "".join(f"<li>{escape(place(one))}: {escape(readable(one.message))}</li>" for one in problems)
        status = f"<p>{counted(len(drafts), 'event')}, {counted(len(problems), 'problem')}.</p>"
        parts = [title(client), html_table(rows, head), status, f"<ul>{found}</ul>" if found else ""]
        shown = f'<pre class="tex2jax_ignore mathjax_ignore">{escape(request)}</pre>' if request else ""
        return cls(text, "".join([*parts, shown, answer]))


def title(client: Client) -> str:
    """Return what a form says above its events: where they go."""
    if client.sandbox is not None:
        return "<h3>Make events</h3><p>They go to the sandbox: nothing leaves this notebook.</p>"
    where = escape(client.endpoint)
    return f'<h3>Make events</h3><p class="bwp-state bwp-bad"><b>Live.</b> They go to {where} and are real.</p>'


def _columns(drafts: Sequence[Draft]) -> dict[str, str]:
    """Return the fields that some event has, by our names."""
    return {name: api for name, api in TEXT_FIELDS.items() if any(draft.values[name] is not None for draft in drafts)}


def _row(number: int, draft: Draft, state: str, columns: Iterable[str]) -> list[str]:
    values = [readable(draft.values[name] or "", 200) for name in columns]
    properties = ", ".join(f"{readable(item.name, 80)}: {readable(item.value, 200)}" for item in draft.properties)
    return [str(number), *values, properties, f"{MARKS[state]} {state}"]
