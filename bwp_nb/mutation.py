"""One `sendUserEvents` request as a value: its body, its inline text, and back from pasted text."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

from bwp_nb import pasted
from bwp_nb.errors import InvalidEvent, Problem, quoted, readable
from bwp_nb.event import TEXT_FIELDS, UserEvent

if TYPE_CHECKING:
    from graphql import DocumentNode, FieldNode, OperationDefinitionNode

#: The most events of one call (IFACE).
MAX_EVENTS = 50

QUERY = """\
mutation sendEvents($input: SendUserEventInput!) {
    sendUserEvents(input: $input) {
        status
    }
}
"""

_BODY = '{"query":' + json.dumps(QUERY) + ',"variables":{"input":{"events":[%s]}}}'
_NAME = re.compile("[_A-Za-z][_0-9A-Za-z]*")
_NO_ENUM_VALUE = ("true", "false", "null")
_PARSE_RULE = "a sendUserEvents request: GraphQL, a JSON body with query and variables, a cURL line or Python code"
_OUR_NAMES = {api_name: name for name, api_name in TEXT_FIELDS.items()}


@dataclass(frozen=True)
class Mutation:
    """A request for some events, in order. Whether they are valid, and how many, is looked at when it is sent."""

    events: tuple[UserEvent, ...]

    def __init__(self, events: UserEvent | Iterable[UserEvent]) -> None:
        given = (events,) if isinstance(events, UserEvent) else events
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
            raise InvalidEvent([_no_events(given)])
        object.__setattr__(self, "events", tuple(given))
        for index, event in enumerate(self.events):
            if not isinstance(event, UserEvent):
                raise InvalidEvent([_no_event(index, event)])

    @property
    def payload(self) -> dict[str, Any]:
        """The body to post: the document, and the events as its variables."""
        return {"query": QUERY, "variables": {"input": {"events": [event.input for event in self.events]}}}

    @property
    def text(self) -> str:
        """The request in the documentation's style, with the events written into the document."""
        events = ",\n".join(_indented(_event_text(event), 3) for event in self.events)
        return (
            "mutation sendEvents {\n"
            "    sendUserEvents(input : {\n"
            f"        events:[\n{events}\n        ]\n"
            "    }\n"
            "    ) {\n"
            "        status\n"
            "    }\n"
            "}\n"
        )

    @classmethod
    def parse(cls, text: str) -> "Mutation":
        """Return the request that a text holds: GraphQL with or without commas, a JSON body, a cURL line, Python code.

        Of Python it reads a call with `json=`, or each `UserEvent(…)`; nothing is run. Values are taken as they stand,
        however wrong. Raises `InvalidEvent`, saying where, for what is no
        `sendUserEvents` request or names a field that a `UserEvent` does not have.
        """
        if not isinstance(text, str):
            raise _unreadable(text, f"{quoted(text)} is no text")
        try:
            calls, text = pasted.user_events(text), pasted.body(text)
        except pasted.Unreadable as error:
            raise _unreadable(text, str(error)) from None
        if calls:
            return cls([_called(index, keywords) for index, keywords in enumerate(calls)])
        query, variables, operation_name = _body(text)
        document = _document(query)
        operation = _operation(document, operation_name)
        return cls(_events(_input(_send_user_events(operation), operation, variables)))


def body(events: Iterable[str]) -> bytes:
    """Return the body for events that are written as JSON: what `payload` holds, without making it."""
    return (_BODY % ",".join(events)).encode()


def written(event: UserEvent) -> str:
    """Return an event's `input` as JSON, without making it: this is what a send spends its time on."""
    fields = [
        f'"{api_name}":{encode_basestring(value)}'
        for name, api_name in TEXT_FIELDS.items()
        if (value := getattr(event, name)) is not None
    ]
    if event.additional_properties:
        pairs = ",".join(
            f'{{"property":{encode_basestring(name)},"value":{encode_basestring(value)}}}'
            for name, value in event.additional_properties.items()
        )
        fields.append(f'"additionalProperties":{{"additionalProperties":[{pairs}]}}')
    return f"{{{','.join(fields)}}}"


