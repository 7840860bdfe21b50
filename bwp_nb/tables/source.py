"""Makes a table of what a caller passes: a DataFrame, Arrow data, rows, events, or the path of a file."""

import csv
import glob
import gzip
import io
import json
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from bwp_nb.errors import InvalidTable
from bwp_nb.event import UserEvent
from bwp_nb.tables.chunks import CHUNK, Chunk, Table, blocks, by_column, checked
from bwp_nb.tables.conversion import column_cells
from bwp_nb.tables.mapping import record
from bwp_nb.text import quoted, readable, typed

if TYPE_CHECKING:
    import pandas as pd

#: The first columns of a spreadsheet of refused rows, by which it is recognised and not sent.
SPREADSHEET_COLUMNS = ["row", "state", "reason"]

#: The endings of files of CSV, and what separates their cells.
DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSONL = (".jsonl", ".ndjson")
#: How a folder's name in Hive's form says that a value is missing.
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_KINDS = (*DELIMITERS, *_JSONL, ".parquet")
_EXPECTED = "Expected a DataFrame, Arrow data, an iterable of UserEvent or dict, or the path of a file"


def table(source: Any, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """Return the table for a source, which may be one, or raise `InvalidTable`."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return file_table(Path(source), delimiter, encoding)
    if delimiter or encoding:
        raise InvalidTable("delimiter= and encoding= have an effect on files of text only.")
    pandas = sys.modules.get("pandas")
    if pandas and isinstance(source, pandas.DataFrame):
        return _frame(source)
    if hasattr(source, "__arrow_c_stream__"):
        from bwp_nb.tables.arrow import stream_table

        return stream_table(f"the {type(source).__name__}", source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        rows = (_row(number, given) for number, given in enumerate(source))
        chunks = (Chunk(first, len(block), by_column(block)) for first, block in blocks(rows))
        return Table("the list of rows", None, chunks)
    raise InvalidTable(f"{_EXPECTED}, got {quoted(source)}.")


def _row(number: int, given: Any) -> dict[str, Any]:
    if isinstance(given, UserEvent):
        return record(given)
    if not hasattr(given, "items") or not all(isinstance(name, str) for name in dict(given.items())):
        raise InvalidTable(f"rows[{number}]: expected a UserEvent, or a dict with str as keys, got {typed(given)}.")
    return dict(given.items())


def _frame(frame: "pd.DataFrame") -> Table:
    import pandas as pd

    names = checked(list(frame.columns), "the DataFrame")
    numbers = pd.RangeIndex(len(frame))
    has_own = not numbers.equals(frame.index) or frame.index.name is not None
    return Table("the DataFrame", names, _frame_chunks(frame, names), index=frame.index if has_own else None)


def _frame_chunks(frame: "pd.DataFrame", names: list[str]) -> Iterator[Chunk]:
    columns = {name: frame[name].array for name in names}
    for first in range(0, len(frame), CHUNK):
        cells = {name: column_cells(column[first : first + CHUNK]) for name, column in columns.items()}
        yield Chunk(first, min(CHUNK, len(frame) - first), cells)


class TextFile(NamedTuple):
    """A file of text: its name, how to open it, and how it is encoded; it is compressed if its name ends in `.gz`."""

    name: str
    open_bytes: Callable[[], BinaryIO]
    encoding: str = "utf-8"

    @property
    def kind(self) -> str:
        """The ending that says what is in it."""
        return Path(self.name.lower().removesuffix(".gz")).suffix

    def lines(self) -> Iterator[str]:
        """Yield its lines; if it cannot be read, name it, the line and the remedy in the error."""
        name, number = readable(self.name), 0
        try:
            with self.open_bytes() as content:
                plain: Any = gzip.GzipFile(fileobj=content) if self.name.lower().endswith(".gz") else content
                with io.TextIOWrapper(plain, self.encoding, newline="") as text:
                    for number, line in enumerate(text, 1):
                        yield line if number > 1 else line.removeprefix("\ufeff")
        except (OSError, EOFError, zlib.error) as error:
            said = readable(getattr(error, "strerror", None) or str(error), 160)
            raise InvalidTable(f"{name} cannot be read: {said}.") from None
        except UnicodeError as error:
            # Several lines are decoded at a time.
            read = (error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b"") + b"x"
            said = f"line {number + len(read.splitlines())} is not {self.encoding.upper()}: {readable(str(error), 160)}"
            raise InvalidTable(f"{name}, {said}. Save it as UTF-8, or pass encoding=.") from None
        except LookupError:
            found = quoted(self.encoding)
            raise InvalidTable(f"Unknown encoding {found}; expected e.g. 'utf-8' or 'cp1252'.") from None


class Part(NamedTuple):
    """A file or a folder of Parquet files that is sent by itself; for the `root` see `file_table`."""

    name: str
    path: Path
    root: Path | None
    ledger: Path

    def table(self, options: Mapping[str, Any], check: Callable[[], None] = lambda: None) -> Table:
        """Return the table in it; the `delimiter` and the `encoding` may be among the options."""
        found = file_table(self.path, options.get("delimiter"), options.get("encoding"), self.root)
        return replace(found, part=self.name, check=check)


def parts(sources: str | Path | Iterable[str | Path], ledgers: Path) -> list[Part]:
    """Return the parts in a folder, of a glob, or at some paths, by their names; nothing in the folder `ledgers`."""
    root = None
    if not isinstance(sources, str | Path):
        found = [Path(os.path.abspath(path)) for path in sources]
    elif (path := Path(os.path.abspath(sources))).is_dir():
        root, found = path, [file for file in _visible(path, "*") if file.is_symlink() or not file.is_dir()]
    elif path.exists():
        found = [path]
    else:
        root = next(folder for folder in path.parents if not glob.has_magic(str(folder)))
        found = [Path(text) for text in glob.glob(str(path), recursive=True)]
    found = [path for path in found if ledgers not in (path, *path.parents)]
    if not found:
        advice = "Pass at least one that is not in the folder of the ledgers. Nothing was sent."
        raise InvalidTable(f"sources: no file found for {readable(str(sources))}. {advice}")
    places = [Path(os.path.realpath(path)) for path in found]  # a link may lead to another source
    sent = dict(zip(places, found, strict=True))
    for place, path in zip(places, found, strict=True):
        if not path.exists():
            raise InvalidTable(f"sources: {readable(str(path))} does not exist. Nothing was sent.")
        if others := {sent[at] for at in (place, *place.parents) if at in sent} - {path}:
            said = f"{readable(str(path))} would be sent twice, also as {readable(str(min(others)))}"
            raise InvalidTable(f"sources: {said}. Pass one of them, or a glob such as **/*.parquet. Nothing was sent.")
    named = [Part(name, path, root, ledgers / f"{name}.ledger") for path in found for name in [_name(path, root)]]
    named.sort(key=lambda part: part.name.casefold())
    for part, other in pairwise(named):
        if part.name.casefold() == other.name.casefold():
            paths = f"{readable(str(part.path))} and {readable(str(other.path))}"
            advice = "Pass their folder or a glob, by which parts are called by their path."
            raise InvalidTable(f"sources: two are called {quoted(part.name)}: {paths}. {advice} Nothing was sent.")
    return named


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Return what is in a folder by a pattern, without what is hidden."""
    found = sorted(folder.rglob(pattern))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(folder).parts)]


