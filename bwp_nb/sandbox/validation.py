"""The rules for events, read from the documentation a second time.

They share `schema.graphql` with the rest of the package, and no code, so that the package's own checks can be tested
against them. An issue that is not documented in these words carries a label.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

import graphql

from bwp_nb.contract import schema_text

#: The documented classification of an input that is not valid.
VALIDATION_ERROR = {
    "type": "ValidationError",
    "code": "UnspecifiedError",
    "details": {},
    "errorType": "ValidationException",
    "errorCode": 400,
}

_MAX_TOKENS = 200_000
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", re.ASCII)

_SIZE = "inferred: the wording of a length limit, from the validation library that the API appears to use"
_ZONE = "inferred: a date-time must be in UTC and end in Z; the documentation only shows that `2023` is rejected"


class Issue(NamedTuple):
    """What is wrong with an event, in the API's words as far as known; `label` says what is inferred about it."""

    text: str
    label: str | None = None


@cache
def schema() -> graphql.GraphQLSchema:
    """Return the contract as an executable schema."""
    return graphql.build_schema(schema_text())


@lru_cache(maxsize=8)
def read(query: str) -> tuple[graphql.DocumentNode | None, list[graphql.GraphQLError]]:
    """Parse and validate a query; a client that sends events as variables repeats the same one."""
    try:
        document = graphql.parse(query, max_tokens=_MAX_TOKENS)
    except graphql.GraphQLSyntaxError as error:
        return None, [error]
    except RecursionError:
        return None, [graphql.GraphQLSyntaxError(graphql.Source(""), 0, "The query is nested too deeply")]
    return document, graphql.validate(schema(), document)


def message(issues: list[Issue]) -> str:
    """Return the documented message for some issues."""
    listed = ", ".join(issue.text for issue in issues)
    return f"Input request is not valid, the following issues were encountered: [{listed}]"


def batch_issues(events: list[dict[str, Any]]) -> Iterator[Issue]:
    """Yield what is wrong with the number of events."""
    most = _limit("SendUserEventInput", "events", "maxItems")["max"]
    if len(events) > most:
        yield Issue(f"/sendUserEvents/input/events size must be between 0 and {most}", _SIZE)


def event_issues(index: int, event: dict[str, Any]) -> Iterator[Issue]:
    """Yield what is wrong with one event of a call."""
    for field in ("eventType", "schemaName"):
        limit = _limit("UserEvent", field, "length")
        value = event.get(field)
        if value is not None and not limit["min"] <= _java_length(value) <= limit["max"]:
            path = f"/sendUserEvents/input/events[{index}]/{field}"
            yield Issue(f"{path} size must be between {limit['min']} and {limit['max']}", _SIZE)
    text = event["eventTime"]
    if not _is_instant(text):
        label = _ZONE if _is_date_time(text) else None
        yield Issue(f"eventTime {text} is invalid local ISO 8601 UTC time format.", label)


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


def _is_date_time(text: str) -> bool:
    """Return whether a text is a date and time in some form, so that rejecting it is inferred."""
    try:
        datetime.fromisoformat(text.upper().replace(":60", ":59"))
    except ValueError:
        return False
    return len(text) > len("2023-12-03")
