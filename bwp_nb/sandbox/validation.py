"""The rules for events, read from the documentation a second time.

They share `schema.graphql` with the rest of the package, and no code, so that the package's own checks can be tested
against them. An issue that is not documented in these words carries a label.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

import graphql

from bwp_nb.contract import schema_text
from bwp_nb.sandbox.responses import classification, labelled

# The documented classification of an input that is not valid.
_VALIDATION_ERROR = classification("ValidationError", 400, code="UnspecifiedError", details={})

#: The longest query that is accepted, counted in tokens: the limit is ours.
MAX_TOKENS = 50_000

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d)(\.\d{1,9})?Z", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-?\d\d-?\d\d[Tt ]\d\d", re.ASCII)  # in some form, so that rejecting it is inferred


#: The events of a call, as they arrived.
Events = list[dict[str, Any]]


class Issue(NamedTuple):
    """What is wrong with an event, in the API's words as far as known; `label` names what is inferred about it.

    If `is_whole`, the text is the whole message.
    """

    text: str
    label: str | None = None
    is_whole: bool = False


@cache
def schema() -> graphql.GraphQLSchema:
    """Return the contract as an executable schema."""
    return graphql.build_schema(schema_text())


@lru_cache(maxsize=8)
def read(query: str) -> tuple[graphql.DocumentNode | None, list[graphql.GraphQLError]]:
    """Parse and validate a query; a client that sends events as variables repeats the same one."""
    try:
        document = graphql.parse(query, max_tokens=MAX_TOKENS)
        return document, graphql.validate(schema(), document)
    except graphql.GraphQLSyntaxError as error:
        return None, [error]
    except RecursionError:
        return None, [graphql.GraphQLSyntaxError(graphql.Source(""), 0, "The query is nested too deeply")]


def verdict(
    events: Events, issues: list[list[Issue]], refuses: str, reports: str
) -> tuple[Events, Events, graphql.GraphQLError | None]:
    """Return which events of a call are accepted and which are not, and the error in that case.

    `issues` are those of each event; `refuses` and `reports` are the reading of the documentation.
    """
    most = _limit("SendUserEventInput", "events", "maxItems")["max"]
    size = Issue(f"/sendUserEvents/input/events size must be between 0 and {most}", "too_many")
    too_many = [size] if len(events) > most else []
    found = too_many + [issue for event_issues in issues for issue in event_issues]
    if not found:
        return events, [], None
    refuses_all = refuses == "call" or bool(too_many)
    accepted = [event for event, bad in zip(events, issues, strict=True) if not (bad or refuses_all)]
    rejected = [event for event, bad in zip(events, issues, strict=True) if bad or refuses_all]
    reported = [issue for issue in found if issue.is_whole][:1] or (found[:1] if reports == "first" else found)
    labels = {issue.label for issue in reported if issue.label}
    if len(found) > 1 and not reported[0].is_whole:
        labels.add(reports)
    if len(events) > 1 and not too_many:
        labels |= {"call"} if refuses == "call" else {"event", "others"} if accepted else {"event"}
    return accepted, rejected, _error(reported, labels)


def _error(issues: list[Issue], labels: set[str]) -> graphql.GraphQLError:
    listed = ", ".join(issue.text for issue in issues)
    message = f"Input request is not valid, the following issues were encountered: [{listed}]"
    extensions = {"classification": _VALIDATION_ERROR, **labelled(*labels)}
    return graphql.GraphQLError(issues[0].text if issues[0].is_whole else message, extensions=extensions)


def event_issues(index: int, event: dict[str, Any], refused: Mapping[str, bool]) -> Iterator[Issue]:
    """Yield what is wrong with one event of a call: broken rules, then `refused` values, which are quoted if true."""
    for field in ("eventType", "schemaName"):
        limit = _limit("UserEvent", field, "length")
        value = event.get(field)
        if value is not None and not limit["min"] <= _java_length(value) <= limit["max"]:
            path = f"/sendUserEvents/input/events[{index}]/{field}"
            yield Issue(f"{path} size must be between {limit['min']} and {limit['max']}", "size")
    text = event["eventTime"]
    if not _is_instant(text):
        label = "zone" if _DATE_TIME.match(text) and not _INSTANT.fullmatch(text) else None
        yield Issue(f"eventTime {text} is invalid local ISO 8601 UTC time format.", label)
    for name, value in _values(event) if refused else ():
        if value in refused:
            yield Issue(f"{name} {value} is invalid" if refused[value] else "an event is invalid", "refused_value")


def contains(event: dict[str, Any], value: str | None) -> bool:
    """Return whether a value is in any field or property of an event; None is in every event."""
    return value is None or any(value == found for _, found in _values(event))


def _values(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields and the properties of an event that are strings."""
    yield from ((name, value) for name, value in event.items() if isinstance(value, str))
    for pair in (event.get("additionalProperties") or {}).get("additionalProperties") or ():
        yield f"additionalProperties.{pair['property']}", pair["value"]


@cache
def _limit(type_name: str, field: str, directive_name: str) -> dict[str, int]:
    """Return the arguments of a limiting directive of the schema."""
    node = cast(graphql.GraphQLInputObjectType, schema().type_map[type_name]).fields[field].ast_node
    directive = cast(graphql.GraphQLDirective, schema().get_directive(directive_name))
    return graphql.get_directive_values(directive, cast(graphql.InputValueDefinitionNode, node)) or {}


def _java_length(text: str) -> int:
    """Count UTF-16 code units, as Java does."""
    return len(text) + sum(character > "\uffff" for character in text)


def _is_instant(text: str) -> bool:
    """Return whether a text is a UTC date-time such as `2023-12-03T10:15:30Z`, with or without fractions."""
    match = _INSTANT.fullmatch(text)
    try:
        return match is not None and datetime.fromisoformat(match[1]).isoformat() == match[1]
    except ValueError:
        return False