def _name(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root else path.name


def file_table(
    path: Path, delimiter: str | None = None, encoding: str | None = None, root: Path | None = None
) -> Table:
    """Return the table in a file or a folder, which is called by its path below `root` if that is given.

    Folders between `root`, by default the path itself, and a Parquet file may have values of columns as their names.
    """
    file = TextFile(_name(path, root), lambda: path.open("rb"), encoding or "utf-8")
    name = readable(file.name)
    if path.is_dir() or file.kind == ".parquet":
        if delimiter or encoding:
            raise InvalidTable(f"delimiter= and encoding= have no effect on {name}, which is Parquet.")
        return _parquet_table(name, path, root or path)
    if file.kind in DELIMITERS:
        return csv_table(name, file.lines(), delimiter or DELIMITERS[file.kind])
    if file.kind not in _JSONL:
        expected = f"expected a file ending in {', '.join(_KINDS)}, or a text file with .gz after that"
        raise InvalidTable(f"{name}: {expected}.")
    if delimiter:
        raise InvalidTable(f"delimiter= has no effect on {name}, which is JSONL.")
    lines = ((number, line) for number, line in enumerate(file.lines(), 1) if not line.isspace())
    return Table(name, None, (_jsonl_chunk(first, block) for first, block in blocks(lines)))


def _parquet_table(name: str, path: Path, root: Path) -> Table:
    files = _visible(path, "*.parquet") if path.is_dir() else [path]
    if not files:
        raise InvalidTable(f"{name} contains no file ending in .parquet.")
    from bwp_nb.tables.arrow import parquet_table

    return parquet_table(name, {file: _values(file.relative_to(root).parts[:-1]) for file in files})


def _values(folders: Iterable[str]) -> dict[str, str | None]:
    """Return the values of columns in the names of folders in Hive's form, such as `day=01`."""
    pairs = [tuple(map(unquote, folder.split("=", 1))) for folder in folders if "=" in folder]
    return {name: None if text == _MISSING else text for name, text in pairs}


def csv_table(name: str, lines: Iterable[str], delimiter: str) -> Table:
    """Return CSV as a table: every cell is text, unchanged, and an empty one is a missing value."""
    rows = _csv_rows(name, lines, delimiter)
    names = checked(next(rows, (0, []))[1], name)
    if names[:3] == SPREADSHEET_COLUMNS:
        raise InvalidTable(
            f"{name} was written by save_spreadsheet, which changes cells that begin like a formula. "
            "Fix the .jsonl file of save_quarantine instead, or the frame report.quarantine(), and send that."
        )
    return Table(name, names, (_csv_chunk(first, names, block) for first, block in blocks(rows)))


def _csv_rows(name: str, lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row, the header first, with the line that it ends in; empty lines are passed over."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        for row in filter(None, reader):
            yield reader.line_num, row
    except csv.Error as error:
        advice = " Save the rows as JSONL or Parquet, or raise Python's csv.field_size_limit."
        said = f"line {reader.line_num} cannot be read as CSV: {readable(str(error), 160)}."
        raise InvalidTable(f"{name}, {said}{advice * ('field limit' in str(error))}") from None


def _csv_chunk(first: int, names: list[str], block: list[tuple[int, list[str]]]) -> Chunk:
    width = len(names)
    chunk = Chunk(first, len(block))
    for place, (line, row) in enumerate(block):
        if len(row) != width:
            chunk.refuse(place, f"line {line}: expected {width} cells, got {len(row)}", row)
            block[place] = line, (row + [""] * width)[:width]
    for name, column in zip(names, zip(*(row for _, row in block), strict=True), strict=True):
        chunk.columns[name] = [text or None for text in column] if "" in column else list(column)
    return chunk


def _jsonl_chunk(first: int, lines: list[tuple[int, str]]) -> Chunk:
    """Return JSON objects, one a line, after its number; null is a missing value."""
    chunk, rows = Chunk(first, len(lines)), []
    for place, (number, line) in enumerate(lines):
        try:
            rows.append(_json_object(line))
        except InvalidTable as error:
            rows.append({})
            chunk.refuse(place, f"line {number}: {error}", [line.rstrip("\r\n")])
    chunk.columns = by_column(rows)
    return chunk


def _json_object(line: str) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(line, object_pairs_hook=unique)
        if isinstance(found, dict):
            return found
    raise InvalidTable(f"expected a JSON object, got {quoted(line.strip())}")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the names and values of a JSON object, or raise `InvalidTable` for a repeated name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common()
        raise InvalidTable(f"the name {quoted(name)} is repeated in an object")
    return found
