"""Sends a table of events, or checks it only: connects what reads, encodes, sends, records and reports."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bwp_nb.client import Client
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.errors import InvalidTable, LedgerError
from bwp_nb.mutation import MAX_EVENTS
from bwp_nb.tables.ledger import STATES, Ledger, Run
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds
from bwp_nb.tables.options import SendOptions
from bwp_nb.tables.report import DryRun, Report, SentTable
from bwp_nb.tables.sender import Sender, batches
from bwp_nb.tables.source import table
from bwp_nb.tables.staging import StagedTable

_TO_SEND = {"resend": ("untried", "failed", "in_flight", "unknown"), "skip": ("untried", "failed")}


def send_table(
    client: Client,
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    properties: Iterable[str] | Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    convert: bool = False,
    timezone: str | None = None,
    ids_from: str = "run",
    delimiter: str | None = None,
    encoding: str | None = None,
    workers: int = 8,
    ledger: str | Path | None = None,
    on_unknown: str = "resend",
    on_refused: str = "resend",
    on_duplicates: str = "refuse",
    batch_size: int = MAX_EVENTS,
    max_wait: float = 60.0,
    rate: float | None = None,
    progress: bool = True,
) -> Report:
    """Send a table of events, up to 50 in each request, and report the outcome of each row.

    Columns with the name of a field, ours or the API's, are fields; the others become additional properties. A missing
    value (None, NaN, NaT, `pandas.NA`, null, an empty cell of CSV) leaves a property out; a missing `event_id` or
    `event_time` is generated once for the run and the row. `report.columns` says what was done with each column.

    The table is read once, before anything is sent. Until the report is gone, its rows are in a temporary file, so that
    it does not matter if the source changes; that takes about 1 kB a row (`TMPDIR` selects the folder).

    Parameters
    ----------
    client : Client
        Where to send the events.
    source : DataFrame, Arrow data, iterable of UserEvent or dict, str or Path
        A pandas DataFrame; anything with an Arrow C stream, such as polars frames, pyarrow tables and readers and
        DuckDB relations (needs pyarrow); events or rows; or the path of a file or folder of any length: `.csv`,
        `.tsv`, `.jsonl`, `.ndjson` (each also with `.gz` after it), `.parquet`, a folder of Parquet files. In CSV all
        cells are text, unchanged. The properties may also be in a column `additional_properties` of dicts, or in a
        column of Arrow's type map.
    columns : mapping of str to str, optional
        Which field a column is, where the name does not say it: `{"ts": "event_time"}` or `{"ts": "eventTime"}`.
    properties : iterable of str, or mapping of str to str, optional
        The columns to send as additional properties, or a mapping to their names there. Default: all that are not a
        field. A column with nearly the name of a field is refused unless it is listed here.
    fields : mapping of str to str, optional
        Values that are the same in all rows, by the name of the field.
    convert : bool, default False
        Whether values that are not text become text: without it they are problems of their rows. Whole numbers become
        their digits; floats the shortest text that gives the same float (`1.0`, `0.1`), but not from 2**53 on, where
        digits may be lost, and not as an `event_id`; decimals their digits; booleans `true` and `false`; dates and
        times of day ISO 8601; UUIDs their usual form; dicts, lists and arrays JSON without spaces. Times with a zone
        become UTC even without it, such as `2023-12-03T10:15:30.123Z`, with 0, 3, 6 or 9 decimals, as many as they
        need. As an `event_time` only these are accepted, and text.
    timezone : str, optional
        The zone of times that have none, such as `UTC` or `Europe/Berlin`; without it they are problems of their rows,
        and so are those that occur twice or never because the clock changes.
    ids_from : {"run", "content"}, default "run"
        What missing ids are made of. With `content` it is the row and the number of equal rows before it, so that
        sending the same rows again, in any order, sends the same ids; without an `event_time`, only the ids. It takes
        some 150 bytes of memory for each row without an id.
    delimiter : str, optional
        What separates the cells of CSV, one character. Default: a comma, or a tab in `.tsv`.
    encoding : str, default "utf-8"
        The encoding of a text file.
    workers : int, default 8
        The largest number of requests at a time.
    ledger : str or Path, optional
        A file that records the outcome of each row: the same call again sends what is left, with the same ids.
    on_unknown : {"resend", "skip"}, default "resend"
        Whether a resumed run sends the rows again that may have been accepted.
    on_refused : {"resend", "skip"}, default "resend"
        What to do if the API refuses a request, besides rejecting the rows that it names: whether the others were
        accepted is unknown (no page says it). With `resend` they are sent once more together, then each alone, with the
        same ids, so they may be stored more than once. With `skip` they stay unknown.
    on_duplicates : {"refuse", "send"}, default "refuse"
        Whether rows may have equal ids.
    batch_size : int, default 50
        The largest number of events in a request, 1 to 50.
    max_wait : float, default 60.0
        The run stops if the API asks to wait for more seconds than this.
    rate : float, optional
        The largest number of events a second, on average and over all workers; what is sent again counts too.
    progress : bool, default True
        Whether to show what is done with the columns, and a progress bar.

    Returns
    -------
    Report
        The outcome of each row; if the run ended early, its `stopped` says why.

    Raises
    ------
    InvalidTable, InvalidEvent
        If source, columns or ids do not fit; nothing was sent.
    LedgerError
        If the ledger does not fit, and nothing was sent; or if it can no longer be written.
    ValueError
        If an option has another value than those above, or no effect.
    NotImplementedError
        For several workers in a browser, which has no threads.
    KeyboardInterrupt
        If the run is interrupted, after the outcomes of the requests that were being sent are known. An error that ends
        a run early has the report as its `report`.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> day = bwp.traffic.shop_day(100, invalid_rate=0)
    >>> bwp.send_table(bwp.connect(), day, progress=False).counts["sent"]
    100
    """
    options = SendOptions(workers, batch_size, max_wait, rate, progress, on_unknown, on_refused, on_duplicates)
    if on_unknown == "skip" and ledger is None:
        raise InvalidArgument("on_unknown='skip' has no effect without ledger=")
    with _unsent():
        given = table(source, delimiter, encoding)
        mapping = ColumnMapping(given, columns, properties, fields, convert, timezone)
        book = Ledger(ledger)
    with closing(book):
        with _unsent():
            generated = _generated(client, book.run, ids_from, given.part)
            staged = StagedTable(given, mapping, generated, digests=book.path is not None)
            if on_duplicates == "refuse":
                staged.refuse_repeated_ids()
            client._confirm()  # in this thread: the workers cannot read the keyboard
            if book.run is None:
                book.begin(Run(staged.digest, client.target, staged.rows, generated.run, generated.time))
            book.expect(staged.name, staged.digest, client.target)
        if progress:
            _show(staged)
        done = {code for code, state in enumerate(STATES) if state not in _TO_SEND[on_unknown]}
        report = Report([SentTable(book, staged.name, staged.columns, lambda: staged)])
        sender = Sender(client, book, options)
        try:
            sender.send(batches(staged, book, done, batch_size))
        except BaseException as error:
            error.report = report  # type: ignore[attr-defined]
            raise
        finally:
            report.stopped = sender.stopped
        return report


@contextmanager
def _unsent() -> Iterator[None]:
    """Say in the error of a table or a ledger that nothing was sent."""
    try:
        yield
    except (InvalidTable, LedgerError) as error:
        raise type(error)(f"{error} Nothing was sent.") from None


def dry_run(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    properties: Iterable[str] | Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    convert: bool = False,
    timezone: str | None = None,
    ids_from: str = "run",
    delimiter: str | None = None,
    encoding: str | None = None,
    on_duplicates: str = "refuse",
    batch_size: int = MAX_EVENTS,
) -> DryRun:
    """Return what `send_table` would send: everything is done but the sending.

    The parameters are those of `send_table`.

    Raises
    ------
    InvalidTable, InvalidEvent
        If source, columns or ids do not fit.
    ValueError
        If an option has another value than those of `send_table`.
    """
    size = SendOptions(batch_size=batch_size, on_duplicates=on_duplicates).batch_size
    given = table(source, delimiter, encoding)
    mapping = ColumnMapping(given, columns, properties, fields, convert, timezone)
    generated = GeneratedIds("00000000-0000-4000-8000-000000000000", "2024-11-22T09:00:00Z", ids_from)
    staged = StagedTable(given, mapping, generated)
    if on_duplicates == "refuse":
        staged.refuse_repeated_ids()
    return DryRun(staged, size)


def _generated(client: Client, run: Run | None, ids_from: str, part: str) -> GeneratedIds:
    if run is not None:
        return GeneratedIds(run.run, run.time, ids_from)
    moment = client.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    return GeneratedIds(f"{client.new_id()}\n{part}".removesuffix("\n"), moment, ids_from)


def _show(table: StagedTable) -> None:
    from tqdm.auto import tqdm

    for line in table.columns.lines():
        tqdm.write(line, sys.stderr)
