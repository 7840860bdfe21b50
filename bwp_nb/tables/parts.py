"""Sends a partitioned data set on any executor: each part by itself, with a ledger of its own, and one report of all.

Processes share nothing but folders. What a worker needs is pickled, without a client or a secret; the outcome is read
from the ledgers, whichever process wrote them.
"""

import json
import multiprocessing
import os
import pickle
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from inspect import signature
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import filelock

from bwp_nb.client import Client
from bwp_nb.errors import BwpError, LedgerError
from bwp_nb.tables.bulk import dry_run, send_table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.files import Part, parts
from bwp_nb.tables.ledger import Ledger
from bwp_nb.tables.mapping import ColumnMapping
from bwp_nb.tables.report import Report, SentTable
from bwp_nb.tables.sender import SendOptions
from bwp_nb.tables.staging import StagedTable, refuse_shared_ids
from bwp_nb.text import counted, quoted, readable, typed
from bwp_nb.wire.locks import fork_safe_lock

#: Why a part did not finish, empty if it did; and what was done with its columns.
_End = tuple[str, Columns]

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

    _several = ("parts", "part")

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
        If there are no sources, if two have the same name or, with `check_ids`, the same id; nothing was sent.
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
    options = _checked(connect, executor, options)
    if check_ids and options.get("on_duplicates") == "send":
        raise ValueError("check_ids=True has no effect with on_duplicates='send'")
    folder = Path(os.path.abspath(ledgers))
    books = {part: folder / f"{part.name}.ledger" for part in parts(sources, folder)}
    notes = [*_prepare(folder, books), *([] if check_ids else [_NOT_CHECKED])]
    unread = refuse_shared_ids({part.name: partial(_ids, part, options) for part in books}) if check_ids else {}
    lock_wait = options.get("max_wait", 60.0) if executor else 0.0
    shown = {"progress": progress and executor is None}
    call = _Call(connect, options | shown, folder / f".stop-{uuid.uuid4()}", os.getpid(), lock_wait)
    futures = {name: _ended((why, Columns())) for name, why in unread.items()}
    left = {part: ledger for part, ledger in books.items() if part.name not in unread}
    try:
        _run(executor or _ThisProcess(), call, left, futures, progress and executor is not None)
    except BaseException as error:
        error.report = _report(books, options, futures, notes)  # type: ignore[attr-defined]
        raise
    return _report(books, options, futures, notes)


