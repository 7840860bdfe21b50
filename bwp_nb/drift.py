"""What has changed between this package's picture of the API and the API: its schema, and its documented answers.

`python -m bwp_nb.drift` prints it for where `connect` points; the exit status is 0 if nothing has changed, else 1.
"""

import html
import sys
from collections import Counter
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
from bwp_nb.text import quoted, readable
from bwp_nb.wire.answer import errors_of

if TYPE_CHECKING:
    import pandas as pd

#: What `schema.graphql` holds for itself, and no server needs to have.
_OUR_OWN = ("Certainty", "Query", "@provenance", "@length", "@maxItems")


@dataclass(frozen=True)
class Change:
    """One row: where (`schema`, or the name of a documented example), the result, how grave, and what it was and is."""

    place: str
    result: str
    severity: str
    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Drift:
    """What was found. The result of a row is `same`, `changed` or `not answered`."""

    changes: list[Change]

    @property
    def ok(self) -> bool:
        """Whether all that answered is as it was, and something did."""
        results = {change.result for change in self.changes}
        return "same" in results and "changed" not in results

    def frame(self) -> "pd.DataFrame":
        """Return one row for each change, and for each thing that is the same or did not answer."""
        import pandas as pd

        return pd.DataFrame([asdict(change) for change in self.changes])

    def __repr__(self) -> str:
        counts = Counter(change.result for change in self.changes)
        return f"Drift({', '.join(f'{count} {result}' for result, count in counts.items())})"

    def _repr_html_(self) -> str:
        cells = (asdict(change).values() for change in self.changes)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in asdict(self.changes[0]))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def drift(client: Client, *, send_valid: bool = False) -> Drift:
    """Return how a server differs from `schema.graphql` and from the documented answers.

    Of the documented examples only the invalid one is sent, which the API refuses; with `send_valid` the valid ones as
    well, and each of those is a real event.
    """
    examples = [documented.INVALID_EVENT_TIME]
    examples += [documented.PAGE_LOAD, documented.PRE_ORDER_PAGE_LOAD] if send_valid else []
    return Drift([*_schema_changes(client), *(change for item in examples for change in _answer_changes(client, item))])


def _schema_changes(client: Client) -> list[Change]:
    try:
        given = client.execute(get_introspection_query(descriptions=False))
        theirs = build_client_schema(given["data"])
    except BwpError as error:
        return [Change("schema", "not answered", "", "", "", str(error))]
    except (TypeError, KeyError):
        said = "; ".join(str(error.get("message", error)) for error in errors_of(given))
        return [Change("schema", "not answered", "", "", "", readable(said) or "no schema came")]
    return list(_schema_rows(theirs)) or [Change("schema", "same", "", "", "", "")]


def _schema_rows(theirs: GraphQLSchema) -> Iterator[Change]:
    """Yield the changes from our schema to theirs; an enum's value that went while another came is one change."""
    ours = build_schema(schema_text())
    breaking = [(change, "breaking") for change in find_breaking_changes(ours, theirs)]
    dangerous = [(change, "dangerous") for change in find_dangerous_changes(ours, theirs)]
    found = [
        (change.type.name, change.description, severity)
        for change, severity in breaking + dangerous
        if not any(f"{own} " in f"{change.description} ".replace(".", " ") for own in _OUR_OWN)
    ]
    gone = [text for kind, text, _ in found if kind == "VALUE_REMOVED_FROM_ENUM"]
    came = [text for kind, text, _ in found if kind == "VALUE_ADDED_TO_ENUM"]
    renamed = len(gone) == len(came) == 1
    for kind, text, severity in found:
        if renamed and kind == "VALUE_ADDED_TO_ENUM":
            continue
        after = f"{readable(text)} {readable(came[0])}" if renamed and kind.startswith("VALUE") else readable(text)
        yield Change("schema", "changed", severity, kind, "", after)


def _answer_changes(client: Client, example: documented.Example) -> list[Change]:
    """Return where an example's answer differs; its location is left out, which is documented wrongly."""
    try:
        answer = client.execute(example.request)
    except BwpError as error:
        return [Change(example.name, "not answered", "", "", "", str(error))]
    found = [
        Change(example.name, "changed", "dangerous", item.path, _shown(item.before), _shown(item.after))
        for item in compare(_located_nowhere(example.response), _located_nowhere(answer))
    ]
    return found or [Change(example.name, "same", "", "", "", "")]


def _located_nowhere(answer: dict[str, Any]) -> dict[str, Any]:
    errors = [{name: value for name, value in error.items() if name != "locations"} for error in errors_of(answer)]
    return {**answer, "errors": errors} if errors else answer


def _shown(value: Any) -> str:
    return "" if value is ... else quoted(value)


if __name__ == "__main__":
    from bwp_nb.connection import connect

    found = drift(connect())
    sys.stdout.write(f"{found.frame().to_string()}\n{found!r}\n")
    sys.exit(not found.ok)