def _event_text(event: UserEvent) -> str:
    from graphql.language.print_string import print_string

    lines = []
    for name, api_name in TEXT_FIELDS.items():
        value = getattr(event, name)
        if value is not None:
            bare = api_name == "clientType" and _NAME.fullmatch(value) and value not in _NO_ENUM_VALUE
            lines.append(f"{api_name}: {value if bare else print_string(value)}")
    if event.additional_properties:
        pairs = ",\n".join(
            f"{{\n    property: {print_string(name)},\n    value: {print_string(value)}\n}}"
            for name, value in event.additional_properties.items()
        )
        lines.append(f"additionalProperties: {{\n    additionalProperties: [\n{_indented(pairs, 2)}\n    ]\n}}")
    return "{\n" + _indented(",\n".join(lines), 1) + "\n}"


def _indented(text: str, levels: int) -> str:
    return "\n".join("    " * levels + line for line in text.split("\n"))


def _body(text: str) -> tuple[str, dict[str, Any], str | None]:
    """Return the query, the variables and the operation's name of a JSON body, or of a bare GraphQL text."""
    try:
        body = json.loads(text)
    except ValueError:
        return text, {}, None
    except RecursionError:
        raise _unreadable(text, "it is nested too deeply") from None
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise _unreadable(text, "it is JSON, but no object with a query")
    variables = body.get("variables") or {}
    if not isinstance(variables, dict):
        raise _unreadable(text, f"its variables are {quoted(variables)}, no object")
    return body["query"], variables, body.get("operationName")


def _document(query: str) -> "DocumentNode":
    from graphql import GraphQLSchema, GraphQLSyntaxError, UniqueInputFieldNamesRule, parse, validate

    try:
        document = parse(query, max_tokens=100_000)
        for error in validate(GraphQLSchema(assume_valid=True), document, [UniqueInputFieldNamesRule]):
            raise _unreadable(query, readable(error.message, 120))
        return document
    except GraphQLSyntaxError as error:
        line, column = error.locations[0] if error.locations else (1, 1)
        if re.split(r"\r\n|\n|\r", query)[line - 1].lstrip().startswith("//"):
            advice = "GraphQL comments begin with #. The guides print such a line above their examples: delete it"
            raise _unreadable(query, f"line {line} begins with //, which is no GraphQL. {advice}") from None
        said = readable(error.message.removeprefix("Syntax Error: ").rstrip("."))
        raise _unreadable(query, f"it is no GraphQL at line {line}, column {column}: {said}") from None
    except RecursionError:
        raise _unreadable(query, "it is nested too deeply") from None


def _operation(document: "DocumentNode", name: str | None) -> "OperationDefinitionNode":
    from graphql import get_operation_ast

    operation = get_operation_ast(document, name)
    if operation is None:
        raise _unreadable(None, "it holds none or several operations, and no operationName that picks one")
    if operation.operation.value != "mutation":
        raise _unreadable(None, f"it is a {operation.operation.value}, not a mutation")
    return operation


def _send_user_events(operation: "OperationDefinitionNode") -> "FieldNode":
    from graphql import FieldNode

    selections = operation.selection_set.selections
    names = [node.name.value if isinstance(node, FieldNode) else "a fragment" for node in selections]
    field = selections[0]
    if names != ["sendUserEvents"] or not isinstance(field, FieldNode):
        raise _unreadable(None, f"it asks for {readable(', '.join(names), 80)}, not for sendUserEvents alone")
    return field


