"""Repeated texts are found in any number of rows, and nothing else is."""

import pytest

from bwp_nb.tables import duplicates as module
from bwp_nb.tables.duplicates import Hashes, repeats


def _found(*chunks: list[object]) -> list[tuple[int, str, int]]:
    """Return the row, the text and the first row of each repeat."""
    hashes = Hashes()
    for chunk in chunks:
        hashes.add(chunk)
    cells = [cell for chunk in chunks for cell in chunk]
    return [(row, text, earlier[0]) for row, text, earlier in repeats(cells, hashes.repeated())]


def test_each_later_row_is_named_with_the_first() -> None:
    """A missing text is not a repeat of another, and a number is not a text."""
    assert [(3, "b", 1), (6, "b", 1)] == _found(["a", "b", None], ["b", None, "c"], ["b", 1, 1])


def test_earlier_rows_are_counted() -> None:
    """The third of equal texts has two before it."""
    assert [1, 2] == [len(earlier) for _, _, earlier in repeats(["a", "a", "a"], {hash("a")})]


@pytest.mark.parametrize("share", [1, 7, 1_000_000])
def test_shares_find_what_the_whole_would(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any number of rows in a share."""
    monkeypatch.setattr(module, "_SHARE", share)
    ids: list[object] = [str(number % 190) for number in range(200)]
    assert list(range(190, 200)) == [row for row, _, _ in _found(ids[:100], ids[100:])]


def test_nothing_twice_is_nothing_found() -> None:
    """Also in a table without rows."""
    assert [] == _found(["a", "b", "c"]) == _found()
