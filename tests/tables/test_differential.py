"""Rows from every kind of source against an independent reading of the rules in the docstring of `send_table`."""

import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bwp_nb as bwp
from bwp_nb.event import TEXT_FIELDS
from tests.strategies import BAD_TIMES, GOOD_TIMES

#: The rows for each kind of source; set it to 20_000 for a long test.
ROWS = 700

_TEXTS = [
    "a",
    "é😀",
    'say "hi",\nplease',
    "00123",
    "NA",
    "nan",
    "null",
    "1e3",
    " x ",
    "=1+1",
    "\\",
    "true",
    "'",
    "a\tb;c",
]
_FIELD_TEXTS: dict[str, list[Any]] = {
    "event_type": ["page-load", "click", "widget-viewed", "x" * 64, "x" * 65, "pl", "😀😀"],
    "event_time": [*GOOD_TIMES, *(text for text in BAD_TIMES if text), None],
    "client_type": ["WEBSITE_CLIENT"] * 8 + ["SERVER_CLIENT", "ANDROID", "website_client"],
    "client_version": ["1.0", "2", "é", None],
    "schema_name": [None, None, "sfcc-schema", "ab", "x" * 256],
    "schema_version": [None, "1"],
}


def _text_rows(seed: int) -> list[dict[str, str | None]]:
    """Return rows of text, about half of them valid; None is a missing value, and no text is empty."""
    chance = random.Random(seed)  # noqa: S311
    usual = ["page-load", GOOD_TIMES[0], "WEBSITE_CLIENT", "1.0", None, None]
    rows = []
    for number in range(ROWS):
        row: dict[str, str | None] = dict(zip(_FIELD_TEXTS, usual, strict=True))
        name = chance.choice(list(_FIELD_TEXTS))
        row[name] = chance.choice(_FIELD_TEXTS[name])
        row["event_id"] = None if chance.random() < 0.1 else f"id-{number}"
        row |= {name: chance.choice([*_TEXTS, None]) for name in ("sku", "a b", "größe")}
        rows.append(row)
    return rows


def _csv(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pd.DataFrame(rows, dtype=object).to_csv(path, index=False, **options)
    return path


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else lines)
    return path


def _parquet(path: Path, found: Any, **options: Any) -> Path:
    pq.write_table(found, path, **options)
    return path


def _folder(path: Path, found: Any) -> Path:
    path.mkdir()
    for number, first in enumerate(range(0, found.num_rows, 400)):
        pq.write_table(found.slice(first, 400), path / f"part-{number:02}.parquet")
    return path


#: How a table of Arrow becomes a source of each kind, in a folder for files.
ARROW: dict[str, Callable[[Path, Any], Any]] = {
    "arrow": lambda _, found: found,
    "arrow batches": lambda _, found: pa.Table.from_batches(found.to_batches(max_chunksize=123)),
    "arrow reader": lambda _, found: pa.RecordBatchReader.from_batches(
        found.schema, found.to_batches(max_chunksize=99)
    ),
    "polars": lambda _, found: pl.from_arrow(found),
    "duckdb": lambda _, found: duckdb.from_arrow(found),
    "parquet": lambda folder, found: _parquet(folder / "a.parquet", found, row_group_size=777),
    "parquet folder": lambda folder, found: _folder(folder / "parts", found),
    "arrow frame": lambda _, found: found.to_pandas(types_mapper=pd.ArrowDtype),
}
#: How rows of text become a source.
TEXT: dict[str, Callable[[Path, list[dict[str, Any]]], Any]] = {
    "frame": lambda _, rows: pd.DataFrame(rows),
    "rows": lambda _, rows: rows,
    "generator": lambda _, rows: (row for row in rows),
    "csv": lambda folder, rows: _csv(folder / "a.csv", rows),
    "csv.gz": lambda folder, rows: _csv(folder / "a.csv.gz", rows),
    "tsv": lambda folder, rows: _csv(folder / "a.TSV", rows, sep="\t"),
    "jsonl": lambda folder, rows: _jsonl(folder / "a.jsonl", rows),
    "ndjson.gz": lambda folder, rows: _jsonl(folder / "a.ndjson.gz", rows),
    **{kind: lambda folder, rows, made=made: made(folder, pa.Table.from_pylist(rows)) for kind, made in ARROW.items()},
}


