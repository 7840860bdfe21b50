"""Parses pasted requests: GraphQL, a JSON body, a cURL command, Python or JavaScript code, which is never run."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from bwp_nb.errors import InvalidEvent
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.problems import Problem
from bwp_nb.text import quoted, readable, typed

if TYPE_CHECKING:
    from graphql import DocumentNode, FieldNode, OperationDefinitionNode

_RULE = "a sendUserEvents request: GraphQL, a JSON body with query and variables, a cURL command or Python code"
_OUR_NAMES = {api_name: name for name, api_name in TEXT_FIELDS.items()}


def events(text: str) -> list[UserEvent]:
    """Return the events of the request in a text, or raise `InvalidEvent`."""
    if not isinstance(text, str):
        raise _unreadable(text, f"expected a str, got {typed(text)}")
    tree = _python(text)
    if calls := _calls(tree):
        return [_built(index, _keywords(call)) for index, call in enumerate(calls)]
    query, variables, operation_name = _graphql_parts(_posted_body(text, tree))
    document = _document(query)
    operation = _operation(document, operation_name)
    return _events(_input(_send_user_events(operation), operation, variables))


def _posted_body(text: str, tree: ast.Module) -> str:
    """Return the body that a cURL command or a Python call with `json=` posts; any other text unchanged."""
    if command := _CURL.match(text):
        return _curl_body(text[command.end() :])
    if written := _JAVASCRIPT.match(text):
        return written[1]
    posted = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "json"]
    return json.dumps(_literal(posted[0], "json")) if posted else text


def _graphql_parts(text: str) -> tuple[str, dict[str, Any], str | None]:
    """Return the query, the variables and the operation's name of a JSON body, or of a bare GraphQL text."""
    try:
        body = json.loads(text)
    except ValueError:
        return text, {}, None
    except RecursionError:
        raise _unreadable(text, "it is nested too deeply") from None
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise _unreadable(text, "expected a JSON object with a query")
    variables = body.get("variables") or {}
    if not isinstance(variables, dict):
        raise _unreadable(text, f"expected variables to be an object, got {quoted(variables)}")
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
            advice = "the guides print such a line above their examples, and GraphQL comments begin with #; delete it"
            raise _unreadable(query, f"line {line} begins with //: {advice}") from None
        said = readable(error.message.removeprefix("Syntax Error: ").rstrip("."))
        raise _unreadable(query, f"invalid GraphQL at line {line}, column {column}: {said}") from None
    except RecursionError:
        raise _unreadable(query, "it is nested too deeply") from None


def _operation(document: "DocumentNode", name: str | None) -> "OperationDefinitionNode":
    from graphql import get_operation_ast

    operation = get_operation_ast(document, name)
    if operation is None:
        raise _unreadable(None, "expected one operation, or an operationName that selects one")
    if operation.operation.value != "mutation":
        raise _unreadable(None, f"expected a mutation, got a {operation.operation.value}")
    return operation


def _send_user_events(operation: "OperationDefinitionNode") -> "FieldNode":
    from graphql import FieldNode

    selections = operation.selection_set.selections
    names = [node.name.value if isinstance(node, FieldNode) else "a fragment" for node in selections]
    field = selections[0]
    if names != ["sendUserEvents"] or not isinstance(field, FieldNode):
        raise _unreadable(None, f"expected sendUserEvents alone, got {readable(', '.join(names), 80)}")
    return field


def _input(field: "FieldNode", operation: "OperationDefinitionNode", variables: dict[str, Any]) -> Any:
    """Return the value of the argument `input`, with its variables filled in."""
    from graphql import value_from_ast_untyped

    known = {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value
    }
    arguments = {argument.name.value: argument.value for argument in field.arguments or ()}
    if set(arguments) != {"input"}:
        found = readable(", ".join(arguments), 80) or "none"
        raise _unreadable(None, f"expected the argument input alone, got {found}")
    return value_from_ast_untyped(arguments["input"], known | variables)


def _events(value: Any) -> list[UserEvent]:
    if not isinstance(value, dict) or set(value) != {"events"}:
        raise _unreadable(None, f"expected an input with events and nothing else, got {quoted(value)}")
    listed = value["events"] if isinstance(value["events"], list) else [value["events"]]
    return [_event(index, item) for index, item in enumerate(listed)]


