"""The history of a client: its requests and their outcomes as rows, which can be saved, loaded and compared."""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from bwp_nb.displays.frames import frame
from bwp_nb.displays.html import Html, Listing, Shown, beside, card, chip, code, html_table
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.text import counted, readable
from bwp_nb.wire.platform import fork_safe_lock

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Exchange:
    """One call of a client: its request, its outcome, and the last response.

    Attributes
    ----------
    time : str
        When the call began (UTC, ISO 8601).
    operation : str
        `send`, `resend`, `resend with new ids`, `send_table` or `execute`.
    events : int
        The number of events in the request.
    attempts : int
        How often it was sent; 0 if it was not.
    outcome : str
        The state of the events, the gravest if they differ; `answered` for `execute`.
    classification : str
        The classification of the API's error, or the name of another error; empty without one.
    fields : tuple of str
        The API's names of the fields that the error names, each once.
    status_code : int or None
        The last HTTP status.
    elapsed : float
        The seconds that the call took by the client's clock, with all attempts and waits.
    bytes_sent : int
        The size of the request's body.
    bytes_received : int
        The size of the last response's body.
    message : str
        The error as text; empty without one.
    sent : bytes
        The body of the request.
    received : bytes or None
        The body of the last response.
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
    sent: bytes
    received: bytes | None

    @property
    def request(self) -> dict[str, Any]:
        """The JSON of the request: a query and usually variables."""
        return dict(json.loads(self.sent))

    @property
    def answer(self) -> Any:
        """The JSON of the last response, or None."""
        try:
            return json.loads(self.received or b"null")
        except (ValueError, RecursionError):
            return None

    def __repr__(self) -> str:
        kind = f", {readable(self.classification, 40)}" if self.classification else ""
        return f"Exchange({self.time}, {self.operation}, {counted(self.events, 'event')}, {self.outcome}{kind})"

    def _repr_html_(self) -> str:
        """Return the call as a row, its message, and the request beside the response."""
        text = (self.received or b"no response").decode("utf-8", "replace")
        answer = code(text, "text") if self.answer is None else code(self.answer, "json")
        query, variables = self.request.get("query"), self.request.get("variables")
        request = code(str(query), "graphql") + (code(variables, "json") if variables else "")
        shown = beside(request=Html(request), response=answer)
        return card(html_table([_cells(self).values()], _cells(self)), self.message, shown)


#: The most exchanges that a display of a history shows; `frame()` has all.
_MAX_SHOWN = 20

_BODIES = ("sent", "received")
_COLUMNS = [column.name for column in fields(Exchange) if column.name not in _BODIES]
_DROPPED = ("dropped", "dropped_events")


def _cells(exchange: Exchange) -> dict[str, object]:
    """Return what a display shows of an exchange: the columns of `frame()` up to the time that it took."""
    cells = {name: getattr(exchange, name) for name in _COLUMNS[: _COLUMNS.index("elapsed")]}
    time, elapsed = f"{exchange.time[:19]}Z", f"{exchange.elapsed:.2f} s"
    return {**cells, "time": time, "outcome": chip(exchange.outcome), "elapsed": elapsed}


def _row(exchange: Exchange) -> dict[str, Any]:
    """Return an exchange as JSON for `load`; bytes that are not UTF-8 are escaped."""
    bodies = {name: body for name in _BODIES if (body := getattr(exchange, name)) is not None}
    return vars(exchange) | {name: body.decode("utf-8", "surrogateescape") for name, body in bodies.items()}


def _exchange(row: dict[str, Any]) -> Exchange:
    bodies = {name: row[name].encode("utf-8", "surrogateescape") for name in _BODIES if row[name] is not None}
    return Exchange(**row | bodies | {"fields": tuple(row["fields"])})


class History:
    """The latest exchanges of a client, oldest first. A slice of a history is a history.

    Parameters
    ----------
    exchanges : iterable of Exchange, optional
        The exchanges to begin with.
    limit : int, default 1000
        The most exchanges that are kept.
    bytes_limit : int, default 16 MiB
        The most bytes of requests and responses that are kept.

    Attributes
    ----------
    dropped : int
        The number of older exchanges that were dropped.
    dropped_events : int
        The number of their events.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> client = bwp.connect()
    >>> receipt = client.send(client.new_event("click"))
    >>> client.history.frame()["outcome"].to_list()
    ['sent']
    """

    def __init__(self, exchanges: Iterable[Exchange] = (), *, limit: int = 1000, bytes_limit: int = 16 * 2**20) -> None:
        self.limit = limit
        self.bytes_limit = bytes_limit
        self.dropped = self.dropped_events = self._bytes = 0
        self._kept: deque[Exchange] = deque()
        self._lock = fork_safe_lock()
        for exchange in exchanges:
            self.add(exchange)

    def __repr__(self) -> str:
        return f"History({self.note or counted(len(self), 'exchange')})"

    def _repr_html_(self) -> str:
        """Return the latest exchanges as a table, numbered as they are indexed."""
        latest = list(enumerate(self))[-_MAX_SHOWN:]
        rows = [{"": number, **_cells(exchange)} for number, exchange in latest]
        earlier = len(self) - len(latest)
        more = f"The latest {len(latest)} of {counted(len(self), 'exchange')}; all are in frame()." if earlier else ""
        table = html_table(map(dict.values, rows), rows[0] if rows else ())
        return card(self.note, more, table, "" if rows else "No calls yet.")

    @property
    def note(self) -> str:
        """What is missing in the history, or an empty text if nothing is."""
        kept = f"{len(self):,} of {len(self) + self.dropped:,} exchanges kept"
        return f"{kept}; events dropped: {self.dropped_events:,}" if self.dropped else ""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._kept))

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> "History": ...
    def __getitem__(self, index: int | slice) -> "Exchange | History":
        if isinstance(index, slice):
            return History(list(self)[index], limit=self.limit, bytes_limit=self.bytes_limit)
        return self._kept[index]

    def add(self, exchange: Exchange) -> None:
        """Add an exchange, and drop the oldest ones beyond the limits.

        Parameters
        ----------
        exchange : Exchange
            The latest exchange.
        """
        with self._lock:
            self._kept.append(exchange)
            self._bytes += _size(exchange)
            while len(self._kept) > self.limit or (self._bytes > self.bytes_limit and len(self._kept) > 1):
                oldest = self._kept.popleft()
                self.dropped += 1
                self.dropped_events += oldest.events
                self._bytes -= _size(oldest)

    def frame(self) -> "pd.DataFrame":
        """Return the exchanges as a DataFrame, without requests and responses.

        Returns
        -------
        pandas.DataFrame
            One row for each exchange: `time` (UTC), `operation`, `events`, `attempts`, `outcome`, `classification`,
            `fields`, `status_code`, `elapsed`, `bytes_sent`, `bytes_received`, `message`. If exchanges were dropped,
            the name of the columns and `attrs["note"]` say so.
        """
        rows = [[_shown(getattr(exchange, name)) for name in _COLUMNS] for exchange in self]
        table = frame(rows, _COLUMNS).astype({"time": "datetime64[ns, UTC]", "status_code": "Int64"})
        if self.note:
            table.columns.name = table.attrs["note"] = self.note
        return table

    def save(self, path: str | Path) -> None:
        """Write all exchanges, with requests and responses, to a file for `load`. Cells are not meant for spreadsheets.

        Parameters
        ----------
        path : str or Path
            The path of a `.jsonl` or `.csv` file, which is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        OSError
            If the file cannot be written.
        """
        dropped = {name: getattr(self, name) for name in _DROPPED}
        rows = [{**_row(exchange), **dropped} for exchange in self]
        if _is_csv(path):
            cells = [map(json.dumps, row.values()) for row in rows]
            frame(cells, [*_COLUMNS, *_BODIES, *_DROPPED]).to_csv(path, index=False)
        else:
            Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Return the history in a file that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The path of the `.jsonl` or `.csv` file.

        Returns
        -------
        History
            All of its exchanges, with the numbers of those that had been dropped.

        Raises
        ------
        ValueError
            If the path has another suffix, or the file is not one that `save` wrote.
        OSError
            If the file cannot be read.
        """
        import pandas as pd

        if _is_csv(path):
            cells = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
            rows = [{str(name): json.loads(cell) for name, cell in row.items()} for row in cells]
        else:
            rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
        try:
            dropped = [tuple(row.pop(name, 0) for name in _DROPPED) for row in rows]
            history = cls(map(_exchange, rows), limit=max(1000, len(rows)), bytes_limit=sys.maxsize)
        except (AttributeError, KeyError, TypeError):
            raise InvalidArgument(f"path: expected a file that History.save wrote, got {str(path)!r}") from None
        history.dropped, history.dropped_events = dropped[-1] if dropped else (0, 0)
        return history


