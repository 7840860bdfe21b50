"""How a server differs from this package's picture of the API: its schema, and its answers to documented examples."""

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
)

from bwp_nb.client import Client
from bwp_nb.contract import documented, schema_text
from bwp_nb.errors import BwpError
from bwp_nb.history import compare
from bwp_nb.text import html_table, quoted, readable
from bwp_nb.wire.answer import errors_of

if TYPE_CHECKING:
    import pandas as pd

#: What `schema.graphql` defines for itself; a server need not have it.
_OURS = ("Certainty", "Query", "@provenance", "@length", "@maxItems")


@dataclass(frozen=True)
class Change:
    """One row: its place (`schema`, or a documented example's name), result, severity, and values before and after."""

    place: str
    result: str
    severity: str = ""
    path: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        values = f"{self.before} -> {self.after or 'absent'}" if self.before else self.after
        severity = f" ({self.severity})" if self.severity else ""
        return f"{self.result:12}  {': '.join(filter(None, [self.place + severity, self.path, values]))}"


@dataclass(frozen=True)
class Drift:
    """The differences that were found. The result of a row is `same`, `changed` or `not answered`."""

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
        return "\n".join(map(str, self.changes))

    def _repr_html_(self) -> str:
        return html_table((asdict(change).values() for change in self.changes), asdict(self.changes[0]))


def drift(client: Client, *, send_valid: bool = False) -> Drift:
    """Return how a server differs from `schema.graphql` and from the documented responses.

    Only the documented example that the API refuses is sent; with `send_valid=True` the valid ones are sent as well,
    and each of these is a real event.
    """
    examples = [documented.INVALID_EVENT_TIME]
    examples += [documented.PAGE_LOAD, documented.PRE_ORDER_PAGE_LOAD] if send_valid else []
    return Drift([*_schema_changes(client), *(change for item in examples for change in _answer_changes(client, item))])


def _schema_changes(client: Client) -> list[Change]:
    try:
        given = client.execute(get_introspection_query(descriptions=False))
        theirs = build_client_schema(given["data"])
    except BwpError as error:
        return [Change("schema", "not answered", after=str(error))]
    except (TypeError, KeyError):
        said = "; ".join(str(error.get("message", error)) for error in errors_of(given))
        return [Change("schema", "not answered", after=readable(said) or "The response contains no schema.")]
    return list(_schema_rows(theirs)) or [Change("schema", "same")]


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
    for kind, text, severity in found:
        if renamed and kind == "VALUE_ADDED_TO_ENUM":
            continue
        after = f"{readable(text)} {readable(added[0])}" if renamed and kind.startswith("VALUE") else readable(text)
        yield Change("schema", "changed", severity, kind, "", after)


def _answer_changes(client: Client, example: documented.Example) -> list[Change]:
    """Return where the response to an example differs; locations are left out, as the documented one is doubtful."""
    try:
        answer = client.execute(example.request)
    except BwpError as error:
        return [Change(example.name, "not answered", after=str(error))]
    found = [
        Change(example.name, "changed", "dangerous", item.path, _shown(item.before), _shown(item.after))
        for item in compare(_without_locations(example.response), _without_locations(answer))
    ]
    return found or [Change(example.name, "same")]


def _without_locations(answer: dict[str, Any]) -> dict[str, Any]:
    errors = [{name: value for name, value in error.items() if name != "locations"} for error in errors_of(answer)]
    return {**answer, "errors": errors} if errors else answer


def _shown(value: Any) -> str:
    return "" if value is ... else quoted(value)
