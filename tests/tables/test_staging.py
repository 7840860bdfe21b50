"""A table is read once: its rows are kept, equal ids are found, and ids depend on content if that is asked for."""

import random
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bwp_nb as bwp
from bwp_nb.tables.chunks import CHUNK
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds
from bwp_nb.tables.source import table
from bwp_nb.tables.staging import StagedTable
from tests.strategies import VALID, event

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


GENERATED = {"run": "a-run", "time": "2024-11-22T09:00:00Z"}


def _staged(source: Any, **options: bool) -> StagedTable:
    given = replace(table(source), names=None)  # so that it may lack required columns
    return StagedTable(given, ColumnMapping(given), GeneratedIds(**GENERATED), **options)


def _digest(source: Any) -> str:
    return _staged(source, digests=True).digest


def test_a_generator_can_be_read_repeatedly_and_by_several_at_a_time() -> None:
    """Its rows are kept as they were when they were read."""
    events = [event(event_id=str(number), additional_properties={"a": "\ud800"}) for number in range(2 * CHUNK + 1)]
    staged = _staged(iter(events))
    for one, other in zip(staged.chunks(), staged.chunks(), strict=True):
        assert one == other
    assert [str(number) for number in range(2 * CHUNK + 1)] == list(staged.ids())
    found = [bwp.UserEvent(**record) for _, record in staged.records(range(staged.rows))]
    assert events == found


def test_rows_are_kept_unchanged_if_they_are_invalid_and_as_they_are_sent_otherwise() -> None:
    """Without what is generated for them if that is asked for."""
    fine = VALID | {"additional_properties": {"sku": "a"}}
    lacking = {name: text for name, text in VALID.items() if name != "event_time"}
    wrong = lacking | {"event_id": "b", "additional_properties": {"n": 1}}
    (rows,) = _staged([fine, wrong, lacking | {"event_id": "c"}]).chunks()
    assert [fine, wrong | {"event_time": GENERATED["time"]}] == [rows.record(row) for row in (0, 1)]
    assert [wrong, lacking | {"event_id": "c"}] == [rows.given(row) for row in (1, 2)]


def test_rows_may_change_after_they_are_passed() -> None:
    """The table has what they were."""
    row = {"a": "1", "additional_properties": {"x": "1"}}
    for source in ([row], pd.DataFrame([row])):
        staged = _staged(source)
        row["additional_properties"]["x"] = "2"  # type: ignore[index]
        assert [{"a": "1", "x": "1"}] == [
            record["additional_properties"] for _, record in staged.records(range(staged.rows))
        ]
        row["additional_properties"]["x"] = "1"  # type: ignore[index]


def test_a_value_that_cannot_be_copied_is_refused() -> None:
    """In a sentence, before anything is sent."""
    with pytest.raises(bwp.InvalidTable, match=r"^Cannot copy the list of rows to a temporary file: .* into a str"):
        _staged([VALID | {"a": iter([])}, VALID | {"a": lambda: None}])


@pytest.mark.parametrize("count", [0, 1, 3 * CHUNK])
def test_each_later_row_with_an_id_is_named_with_the_first(count: int) -> None:
    """A missing id is not a repeat of another, and a number is not a text."""
    ids: list[Any] = ["a", "b", None, "b", None, 1, 1, *map(str, range(10, 10 + count)), "b"]
    rows = [VALID | {"event_id": given} for given in ids]
    with pytest.raises(bwp.InvalidEvent) as caught:
        _staged(rows).refuse_repeated_ids()
    assert [(3, "b"), (len(ids) - 1, "b")] == [(found.index, found.value) for found in caught.value.problems]
    assert {"'b' is a duplicate of event 1"} == {found.message for found in caught.value.problems}
    _staged(rows[:3]).refuse_repeated_ids()


@pytest.mark.parametrize(
    "sources",
    [
        (pd.DataFrame({"a": ["1", "2"]}), pd.DataFrame({"a": ["1", "3"]})),
        (pd.DataFrame({"a": ["1"], "b": ["1"]}), pd.DataFrame({"b": ["1"], "a": ["1"]})),
        (pd.DataFrame({"a": ["1"]}), pd.DataFrame({"a": [1]})),
        (pd.DataFrame({"additionalProperties": [{"a": "1"}]}), pd.DataFrame({"additionalProperties": [{"b": "1"}]})),
        (pd.DataFrame({"additionalProperties": ["one"]}), pd.DataFrame({"additionalProperties": ["other"]})),
        ([event()], [event(), event()]),
        ([event()], [event(event_id="b")]),
    ],
)
def test_a_digest_differs_between_contents(sources: tuple[Any, Any]) -> None:
    """The same content has the same."""
    first, second = map(_digest, sources)
    assert first == _digest(sources[0])
    assert first != second


def test_the_same_rows_have_the_same_digest_in_any_source(tmp_path: Path) -> None:
    """So a run of one can be resumed with another."""
    rows = range(2 * CHUNK + 1)
    found = pa.table({"a": list(map(str, rows)), "b": [(None, "x", "y", "z")[row % 4] for row in rows]})
    found.to_pandas().to_csv(tmp_path / "a.csv", index=False)
    sources = [found, pl.from_arrow(found), duckdb.from_arrow(found), found.to_pandas(), found.to_reader(77)]
    assert 1 == len({_digest(source) for source in [*sources, tmp_path / "a.csv"]})
    assert _digest(found) != _digest(found[1:])
