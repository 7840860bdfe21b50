"""Finds repeated ids in a table of any length, in little memory.

The hashes of many ids go to a temporary file, which is searched for equal ones a share at a time. Only if there are any
is the table read again, to see whether the ids themselves are equal, and in which rows.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from bwp_nb.problems import Problem
from bwp_nb.text import quoted

_SHARE = 1_000_000
_MAX_PROBLEMS = 1_000
_RULE = "a different id in each row (our own rule: equal ids mark copies of an event)"


def duplicates(columns: Callable[[], Iterable[list[Any]]]) -> tuple[int, list[Problem]]:
    """Return the number of rows, and a problem for each row whose id an earlier one has.

    `columns` reads the ids again each time it is called, a chunk at a time. Only a str counts as an id.
    """
    with tempfile.SpooledTemporaryFile(8 * _SHARE) as file:
        rows, ids = 0, 0
        for cells in columns():
            hashes = np.array([hash(cell) for cell in cells if isinstance(cell, str)], dtype=np.int64)
            file.write(hashes.tobytes())
            rows, ids = rows + len(cells), ids + len(hashes)
        shares = ids // _SHARE + 1
        suspects = {found for share in range(shares) for found in _equal(file, share, shares)}
    return rows, list(_problems(columns(), suspects)) if suspects else []


def _equal(file: Any, share: int, shares: int) -> list[int]:
    """Return the hashes of one share that are in the file more than once."""
    file.seek(0)
    parts = [np.array([], dtype=np.int64)]
    while content := file.read(8 * _SHARE):
        hashes = np.frombuffer(content, dtype=np.int64)
        parts.append(hashes[hashes % shares == share])
    ordered = np.sort(np.concatenate(parts))
    found: list[int] = ordered[1:][ordered[1:] == ordered[:-1]].tolist()
    return found


def _problems(columns: Iterable[list[Any]], suspects: set[int]) -> Iterator[Problem]:
    rows: dict[str, int] = {}
    found = (
        Problem("eventId", cell, _RULE, f"{quoted(cell)} is a duplicate of row {rows[cell]}", row)
        for row, cell in enumerate(chain.from_iterable(columns))
        if isinstance(cell, str) and hash(cell) in suspects and rows.setdefault(cell, row) != row
    )
    yield from islice(found, _MAX_PROBLEMS)
