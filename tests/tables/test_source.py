"""What is read from each kind of source, a chunk at a time, and the messages for one that cannot be read."""

import gzip
import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bwp_nb as bwp
from bwp_nb.displays.short_errors import MissingExtra
from bwp_nb.tables.chunks import CHUNK, Chunk
from bwp_nb.tables.conversion import column_cells
from bwp_nb.tables.mapping import ColumnMapping, MappedRows
from bwp_nb.tables.source import table
from tests.strategies import event


def _columns(source: Any) -> dict[str, list[Any]]:
    """Return all columns of a source, its chunks joined."""
    found: dict[str, list[Any]] = {}
    for chunk in table(source).chunks:
        for name, values in chunk.columns.items():
            found.setdefault(name, []).extend(values)
    return found


def _refused(chunk: Chunk) -> dict[int, str]:
    """Return why rows cannot be read, by their place."""
    return {place: problem.message for place, (problem,) in chunk.problems.items()}


def _mapped(source: Any) -> MappedRows:
    """Return the only chunk of a source, with its columns mapped."""
    given = replace(table(source), names=None)  # so that it may lack required columns
    (chunk,) = given.chunks
    return ColumnMapping(given).mapped(chunk)


def _written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_text_stays_text(tmp_path: Path) -> None:
    """Only an empty cell is a missing value; nothing becomes a number or a date."""
    path = _written(tmp_path / "a.csv", 'a,b\n00123,NA\nnull,nan\n1e3,"x,\ny"\nTrue,\n')
    assert {"a": ["00123", "null", "1e3", "True"], "b": ["NA", "nan", "x,\ny", None]} == _columns(path)


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    """As spreadsheets write them; pandas counts the same rows."""
    path = _written(tmp_path / "a.csv", "a,b\r\n1,2\r\n\r\n3,4\r\n", "utf-8-sig")
    assert {"a": ["1", "3"], "b": ["2", "4"]} == _columns(path)
    assert 2 == len(pd.read_csv(path))


def test_a_row_of_another_width_is_broken_and_the_others_are_not(tmp_path: Path) -> None:
    """It is named by its number, and by the line that it ends in."""
    (chunk,) = table(_written(tmp_path / "a.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n")).chunks
    expected = {1: "line 3: expected 2 cells, got 1", 2: "line 4: expected 2 cells, got 3"}
    assert expected == _refused(chunk)
    assert ["1", "3", "4", "7"] == chunk.columns["a"]


def test_jsonl_rows_may_each_have_other_names(tmp_path: Path) -> None:
    """What a row does not have is missing; what is null as well; an empty text is a text."""
    path = _written(tmp_path / "a.jsonl", '{"a": "1", "b": ""}\n\n{"c": null, "a": "2"}\n')
    assert {"a": ["1", "2"], "b": ["", None], "c": [None, None]} == _columns(path)


def test_a_line_that_is_not_an_object_is_a_broken_row(tmp_path: Path) -> None:
    """The rest of the file is read."""
    (chunk,) = table(_written(tmp_path / "a.jsonl", '{"a": "1"}\n{"a":\n[1]\n{"a": "4"}\n')).chunks
    expected = {1: "line 2: expected a JSON object, got '{\"a\":'", 2: "line 3: expected a JSON object, got '[1]'"}
    assert expected == _refused(chunk)
    assert ["1", None, None, "4"] == chunk.columns["a"]


@pytest.mark.parametrize("name", ["additional_properties", "additionalProperties"])
def test_properties_may_be_in_a_column_of_mappings(name: str, tmp_path: Path) -> None:
    """As a form saves them; a row with another value is refused."""
    lines = [{"a": "1", name: {"x": "y"}}, {"a": "2", name: {"z": None, "x": "w"}}, {"a": "3", name: ["x"]}, {"a": "4"}]
    for source in (
        _written(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines)),
        pd.DataFrame(lines),
    ):
        found = _mapped(source)
        assert {"a": ["1", "2", "3", "4"], "x": ["y", "w", None, None], "z": [None] * 4} == found.properties
        assert {2: f"{name}: expected a dict of str to str, got ['x']"} == _refused(found.chunk)


