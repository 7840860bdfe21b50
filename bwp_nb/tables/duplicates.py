"""Finds repeated texts in a table of any length, in little memory.

The hashes of many texts go to a temporary file, which is searched for equal ones a share at a time. Only if there are
any is the table read again, to see whether the texts themselves are equal, and in which rows.
"""

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from bwp_nb.displays.short_errors import extra

with extra("tables"):
    import numpy as np

_SHARE = 1_000_000


class Hashes:
    """The hashes of the texts of some columns, a chunk after the other; what is not a str is passed over."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(8 * _SHARE)  # noqa: SIM115  # open as long as this is in use
        weakref.finalize(self, self._file.close)
        self._count = 0

    def add(self, cells: Iterable[Any]) -> None:
        """Add the texts of a chunk."""
        hashes = np.array([hash(cell) for cell in cells if isinstance(cell, str)], dtype=np.int64)
        self._file.write(hashes.tobytes())
        self._count += len(hashes)

    def repeated(self) -> set[int]:
        """Return the hashes that occur more than once."""
        shares = self._count // _SHARE + 1
        return {found for share in range(shares) for found in self._equal(share, shares)}

    def _equal(self, share: int, shares: int) -> list[int]:
        self._file.seek(0)
        parts = [np.array([], dtype=np.int64)]
        while content := self._file.read(8 * _SHARE):
            hashes = np.frombuffer(content, dtype=np.int64)
            parts.append(hashes[hashes % shares == share])
        ordered = np.sort(np.concatenate(parts))
        found: list[int] = ordered[1:][ordered[1:] == ordered[:-1]].tolist()
        return found


def repeats(cells: Iterable[Any], suspects: set[int]) -> Iterator[tuple[int, str, list[int]]]:
    """Yield each text that an earlier row has: its row, the text, and the earlier rows; only with suspect hashes."""
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        if isinstance(cell, str) and hash(cell) in suspects:
            earlier = rows.setdefault(cell, [])
            if earlier:
                yield row, cell, earlier
            earlier.append(row)