def _event(index: int, given: Any) -> UserEvent:
    """Return one event of the input."""
    if not isinstance(given, dict):
        raise InvalidEvent([Problem("events", given, "UserEvent", f"expected a UserEvent, got {quoted(given)}", index)])
    known = (*_OUR_NAMES, "additionalProperties")
    unknown = [name for name in given if name not in known]
    if unknown:
        message = f"unknown field; UserEvent has {', '.join(known)}"
        raise InvalidEvent([Problem(readable(name, 80), given[name], _RULE, message, index) for name in unknown])
    values = {name: given.get(api_name) for api_name, name in _OUR_NAMES.items()}
    return _built(index, values | {"additional_properties": _pairs(index, given.get("additionalProperties"))})


def _built(index: int, keywords: dict[str, Any]) -> UserEvent:
    """Return an event, or raise `InvalidEvent` with its position."""
    try:
        return UserEvent(**keywords)
    except InvalidEvent as error:
        raise InvalidEvent([replace(problem, index=index) for problem in error.problems]) from None
    except TypeError as error:
        raise InvalidEvent([Problem("events", keywords, _RULE, readable(str(error)), index)]) from None


def _pairs(index: int, given: Any) -> dict[str, str]:
    """Return the properties of an `AdditionalPropertiesInput`; in GraphQL a single item is the same as a list of it."""
    if given is None:
        return {}
    nested = given.get("additionalProperties") if isinstance(given, dict) else None
    items = nested if isinstance(nested, list) else [] if nested is None else [nested]
    if not isinstance(given, dict) or set(given) - {"additionalProperties"}:
        raise _bad_properties(index, given, "expected an object with additionalProperties and nothing else")
    properties: dict[str, str] = {}
    for item in items:
        if not isinstance(item, dict) or set(item) != {"property", "value"}:
            raise _bad_properties(index, item, "expected an object with property and value")
        if not isinstance(item["property"], str):
            raise _bad_properties(index, item["property"], "expected a string as the name of a property")
        if item["property"] in properties:
            message = "duplicate property, which a UserEvent cannot have; Client.execute sends the text unchanged"
            raise _bad_properties(index, item["property"], message)
        properties[item["property"]] = item["value"]
    return properties


def _bad_properties(index: int, value: Any, message: str) -> InvalidEvent:
    return InvalidEvent([Problem("additionalProperties", value, _RULE, f"{message}: {quoted(value)}", index)])


def _unreadable(text: Any, message: str) -> InvalidEvent:
    return InvalidEvent([Problem("text", text, _RULE, f"cannot parse this as a sendUserEvents request: {message}")])


# Comments, a command that sets a variable, such as a token, and a prompt may come before the command.
_CURL = re.compile(r"\A(?:\s*+(?:#|[\w ]+=(?:[^\n]*\\\r?\n)*+)[^\n]*\n)*+\s*(?:[$!]\s*)?curl(?:\.exe)?(?=\s)")

# The body in a program of `snippets.javascript`.
_JAVASCRIPT = re.compile(r"\A(?:\s*+//[^\n]*\n)*+\s*const request = (\{.*?\n\});", re.DOTALL)

