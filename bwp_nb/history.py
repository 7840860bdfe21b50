"""Answers compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One place where two JSON values differ: its JSON path, and what stands there in each; `...` for nothing."""

    path: str
    before: Any
    after: Any


def compare(before: Any, after: Any) -> list[Difference]:
    """Return where two JSON values differ, by JSON path; an empty list if nowhere."""
    return list(_differences("$", before, after))


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(f"{path}.{key}", before.get(key, ...), after.get(key, ...))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            pair = (items[index] if index < len(items) else ... for items in (before, after))
            yield from _differences(f"{path}[{index}]", *pair)
    elif before != after or type(before) is not type(after):
        yield Difference(path, before, after)