def test_properties_may_have_the_shape_of_the_api() -> None:
    """As in a request body; a name that occurs twice makes the row invalid, so that no value is lost."""
    cells = [event(additional_properties={"x": "y", "z": "w"}).input["additionalProperties"]]
    cells += [{"additionalProperties": [{"property": "x", "value": text} for text in "ab"]}]
    found = _mapped(pd.DataFrame({"a": ["1", "2"], "additionalProperties": cells}))
    assert {"a": ["1", "2"], "x": ["y", None], "z": ["w", None]} == found.properties
    assert [1] == list(found.chunk.problems)


def test_a_frame_gives_missing_values_as_none() -> None:
    """Whatever value pandas uses for them."""
    frame = pd.DataFrame({"a": ["x", None], "b": [math.nan, "y"], "c": pd.array([pd.NA, "z"], dtype="string")})
    assert {"a": ["x", None], "b": [None, "y"], "c": [None, "z"]} == _columns(frame)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_aware_times_become_text_in_the_same_way_in_every_dtype(unit: str, zone: str) -> None:
    """By the column as one by one, before 1970 as well, with the decimals that they need."""
    texts = ["2023-12-03T10:15:30.123456Z", "1969-12-31T23:59:59.999Z", "1900-01-01T00:00:00.000000004Z", "NaT"]
    moments = pd.to_datetime(pd.Series(texts), utc=True, format="ISO8601").dt.tz_convert(zone).dt.as_unit(unit)
    expected = {
        "s": ["2023-12-03T10:15:30Z", "1969-12-31T23:59:59Z", "1900-01-01T00:00:00Z", None],
        "ms": ["2023-12-03T10:15:30.123Z", "1969-12-31T23:59:59.999Z", "1900-01-01T00:00:00Z", None],
        "us": ["2023-12-03T10:15:30.123456Z", "1969-12-31T23:59:59.999Z", "1900-01-01T00:00:00Z", None],
        "ns": ["2023-12-03T10:15:30.123456Z", "1969-12-31T23:59:59.999Z", "1900-01-01T00:00:00.000000004Z", None],
    }[unit]
    assert expected == column_cells(moments.array)
    frames = [moments, moments.astype(object), moments.astype(pd.ArrowDtype(pa.timestamp(unit, zone)))]
    for source in [*(pd.DataFrame({"t": column}) for column in frames), pa.table({"t": pa.array(frames[2])})]:
        assert expected == _mapped(source).properties["t"]


def test_naive_times_are_left_for_the_checks_to_refuse() -> None:
    """They do not identify an instant."""
    (moment,) = column_cells(pd.Series(pd.to_datetime(["2023-12-03T10:15:30"])).array)
    assert isinstance(moment, datetime)
    assert moment.tzinfo is None


def test_parquet_has_the_same_values_as_the_frame(tmp_path: Path) -> None:
    """Texts, times and what is missing."""
    frame = pd.DataFrame({"a": ["x", None], "t": [datetime(2024, 1, 1, tzinfo=UTC), pd.NaT], "n": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert {"a": ["x", None], "t": ["2024-01-01T00:00:00Z", None], "n": [1, 2]} == _columns(tmp_path / "a.parquet")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "frame", "events"])
