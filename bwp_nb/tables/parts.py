"""Sends a partitioned data set on any executor: each part by itself, with a ledger of its own, and one report of all.

Processes share nothing but folders. What a worker needs is pickled, without a client or a secret; the outcome is read
from the ledgers, whichever process wrote them.
"""

import os
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from bwp_nb.client import Client
from bwp_nb.errors import LedgerError
from bwp_nb.tables.bulk import dry_run, send_table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.engines import Call, End, close_idle, run
from bwp_nb.tables.files import Part, parts
from bwp_nb.tables.ledger import Ledger
from bwp_nb.tables.mapping import ColumnMapping
from bwp_nb.tables.options import SendOptions
from bwp_nb.tables.report import Report
from bwp_nb.tables.sent import SentTable
from bwp_nb.tables.staging import StagedTable, refuse_shared_ids
from bwp_nb.text import counted, quoted, readable, typed

_MAX_NAMED = 3
_NOT_CHECKED = "Ids were not checked between parts; check_ids=True does it before anything is sent."


class PartsReport(Report):
    """The outcome of each row of a partitioned data set, as the ledgers of its parts have it.

    A `Report` of which `frame()` has two more columns, the `part` and the `row` in it. What the rows contain, such as
    their ids, is read again from the sources, a part at a time; `frame(ids=False)` reads the ledgers only.

    Attributes
    ----------
    unfinished : dict of str to str
        Why a part has not finished, by its name; the same call goes on with it. A part that could not begin has no
        rows in this report.
    """

    _several = ("part", "part")

    def __init__(self, parts: Sequence[SentTable], unfinished: Mapping[str, str], notes: Sequence[str]) -> None:
        named = [f"{readable(name)} ({why.rstrip('.')})" for name, why in unfinished.items()]
        more = [f"and {len(named) - _MAX_NAMED} more, see report.unfinished"] if len(named) > _MAX_NAMED else []
        listed = "; ".join(named[:_MAX_NAMED] + more)
        advice = "The same call goes on with what is left."
        stopped = f"{counted(len(named), 'part')} did not finish: {listed}. {advice}" if named else ""
        super().__init__(parts, stopped)
        self._is_merged, self._more_notes, self.unfinished = True, notes, dict(unfinished)

    @property
    def ok(self) -> bool:
        """Whether all rows of all parts are sent."""
        return super().ok and not self.unfinished


def send_parts(
    connect: Callable[[], Client],
    sources: str | Path | Iterable[str | Path],
    ledgers: str | Path,
    *,
    executor: Executor | None = None,
    check_ids: bool = False,
    progress: bool = True,
    **options: Any,
) -> PartsReport:
    """Send the parts of a partitioned data set with `send_table`, each with a ledger of its own, on any executor.

    The same call resumes every part, also after a worker or this process was killed: what is sent is not sent again.
    Ids that are generated differ between parts. A part that cannot be read, is denied, or is asked to wait too long is
    reported, and the others are sent.

    Parameters
    ----------
    connect : callable returning Client
        Makes the client, such as `bwp.connect`; each process calls it once. With an executor it must be a function of a
        module, since it is pickled; let it read secrets from the environment of the worker. A live client cannot ask
        there whether to send: set `BWP_CONFIRM=no`.
    sources : str, Path, or iterable of str or Path
        A folder, a glob such as `"export/day=*/*.parquet"`, or paths, which workers must see as well. A file is a part,
        and so is a folder of Parquet files that a glob or a path names. A part is called by its path below the folder
        or below the fixed beginning of the glob, otherwise by its file name. In a folder, files and folders are left
        out if their name begins with `.` or `_`.
    ledgers : str or Path
        The folder of the ledgers, which is made if necessary: on storage that all workers share, with file locks.
    executor : concurrent.futures.Executor, optional
        Where to send the parts, such as a `ProcessPoolExecutor` or `dask.distributed.Client(…).get_executor()`.
        Default: in this process, one after the other.
    check_ids : bool, default False
        Whether to read all ids before the run and refuse those that are in two parts. It takes a reading of all sources
        in this process, and 9 bytes of memory for each row.
    progress : bool, default True
        Whether to show a progress bar: of all parts, or of each part if they are sent in this process.
    **options
        The options of `send_table`, except `ledger`. `workers`, `rate` and `max_wait` are those of each part.

    Returns
    -------
    PartsReport
        The outcome of each row, and which parts did not finish.

    Raises
    ------
    InvalidTable
        If no source is found, if two have the same name or, with `check_ids`, the same id; nothing was sent.
    LedgerError
        If the folder has the ledger of a part that is not among the sources, or cannot be made; nothing was sent.
    ValueError, TypeError
        If an argument has another value or name than those above, or cannot be pickled; nothing was sent.
    KeyboardInterrupt
        If the call is interrupted, after the requests that were being sent have ended; it has the report as its
        `report`. A second interrupt does not wait for them.

    Examples
    --------
    >>> import tempfile
    >>> import bwp_nb as bwp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for day in ("2024-11-22", "2024-11-23"):
    ...         bwp.traffic.shop_day(10, invalid_rate=0).to_csv(f"{folder}/{day}.csv", index=False)
    ...     report = bwp.send_parts(bwp.connect, f"{folder}/*.csv", f"{folder}/ledgers", progress=False)
    >>> report.ok, report.rows
    (True, 20)
    """
    options = _checked(connect, executor, check_ids, options)
    folder = Path(os.path.abspath(ledgers))
    books = {part: folder / f"{part.name}.ledger" for part in parts(sources, folder)}
    notes = [*_prepare(folder, books), *([] if check_ids else [_NOT_CHECKED])]
    ends = {part.name: ("it was not started", Columns()) for part in books}
    unread = refuse_shared_ids({part.name: partial(_ids, part, options) for part in books}) if check_ids else {}
    ends |= {name: (why, Columns()) for name, why in unread.items()}
    left = {part: ledger for part, ledger in books.items() if part.name not in unread}
    lock_wait, shown = (options.get("max_wait", 60.0), False) if executor else (0.0, progress)
    call = Call(connect, options | {"progress": shown}, folder / f".stop-{uuid.uuid4()}", os.getpid(), lock_wait)
    try:
        if executor:
            run(executor, call, left, ends, is_shown=progress)
        else:
            ends.update((part.name, call.send(part, ledger)) for part, ledger in left.items())
    except BaseException as error:
        error.report = _report(books, options, ends, notes)  # type: ignore[attr-defined]
        raise
    finally:
        close_idle()
    return _report(books, options, ends, notes)