def _input(field: "FieldNode", operation: "OperationDefinitionNode", variables: dict[str, Any]) -> Any:
    """Return the value of the argument `input`, its variables filled in."""
    from graphql import value_from_ast_untyped

    known = {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value
    }
    arguments = {argument.name.value: argument.value for argument in field.arguments or ()}
    if set(arguments) != {"input"}:
        found = readable(", ".join(arguments), 80) or "none"
        raise _unreadable(None, f"sendUserEvents takes one argument, input; here it has {found}")
    return value_from_ast_untyped(arguments["input"], known | variables)


def _events(value: Any) -> list[UserEvent]:
    if not isinstance(value, dict) or set(value) != {"events"}:
        raise _unreadable(None, f"its input is {quoted(value)}, not an object with events and nothing else")
    listed = value["events"] if isinstance(value["events"], list) else [value["events"]]
    return [_event(index, item) for index, item in enumerate(listed)]


def _event(index: int, given: Any) -> UserEvent:
    """Return one event of the input; a problem names its place in the list."""
    if not isinstance(given, dict):
        raise InvalidEvent([_no_event(index, given)])
    known = (*_OUR_NAMES, "additionalProperties")
    unknown = [name for name in given if name not in known]
    if unknown:
        message = f"UserEvent has no such field; it has {', '.join(known)}"
        raise InvalidEvent([Problem(readable(name, 80), given[name], _PARSE_RULE, message, index) for name in unknown])
    try:
        values: dict[str, Any] = {name: given.get(api_name) for api_name, name in _OUR_NAMES.items()}
        return UserEvent(**values, additional_properties=_pairs(given.get("additionalProperties")))
    except InvalidEvent as error:
        raise _in_batch(error, index) from None


def _called(index: int, keywords: dict[str, Any]) -> UserEvent:
    """Return the event of a `UserEvent(…)` in Python code."""
    try:
        return UserEvent(**keywords)
    except InvalidEvent as error:
        raise _in_batch(error, index) from None
    except TypeError as error:
        raise InvalidEvent([Problem("events", keywords, _PARSE_RULE, readable(str(error)), index)]) from None


def _pairs(given: Any) -> dict[str, str]:
    """Return the properties of an `AdditionalPropertiesInput`; GraphQL lets a single item stand for a list."""
    if given is None:
        return {}
    nested = given.get("additionalProperties") if isinstance(given, dict) else None
    items = nested if isinstance(nested, list) else [] if nested is None else [nested]
    if not isinstance(given, dict) or set(given) - {"additionalProperties"}:
        raise _bad_properties(given, "is no object that holds additionalProperties and nothing else")
    properties: dict[str, str] = {}
    for item in items:
        if not isinstance(item, dict) or set(item) != {"property", "value"}:
            raise _bad_properties(item, "is no pair of property and value")
        if not isinstance(item["property"], str):
            raise _bad_properties(item["property"], "is a property's name, but no text")
        if item["property"] in properties:
            advice = "stands twice, and a UserEvent holds a name once; Client.execute sends the text as it is"
            raise _bad_properties(item["property"], advice)
        properties[item["property"]] = item["value"]
    return properties


def _in_batch(error: InvalidEvent, index: int) -> InvalidEvent:
    return InvalidEvent([Problem(p.field, p.value, p.rule, p.message, index) for p in error.problems])


def _bad_properties(value: Any, message: str) -> InvalidEvent:
    return InvalidEvent([Problem("additionalProperties", value, _PARSE_RULE, f"{quoted(value)} {message}")])


def _no_events(given: Any) -> Problem:
    return Problem(
        "events",
        given,
        "UserEvent, or an iterable of them",
        f"{quoted(given)} is neither a UserEvent nor a list of them",
    )


def _no_event(index: int, given: Any) -> Problem:
    return Problem("events", given, "UserEvent", f"{quoted(given)} is no UserEvent", index)


def _unreadable(text: Any, message: str) -> InvalidEvent:
    return InvalidEvent([Problem("text", text, _PARSE_RULE, f"cannot be read as a sendUserEvents request: {message}")])