_PART = re.compile(
    r"""(?P<gap>\s+)
      | (?P<continued>\\\r?\n)
      | '(?P<single>[^']*)'
      | \$'(?P<ansi>(?:\\.|[^'\\])*)'
      | "(?P<double>(?:\\.|[^"\\])*)"
      | \\(?P<escaped>.)
      | (?P<plain>[^\s'"\\$]+|\$)""",
    re.VERBOSE | re.DOTALL,
)
_IN_DOUBLE_QUOTES = re.compile(r'\\(\r?\n|[$`"\\])')
_EXPANDED = re.compile(r"(?<!\\)(?:\\\\)*(\$[\w({]|`)")
_ANSI = re.compile(
    r"((?:\\x[0-9a-fA-F]{1,2})+)|\\(?:u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_LETTERS = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_DATA = ("--data", "--data-ascii", "--data-binary", "--data-raw", "--json", "-d")
_WITH_VALUE = "ACDEFHKPQRTUXYbcdehmortuwxyz"


def _curl_body(text: str) -> str:
    """Return the body of a cURL command's arguments."""
    if re.match(r"""[^'"]*\^["\r\n]""", text):
        raise _unreadable(None, 'the command is quoted for the Windows command prompt (^"); copy it as cURL (bash)')
    given = list(_data(iter(_words(text))))
    if not given:
        raise _unreadable(None, "the cURL command has no --data")
    for option, word, expanded in given:
        if word.startswith("@") and option != "--data-raw":
            where = "standard input" if word == "@-" else f"the file {word[1:]!r}"
            raise _unreadable(None, f"the body is in {where}, which is not read; paste its text instead")
        if expanded:
            raise _unreadable(
                None, f"a shell would replace the $ or ` in {quoted(word)}; paste the body itself, in single quotes"
            )
    # curl joins the values of --json as they are, and others with an ampersand.
    return ("" if given[0][0] == "--json" else "&").join(word for _, word, _ in given)


def _data(words: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, str, bool]]:
    """Yield each option with data, its value, and whether a shell would expand something in it."""
    for word, expanded in words:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            if option in _DATA:
                yield (option, value, expanded) if equals else (option, *_next(words, option))
        elif word.startswith("-"):
            letter = next((letter for letter in word[1:] if letter in _WITH_VALUE), None)
            if letter is None:
                continue
            rest = word.partition(letter)[2]
            value, expanded_too = (rest, expanded) if rest else _next(words, f"-{letter}")
            if letter == "d":
                yield "-d", value, expanded_too


def _next(words: Iterator[tuple[str, bool]], option: str) -> tuple[str, bool]:
    try:
        return next(words)
    except StopIteration:
        raise _unreadable(None, f"{option} has no value") from None


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Split as a shell does; yield each word, and whether a shell would expand something in it."""
    word: str | None = None
    expanded = False
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise _unreadable(None, "a quotation mark is not closed")
        position = match.end()
        kind, part = match.lastgroup, match[match.lastgroup or 0]
        if kind == "gap":
            if word is not None:
                yield word, expanded
            word, expanded = None, False
        elif kind != "continued":
            word = (word or "") + _unquoted(kind, part)
            expanded |= _fills_in(kind, part, text[position:])
    if word is not None:
        yield word, expanded


def _unquoted(kind: str | None, part: str) -> str:
    if kind == "double":
        return _IN_DOUBLE_QUOTES.sub(lambda match: match[1].lstrip("\r\n"), part)
    return _ansi(part) if kind == "ansi" else part


def _fills_in(kind: str | None, part: str, rest: str) -> bool:
    if kind == "double":
        return bool(_EXPANDED.search(part))
    return kind == "plain" and ("`" in part or (part == "$" and bool(re.match(r"[\w({]", rest))))


def _ansi(part: str) -> str:
    """Undo the escapes of `$'…'`; browsers write an emoji as two surrogates, which are joined."""
    text = _ANSI.sub(_ansi_character, part)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _ansi_character(match: re.Match[str]) -> str:
    as_bytes, short, long, octal, other = match.groups()
    if as_bytes:
        return bytes(int(code, 16) for code in as_bytes.split(r"\x")[1:]).decode("utf-8", "replace")
    if short or long:
        return chr(min(int(short or long, 16), 0x10FFFF))
    if octal:
        return chr(int(octal, 8))
    return _ANSI_LETTERS.get(other, other)


def _python(text: str) -> ast.Module:
    """Return Python code as a tree; an empty one for any other text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # somebody else's code may cause warnings
        try:
            return ast.parse(dedent(text).strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.Module([], [])


def _calls(tree: ast.Module) -> list[ast.Call]:
    """Return each `UserEvent(…)`, in the order of the text; ast.walk goes level by level."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "UserEvent"]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _keywords(call: ast.Call) -> dict[str, Any]:
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise _unreadable(None, f"the UserEvent on line {call.lineno} has positional arguments; use keywords")
    return {str(keyword.arg): _literal(keyword.value, str(keyword.arg)) for keyword in call.keywords}


def _literal(node: ast.expr, name: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        message = f"{name} on line {node.lineno} is not a literal, and pasted code is not run"
        raise _unreadable(None, message) from None
