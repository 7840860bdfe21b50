"""Runs the parts of a data set on an executor: what a worker does with one, and how the driver waits for all."""

import json
import multiprocessing
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import filelock

from bwp_nb.client import Client
from bwp_nb.errors import BwpError
from bwp_nb.tables.bulk import send_table
from bwp_nb.tables.columns import Columns
from bwp_nb.tables.files import Part
from bwp_nb.text import readable
from bwp_nb.wire.platform import fork_safe_lock

#: Why a part did not finish, empty if it did; and what was done with its columns.
End = tuple[str, Columns]


@dataclass(frozen=True)
class Call:
    """What the parts of a call have in common; they end early once the file `stop` exists."""

    connect: Callable[[], Client]
    options: Mapping[str, Any]
    stop: Path
    driver: int
    lock_wait: float

    def send(self, part: Part, ledger: Path) -> End:
        """Send a part in this process."""
        try:
            self._check()
            with suppress(filelock.Timeout), filelock.FileLock(f"{ledger}.lock").acquire(timeout=self.lock_wait):
                pass  # an engine runs a part again while a process that it takes for lost may still be sending it
            table = replace(part.table(self.options), check=self._check)
            with _client(self) as client:
                report = send_table(client, table, ledger=ledger, **self.options)
            return report.stopped, report.columns
        except Exception as error:
            said = readable(str(error), 1_000)
            return said if isinstance(error, BwpError) else f"{type(error).__name__}: {said}", Columns()

    def _check(self) -> None:
        """Raise an error if the driver was interrupted, or has ended and started this process."""
        parent = multiprocessing.parent_process()
        is_own = parent is not None and parent.pid == self.driver
        if self.stop.exists() or (is_own and os.getppid() != _first_parent(os.getpid())):
            raise BwpError("the call was interrupted")


@cache
def _first_parent(_: int) -> int:
    """Return the parent that a process had when this was first called in it; once that ends, it has another one."""
    return os.getppid()


_clients: dict[Path, list[Any]] = {}
_connecting = fork_safe_lock()


@contextmanager
def _client(call: Call) -> Iterator[Client]:
    """Give this process's client of a call, which all of its parts share: every client requests tokens of its own."""
    close_idle(call.stop)
    with _connecting:
        if call.stop not in _clients:
            client = call.connect()
            _clients[call.stop] = [0, client, Finalize(None, client.close, exitpriority=0)]
        _clients[call.stop][0] += 1
    try:
        yield _clients[call.stop][1]
    finally:
        with _connecting:
            _clients[call.stop][0] -= 1


def close_idle(but: Path | None = None) -> None:
    """Close the clients in this process that no part is using."""
    with _connecting:
        for key in [key for key, (users, *_) in _clients.items() if not users and key != but]:
            _clients.pop(key)[2]()


def run(
    executor: Executor, call: Call, books: Mapping[Part, Path], ends: dict[str, End], *, is_shown: bool = False
) -> None:
    """Send parts, and add their ends; an interrupt lets the requests that are being sent end."""
    from tqdm.auto import tqdm

    futures: dict[str, Future[End]] = {}
    with tqdm(total=len(books), unit=" parts", disable=not is_shown) as bar:
        sent = _sent(books.values())
        try:
            for part, ledger in books.items():
                futures[part.name] = _submitted(executor, call.send, part, ledger)
            _wait(futures.values(), bar, sent)
        except BaseException:
            call.stop.touch()
            _wait(futures.values(), bar, sent)
            raise
        finally:
            ends |= {name: _end(future) for name, future in futures.items()}
            if all(future.done() for future in futures.values()):
                call.stop.unlink(missing_ok=True)


def _submitted(executor: Executor, function: Callable[..., End], *given: Any) -> "Future[End]":
    try:
        return executor.submit(function, *given)
    except RuntimeError as error:  # it is broken, or shut down
        future: Future[End] = Future()
        future.set_exception(error)
        return future


def _wait(futures: "Collection[Future[End]]", bar: Any, sent: Iterator[int]) -> None:
    left = futures
    while left:
        left = wait(futures, 0.5).not_done
        bar.n = len(futures) - len(left)
        bar.set_postfix(sent=0 if bar.disable else next(sent))


def _sent(ledgers: Iterable[Path]) -> Iterator[int]:
    """Yield how many rows are sent so far, by what has been added to the ledgers."""
    read, sent = dict.fromkeys(ledgers, 0), 0
    while True:
        for path in filter(Path.exists, read):
            with path.open("rb") as file:
                file.seek(read[path])
                lines = file.read().split(b"\n")[:-1]
            read[path] += sum(len(line) + 1 for line in lines)
            found = [json.loads(line)["rows"] for line in lines if b'"state":"sent"' in line]
            sent += sum(end - first for ranges in found for first, end in ranges)
        yield sent


def _end(future: "Future[End]") -> End:
    future.cancel()
    if future.cancelled() or not future.done():
        return "it was cancelled", Columns()
    error = future.exception()
    return (f"{type(error).__name__}: {readable(str(error), 160)}", Columns()) if error else future.result()