def _checked(connect: Callable[[], Client], executor: Executor | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, as values that can be read repeatedly, or raise an error for what does not fit."""
    signature(send_table).bind(None, None, ledger=None, **options)
    found = {name: list(given) if isinstance(given, Iterator) else given for name, given in options.items()}
    SendOptions(**_only(SendOptions, found))
    dry_run([], **_only(dry_run, found | {"delimiter": None, "encoding": None}))
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
    table = part.table(**_only(part.table, options))
    mapping = ColumnMapping.of(table, **_only(ColumnMapping.of, options))
    for chunk in table.chunks:
        yield from mapping.mapped(chunk).fields["event_id"]


@dataclass(frozen=True)
class _Call:
    """What the parts of a call have in common; they end early once the file `stop` exists."""

    connect: Callable[[], Client]
    options: Mapping[str, Any]
    stop: Path
    driver: int
    lock_wait: float

    def send(self, part: Part, ledger: Path) -> _End:
        """Send a part in this process; return why it did not finish, and what was done with its columns."""
        try:
            self.check()
            with suppress(filelock.Timeout), filelock.FileLock(f"{ledger}.lock").acquire(timeout=self.lock_wait):
                pass  # an engine runs a part again while a process that it takes for lost may still be sending it
            table = replace(part.table(**_only(part.table, self.options)), check=self.check)
            with _client(self) as client:
                report = send_table(client, table, ledger=ledger, **self.options)
            return report.stopped, report.columns
        except Exception as error:
            said = readable(str(error), 1_000)
            return said if isinstance(error, BwpError) else f"{type(error).__name__}: {said}", Columns()

    def check(self) -> None:
        """Raise an error if the driver was interrupted, or has ended and started this process."""
        parent = multiprocessing.parent_process()
        is_own = parent is not None and parent.pid == self.driver
        if self.stop.exists() or (is_own and os.getppid() != _first_parent(os.getpid())):
            raise BwpError("the call was interrupted")


@cache
def _first_parent(_: int) -> int:
    """Return the parent that a process had when this was first called in it: it has another one once that has ended."""
    return os.getppid()


_clients: dict[Path, list[Any]] = {}
_connecting = fork_safe_lock()


@contextmanager
def _client(call: _Call) -> Iterator[Client]:
    """Give this process's client of a call, which all of its parts share: every client requests tokens of its own."""
    with _connecting:
        _close_idle(call.stop)
        if call.stop not in _clients:
            client = call.connect()
            _clients[call.stop] = [0, client, Finalize(None, client.close, exitpriority=0)]
        _clients[call.stop][0] += 1
    try:
        yield _clients[call.stop][1]
    finally:
        with _connecting:
            _clients[call.stop][0] -= 1


def _close_idle(but: Path | None = None) -> None:
    """Close the clients that no part is using, which a later call in the same process finds."""
    for key, (users, _, close) in list(_clients.items()):
        if key != but and not users:
            del _clients[key]
            close()


class _ThisProcess(Executor):
    """Runs each function when it is submitted."""

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        """Return its result, or raise what it raises."""
        return _ended(function(*given, **named))


def _ended(result: _End) -> "Future[_End]":
    future: Future[_End] = Future()
    future.set_result(result)
    return future


def _run(
    executor: Executor, call: _Call, books: Mapping[Part, Path], futures: "dict[str, Future[_End]]", is_shown: bool
) -> None:
    """Send parts and add their futures; an interrupt lets the requests that are being sent end."""
    with _bar(books.values(), is_shown) as show:
        try:
            for part, ledger in books.items():
                try:
                    futures[part.name] = executor.submit(call.send, part, ledger)
                except RuntimeError as error:  # it is broken, or shut down
                    futures[part.name] = _ended((f"{type(error).__name__}: {error}", Columns()))
            _wait(futures.values(), show)
        except BaseException:
            call.stop.touch()
            _wait(futures.values(), show)
            raise
        finally:
            is_over = [future.cancel() or future.done() for future in futures.values()]
            if all(is_over):
                call.stop.unlink(missing_ok=True)
            with _connecting:
                _close_idle()


def _wait(futures: "Collection[Future[_End]]", show: Callable[[int], None]) -> None:
    while left := wait(futures, 0.5).not_done:
        show(len(futures) - len(left))
    show(len(futures))


@contextmanager
def _bar(ledgers: Collection[Path], is_shown: bool) -> Iterator[Callable[[int], None]]:
    """Give what shows how many parts have ended, and how many rows are sent by what is added to the ledgers."""
    if not is_shown:
        yield lambda _: None
        return
    from tqdm.auto import tqdm

    read, sent = dict.fromkeys(ledgers, 0), 0

    def show(ended: int) -> None:
        nonlocal sent
        for path in filter(Path.exists, ledgers):
            with path.open("rb") as file:
                file.seek(read[path])
                lines = file.read().split(b"\n")[:-1]
            read[path] += sum(len(line) + 1 for line in lines)
            ranges = [json.loads(line)["rows"] for line in lines if b'"state":"sent"' in line]
            sent += sum(end - first for found in ranges for first, end in found)
        bar.n = ended
        bar.set_postfix(sent=sent)

    with tqdm(total=len(ledgers), unit=" parts") as bar:
        yield show


def _report(
    books: Mapping[Part, Path], options: Mapping[str, Any], futures: "Mapping[str, Future[_End]]", notes: Sequence[str]
) -> PartsReport:
    found, unfinished = [], {}
    for part, ledger in books.items():
        why, columns = _end(futures.get(part.name))
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


def _end(future: "Future[_End] | None") -> _End:
    if future is None or not future.done() or future.cancelled():
        return "it was cancelled", Columns()
    error = future.exception()
    return future.result() if error is None else (f"{type(error).__name__}: {readable(str(error), 160)}", Columns())


def _staged(part: Part, ledger: Path, options: Mapping[str, Any]) -> StagedTable:
    """Read a part again, for what its rows contain."""
    table = part.table(**_only(part.table, options))
    return Report.read(ledger, table, **_only(Report.read, options))._parts[0].table