def _expected_text(value: Any) -> str | None:
    """Return a value's text as the rules say it; raise ValueError if it has none."""
    if value is None or value != value:  # noqa: PLR0124
        return None
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else None
        if moment is None:
            raise ValueError
        micro = f".{moment.microsecond:06}" if moment.microsecond % 1000 else f".{moment.microsecond // 1000:03}"
        return f"{moment:%Y-%m-%dT%H:%M:%S}{micro if moment.microsecond else ''}Z"
    texts: dict[type, Callable[[Any], str]] = {
        str: str,
        bool: lambda found: "true" if found else "false",
        int: str,
        float: json.dumps,
        Decimal: lambda found: f"{found:f}",
        date: lambda found: f"{found:%Y-%m-%d}",
        list: lambda found: json.dumps(found, separators=(",", ":"), ensure_ascii=False),
        dict: lambda found: json.dumps(found, separators=(",", ":"), ensure_ascii=False),
    }
    if type(value) not in texts or (isinstance(value, float) and not abs(value) < 2**53):
        raise ValueError
    return texts[type(value)](value)


def _expected(row: dict[str, Any], event_id: Any, event_time: str) -> dict[str, Any] | None:
    """Return the input to send for a row, None if it is invalid: by way of a `UserEvent`, not by the column.

    A missing id or time is the generated one.
    """
    try:
        texts = {name: _expected_text(value) for name, value in row.items()}
    except ValueError:
        return None
    if not isinstance(row["event_time"], str | datetime | None):
        return None
    made = {"event_id": event_id} if texts["event_id"] is None else {}
    made |= {"event_time": event_time} if texts["event_time"] is None else {}
    fields = {name: texts.get(name) for name in TEXT_FIELDS} | made
    pairs = {name: text for name, text in texts.items() if name not in TEXT_FIELDS and text is not None}
    if None in (fields["event_type"], fields["client_type"], fields["client_version"]):
        return None
    event = bwp.UserEvent(**fields, additional_properties=pairs)  # type: ignore[arg-type]
    return None if event.problems() else event.input


def _sent(source: Any, **options: Any) -> tuple[bwp.Report, dict[str, Any]]:
    sandbox = bwp.Sandbox()
    report = bwp.send_table(bwp.connect(sandbox), source, workers=1, progress=False, **options)
    return report, {event["eventId"]: event for event in sandbox.accepted}


def _sorted(event: dict[str, Any]) -> dict[str, Any]:
    pairs = event.get("additionalProperties", {}).get("additionalProperties", [])
    return event | {"additionalProperties": sorted(pairs, key=lambda pair: str(pair["property"]))}


def _differences(rows: list[dict[str, Any]], report: bwp.Report, arrived: dict[str, Any]) -> list[str]:
    frame = report.frame()
    found = []
    for number, (event_id, state) in enumerate(zip(frame["event_id"], frame["state"], strict=True)):
        expected = _expected(rows[number], event_id, report._parts[0].ledger.run.time)
        if state != ("invalid" if expected is None else "sent"):
            found.append(f"row {number} is {state}: {frame['reason'][number]}; {rows[number]}")
        elif expected is not None and _sorted(expected) != _sorted(arrived[event_id]):
            found.append(f"row {number}: {arrived[event_id]} instead of {expected}")
    return found


@pytest.fixture(scope="module")
def text_rows() -> list[dict[str, Any]]:
    """Return rows of text, the same for each kind."""
    return _text_rows(0)


@pytest.fixture(scope="module")
def usual(text_rows: list[dict[str, Any]]) -> bwp.Report:
    """Return the report of the rows as a frame, which the others must equal."""
    return _sent(pd.DataFrame(text_rows))[0]


@pytest.mark.parametrize("kind", TEXT)
def test_rows_of_text_have_the_documented_outcome_and_one_report(
    kind: str, text_rows: list[dict[str, Any]], usual: bwp.Report, tmp_path: Path
) -> None:
    """States, reasons, generated ids and the column report are the same from each kind of source."""
    report, arrived = _sent(TEXT[kind](tmp_path, text_rows))
    assert [] == _differences(text_rows, report, arrived)[:3]
    assert {"sent", "invalid"} == {state for state, count in report.counts.items() if count}
    pd.testing.assert_frame_equal(usual.frame(), report.frame())
    assert usual.columns == report.columns
    assert repr(usual) == repr(report)