def test_a_long_table_is_read_in_pieces_that_follow_each_other(suffix: str, tmp_path: Path) -> None:
    """Every row once, in order, from any source."""
    count = 2 * CHUNK + 1
    frame = pd.DataFrame({"a": [str(row) for row in range(count)]})
    path = tmp_path / f"a.{suffix}"
    writers: dict[str, Callable[[], Any]] = {
        "csv": lambda: frame.to_csv(path, index=False),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }
    writers.get(suffix, lambda: None)()
    source = {"frame": frame, "events": [event(event_id=text) for text in frame["a"]]}.get(suffix, path)
    chunks = list(table(source).chunks)
    assert [(0, CHUNK), (CHUNK, CHUNK), (2 * CHUNK, 1)] == [(chunk.first, chunk.length) for chunk in chunks]
    found = [chunk.columns["event_id" if suffix == "events" else "a"] for chunk in chunks]
    assert list(frame["a"]) == [text for part in found for text in part]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a.csv has no columns"),
        (b"a,a\n1,2\n", "two columns called 'a'"),
        (b",a\n1,2\n", "index=False"),
        (b"a\n\xff\n", "not UTF-8"),
        (b'a\n"1\n', "cannot be read as CSV"),
        (
            b"a\n" + b"1" * 131_073 + b"\n",
            r"Save the rows as JSONL or Parquet, or raise Python's csv\.field_size_limit\.",
        ),
        (b"row,state,reason,a\n1,2,3,4\n", "was written by save_spreadsheet"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_refused_in_a_sentence(content: bytes, words: str, tmp_path: Path) -> None:
    """The message has the file's name, and no path of this machine."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(bwp.InvalidTable, match=words) as caught:
        list(table(tmp_path / "a.csv").chunks)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "Expected a DataFrame, .* got None"),
        ({"a": "b"}, "Expected a DataFrame, .* got {'a': 'b'}"),
        (["page-load"], r"rows\[0\]: expected a UserEvent, or a dict .* got str 'page-load'"),
        ("nowhere.csv", "nowhere.csv cannot be read: No such file or directory."),
        ("day.xlsx", "expected a file ending in .csv, .tsv, .jsonl, .ndjson, .parquet"),
        (pd.DataFrame({0: ["a"]}), "expected a str as its name, got int 0"),
        (pd.DataFrame([["a", "b"]], columns=["a", "a"]), "two columns"),
        (pd.DataFrame(), "no columns"),
    ],
)
def test_other_sources_are_refused_in_a_sentence(source: Any, words: str) -> None:
    """With what to pass instead."""
    with pytest.raises(bwp.InvalidTable, match=words):
        list(table(source).chunks)


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is large, so it is not installed unasked."""
    monkeypatch.delitem(sys.modules, "bwp_nb.tables.arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"bwp-nb\[parquet\]"):
        table(_written(tmp_path / "a.parquet", ""))


def test_a_file_that_is_not_parquet_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Like a CSV file that cannot be read."""
    path = _written(tmp_path / "day.parquet", "a,b\n")
    with pytest.raises(bwp.InvalidTable, match=r"^day\.parquet cannot be read: "):
        table(path)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.tsv", b"a\tb\n1\tx,y\n", {}),
        ("a.CSV", b"a;b\n1;x,y\n", {"delimiter": ";"}),
        ("a.csv.gz", gzip.compress(b'a,b\n1,"x,y"\n', mtime=0), {}),
        ("a.csv", "a,b\n1,\u201ex,y\u201c\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("a.csv", 'a,b\n1,"x,y"\n'.encode("utf-16"), {"encoding": "utf-16"}),
        ("a.csv", 'a,b\n1,"x,y"\n'.encode("utf-8-sig"), {"encoding": "UTF-8"}),
        ("a.ndjson", b'{"a": "1", "b": "x,y"}\n', {}),
        ("a.jsonl.gz", gzip.compress(b'{"a": "1", "b": "x,y"}\n', mtime=0), {}),
    ],
)
def test_text_files_are_read_by_their_ending_and_options(
    name: str, content: bytes, options: dict[str, str], tmp_path: Path
) -> None:
    """Compressed or not, with any delimiter and encoding."""
    (tmp_path / name).write_bytes(content)
    (chunk,) = table(tmp_path / name, **options).chunks
    assert ["1"] == chunk.columns["a"]
    assert "x,y" == chunk.columns["b"][0].strip("\u201e\u201c") or "\u201ex" == chunk.columns["b"][0]


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("a.csv", b'a,b\n1,2\n"x\ny",3\n\xff,5\n', {}, r"^a\.csv, line 5 is not UTF-8: "),
        ("a.csv", b"a\r1\r2\r\xff\r", {}, r"^a\.csv, line 4 is not UTF-8: "),
        ("a.jsonl", b'{"a": "1"}\n{"a": "\xe9"}\n', {}, r"^a\.jsonl, line 2 is not UTF-8: .* pass encoding=\.$"),
        ("a.csv", b'a,b\n1,2\n"x\n', {}, r"^a\.csv, line 3 cannot be read as CSV: unexpected end of data"),
        ("a.csv", b'a,b\n1,2\n"x"y,2\n', {}, r"^a\.csv, line 3 cannot be read as CSV: "),
        ("a.csv.gz", b"a,b\n", {}, r"^a\.csv\.gz cannot be read: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9],
            {},
            r"^a\.csv\.gz cannot be read: Compressed file ended",
        ),
        ("a.csv", b"a,b\n", {"encoding": "klingon"}, r"^Unknown encoding 'klingon'; expected e\.g\. 'utf-8'"),
        ("a.csv", b"a,b\n", {"encoding": "utf-16"}, r"^a\.csv, line 1 is not UTF-16: "),
    ],
)
def test_an_error_in_a_text_file_names_the_line(
    name: str, content: bytes, options: dict[str, str], words: str, tmp_path: Path
) -> None:
    """As an editor counts it, with what to do."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(bwp.InvalidTable, match=words):
        list(table(tmp_path / name, **options).chunks)


def test_quoted_line_ends_and_blank_lines_count_as_lines(tmp_path: Path) -> None:
    """A row is named by its number and by its last line."""
    path = _written(tmp_path / "a.csv", 'a,b\n\n"1\n\n",2\n\n3\n')
    (chunk,) = table(path).chunks
    assert (["1\n\n", "3"], {1: "line 7: expected 2 cells, got 1"}) == (chunk.columns["a"], _refused(chunk))


@pytest.mark.parametrize("cell", ["x" * 100_000, "a\x00b", "\ufeff", "\u2028\u0085", '"', "'", "a\r\nb", "\\N"])
def test_any_text_is_read_from_csv_unchanged(cell: str, tmp_path: Path) -> None:
    """Long, with control characters, line ends, quotation marks."""
    pd.DataFrame({"a": [cell], "b": ["1"]}).to_csv(tmp_path / "a.csv", index=False)
    assert {"a": [cell], "b": ["1"]} == _columns(tmp_path / "a.csv")


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    """In the order of their names; what a file lacks is missing, `day=01` is a column; hidden files are not read."""
    for folder, columns in {"day=01": {"a": ["1"]}, "day=02": {"a": ["2"], "b": ["x"]}}.items():
        (tmp_path / "t" / folder).mkdir(parents=True)
        pd.DataFrame(columns).to_parquet(tmp_path / "t" / folder / "part.parquet")
    (tmp_path / "t" / "_temporary.parquet").write_bytes(b"")
    (tmp_path / "t" / "_SUCCESS").write_bytes(b"")
    assert {"a": ["1", "2"], "day": ["01", "02"], "b": [None, "x"]} == _columns(tmp_path / "t")


def test_the_folder_of_a_single_parquet_file_is_a_column_too(tmp_path: Path) -> None:
    """The table has the same columns as with more files."""
    (tmp_path / "t" / "day=01").mkdir(parents=True)
    pd.DataFrame({"a": ["1"]}).to_parquet(tmp_path / "t" / "day=01" / "part.parquet")
    assert {"a": ["1"], "day": ["01"]} == _columns(tmp_path / "t")


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    """It says what it looked for."""
    with pytest.raises(bwp.InvalidTable, match=r"contains no file ending in \.parquet"):
        table(tmp_path)


@pytest.mark.parametrize("name", ["additional_properties", "attributes"])
def test_a_map_of_arrow_has_properties(name: str, tmp_path: Path) -> None:
    """Whatever its column is called, in Parquet too; one with a repeated name is refused."""
    pairs = [[("x", "1"), ("y", None)], None, [], [("x", "1"), ("x", "2")]]
    found = pa.table({name: pa.array(pairs, pa.map_(pa.string(), pa.string())), "a": list("abcd")})
    pq.write_table(found, tmp_path / "a.parquet")
    for source in (found, tmp_path / "a.parquet"):
        mapped = _mapped(source)
        assert {"a": list("abcd"), "x": ["1", None, None, None], "y": [None] * 4} == mapped.properties
        assert [3] == list(mapped.chunk.problems)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"a": "1"}, event(), "b"], r"rows\[2\]: expected a UserEvent, or a dict with str as keys, got str 'b'"),
        ([{1: "a"}], r"rows\[0\]: expected a UserEvent, or a dict with str as keys, got dict {1: 'a'}"),
    ],
)
def test_rows_of_another_kind_are_refused(rows: list[Any], words: str) -> None:
    """By their number."""
    with pytest.raises(bwp.InvalidTable, match=words):
        list(table(rows).chunks)


def test_a_long_parquet_file_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """Six times the rows in one group, and less than a quarter more of what pyarrow allocates."""
    code = (
        "import sys, pyarrow as pa\n"
        "from bwp_nb.tables.source import table\n"
        "print(sum(chunk.length for chunk in table(sys.argv[1]).chunks), pa.default_memory_pool().max_memory())\n"
    )
    found = []
    for rows in (20_000, 120_000):
        values = [f"{row:040}" for row in range(rows)]
        pq.write_table(pa.table(dict.fromkeys("abcd", values)), tmp_path / "a.parquet", use_dictionary=False)
        command = [sys.executable, "-c", code, str(tmp_path / "a.parquet")]
        count, peak = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        assert rows == count
        found.append(peak)
    assert found[1] < 1.25 * found[0]
