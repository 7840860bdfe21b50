"""A first reading counts the rows, and gives ids that depend on content if that is asked for."""

import random
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bwp_nb as bwp
from tests.strategies import VALID

ROWS = [{name: text for name, text in VALID.items() if name != "event_id"} | {"sku": sku} for sku in "abacab"]


def _ids(source: Any, **options: Any) -> list[str]:
    report = bwp.send_table(bwp.connect(bwp.Sandbox()), source, workers=1, progress=False, **options)
    return list(report.frame()["event_id"])


def test_ids_from_content_are_the_same_in_every_run_and_source(tmp_path: Path) -> None:
    """In the form of a UUID version 4, one for each row; the order of the columns does not matter."""
    pd.DataFrame(ROWS).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(ROWS)[["sku", *sorted(VALID.keys() - {"event_id"})]].to_parquet(tmp_path / "a.parquet")
    found = [_ids(source, ids_from="content") for source in (ROWS, tmp_path / "a.csv", tmp_path / "a.parquet")]
    assert [found[0]] * 3 == found
    assert (6, {4}) == (len(set(found[0])), {uuid.UUID(made).version for made in found[0]})
    assert found[0] != _ids(ROWS)


def test_ids_from_content_go_with_the_rows_in_any_order() -> None:
    """Equal rows share a set of ids; other rows do not change them."""
    expected = {}
    for row, made in zip(ROWS, _ids(ROWS, ids_from="content"), strict=True):
        expected.setdefault(row["sku"], set()).add(made)
    rows = [*random.Random(0).sample(ROWS, len(ROWS)), ROWS[0] | {"sku": "other"}]  # noqa: S311
    for row, made in zip(rows, _ids(rows, ids_from="content"), strict=True):
        assert (row["sku"] == "other") != (made in expected.get(row["sku"], ()))


def test_a_given_id_is_kept_and_counts_for_nothing() -> None:
    """Only rows without one are compared."""
    rows = [ROWS[0] | {"event_id": "given"}, ROWS[0]]
    assert ["given", _ids(ROWS[:1], ids_from="content")[0]] == _ids(rows, ids_from="content")


def test_a_repeated_run_without_a_ledger_sends_the_same_ids() -> None:
    """An API that drops repeated ids keeps each event once."""
    sandbox = bwp.Sandbox(deduplicate=True)
    for _ in range(2):
        bwp.send_table(bwp.connect(sandbox), ROWS, ids_from="content", workers=1, progress=False)
    assert (6, 6) == (len(sandbox.accepted), len(sandbox.duplicates))


def test_ids_of_a_run_with_a_ledger_are_of_one_kind(tmp_path: Path) -> None:
    """The other kind is another mapping."""
    _ids(ROWS, ledger=tmp_path / "a")
    with pytest.raises(bwp.LedgerError, match="it was made with other columns=, properties= or fields="):
        _ids(ROWS, ledger=tmp_path / "a", ids_from="content")
    with pytest.raises(ValueError, match="ids_from: expected 'run' or 'content', got 'rows'"):
        _ids(ROWS, ids_from="rows")


def test_a_ledger_has_the_ids_of_content(tmp_path: Path) -> None:
    """A resumed run and its report have the same."""
    options = {"ids_from": "content", "ledger": tmp_path / "a"}
    assert _ids(ROWS, **options) == _ids(ROWS, **options)
    report = bwp.Report.read(tmp_path / "a", ROWS, ids_from="content")
    assert _ids(ROWS, ids_from="content") == list(report.frame()["event_id"])