def _checked(
    connect: Callable[[], Client], executor: Executor | None, check_ids: bool, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options, as values that can be read repeatedly, or raise an error for what does not fit."""
    signature(send_table).bind(None, None, ledger=None, **options)
    found = {name: list(given) if isinstance(given, Iterator) else given for name, given in options.items()}
    SendOptions(**_only(SendOptions, found))
    dry_run([], **_only(dry_run, found | {"delimiter": None, "encoding": None}))
    if check_ids and options.get("on_duplicates") == "send":
        raise ValueError("check_ids=True has no effect with on_duplicates='send'")
    if not callable(connect):
        raise ValueError(f"connect: expected a function that makes a Client, such as bwp.connect, got {typed(connect)}")
    if not isinstance(executor, Executor | None):
        advice = "of a Dask client, pass client.get_executor()"
        raise ValueError(f"executor: expected a concurrent.futures.Executor, got {typed(executor)}; {advice}")
    try:
        pickle.dumps((connect, found) if executor else None)
    except Exception as error:
        advice = "Define connect as a function of a module, which reads secrets on the worker. Nothing was sent."
        said = f"connect or an option cannot be pickled for other processes: {readable(str(error), 160)}"
        raise ValueError(f"{said}. {advice}") from None
    return found


def _only(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in signature(function).parameters if name in options}


def _prepare(folder: Path, books: Mapping[Part, Path]) -> Iterator[str]:
    """Make the folders of the ledgers, and say which parts have none yet; refuse ledgers of other parts."""
    found = set(folder.rglob("*.ledger"))
    if others := sorted(found - set(books.values())):
        said = f"{quoted(others[0].relative_to(folder).as_posix())} belongs to a part that is not among the sources"
        advice = "Pass the same sources, or another folder; a part that was renamed would be sent again"
        raise LedgerError(f"Cannot use the ledgers in {readable(folder.name)}: {said}. {advice}. Nothing was sent.")
    try:
        for ledger in books.values():
            ledger.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"Cannot make {readable(str(folder))}: {error.strerror}. Nothing was sent.") from None
    new = [readable(part.name) for part, ledger in books.items() if ledger not in found]
    if found and new:
        yield f"Without a ledger before this call: {', '.join(new[:_MAX_NAMED])}{', …' * (len(new) > _MAX_NAMED)}."


def _ids(part: Part, options: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the id of each row, None where it will be generated."""
    table = part.table(options)
    mapping = ColumnMapping.of(table, **_only(ColumnMapping.of, options))
    for chunk in table.chunks:
        yield from mapping.mapped(chunk).fields["event_id"]


def _report(
    books: Mapping[Part, Path], options: Mapping[str, Any], ends: Mapping[str, End], notes: Sequence[str]
) -> PartsReport:
    found, unfinished = [], {}
    for part, ledger in books.items():
        why, columns = ends[part.name]
        try:
            book = Ledger(ledger, read_only=True)
            book.close()
            if book.run:
                found.append(SentTable(book, readable(part.name), columns, partial(_staged, part, ledger, options)))
        except LedgerError as error:
            why = why or str(error)
        if why:
            unfinished[part.name] = why
    return PartsReport(found, unfinished, notes)


def _staged(part: Part, ledger: Path, options: Mapping[str, Any]) -> StagedTable:
    """Read a part again, for what its rows contain."""
    return Report.read(ledger, part.table(options), **_only(Report.read, options))._parts[0].table