def _typed() -> Any:
    """Return a table of Arrow with a column of each type, and missing values in each."""
    chance = random.Random(1)  # noqa: S311
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def column(make: Callable[[], Any]) -> list[Any]:
        return [None if chance.random() < 0.1 else make() for _ in range(ROWS)]

    def moments(unit: int) -> list[Any]:
        return column(lambda: start + timedelta(microseconds=unit * chance.randrange(10**9)))

    floats = [0.1, 1.0, -2.5, 1e-7, 123456.789, 2.0**53, float("inf"), float("nan")]
    return pa.table(
        {
            "event_type": ["page-load"] * ROWS,
            "event_id": pa.array(range(ROWS), pa.int64()),
            "event_time": pa.array(moments(1000), pa.timestamp("ms", "Asia/Kolkata")),
            "client_type": pa.array(["WEBSITE_CLIENT"] * ROWS).dictionary_encode(),
            "client_version": pa.array([1.0] * ROWS),
            "text": pa.array(column(lambda: chance.choice(_TEXTS)), pa.large_string()),
            "whole": pa.array(column(lambda: chance.randrange(-(2**63), 2**63)), pa.int64()),
            "small": pa.array(column(lambda: chance.randrange(256)), pa.uint8()),
            "float": pa.array(column(lambda: chance.choice(floats))),
            "flag": pa.array(column(lambda: chance.random() < 0.5)),
            "price": pa.array(column(lambda: Decimal(chance.randrange(10**6)) / 100), pa.decimal128(12, 2)),
            "day": pa.array(column(lambda: date(2024, 1, 1) + timedelta(chance.randrange(500))), pa.date32()),
            "moment": pa.array(moments(1), pa.timestamp("us", "UTC")),
            "list": pa.array(column(lambda: [chance.choice(_TEXTS)] * chance.randrange(3)), pa.list_(pa.string())),
            "struct": pa.array(column(lambda: {"a": chance.randrange(9), "b": None})),
        }
    )


@pytest.mark.parametrize("kind", ARROW)
@pytest.mark.parametrize("convert", [True, False])
def test_rows_of_every_type_have_the_documented_outcome(kind: str, convert: bool, tmp_path: Path) -> None:
    """With `convert` each value has its text; without it only text and aware times have one."""
    found = _typed()
    rows = found.to_pylist()
    if not convert:
        found = found.set_column(1, "event_id", [[f"id-{row}" for row in range(ROWS)]])
        found = found.set_column(4, "client_version", [["1"] * ROWS])
        rows = found.to_pylist()
    report, arrived = _sent(ARROW[kind](tmp_path, found), convert=convert)
    text_only = [all(value is None or type(value) in (str, datetime) for value in row.values()) for row in rows]
    if convert:
        assert [] == _differences(rows, report, arrived)[:3]
        assert report.counts["sent"] > ROWS / 2
    else:
        assert text_only == [state == "sent" for state in report.frame()["state"]]


@pytest.mark.parametrize("kind", ["frame", "rows", "jsonl"])
def test_objects_of_every_json_type_have_the_documented_outcome(kind: str, tmp_path: Path) -> None:
    """Each row has its own types."""
    chance = random.Random(2)  # noqa: S311
    values = [*_TEXTS, 0, -5, 10**25, 0.1, 1.0, 2.0**60, True, False, None, [], ["é", 1], {"a": {"b": None}}]
    rows = [
        {
            "event_type": "click",
            "event_id": str(number),
            "event_time": chance.choice([*GOOD_TIMES, 1700000000, True]),
            "client_type": "SERVER_CLIENT",
            "client_version": chance.choice([1, 1.0, "1"]),
            "a": chance.choice(values),
            "b": chance.choice(values),
        }
        for number in range(ROWS)
    ]
    source = pd.DataFrame(rows, dtype=object) if kind == "frame" else TEXT[kind](tmp_path, rows)
    report, arrived = _sent(source, convert=True)
    assert [] == _differences(rows, report, arrived)[:3]
