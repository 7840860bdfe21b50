"""Sends a partitioned data set on any executor: each part by itself, with a ledger of its own, and one report of all.

Processes share nothing but folders. What a worker needs is pickled, without a client or a secret; the outcome is read
from the ledgers, whichever process wrote them.
"""

import os
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from functools import cache, partial
from inspect import signature
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from filelock import FileLock

from bwp_nb.client import Client
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.errors import LedgerError
from bwp_nb.tables.bulk import dry_run, send_table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.ledger import Ledger
from bwp_nb.tables.mapping import ColumnMapping
from bwp_nb.tables.options import SendOptions
from bwp_nb.tables.report import Report, SentTable
from bwp_nb.tables.source import Part, parts
from bwp_nb.tables.staging import StagedTable, refuse_shared_ids
from bwp_nb.text import counted, readable, typed
from bwp_nb.wire.platform import fork_safe_lock

#: Why a part did not finish, empty if it did; and what was done with its columns.
_End = tuple[str, Columns]

_NOT_CHECKED = "Ids were not checked between parts; check_ids=True does it before anything is sent."

#: This process's clients of the latest calls, by what marks a call: a few, since an engine may run calls side by side.
_clients: dict[Path, Client] = {}
_connecting = fork_safe_lock()


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

    def __init__(self, parts: Sequence[SentTable], unfinished: Mapping[str, str], notes: Sequence[str] = ()) -> None:
        named = [f"{readable(name)} ({why.rstrip('.')})" for name, why in unfinished.items()]
        stopped = f"{counted(len(named), 'part')} did not finish (see report.unfinished): {'; '.join(named[:3])}."
        super().__init__(parts, f"{stopped} The same call goes on with what is left." if named else "")
        self._is_merged, self._more_notes, self.unfinished = True, notes, dict(unfinished)


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
        The folder of the ledgers, which is made if necessary: on storage that all workers share, with file locks. A
        running call has a file `.running-…` in it; removing that file stops the call.
    executor : concurrent.futures.Executor, optional
        Where to send the parts, such as a `ProcessPoolExecutor` or `dask.distributed.Client(…).get_executor()`.
        Default: in this process, one after the other.
    check_ids : bool, default False
        Whether to read all ids before the run and refuse those that are in two parts. It takes a reading of all sources
        in this process, which must all be readable, and 9 bytes of memory for each row.
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
        If no source is found, if one is in another or a link to it, if two have the same name or, with `check_ids`, the
        same id, or if one cannot be read then; nothing was sent.
    LedgerError
        If the folder has the ledger of a part that is not among the sources; nothing was sent.
    OSError
        If the folder of the ledgers cannot be made or written; nothing was sent.
    ValueError, TypeError
        If an argument has another value or name than those above, or cannot be pickled; nothing was sent.
    RuntimeError
        If the executor is shut down or broken before it has all parts; the error has the report as its `report`.
    KeyboardInterrupt
        If the call is interrupted, after the requests that were being sent have ended, or after 60 seconds; it has the
        report as its `report`. A second interrupt does not wait for them.

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
    options = _checked(connect, executor, options | {"progress": progress and executor is None})
    folder = Path(os.path.abspath(ledgers))
    found = parts(sources, folder)
    if others := set(folder.rglob("*.ledger")) - {part.ledger for part in found}:
        advice = "Pass the same sources or another folder: a renamed part would be sent again. Nothing was sent."
        raise LedgerError(f"{readable(str(min(others)))} belongs to a part that is not among the sources. {advice}")
    if check_ids:
        refuse_shared_ids(partial(_ids, found, options))
    ends = dict.fromkeys(found, ("it was interrupted or cancelled", Columns()))
    report = partial(_report, ends, options, [] if check_ids else [_NOT_CHECKED])
    mark = folder / f".running-{uuid.uuid4()}"  # parts are sent as long as it exists
    send = partial(_send, connect, options, mark, options.get("max_wait", 60.0) if executor else 0.0)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        if executor:
            _run(executor, send, mark, ends, progress)
        else:
            ends.update((part, send(part)) for part in found)
    except BaseException as error:
        error.report = report()  # type: ignore[attr-defined]
        raise
    finally:
        mark.unlink(missing_ok=True)
        if client := _clients.pop(mark, None):
            client.close()
    return report()


