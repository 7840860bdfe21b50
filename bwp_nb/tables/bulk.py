"""Many events: a table in, a report out, nothing lost."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress
from pathlib import Path
from typing import Any

from bwp_nb.client import Client
from bwp_nb.errors import BwpError, InvalidEvent
from bwp_nb.mutation import MAX_EVENTS, body
from bwp_nb.problems import Problem
from bwp_nb.tables.duplicates import duplicates
from bwp_nb.tables.encoding import encode_rows
from bwp_nb.tables.ledger import STATES, Ledger, Line, Run
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds, given_ids
from bwp_nb.tables.report import DryRun, Report
from bwp_nb.tables.sender import Batch, Sender
from bwp_nb.tables.source import Table, table
from bwp_nb.text import readable

_TO_SEND = {"resend": ("untried", "failed", "in_flight", "unknown"), "skip": ("untried", "failed")}
_NOBODY = GeneratedIds("00000000-0000-4000-8000-000000000000", "2024-11-22T09:00:00Z")


def send_table(
    client: Client,
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    properties: Iterable[str] | Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    workers: int = 8,
    ledger: str | Path | None = None,
    on_unknown: str = "resend",
    on_duplicates: str = "refuse",
    progress: bool = True,
) -> Report:
    """Send a table of events, 50 a request, and report of each row what became of it.

    `source` is a DataFrame, an iterable of `UserEvent`, or the path of a CSV, JSONL or Parquet file of any length.
    Columns are fields by their name, ours or the API's; `columns` maps the names of others to fields, `fields` gives
    all rows one value. The other columns become additional properties: all of them, or those in `properties`, which
    may map them to other names. A missing value leaves a property out; a missing `event_id` or `event_time` is made
    once for the run and the row. In CSV all cells are text as it stands, and an empty one is a missing value.

    `ledger` names a file that keeps what became of each row: the same call again sends what is left, with the same ids.
    `on_unknown` says whether that includes what may have been accepted (`resend`) or not (`skip`). `on_duplicates`
    is `refuse`, or `send` if rows may share an id. Up to `workers` requests are under way at once. Raises `BwpError`,
    before anything is sent, where source, columns or ledger do not fit; what ends the run later stands in the report's
    `stopped`. A ledger that can no longer be written raises `BwpError`, and an interrupt `KeyboardInterrupt`.
    """
    if on_unknown not in _TO_SEND or on_duplicates not in ("refuse", "send") or workers not in range(1, 10_000):
        raise ValueError("on_unknown is 'resend' or 'skip', on_duplicates 'refuse' or 'send', workers 1 or more")
    given = table(source)
    layout = ColumnMapping.of(given, columns, properties, fields)
    client._confirm()  # here, since the workers' threads have no keyboard
    book = Ledger(ledger)
    try:
        run = _begun(book, given, layout, client, on_duplicates)
        done = {code for code, state in enumerate(STATES) if state not in _TO_SEND[on_unknown]}
        sender = Sender(client, book, workers, progress)
        sender.send(_batches(given, layout, GeneratedIds(run.run, run.time), book, done))
        return Report(book, given, layout, sender.stopped)
    finally:
        book.close()


def dry_run(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    properties: Iterable[str] | Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    on_duplicates: str = "refuse",
) -> DryRun:
    """Return what `send_table` would come to: all but the sending is done. Arguments are as there."""
    given = table(source)
    layout = ColumnMapping.of(given, columns, properties, fields)
    rows = _counted(given, layout, on_duplicates)
    valid = length = 0
    problems: dict[int, list[Problem]] = {}
    for chunk in given.chunks():
        part = encode_rows(chunk, layout, _NOBODY)
        problems |= part.problems
        valid += sum(text is not None for text in part.texts)
        length += sum(len(text.encode()) for text in part.texts if text is not None)
    requests = -(-valid // MAX_EVENTS)
    return DryRun(rows, valid, requests, length + valid - requests + requests * len(body([])), problems)


def _begun(ledger: Ledger, given: Table, layout: ColumnMapping, client: Client, on_duplicates: str) -> Run:
    """Begin the run, or take it up where it stopped; raise `BwpError` if the ledger is another run's."""
    kept = ledger.path is not None
    source = given.digest() if kept else ""
    if ledger.run is None:
        rows = _counted(given, layout, on_duplicates)
        moment = client.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        try:
            ledger.begin(Run(source, layout.digest, client.target, rows, client.new_id(), moment))
        except OSError as error:
            said = readable(str(error), 160)
            raise BwpError(f"Nothing was sent, because {ledger.name} cannot be written: {said}.") from error
    run = ledger.run
    assert run is not None  # noqa: S101  # it has just begun
    advice = "Nothing was sent. Name another ledger to begin anew."
    if run.source != source:
        raise BwpError(f"{ledger.name} is of another source: what {given.name} holds is not what was sent. {advice}")
    if run.layout != layout.digest:
        raise BwpError(f"{ledger.name} is of a run with other columns, properties or fields. {advice}")
    if run.target != client.target:
        there, here = readable(run.target, 200), readable(client.target, 200)
        raise BwpError(f"{ledger.name} is of a run that sent to {there}, and this client sends to {here}. {advice}")
    return run


def _counted(given: Table, layout: ColumnMapping, on_duplicates: str) -> int:
    """Return the number of rows, or raise `InvalidEvent` naming those whose id is taken."""
    names = layout.columns_of("event_id", given)
    seen: set[str] = set()

    def ids() -> Iterator[list[Any]]:
        for chunk in given.chunks(names):
            seen.update(chunk.columns, chunk.properties)
            yield given_ids(chunk, layout)

    if on_duplicates == "send":
        rows = sum(map(len, ids()))
    else:
        rows, problems = duplicates(ids)
        if problems:
            raise InvalidEvent(problems)
    if given.names is None and rows:
        layout.refuse_unseen(given.name, seen)
    return rows


def _batches(
    given: Table, layout: ColumnMapping, made: GeneratedIds, ledger: Ledger, done: set[int]
) -> Iterator[Batch]:
    """Yield what is to be sent, 50 rows at a time; what is found invalid on the way goes to the ledger."""
    rows: list[int] = []
    texts: list[Any] = []
    seen = 0
    for chunk in given.chunks():
        states = bytes(ledger.states[chunk.first : chunk.first + chunk.length])
        seen += chunk.length
        if len(states) < chunk.length:
            break
        if set(states) <= done:
            continue
        part = encode_rows(chunk, layout, made)
        ledger.write(*_invalid(part.problems, ledger, done))
        here = range(chunk.first, chunk.first + chunk.length)
        if part.problems or set(states) & done:
            wanted = [text is not None and state not in done for text, state in zip(part.texts, states, strict=True)]
            rows += compress(here, wanted)
            texts += compress(part.texts, wanted)
        else:
            rows += here
            texts += part.texts
        whole = len(rows) - len(rows) % MAX_EVENTS
        for start in range(0, whole, MAX_EVENTS):
            yield Batch(rows[start : start + MAX_EVENTS], texts[start : start + MAX_EVENTS])
        rows, texts = rows[whole:], texts[whole:]
    if seen != len(ledger.states):
        raise BwpError(f"{given.name} has been changed: it has other rows than it had when the run began.")
    if rows:
        yield Batch(rows, texts)


def _invalid(problems: dict[int, list[Problem]], ledger: Ledger, done: set[int]) -> Iterator[Line]:
    for row, found in problems.items():
        if ledger.states[row] not in done:
            yield Line([[row, row + 1]], "invalid", reason="; ".join(map(str, found)))
