"""Ids that stand twice: found in any number of rows, and only they."""

import pytest

from bwp_nb.tables import duplicates as module
from bwp_nb.tables.duplicates import duplicates


def test_each_later_row_is_named_with_the_first() -> None:
    """What is missing is no id."""
    rows, found = duplicates(lambda: [["a", "b", None], ["b", None, "c"], ["b", 1, 1]])
    assert 9 == rows
    assert [(3, "'b' stands in row 1 already"), (6, "'b' stands in row 1 already")] == [
        (problem.index, problem.message) for problem in found
    ]


@pytest.mark.parametrize("share", [1, 7, 1_000_000])
def test_shares_find_what_the_whole_would(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are to a share."""
    monkeypatch.setattr(module, "_SHARE", share)
    ids = [str(number % 190) for number in range(200)]
    rows, found = duplicates(lambda: [ids[:100], ids[100:]])
    assert (200, list(range(190, 200))) == (rows, [problem.index for problem in found])


def test_nothing_twice_is_nothing_found() -> None:
    """Nor in no rows at all."""
    assert (3, []) == duplicates(lambda: [["a", "b", "c"]])
    assert (0, []) == duplicates(list)
