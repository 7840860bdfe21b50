"""Repeated ids are found in any number of rows, and nothing else is."""

import pytest

from bwp_nb.tables import duplicates as module
from bwp_nb.tables.duplicates import duplicates


def test_each_later_row_is_named_with_the_first() -> None:
    """A missing id is not a duplicate of another."""
    rows, found = duplicates(lambda: [["a", "b", None], ["b", None, "c"], ["b", 1, 1]])
    assert 9 == rows
    assert [(3, "'b' is a duplicate of row 1"), (6, "'b' is a duplicate of row 1")] == [
        (problem.index, problem.message) for problem in found
    ]


@pytest.mark.parametrize("share", [1, 7, 1_000_000])
def test_shares_find_what_the_whole_would(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any number of rows in a share."""
    monkeypatch.setattr(module, "_SHARE", share)
    ids = [str(number % 190) for number in range(200)]
    rows, found = duplicates(lambda: [ids[:100], ids[100:]])
    assert (200, list(range(190, 200))) == (rows, [problem.index for problem in found])


def test_nothing_twice_is_nothing_found() -> None:
    """Also in a table without rows."""
    assert (3, []) == duplicates(lambda: [["a", "b", "c"]])
    assert (0, []) == duplicates(list)
