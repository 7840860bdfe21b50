"""What a client sent and what came back, as rows; two of them compared."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwp_nb.text import readable
from bwp_nb.wire.locks import fork_safe_lock

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Exchange:
    """One call of a client: what was asked, how it ended, and the body and the answer themselves.

    `time` is when it began (UTC, ISO 8601), `outcome` one of the five states, or `answered` for `execute`; `fields`
    are the API's names of what a refusal blames; `elapsed` is in seconds and counts all attempts; `sent` is the body,
    as an object where it was not written; `received` is the content of the last answer, None where none came.
    """

    time: str
    operation: str
    events: int
    attempts: int
    outcome: str
    classification: str
    fields: tuple[str, ...]
    status_code: int | None
    elapsed: float
    bytes_sent: int
    bytes_received: int
    message: str
    sent: dict[str, Any] | bytes
    received: dict[str, Any] | bytes | None

    @property
    def request(self) -> dict[str, Any]:
        """The body that was asked for: a query and, as a rule, variables."""
        request: dict[str, Any] = json.loads(self.sent) if isinstance(self.sent, bytes) else self.sent
        return request

    @property
    def answer(self) -> Any:
        """The JSON of the last answer, None where there was none."""
        if not isinstance(self.received, bytes):
            return self.received
        try:
            return json.loads(self.received)
        except (ValueError, RecursionError):
            return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exchange) and _row(self) == _row(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        kind = f", {readable(self.classification, 40)}" if self.classification else ""
        return f"Exchange({self.time}, {self.operation}, {self.events} events, {self.outcome}{kind})"


_COLUMNS = [{"sent": "request", "received": "answer"}.get(column.name, column.name) for column in fields(Exchange)]


def _row(exchange: Exchange) -> dict[str, Any]:
    return {name: getattr(exchange, name) for name in _COLUMNS}


def _exchange(row: dict[str, Any]) -> Exchange:
    sent, received, named = row.pop("request"), row.pop("answer"), tuple(row.pop("fields"))
    return Exchange(**row, fields=named, sent=sent, received=received)


class History:
    """The latest exchanges, oldest first: at most `limit`, and at most `bytes_limit` bytes of bodies and answers."""

    def __init__(self, exchanges: Iterable[Exchange] = (), *, limit: int = 1000, bytes_limit: int = 16 * 2**20) -> None:
        self.limit = limit
        self.bytes_limit = bytes_limit
        self._bytes = 0
        self._kept: deque[Exchange] = deque()
        self._lock = fork_safe_lock()
        for exchange in exchanges:
            self.add(exchange)

    def __repr__(self) -> str:
        return f"History({len(self)} exchanges)"

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._kept))

    def __getitem__(self, index: int) -> Exchange:
        return self._kept[index]

    def add(self, exchange: Exchange) -> None:
        """Keep an exchange, and drop the oldest ones beyond the limits."""
        with self._lock:
            self._kept.append(exchange)
            self._bytes += _size(exchange)
            while len(self._kept) > self.limit or (self._bytes > self.bytes_limit and len(self._kept) > 1):
                self._bytes -= _size(self._kept.popleft())

    def frame(self) -> "pd.DataFrame":
        """Return one row for each exchange, without bodies and answers; texts of the server are made readable."""
        import pandas as pd

        shown = [name for name in _COLUMNS if name not in ("request", "answer")]
        rows = [{name: _shown(getattr(exchange, name)) for name in shown} for exchange in self]
        frame = pd.DataFrame(rows, columns=shown)
        frame["time"] = pd.to_datetime(frame["time"], format="ISO8601", utc=True)
        frame["status_code"] = frame["status_code"].astype("Int64")
        return frame

    def save(self, path: str | Path) -> None:
        """Write all exchanges to a `.jsonl` or `.csv` file for `load`; as it is for machines, cells are unchanged."""
        is_csv = _is_csv(path)
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            if is_csv:
                rows = csv.writer(file)
                rows.writerow(_COLUMNS)
                rows.writerows([json.dumps(value) for value in _row(exchange).values()] for exchange in self)
            else:
                file.writelines(json.dumps(_row(exchange)) + "\n" for exchange in self)

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Return the history that a `.jsonl` or `.csv` file of `save` holds, all of it."""
        is_csv = _is_csv(path)
        usual = csv.field_size_limit(2**31 - 1)
        try:
            with Path(path).open(encoding="utf-8", newline="") as file:
                if is_csv:
                    rows = [{name: json.loads(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
                else:
                    rows = [json.loads(line) for line in file]
        finally:
            csv.field_size_limit(usual)
        found = list(map(_exchange, rows))
        return cls(found, limit=max(1000, len(found)), bytes_limit=sys.maxsize)


def _size(exchange: Exchange) -> int:
    """Return about how much an exchange holds; what was not sent was not counted yet."""
    return (exchange.bytes_sent or len(str(exchange.request))) + exchange.bytes_received


def _shown(value: Any) -> Any:
    return readable(value) if isinstance(value, str) else value


def _is_csv(path: str | Path) -> bool:
    suffix = Path(path).suffix
    if suffix not in (".jsonl", ".csv"):
        raise ValueError(f"A history is kept in a .jsonl or a .csv file, not in {str(path)!r}")
    return suffix == ".csv"


@dataclass(frozen=True)
class Difference:
    """One place where two JSON values differ: its JSON path, and what stands there in each; `...` for nothing."""

    path: str
    before: Any
    after: Any


def compare(before: Any, after: Any) -> list[Difference]:
    """Return where two JSON values differ, by JSON path; an empty list if nowhere.

    Exchanges and histories can be compared as well: by their answers, in their order.
    """
    return list(_differences("$", _answers(before), _answers(after)))


def _answers(value: Any) -> Any:
    if isinstance(value, History):
        return [exchange.answer for exchange in value]
    return value.answer if isinstance(value, Exchange) else value


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(f"{path}.{key}", before.get(key, ...), after.get(key, ...))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            pair = (items[index] if index < len(items) else ... for items in (before, after))
            yield from _differences(f"{path}[{index}]", *pair)
    elif before != after or type(before) is not type(after):
        yield Difference(path, before, after)
