"""Parses pasted requests: GraphQL, a JSON body, a cURL command, Python or JavaScript code, which is never run."""

import ast
import getopt
import json
import re
import shlex
import string
import warnings
from dataclasses import replace
from textwrap import dedent
from typing import Any

import graphql

from bwp_nb.errors import InvalidEvent, Problem
from bwp_nb.event import TEXT_FIELDS, UserEvent
from bwp_nb.text import quoted, readable, typed

_RULE = "a sendUserEvents request: GraphQL, a JSON body with query and variables, a cURL command or Python code"

#: Our names of the fields, by the API's names and by our own.
_API_FIELDS = {api: name for name, api in TEXT_FIELDS.items()} | {"additionalProperties": "additional_properties"}
_OUR_FIELDS = {name: name for name in _API_FIELDS.values()}


class _Unreadable(Exception):
    """Why a text cannot be parsed."""


_REASONS = {RecursionError: "it is nested too deeply", UnicodeDecodeError: "an escape in its $'…' is invalid"}


def events(text: str) -> list[UserEvent]:
    """Return the events of the request in a text, or raise `InvalidEvent`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # somebody else's text may cause warnings
            return _events(text)
    except (_Unreadable, RecursionError, UnicodeDecodeError) as error:
        message = f"cannot parse this as a sendUserEvents request: {_REASONS.get(type(error), error)}"
        raise InvalidEvent([Problem("text", text, _RULE, message)]) from None


def _events(text: str) -> list[UserEvent]:
    if not isinstance(text, str):
        raise _Unreadable(f"expected a str, got {typed(text)}")
    calls = _calls(text)
    if built := [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "UserEvent"]:
        return [_event(index, _arguments(call), _OUR_FIELDS) for index, call in enumerate(built)]
    body = _body(_posted(text, calls))
    given = _input(_document(body["query"]), body.get("variables") or {}, body.get("operationName"))
    if given is graphql.Undefined:
        raise _Unreadable("the variables, with the events, are missing; paste the JSON body, which has them")
    if not isinstance(given, dict) or set(given) != {"events"}:
        raise _Unreadable(f"expected an input with events and nothing else, got {quoted(given)}")
    return [_event(index, _fields(index, item), _API_FIELDS) for index, item in enumerate(_listed(given["events"]))]


def _posted(text: str, calls: list[ast.Call]) -> str:
    """Return the body that a cURL command or a call in Python or JavaScript posts; any other text unchanged."""
    if command := _CURL.match(text):
        return _curl_body(text[command.end() :])
    if written := _JAVASCRIPT.match(text):
        return written[1]
    if not calls:
        return text
    if posted := [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "json"]:
        try:
            return json.dumps(_literal(posted[0], "json"))
        except TypeError as error:
            raise _Unreadable(f"json on line {posted[0].lineno} is not JSON: {readable(str(error))}") from None
    if body := _BODY.search(text):
        return str(json.loads(body[0]))
    raise _Unreadable("the code has no UserEvent(…), no call with json=, and no JSON body as a text")


def _body(text: str) -> dict[str, Any]:
    """Return a JSON body, or a bare GraphQL text as the body that it is the query of."""
    try:
        body = json.loads(text)
    except ValueError as error:
        if _LIKE_JSON.match(text):
            raise _Unreadable(f"invalid JSON: {readable(str(error))}") from None
        return {"query": text}
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise _Unreadable("expected a JSON object with a query")
    if not isinstance(body.get("variables"), dict | None):
        raise _Unreadable(f"expected variables to be an object, got {quoted(body['variables'])}")
    return body


def _document(query: str) -> graphql.DocumentNode:
    """Parse a GraphQL text, at the top of which the guides print a line that begins with two slashes."""
    query = _TOP_COMMENTS.sub(lambda lines: lines[0].replace("//", "# "), query)
    try:
        document = graphql.parse(query, max_tokens=100_000)
    except graphql.GraphQLSyntaxError as error:
        line, column = error.locations[0] if error.locations else (1, 1)
        if re.split(r"\r\n|\n|\r", query)[line - 1].startswith("//", column - 1):
            raise _Unreadable(f"line {line} has //, but a GraphQL comment begins with #; delete the comment") from None
        said = readable(error.message.removeprefix("Syntax Error: ").rstrip("."))
        raise _Unreadable(f"invalid GraphQL at line {line}, column {column}: {said}") from None
    schema = graphql.GraphQLSchema(assume_valid=True)
    for found in graphql.validate(schema, document, [graphql.UniqueInputFieldNamesRule]):
        raise _Unreadable(readable(found.message, 120))
    return document


def _input(document: graphql.DocumentNode, variables: dict[str, Any], operation_name: str | None) -> Any:
    """Return the value of the argument `input` of `sendUserEvents`, with its variables filled in."""
    operation = graphql.get_operation_ast(document, operation_name)
    if operation is None:
        raise _Unreadable("expected one operation, or an operationName that selects one")
    if operation.operation.value != "mutation":
        raise _Unreadable(f"expected a mutation, got a {operation.operation.value}")
    selected: Any = operation.selection_set.selections
    names = [node.name.value if isinstance(node, graphql.FieldNode) else "a fragment" for node in selected]
    if names != ["sendUserEvents"]:
        raise _Unreadable(f"expected sendUserEvents alone, got {readable(', '.join(names), 80)}")
    arguments = {argument.name.value: argument.value for argument in selected[0].arguments or ()}
    if set(arguments) != {"input"}:
        raise _Unreadable(f"expected the argument input alone, got {readable(', '.join(arguments), 80) or 'none'}")
    defined: Any = [one for one in operation.variable_definitions or () if one.default_value]
    defaults = {one.variable.name.value: graphql.value_from_ast_untyped(one.default_value) for one in defined}
    return graphql.value_from_ast_untyped(arguments["input"], defaults | variables)


def _event(index: int, given: Any, names: dict[str, str]) -> UserEvent:
    """Return an event from its fields by some names, or raise `InvalidEvent` with its position."""
    if unknown := [name for name in given if name not in names]:
        message = f"unknown field; UserEvent has {', '.join(names)}"
        raise InvalidEvent([Problem(readable(name, 80), given[name], _RULE, message, index) for name in unknown])
    try:
        return UserEvent(**{name: given.get(given_name) for given_name, name in names.items()})
    except InvalidEvent as error:
        raise InvalidEvent([replace(problem, index=index) for problem in error.problems]) from None


def _fields(index: int, given: Any) -> dict[str, Any]:
    """Return the fields of an event of the input, with its properties as a dict."""
    if not isinstance(given, dict):
        raise InvalidEvent([Problem("events", given, "UserEvent", f"expected a UserEvent, got {quoted(given)}", index)])
    return {**given, "additionalProperties": _properties(index, given.get("additionalProperties"))}


def _properties(index: int, given: Any) -> dict[str, Any]:
    """Return the properties of an `AdditionalPropertiesInput`."""
    given = {} if given is None else given
    if not isinstance(given, dict) or set(given) - {"additionalProperties"}:
        raise _bad_properties(index, given, "expected an object with additionalProperties and nothing else")
    found: dict[str, Any] = {}
    nested = given.get("additionalProperties")
    for item in [] if nested is None else _listed(nested):
        if not isinstance(item, dict) or set(item) != {"property", "value"} or not isinstance(item["property"], str):
            raise _bad_properties(index, item, "expected an object with property, a string, and value")
        if item["property"] in found:
            message = "duplicate property, which a UserEvent cannot have; Client.execute sends the text unchanged"
            raise _bad_properties(index, item["property"], message)
        found[item["property"]] = item["value"]
    return found


def _bad_properties(index: int, value: Any, message: str) -> InvalidEvent:
    return InvalidEvent([Problem("additionalProperties", value, _RULE, f"{message}: {quoted(value)}", index)])


def _listed(given: Any) -> list[Any]:
    """Return a list; in GraphQL a single item is the same as a list of it."""
    return given if isinstance(given, list) else [given]


# Comments, a command that sets a variable, such as a token, and a prompt may come before the command.
_CURL = re.compile(r"\A(?:\s*+(?:#|[\w ]+=(?:[^\n]*\\\r?\n)*+)[^\n]*\n)*+\s*(?:[$!]\s*)?curl(?:\.exe)?(?=\s)")

# The body in a program of `snippets.javascript`.
_JAVASCRIPT = re.compile(r"\A(?:\s*+//[^\n]*\n)*+\s*const request = (\{.*?\n\});", re.DOTALL)

# A body as a text in code: a browser copies `fetch` with it, and it is a text of JSON in other languages, too.
_BODY = re.compile(r'"\{(?:\s|\\[nrt])*\\"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')

# Lines above a GraphQL text, of which those in the guides begin with two slashes.
_TOP_COMMENTS = re.compile(r"\A(?:\s*(?://|#)[^\r\n]*)+")

# GraphQL has a name in the first brackets.
_LIKE_JSON = re.compile(r"""\s*(?:\[|\{\s*["'}])""")


_DATA = ("data", "data-ascii", "data-binary", "data-raw", "json")
_LETTERS = re.sub("[ACDEFHKPQRTUXYbcdehmortuwxyz]", r"\g<0>:", f"{string.ascii_letters}{string.digits}#")

_SPECIAL = re.compile(r"\\\r?\n|\\.|\$(?=[\w({])|`", re.DOTALL)
_PART = re.compile(rf"""'[^']*'|\$'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|{_SPECIAL.pattern}""", re.DOTALL)
_WINDOWS = re.compile(r"""[^'"]*\^"|.*(?:\^\r?\n|"\{"")""", re.DOTALL)
_EXPANDED = "\ue000"  # of a private area: the mark before what a shell would expand


def _curl_body(text: str) -> str:
    """Return the body of a cURL command's arguments."""
    if _WINDOWS.match(text):
        raise _Unreadable("the command is quoted for the Windows command prompt; copy it as cURL for bash")
    words = _words(text)
    others = ["".join(word[2:].partition("=")[:2]) for word in words if word.startswith("--")]
    try:
        options, _ = getopt.gnu_getopt(words, _LETTERS, [*(f"{name}=" for name in _DATA), *set(others) - set(_DATA)])
    except getopt.GetoptError as error:
        raise _Unreadable(f"the cURL command cannot be read: {readable(error.msg, 120)}") from None
    given = [(option, word) for option, word in options if option == "-d" or option.removeprefix("--") in _DATA]
    if not given:
        raise _Unreadable("the cURL command has no --data")
    for option, word in given:
        if word.startswith("@") and option != "--data-raw":
            where = "standard input" if word == "@-" else f"the file {word[1:]!r}"
            raise _Unreadable(f"the body is in {where}, which is not read; paste its text instead")
        if _EXPANDED in word:
            shown = quoted(word.replace(_EXPANDED, ""))
            raise _Unreadable(f"a shell would replace the $ or ` in {shown}; paste the body itself, in single quotes")
    # curl joins the values of --json as they are, and others with an ampersand.
    return ("" if given[0][0] == "--json" else "&").join(word for _, word in given)


def _words(text: str) -> list[str]:
    """Split as a shell does; what it would expand has a mark before it."""
    try:
        return shlex.split(_PART.sub(_as_shlex, text))
    except ValueError:
        raise _Unreadable("a quotation mark is not closed") from None


def _as_shlex(match: re.Match[str]) -> str:
    """Return a part of a command as shlex reads it, which knows no continued lines, no `$'…'` and no variables."""
    part = match[0]
    if part.startswith('"'):
        return f'"{_SPECIAL.sub(_as_shlex, part[1:-1])}"'
    if part.startswith("$'"):
        return shlex.quote(_ansi(part[2:-1]))
    if part in ("$", "`"):
        return _EXPANDED + part
    if part.startswith("\\") and part[-1] in "$`\n":
        return part[1:].strip()
    return part


def _ansi(part: str) -> str:
    """Undo the escapes of `$'…'`; browsers write an emoji as two surrogates, which are joined."""
    text = part.encode("ascii", "backslashreplace").decode("unicode_escape")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _calls(text: str) -> list[ast.Call]:
    """Return the calls in Python code, in the order of the text; none for any other text."""
    try:
        tree = ast.parse(dedent(text).strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))  # ast.walk goes level by level


def _arguments(call: ast.Call) -> dict[str, Any]:
    """Return the arguments of a `UserEvent`."""
    if call.args:
        raise _Unreadable(f"the UserEvent on line {call.lineno} has positional arguments; use keywords")
    return {name: _literal(value, name) for name, value in ((one.arg or "**", one.value) for one in call.keywords)}


def _literal(node: ast.expr, name: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError):
        said = f"{name} on line {node.lineno} is not a literal, and pasted code is not run; replace it by its value"
        raise _Unreadable(said) from None