def _checked(connect: Any, executor: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, as values that can be read repeatedly, or raise an error for what does not fit."""
    signature(send_table).bind(None, None, ledger=None, **options)
    found = {name: list(given) if isinstance(given, Iterator) else given for name, given in options.items()}
    SendOptions(**_only(SendOptions, found))
    dry_run([], **_only(dry_run, found | {"delimiter": None, "encoding": None}))
    if not callable(connect):
        raise InvalidArgument(f"connect: expected a function such as bwp.connect, got {typed(connect)}")
    if not isinstance(executor, Executor | None):
        raise InvalidArgument(f"executor: expected an Executor such as client.get_executor(), got {typed(executor)}")
    try:
        pickle.dumps((connect, found) if executor else None)
    except Exception as error:
        advice = "Define connect as a function of a module, which reads secrets on the worker. Nothing was sent."
        raise InvalidArgument(f"connect or an option is not picklable: {readable(str(error), 160)}. {advice}") from None
    return found


def _only(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in signature(function).parameters if name in options}


def _ids(parts: Iterable[Part], options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], Any]]:
    """Yield the part and the number of each row, and its id, None where it will be generated."""
    for part in parts:
        table = part.table(options)
        for rows in map(ColumnMapping(table, **_only(ColumnMapping, options)).mapped, table.chunks):
            for row, event_id in enumerate(rows.fields["event_id"], rows.chunk.first):
                yield (part.name, row), event_id


def _run(executor: Executor, send: Callable[[Part], _End], mark: Path, ends: dict[Part, _End], shown: bool) -> None:
    """Send parts, and set their ends; after an interrupt, without the `mark`, the requests that are being sent end."""
    from tqdm.auto import tqdm

    futures: dict[Future[_End], Part] = {}
    try:
        futures.update((executor.submit(send, part), part) for part in ends)
        left = set(futures)
        with tqdm(total=len(left), unit=" parts", disable=not shown) as bar:
            while left:
                done, left = wait(left, 0.5)  # an interrupt that another thread received is noticed between two waits
                bar.update(len(done))
    finally:
        mark.unlink(missing_ok=True)
        for future in wait(futures, 60).done:  # not longer, since an engine may have no process left
            if not future.cancelled():
                error = future.exception()
                ends[futures[future]] = _failed(error) if error else future.result()


def _failed(error: BaseException) -> _End:
    return f"{type(error).__name__}: {readable(str(error), 1_000)}", Columns()


def _send(connect: Callable[[], Client], options: Mapping[str, Any], mark: Path, lock_wait: float, part: Part) -> _End:
    """Send a part in this process, as long as `mark` exists."""
    check = partial(_check, mark)
    try:
        check()
        part.ledger.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError, NotImplementedError), FileLock(f"{part.ledger}.lock").acquire(lock_wait):
            pass  # an engine runs a part again while a process that it takes for lost may still be sending it
        report = send_table(_client(connect, mark), part.table(options, check), ledger=part.ledger, **options)
        return report.stopped, report.columns
    except Exception as error:
        return _failed(error)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error)) from None  # without its report, which cannot be pickled


def _check(mark: Path) -> None:
    """Raise an error if the call was interrupted, or if the process that started this one has ended."""
    parent = parent_process()  # to a fork it seems alive as long as another fork is
    if not mark.exists() or (parent and not (parent.is_alive() and os.getppid() == _first_parent(os.getpid()))):
        raise InterruptedError("the call was interrupted")


#: Returns the parent that a process had when this was first called in it; once that ends, it has another one.
_first_parent = cache(lambda _: os.getppid())


def _client(connect: Callable[[], Client], mark: Path) -> Client:
    """Return this process's client of a call, which all of its parts share: every client requests tokens of its own."""
    with _connecting:
        client = _clients.get(mark) or _clients.setdefault(mark, connect())
        for old in list(_clients)[:-4]:
            _clients.pop(old).close()
        return client


def _report(ends: Mapping[Part, _End], options: Mapping[str, Any], notes: Sequence[str]) -> PartsReport:
    found, unfinished = [], {part.name: why for part, (why, _) in ends.items() if why}
    for part, (_, columns) in ends.items():
        try:
            book = Ledger(part.ledger, read_only=True)
            if book.run:
                found.append(SentTable(book, readable(part.name), columns, partial(_staged, part, options)))
        except LedgerError as error:
            unfinished.setdefault(part.name, str(error))
    return PartsReport(found, unfinished, notes)


def _staged(part: Part, options: Mapping[str, Any]) -> StagedTable:
    """Read a part again, for what its rows contain."""
    return Report.read(part.ledger, part.table(options), **_only(Report.read, options))._parts[0].read()
