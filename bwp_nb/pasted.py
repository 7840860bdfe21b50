"""Finds the request in what people paste: a cURL line or Python code. Nothing pasted is ever run."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from textwrap import dedent
from typing import Any


class Unreadable(ValueError):
    """A pasted text is a cURL line or Python code, but the request in it cannot be read; the message says why."""


def body(text: str) -> str:
    """Return the body that a cURL line or a Python call with `json=` posts, or any other text as it is."""
    if _CURL.match(text):
        return _curl_body(_CURL.sub("", text, count=1))
    tree = _python(text)
    posted = None if tree is None else _keyword(tree, "json")
    return text if posted is None else json.dumps(_literal(posted, "json"))


def user_events(text: str) -> list[dict[str, Any]] | None:
    """Return the keywords of each `UserEvent(…)` in Python code, or None where there is none."""
    tree = _python(text)
    calls = [] if tree is None else list(_calls(tree, "UserEvent"))
    # ast.walk goes level by level: calls are put back in the order in which they are written.
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    return [_keywords(call) for call in calls] or None


# ---- cURL ----

# Leading comment lines and a prompt may stand before the command.
_CURL = re.compile(r"\A(?:\s*#[^\n]*\n)*\s*(?:[$!]\s*)?curl(?:\.exe)?(?=\s)")

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
        raise Unreadable('it is quoted for the Windows command prompt (^"); copy it as cURL for bash')
    given = list(_data(iter(_words(text))))
    if not given:
        raise Unreadable("it is a cURL line without --data, so it posts nothing")
    for option, word, expanded in given:
        if word.startswith("@") and option != "--data-raw":
            where = "standard input" if word == "@-" else f"the file {word[1:]!r}"
            raise Unreadable(f"its body stands in {where}, which is not read; paste that text itself")
        if expanded:
            raise Unreadable("its body holds a $ or a ` that only a shell could fill in; put it in single quotes")
    # curl joins --json as it is and other data with an ampersand.
    return ("" if given[0][0] == "--json" else "&").join(word for _, word, _ in given)


def _data(words: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, str, bool]]:
    """Yield each option that gives data, with its value and whether a shell would change that."""
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
        raise Unreadable(f"its {option} is followed by nothing") from None


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Split as a shell does, and tell of each word whether a shell would fill something in."""
    word: str | None = None
    expanded = False
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise Unreadable("a quotation mark in it is not closed")
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
    """Undo the escapes of `$'…'`; browsers write an emoji as two halves, which are joined."""
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


# ---- Python ----


def _python(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Somebody else's code may hold what Python warns of.
        try:
            return ast.parse(dedent(text).strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def _keyword(tree: ast.Module, name: str) -> ast.expr | None:
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == name]
    return keywords[0].value if keywords else None


def _keywords(call: ast.Call) -> dict[str, Any]:
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise Unreadable(f"the UserEvent on line {call.lineno} has arguments without a name; only named ones are read")
    return {str(keyword.arg): _literal(keyword.value, str(keyword.arg)) for keyword in call.keywords}


def _literal(node: ast.expr, name: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        message = f"its {name} on line {node.lineno} is no plain value, and pasted code is read, never run"
        raise Unreadable(message) from None
