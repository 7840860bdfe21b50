"""Sends a table of events, or checks it only: connects what reads, encodes, sends, records and reports."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bwp_nb.client import Client
from bwp_nb.contract.hints import hints
from bwp_nb.event import TEXT_FIELDS
from bwp_nb.mutation import MAX_EVENTS, body
from bwp_nb.problems import Problem
from bwp_nb.tables.batches import batches, count_rows
from bwp_nb.tables.encoding import encode_rows
from bwp_nb.tables.ledger import STATES, Ledger, Run
from bwp_nb.tables.mapping import ColumnMapping, GeneratedIds, MappedRows
from bwp_nb.tables.report import MAX_HINTED, DryRun, Report
from bwp_nb.tables.sender import Sender, SendOptions
from bwp_nb.tables.source import table
from bwp_nb.text import quoted

_TO_SEND = {"resend": ("untried", "failed", "in_flight", "unknown"), "skip": ("untried", "failed")}
_EXAMPLE_IDS = GeneratedIds("00000000-0000-4000-8000-000000000000", "2024-11-22T09:00:00Z")


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
    on_refused: str = "resend",
    on_duplicates: str = "refuse",
    batch_size: int = MAX_EVENTS,
    max_wait: float = 60.0,
    progress: bool = True,
) -> Report:
    """Send a table of events, `batch_size` (1 to 50) in each request, and report the outcome of each row.

    `source` is a DataFrame, an iterable of `UserEvent`, or the path of a CSV, JSONL or Parquet file of any length.
    Columns are fields by their name, ours or the API's; `columns` maps other names to fields, `fields` gives all rows
    one value. The other columns become additional properties: all of them, or those in `properties`, which may map them
    to other names. A missing value leaves a property out; a missing `event_id` or `event_time` is generated once for
    the run and the row. In CSV all cells are text, unchanged, and an empty one is a missing value.

    `ledger` is the path of a file that records the outcome of each row: the same call again sends what is left, with
    the same ids. `on_unknown` is `resend` to include what may have been accepted, or `skip`. `on_duplicates` is
    `refuse`, or `send` if rows may have equal ids. Up to `workers` requests are sent at once.

    If the API refuses a request, the rows that it names are rejected. With `on_refused="resend"` the others are sent
    once more together, then each alone, with the same ids: whether they were accepted is unknown (no page says it), so
    they may be stored more than once. With `on_refused="skip"` they stay unknown. If the API asks to wait for more than
    `max_wait` seconds, the run stops.

    Raises `InvalidTable`, `InvalidEvent` or `LedgerError` before anything is sent if source, columns or ledger do not
    fit; if the run ends early later on, the report's `stopped` says why. A ledger that can no longer be written raises
    `LedgerError`, and an interrupt `KeyboardInterrupt`.
    """
    _one_of("on_unknown", on_unknown, *_TO_SEND)
    _one_of("on_refused", on_refused, "resend", "skip")
    _one_of("on_duplicates", on_duplicates, "refuse", "send")
    options = SendOptions(workers, batch_size, on_refused == "resend", max_wait, progress)
    given = table(source)
    mapping = ColumnMapping.of(given, columns, properties, fields)
    client._confirm()  # in this thread: the workers cannot read the keyboard
    book = Ledger(ledger)
    try:
        digest = given.digest() if book.path else ""
        if book.run is None:
            rows = count_rows(given, mapping, on_duplicates)
            moment = client.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
            book.begin(Run(digest, mapping.digest, client.target, rows, client.new_id(), moment))
        run = book.expect(given.name, digest, mapping.digest, client.target)
        done = {code for code, state in enumerate(STATES) if state not in _TO_SEND[on_unknown]}
        sender = Sender(client, book, options)
        sender.send(batches(given, mapping, GeneratedIds(run.run, run.time), book, done, batch_size))
        return Report(book, given, mapping, sender.stopped)
    finally:
        book.close()


def dry_run(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    properties: Iterable[str] | Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    on_duplicates: str = "refuse",
    batch_size: int = MAX_EVENTS,
) -> DryRun:
    """Return what `send_table` would send: everything is done but the sending. The arguments are the same."""
    _one_of("on_duplicates", on_duplicates, "refuse", "send")
    size = SendOptions(batch_size=batch_size).batch_size
    given = table(source)
    mapping = ColumnMapping.of(given, columns, properties, fields)
    rows = count_rows(given, mapping, on_duplicates)
    valid = length = 0
    problems: dict[int, list[Problem]] = {}
    hinted: Counter[str] = Counter()
    for chunk in given.chunks():
        if chunk.first < MAX_HINTED:
            hinted.update(_hinted(mapping.mapped(chunk)))
        encoded = encode_rows(mapping.mapped(chunk, _EXAMPLE_IDS))
        problems |= encoded.problems
        texts = [text for text in encoded.texts if text is not None]
        valid, length = valid + len(texts), length + sum(len(text.encode()) for text in texts)
    requests = -(-valid // size)
    return DryRun(rows, valid, requests, length + valid - requests + requests * len(body([])), problems, hinted)


def _hinted(rows: MappedRows) -> Iterator[str]:
    """Yield the field of each hint on each row, as far as its values are texts."""
    for place in range(rows.chunk.length):
        row = rows.record(place)
        given = row.get("additional_properties")
        properties = given if isinstance(given, dict) else {}
        fields = {api_name: row.get(name) for name, api_name in TEXT_FIELDS.items()}
        if all(isinstance(text, str) for text in [*filter(None, fields.values()), *properties, *properties.values()]):
            yield from (hint.field for hint in hints(fields, properties))


def _one_of(name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected {' or '.join(map(repr, allowed))}, got {quoted(value)}")
