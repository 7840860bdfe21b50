"""How a server differs from this package's picture of the API: its schema, and its answers to documented examples."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLSchema,
    build_client_schema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    get_introspection_query,
    parse,
)

from bwp_nb.client import Client
from bwp_nb.contract import documented, schema_text
from bwp_nb.errors import BwpError
from bwp_nb.history import compare
from bwp_nb.text import counted, html_table, quoted, readable
from bwp_nb.wire.answer import errors_of

if TYPE_CHECKING:
    import pandas as pd

#: What `schema.graphql` defines for itself; a server need not have it.
_OURS = ("Certainty", "Query", "@provenance", "@length", "@maxItems")

#: How certain a statement is, from the most certain.
_CERTAINTIES = ("documented", "inferred", "unknown")

#: The most rows that are shown; `changes` and `frame()` have all.
_MOST_SHOWN = 100


@dataclass(frozen=True)
class Change:
    """One row of a drift.

    `place` is `schema` or the name of a documented example, `result` one of `same`, `changed` and `not answered`. A
    change `concerns` what is `documented`, what is only `inferred` from the documentation, or what is `unknown`;
    `severity` says whether it is `breaking` for clients or only `dangerous`. `before` and `after` are the values, and
    for a schema the description of the change.
    """

    place: str
    result: str
    concerns: str = ""
    severity: str = ""
    path: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        values = f"{self.before} -> {self.after or 'absent'}" if self.before else self.after
        kind = f" ({self.concerns}, {self.severity})" if self.concerns else ""
        return f"{self.result:12}  {': '.join(filter(None, [self.place + kind, self.path, values]))}"


@dataclass(frozen=True)
class Drift:
    """The result of `drift`.

    Attributes
    ----------
    changes : tuple of Change
        The differences that were found, first those from what is documented, and the parts that are the same or were
        not answered.
    ok : bool
        Whether everything was answered, and nothing has changed.
    """

    changes: list[Change]

    @property
    def ok(self) -> bool:
        """Whether everything was answered, and nothing has changed."""
        return all(change.result == "same" for change in self.changes)

    def frame(self) -> "pd.DataFrame":
        """Return one row for each change, and for each part that is the same or was not answered."""
        import pandas as pd

        return pd.DataFrame([asdict(change) for change in self.changes])

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.changes[:_MOST_SHOWN]), *filter(None, [self._more])])

    def _repr_html_(self) -> str:
        rows = (asdict(change).values() for change in self.changes[:_MOST_SHOWN])
        return html_table(rows, asdict(self.changes[0]), self._more)

    @property
    def _more(self) -> str:
        more = len(self.changes) - _MOST_SHOWN
        return f"and {counted(more, 'more row')}, all in .changes" if more > 0 else ""


def drift(client: Client, *, send_valid: bool = False) -> Drift:
    """Return how a server differs from what is known of the API.

    Its schema is compared with `schema.graphql`, and its responses with those of the documented examples.

    Parameters
    ----------
    client : Client
        A client of the server.
    send_valid : bool, default False
        Whether to send the documented examples that the API accepts as well. Each of them is a real event.

    Returns
    -------
    Drift
        Each difference, and whether it concerns what is documented, inferred or unknown.

    Raises
    ------
    RequestFailed
        If sending was not confirmed.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.drift(bwp.connect()).ok
    True
    """
    examples = [documented.INVALID_EVENT_TIME]
    examples += [documented.PAGE_LOAD, documented.PRE_ORDER_PAGE_LOAD] if send_valid else []
    return Drift([*_schema_changes(client), *(change for item in examples for change in _answer_changes(client, item))])


def _schema_changes(client: Client) -> list[Change]:
    try:
        given = client.execute(get_introspection_query(descriptions=False))
    except BwpError as error:
        return [Change("schema", "not answered", after=str(error))]
    try:
        rows = sorted(
            _schema_rows(build_client_schema(given["data"])), key=lambda row: _CERTAINTIES.index(row.concerns)
        )
    except Exception as error:  # graphql-core raises anything for a malformed schema
        said = "; ".join(str(error.get("message", error)) for error in errors_of(given))
        return [Change("schema", "not answered", after=readable(said) or f"Malformed schema: {type(error).__name__}.")]
    return rows or [Change("schema", "same")]


def _schema_rows(theirs: GraphQLSchema) -> Iterator[Change]:
    """Yield the changes from our schema to theirs; a renamed value of an enum is one change."""
    ours = build_schema(schema_text())
    breaking = [(change, "breaking") for change in find_breaking_changes(ours, theirs)]
    dangerous = [(change, "dangerous") for change in find_dangerous_changes(ours, theirs)]
    found = [
        (change.type.name, change.description, severity)
        for change, severity in breaking + dangerous
        if not any(f"{own} " in f"{change.description} ".replace(".", " ") for own in _OURS)
    ]
    removed = [text for kind, text, _ in found if kind == "VALUE_REMOVED_FROM_ENUM"]
    added = [text for kind, text, _ in found if kind == "VALUE_ADDED_TO_ENUM"]
    renamed = len(removed) == len(added) == 1
    certainties = _certainties()
    for kind, text, severity in found:
        if renamed and kind == "VALUE_ADDED_TO_ENUM":
            continue
        after = f"{readable(text)} {readable(added[0])}" if renamed and kind.startswith("VALUE") else readable(text)
        yield Change("schema", "changed", _concerns(kind, text, certainties), severity, kind, "", after)


def _concerns(kind: str, text: str, certainties: dict[str, list[str]]) -> str:
    """Return how certain the statement is that a change contradicts: about an existence, an addition or a type."""
    for name in re.findall(r"[\w.]+(?:\(\w+:\))?", text):
        for coordinate in (name, name.partition("(")[0], name.partition(".")[0]):
            if found := certainties.get(coordinate.rstrip(".")):
                exists = "REMOVED" in kind or kind == "TYPE_CHANGED_KIND" or "inferred" not in found
                return found[-1] if "ADDED" in kind else found[0] if exists else "inferred"
    return "unknown"


def _certainties() -> dict[str, list[str]]:
    """Return the certainties of each definition in `schema.graphql`, by its coordinate: `UserEvent.eventId`."""
    found: dict[str, list[str]] = {}

    def visit(node: Any, form: str) -> None:
        name = form.format(node.name.value)
        values = [directive.arguments[0].value.value.lower() for directive in getattr(node, "directives", None) or ()]
        found[name] = sorted(set(values) & set(_CERTAINTIES), key=_CERTAINTIES.index)
        for kind, inner in (("fields", f"{name}.{{}}"), ("values", f"{name}.{{}}"), ("arguments", f"{name}({{}}:)")):
            for child in getattr(node, kind, None) or ():
                visit(child, inner)

    for definition in parse(schema_text()).definitions:
        visit(definition, "{}")
    return found


def _answer_changes(client: Client, example: documented.Example) -> list[Change]:
    """Return where the response to an example differs; locations are left out, as the documented one is doubtful."""
    try:
        answer = client.execute(example.request)
    except BwpError as error:
        return [Change(example.name, "not answered", after=str(error))]
    found = [
        Change(example.name, "changed", "documented", "dangerous", item.path, _shown(item.before), _shown(item.after))
        for item in compare(_without_locations(example.response), _without_locations(answer))
    ]
    return found or [Change(example.name, "same")]


def _without_locations(answer: dict[str, Any]) -> dict[str, Any]:
    errors = [{name: value for name, value in error.items() if name != "locations"} for error in errors_of(answer)]
    return {**answer, "errors": errors} if errors else answer


def _shown(value: Any) -> str:
    return "" if value is ... else quoted(value)
