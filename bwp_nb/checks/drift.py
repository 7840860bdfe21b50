"""How a server differs from this package's picture of the API: its schema, and its answers to documented examples."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import graphql

from bwp_nb.checks.doctor import Missing, respond
from bwp_nb.checks.findings import Findings
from bwp_nb.client import Client
from bwp_nb.contract import documented, schema_text
from bwp_nb.contract.classifications import message_of
from bwp_nb.displays.html import Shown
from bwp_nb.displays.short_errors import extra
from bwp_nb.history import compare
from bwp_nb.text import quoted, readable
from bwp_nb.wire.answer import errors_of

with extra("drift"):
    from graphql import find_schema_changes

#: Changes that are not reported: of what `schema.graphql` defines for itself, further types, mutations and directives,
#: and descriptions, for which the server is not asked.
_IGNORED = re.compile(
    r"(\bCertainty|\bQuery|@provenance|@length|@maxItems)\b|^(TYPE_ADDED|DIRECTIVE_ADDED|DESCRIPTION_CHANGED) "
    r"|^FIELD_ADDED Field Mutation\."
)

#: How certain a statement is, from the most certain.
_CERTAINTIES = ("documented", "inferred", "unknown")


@dataclass(frozen=True)
class Change(Shown):
    """One row of a drift.

    `place` is `schema` or the name of a documented example, `result` one of `same`, `changed`, `not answered` and
    `misconfigured`, which means that the server refused the credentials or the target, or that sending was not
    confirmed. A change `concerns` what is `documented`, what is only `inferred` from the documentation, or what is
    `unknown`; `severity` says whether it is `breaking` for clients, `dangerous` or, as an addition or a deprecation,
    `safe`. `before` and `after` are the values, and for a schema the description of the change.
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


@dataclass(frozen=True, repr=False)
class Drift(Findings):
    """The result of `drift`.

    Attributes
    ----------
    changes : list of Change
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


def drift(client: Client, *, send_valid: bool = False) -> Drift:
    """Return how a server differs from what is known of the API.

    Its schema is compared with `schema.graphql`, and its responses with those of the documented examples.

    Parameters
    ----------
    client : Client
        A client of the server.
    send_valid : bool, default False
        Whether to send the documented examples that the API accepts as well. Each of them is a real event. Otherwise
        only the schema and the refused examples are asked for; the calls are in the client's history.

    Returns
    -------
    Drift
        Each difference, and whether it concerns what is documented, inferred or unknown. Of a server that cannot be
        reached, every part is `not answered`; if sending was not confirmed, `misconfigured`.

    Raises
    ------
    InvalidSettings
        If a proxy that the environment names cannot be used.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.drift(bwp.connect()).ok
    True
    """
    examples = [documented.INVALID_EVENT_TIME]
    examples += [documented.PAGE_LOAD, documented.PRE_ORDER_PAGE_LOAD] if send_valid else []
    parts = {"schema": _schema_changes(client)}
    parts |= {example.name: _answer_changes(client, example) for example in examples}
    return Drift([change for place, changes in parts.items() for change in _part(place, changes)])


def _part(place: str, changes: Iterator[Change]) -> list[Change]:
    """Return the changes of a part, the documented ones first; else one row: it is the same, or was not answered."""
    try:
        found = sorted(changes, key=lambda change: _CERTAINTIES.index(change.concerns))
    except Missing as missing:
        return [Change(place, missing.args[0], after=missing.args[1])]
    return found or [Change(place, "same")]


def _schema_changes(client: Client) -> Iterator[Change]:
    given = respond(client, graphql.get_introspection_query(descriptions=False, input_value_deprecation=True))
    try:
        yield from _schema_rows(graphql.build_client_schema(given["data"]))
    except Exception:  # graphql-core raises anything for a malformed schema
        said = "; ".join(map(message_of, errors_of(given)[:3]))
        raise Missing("not answered", said or "The server's description of its schema is malformed.") from None


def _schema_rows(theirs: graphql.GraphQLSchema) -> Iterator[Change]:
    """Yield the changes from our schema to theirs, and what we know and theirs says is deprecated."""
    ours = graphql.build_schema(schema_text())
    known, shown = _definitions(ours), _definitions(theirs)
    for change in find_schema_changes(ours, theirs):
        kind, text = change.type.name, readable(change.description)
        if not _IGNORED.search(f"{kind} {text}"):
            severity = type(change).__name__.removesuffix("Change").lower()
            yield Change("schema", "changed", _concerns(kind, text, known), severity, kind, after=text)
    for name in known:
        reason = getattr(shown.get(name), "deprecation_reason", None)
        if reason is not None:
            kind, text = "DEPRECATED", f"{name} is deprecated: {readable(reason)}"
            yield Change("schema", "changed", _concerns(kind, text, known), "safe", kind, after=text)


def _definitions(schema: graphql.GraphQLSchema) -> dict[str, Any]:
    """Return all types, their members and the arguments of these, by coordinates such as `UserEvent.eventId`."""
    found: dict[str, Any] = dict(schema.type_map)
    for name, known in schema.type_map.items():
        for member, item in (getattr(known, "fields", None) or getattr(known, "values", {})).items():
            found[f"{name}.{member}"] = item
            found |= {f"{name}.{member}({given}:)": value for given, value in getattr(item, "args", {}).items()}
    return found


def _concerns(kind: str, text: str, known: dict[str, Any]) -> str:
    """Return how certain the statement is that a change contradicts: about an existence, an addition or a type."""
    for name in re.findall(r"\w+(?:\.\w+)?(?:\(\w+:\))?", text):
        for coordinate in (name, name.partition("(")[0], name.partition(".")[0]):
            if found := _certainties(known.get(coordinate)):
                exists = "REMOVED" in kind or kind in ("TYPE_CHANGED_KIND", "DEPRECATED") or "inferred" not in found
                return found[-1] if "ADDED" in kind else found[0] if exists else "inferred"
    return "unknown"


def _certainties(definition: Any) -> list[str]:
    """Return the certainties of a definition in `schema.graphql`, the most certain first."""
    node = getattr(definition, "ast_node", None)
    values = [directive.arguments[0].value.value.lower() for directive in node.directives] if node else []
    return [certainty for certainty in _CERTAINTIES if certainty in values]


def _answer_changes(client: Client, example: documented.Example) -> Iterator[Change]:
    """Yield where the response to an example differs; locations are left out, as the documented one is doubtful."""
    answer = respond(client, example.request)
    for item in compare(example.response, answer):
        if "].locations" not in item.path:
            values = ["" if value is ... else quoted(value) for value in (item.before, item.after)]
            yield Change(example.name, "changed", "documented", "dangerous", item.path, *values)