def _size(exchange: Exchange) -> int:
    return len(exchange.sent) + len(exchange.received or b"")


def _shown(value: Any) -> Any:
    return readable(value) if isinstance(value, str) else value


def _is_csv(path: str | Path) -> bool:
    suffix = Path(path).suffix
    if suffix not in (".jsonl", ".csv"):
        raise InvalidArgument(f"path: expected a .jsonl or .csv file, got {str(path)!r}")
    return suffix == ".csv"


@dataclass(frozen=True)
class Difference(Shown):
    """One difference of two JSON values.

    Attributes
    ----------
    path : str
        Where it is, as a JSON path such as `$.data.sendUserEvents.status`.
    before : object
        The value before; `...` if it is missing.
    after : object
        The value after; `...` if it is missing.
    """

    path: str
    before: Any
    after: Any


def compare(before: Any, after: Any) -> Listing[Difference]:
    """Return the differences of two JSON values.

    Parameters
    ----------
    before, after : dict, list, Exchange or History
        What to compare. Exchanges and histories are compared by their responses, in their order.

    Returns
    -------
    list of Difference
        One for each place that differs; an empty list if they are equal.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.compare({"status": "successful"}, {"status": "failed"})
    [Difference(path='$.status', before='successful', after='failed')]
    """
    return Listing(_differences("$", _answers(before), _answers(after)), "difference")


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
