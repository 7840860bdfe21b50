"""What is known of the API, and what this package makes of it, as tables in which each row has its source."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import DirectiveNode, NonNullTypeNode, parse, print_ast, value_from_ast_untyped

from bwp_nb.contract import schema_text
from bwp_nb.displays.frames import frame
from bwp_nb.displays.html import card, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.displays.sources import facts
from bwp_nb.sandbox.faults import faults
from bwp_nb.settings import SETTINGS

if TYPE_CHECKING:
    import pandas as pd

#: Types of `schema.graphql` that the API does not have, or that this package does not use.
_OURS = ("Certainty", "Query")

#: What a setting has beside the texts for people.
_FOR_PROGRAMS = ("pattern", "is_secret")


@dataclass(frozen=True)
class Reference:
    """One table of the reference.

    In Jupyter it is shown as a table whose page titles link to the documentation; `str()` is the same as text, and
    `frame()` a DataFrame.

    Attributes
    ----------
    topic : str
        What it is about.
    head : tuple of str
        The names of its columns.
    rows : tuple of tuples of str
        The texts of its rows.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> [row[0] for row in bwp.reference("states").rows]
    ['invalid', 'sent', 'rejected', 'failed', 'unknown']
    """

    topic: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def frame(self) -> "pd.DataFrame":
        """Return the table as a DataFrame of texts."""
        return frame(self.rows, self.head)

    def __repr__(self) -> str:
        return f"<reference({self.topic!r}): {len(self.rows)} rows of {', '.join(self.head)}>"

    def __str__(self) -> str:
        rows = [[f"{name}: {cell}" for name, cell in zip(self.head, row, strict=True) if cell] for row in self.rows]
        filled = [[textwrap.fill(cell, 100, subsequent_indent="    ") for cell in row] for row in rows]
        return "\n\n".join(map("\n".join, filled))

    def _repr_html_(self) -> str:
        return re.sub("`([^`<]+)`", r"<code>\1</code>", card(html_table(self.rows, self.head)))


def reference(topic: str = "topics") -> Reference:
    """Return one table of what is known: of the API, and of what this package does with it.

    Parameters
    ----------
    topic : str, default "topics"
        `fields`, `event types`, `properties`, `limits`, `unknown`, `classifications`, `states`, `outcomes`, `faults` or
        `settings`. The default lists them.

    Returns
    -------
    Reference
        The rows; each fact of the API says whether it is documented (with the page's title), inferred or unknown.

    Raises
    ------
    ValueError
        For another topic.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.reference("event types").frame()["name"].to_list()
    ['page-load', 'click', 'widget-viewed', 'bwp-widget-promise-loaded']
    """
    topics = facts()["topics"]
    if topic == "topics":
        return Reference(topic, ("topic", "content"), tuple(topics.items()))
    if topic not in topics:
        raise InvalidArgument(f"unknown topic {topic!r}; expected one of {', '.join(topics)}")
    made = {"fields": _fields(), "faults": map(vars, faults()), "settings": map(vars, SETTINGS)}
    rows = list(made[topic] if topic in made else facts()[topic.replace(" ", "_")])
    head = [name for name in rows[0] if name not in _FOR_PROGRAMS]
    cells = (tuple(_cell(row[name]) for name in head) for row in rows)
    return Reference(topic, tuple(name.replace("_", " ") for name in head), tuple(cells))


def _fields() -> Iterator[dict[str, str]]:
    """Yield a row for each field and enum value of `schema.graphql`."""
    for definition in parse(schema_text()).definitions:
        name: Any = getattr(definition, "name", None)
        for item in getattr(definition, "fields", None) or getattr(definition, "values", None) or ():
            if name.value not in _OURS:
                yield _field(name.value, item)


def _field(owner: str, item: Any) -> dict[str, str]:
    """Return the row of one field or enum value."""
    kind = getattr(item, "type", None)
    said = [(node.name.value, _arguments(node)) for node in item.directives]
    limits = [f"{given['min']} to {given['max']} characters" for name, given in said if name == "length"]
    limits += [f"at most {given['max']} items" for name, given in said if name == "maxItems"]
    sources = [f"{given['certainty'].lower()}: {given['source']}" for name, given in said if name == "provenance"]
    return {
        "field": f"{owner}.{item.name.value}",
        "GraphQL type": print_ast(kind) if kind else "enum value",
        "rule": ", ".join(["required"] * isinstance(kind, NonNullTypeNode) + limits),
        "meaning": " ".join(item.description.value.split()),
        "certainty and source": "; ".join(sources),
    }


def _arguments(directive: DirectiveNode) -> dict[str, Any]:
    return {argument.name.value: value_from_ast_untyped(argument.value) for argument in directive.arguments or ()}


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "required" if value is None else str(value)
