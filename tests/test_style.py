"""The language of every text that a person reads: patterns that are not plain English are counted, and only fall."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

import bwp_nb

ROOT = Path(bwp_nb.__file__).parent
PROJECT = Path(__file__).parent.parent

#: What is not plain English, and the words of earlier versions for pages of the documentation.
PATTERNS = [
    r"\b(?:is|are|was) no(?:ne)?\b(?! longer| more)",
    r"(?i:\bst(?:ands?|ood)\b(?! for|-in|alone))",
    r"(?i:\b(?:tells|told)\b)",
    r"(?i:\bmend(?:s|ed|ing)?\b)",
    r"(?i:\bwhat became\b)",
    r"(?i:\bh[eo]lds? against\b|\bheld against\b)",
    r"(?i:\ball the same\b|\bfares?\b|\balike\b)",
    r"(?i:\bwhoever\b)",
    r"(?i:\bso many\b|\bof late\b|\bby then\b)",
    r"\b(?:SCH-(?:new|mid|old)|UE|MUT|AUTH|IFACE|TRB|EVT|SBX|SRT|PRIV)\b",
]
PATTERN = re.compile("|".join(PATTERNS))

#: How often they still occur in docstrings, comments, README and notebooks. The number may only fall.
LEFT = 0


def _found(text: str) -> list[str]:
    """Return what the patterns find."""
    return PATTERN.findall(text)


def _docstrings(tree: ast.Module) -> set[int]:
    """Return the ids of the nodes that are docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    owners = [node for node in ast.walk(tree) if isinstance(node, kinds) and ast.get_docstring(node, False) is not None]
    return {id(owner.body[0].value) for owner in owners}  # type: ignore[attr-defined]


def _messages(path: Path) -> Iterator[str]:
    """Yield every text of a module that is not a docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _prose() -> Iterator[str]:
    """Yield the text of every module, of the schema, of the README and of the notebooks' prose."""
    for path in [*ROOT.rglob("*.py"), *ROOT.rglob("*.graphql"), *ROOT.rglob("*.toml"), PROJECT / "README.md"]:
        yield path.read_text("utf-8")
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        yield from (cell.source for cell in cells if cell.cell_type == "markdown")


def test_messages_are_plain_english() -> None:
    """What a user reads of an error has none of the patterns."""
    found = {path.name: [hit for text in _messages(path) for hit in _found(text)] for path in ROOT.rglob("*.py")}
    assert {} == {name: hits for name, hits in found.items() if hits}


def test_the_patterns_only_fall() -> None:
    """A lower number is written down here."""
    assert LEFT == sum(len(_found(text)) for text in _prose())
