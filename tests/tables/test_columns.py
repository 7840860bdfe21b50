"""What is done with each column is stated, and a column that is nearly a field is never taken for a property."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bwp_nb as bwp
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.tables.columns import Columns, meant
from tests.strategies import VALID, event

FIELDS = {*TEXT_FIELDS, *TEXT_FIELDS.values()}

#: Names that shops give to properties; none of them is a mistyped field.
PROPERTIES = [
    "time_zone",
    "timezone",
    "client",
    "type",
    "product_id",
    "product_sku",
    "sku",
    "ip",
    "ubid",
    "userAgent",
    "currentUrl",
    "current_url",
    "referrer",
    "prime_promise_timestamp",
    "page_type",
    "name",
    "time",
    "timestamp",
    "ts",
    "event",
    "events",
    "action",
    "category",
    "label",
    "value",
    "event_name",
    "event_category",
    "event_label",
    "event_value",
    "event_source",
    "event_date",
    "event_data",
    "event_url",
    "event_ip",
    "event_title",
    "event_ad",
    "event_timestamp",
    "client_id",
    "client_ip",
    "client_name",
    "client_session",
    "client_time",
    "version",
    "app_version",
    "schema",
    "schema_id",
    "schema_url",
    "user_id",
    "session_id",
    "order_id",
    "item_id",
    "device_type",
    "created_at",
    "trace_id",
    "content_type",
    "uuid",
    "ids",
    "identity",
    "_type",
]


def _misspelt(name: str) -> Iterator[str]:
    """Yield a name with one mistake of each kind at each place, and in other spellings."""
    for place, letter in enumerate(name):
        before, after = name[:place], name[place + 1 :]
        yield from (before + after, before + letter + letter + after, f"{before}x{after}", f"{before}x{letter}{after}")
        yield before + after[:1] + letter + after[1:]
    for separator in ("", " ", "-", ".", "__"):
        yield name.replace("_", separator)
    yield from (
        name.upper(),
        name.lower(),
        name.capitalize(),
        name.title(),
        f" {name}",
        f"{name} ",
        f"{name}s",
        f"_{name}",
    )


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_mistyped_field_is_recognised(name: str) -> None:
    """Hundreds of mistakes, each with the field that was meant."""
    expected = next(ours for ours, api_name in TEXT_FIELDS.items() if name in (ours, api_name))
    mistakes = set(_misspelt(name)) - FIELDS
    assert {} == {mistake: found for mistake in mistakes if (found := meant(mistake)) != expected}


@pytest.mark.parametrize("name", PROPERTIES)
def test_an_ordinary_name_is_a_property(name: str) -> None:
    """It is sent as such from a frame."""
    assert [name] == list(bwp.dry_run(pd.DataFrame([VALID | {name: "a"}])).columns.properties)


def _jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SOURCES: dict[str, Callable[[Path, list[dict[str, Any]]], Any]] = {
    "frame": lambda _, rows: pd.DataFrame(rows),
    "rows": lambda _, rows: rows,
    "jsonl": lambda folder, rows: _jsonl(folder / "a.jsonl", *rows),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    "name", ["event_tiem", "event id", "id", "ID", "eventTypes", "Schema_Name", "additonal_properties"]
)
def test_a_column_that_is_nearly_a_field_is_refused_wherever_it_occurs(kind: str, name: str, tmp_path: Path) -> None:
    """Also in the last row only; mapped to a field or listed as a property it is sent."""
    source = SOURCES[kind](tmp_path, [VALID, VALID | {"event_id": "b"}, VALID | {"event_id": "c", name: "abc"}])
    with pytest.raises(
        bwp.InvalidTable, match=rf"Unknown column '{name}'; did you mean \w+\? Rename it, pass columns="
    ):
        bwp.dry_run(source)
    assert 3 == bwp.dry_run(source, properties=[name]).valid
    assert 3 == bwp.dry_run(source, columns={name: "schema_version"}).valid


def test_columns_takes_the_names_of_the_api_too() -> None:
    """And `fields` does."""
    frame = pd.DataFrame([{"ts": VALID["event_time"], "eventType": "click", "client_version": "1"}])
    dry = bwp.dry_run(frame, columns={"ts": "eventTime"}, fields={"clientType": "SERVER_CLIENT"})
    assert [
        "fields: event_type from eventType, event_time from ts, client_version, client_type = 'SERVER_CLIENT'",
        "properties: none",
        "generated: event_id for 1 row",
    ] == list(dry.columns.lines())


def test_report_dry_run_and_progress_say_what_is_done_with_each_column(capsys: pytest.CaptureFixture[str]) -> None:
    """The same lines in each."""
    rows = [VALID | {"sku": "a", "note": "b"}, {name: text for name, text in VALID.items() if name != "event_time"}]
    frame = pd.DataFrame(rows).drop(columns="event_id")
    expected = Columns(
        2,
        {name: [name] for name in ("event_type", "event_time", "client_type", "client_version")},
        {},
        ["sku as product_sku"],
        ["note"],
        {"event_id": 2, "event_time": 1},
    )
    lines = [
        "fields: event_type, event_time, client_type, client_version",
        "properties: sku as product_sku",
        "not sent: note",
        "generated: event_id for 2 rows, event_time for 1 row",
    ]
    report = bwp.send_table(bwp.connect(), frame, properties={"sku": "product_sku"}, workers=1)
    assert (expected, expected) == (report.columns, bwp.dry_run(frame, properties={"sku": "product_sku"}).columns)
    shown = capsys.readouterr()
    assert lines == shown.err.splitlines()[:4] == repr(report).splitlines()[1:5] == str(report.columns).splitlines()
    assert [] == [line for line in lines if line not in report._repr_html_()]


def test_a_resumed_run_has_the_same_column_report(tmp_path: Path) -> None:
    """And so has a report that is read from its ledger."""
    frame, sandbox = pd.DataFrame([VALID]).drop(columns="event_id"), bwp.Sandbox()
    first, second = (
        bwp.send_table(bwp.connect(sandbox), frame, ledger=tmp_path / "a", workers=1, progress=False) for _ in range(2)
    )
    assert {"event_id": 1, "event_time": 0} == first.columns.generated
    assert first.columns == second.columns == bwp.Report.read(tmp_path / "a", frame).columns


def test_properties_in_mappings_are_listed() -> None:
    """With those in columns."""
    rows = [VALID | {"sku": "a", "additional_properties": {"ubid": "b"}}]
    assert ["sku", "ubid"] == list(bwp.dry_run(rows).columns.properties)
    named = bwp.dry_run([VALID | {"more": {"ubid": "b"}}], columns={"more": "additionalProperties"})
    assert (1, ["ubid"]) == (named.valid, list(named.columns.properties))
    with pytest.raises(bwp.InvalidTable, match=r"Missing column 'skuu'"):
        bwp.dry_run(pd.DataFrame(rows), properties=["skuu"])


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (
            [event()],
            {"columns": {"a": "event_id"}},
            "Missing column 'a', which columns= or properties= names. The columns of the list of rows are",
        ),
        ([event()], {"properties": ["sku"]}, "Missing column 'sku'"),
        ([event()], {"delimiter": ";"}, "delimiter= and encoding= have an effect on files of text only"),
        (
            pd.DataFrame([VALID]),
            {"encoding": "cp1252"},
            "delimiter= and encoding= have an effect on files of text only",
        ),
        (pd.DataFrame([VALID]), {"properties": ["event_id"]}, "the column 'event_id' is the field event_id"),
        (
            pd.DataFrame([VALID]),
            {"fields": {"additionalProperties": "a"}},
            "fields: additional_properties is not a field with one value; add a column for each property",
        ),
        (
            pd.DataFrame([VALID]),
            {"columns": {"a": "event_tiem"}},
            r"Unknown field 'event_tiem'; did you mean event_time\?",
        ),
    ],
)
def test_an_argument_without_effect_is_refused(source: Any, options: dict[str, Any], words: str) -> None:
    """It is a mistake, and the caller learns of it."""
    with pytest.raises(bwp.InvalidTable, match=words):
        bwp.dry_run(source, **options)


@pytest.mark.parametrize(
    ("name", "option"), [("a.jsonl", "delimiter"), ("a.parquet", "delimiter"), ("a.parquet", "encoding")]
)
def test_an_option_of_csv_is_refused_for_other_files(name: str, option: str, tmp_path: Path) -> None:
    """JSONL has no delimiter, and Parquet no encoding."""
    pd.DataFrame([VALID]).to_parquet(tmp_path / "a.parquet")
    _jsonl(tmp_path / "a.jsonl", VALID)
    with pytest.raises(bwp.InvalidTable, match=f"{option}=.* no effect"):
        bwp.dry_run(tmp_path / name, **{option: "x"})


def test_skipping_unknown_rows_takes_a_ledger() -> None:
    """Without one no row is known from an earlier run."""
    with pytest.raises(ValueError, match="on_unknown='skip' has no effect without ledger="):
        bwp.send_table(bwp.connect(), [event()], on_unknown="skip")


def test_a_name_that_is_repeated_in_an_object_is_a_problem_of_its_row(tmp_path: Path) -> None:
    """Neither value is dropped, at any depth; the row is kept whole."""
    (tmp_path / "a.jsonl").write_text(
        json.dumps(VALID) + '\n{"event_id": "b", "event_id": "c"}\n{"additional_properties": {"a": "1", "a": "2"}}\n'
    )
    dry = bwp.dry_run(tmp_path / "a.jsonl")
    assert {
        1: "row: line 2: the name 'event_id' is repeated in an object",
        2: "row: line 3: the name 'a' is repeated in an object",
    } == {row: str(problem) for row, (problem,) in dry.problems.items()}
