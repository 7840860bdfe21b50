"""Finds ids that stand twice in a table of any length, in little memory.

The hashes of many ids go to a temporary file; equal ones are looked for share by share. Only if there are any is the
table read again, to see whether the ids themselves are equal, and in which rows.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from bwp_nb.problems import Problem
from bwp_nb.text import quoted

_SHARE = 1_000_000
_MOST_NAMED = 1_000
_RULE = "an id of its own for each row (our own rule: copies are told by their ids)"


def duplicates(columns: Callable[[], Iterable[list[Any]]]) -> tuple[int, list[Problem]]:
    """Return the number of rows, and a problem for each row whose id stands in an earlier one.

    `columns` reads the ids again each time it is called, a piece at a time. What is missing or no text is no id.
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
    """Return the hashes of one share that stand in the file twice."""
    file.seek(0)
    parts = []
    while content := file.read(8 * _SHARE):
        hashes = np.frombuffer(content, dtype=np.int64)
        parts.append(hashes[hashes % shares == share])
    ordered = np.sort(np.concatenate(parts)) if parts else np.array([], dtype=np.int64)
    found: list[int] = ordered[1:][ordered[1:] == ordered[:-1]].tolist()
    return found


def _problems(columns: Iterable[list[Any]], suspects: set[int]) -> Iterator[Problem]:
    rows: dict[str, int] = {}
    found = (
        Problem("eventId", cell, _RULE, f"{quoted(cell)} stands in row {rows[cell]} already", row)
        for row, cell in enumerate(chain.from_iterable(columns))
        if isinstance(cell, str) and hash(cell) in suspects and rows.setdefault(cell, row) != row
    )
    yield from islice(found, _MOST_NAMED)
