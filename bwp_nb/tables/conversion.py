"""Turns the values of cells into the texts to send, by the rules in the docstring of `send_table`."""

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.errors import Problem
from bwp_nb.event import rule
from bwp_nb.text import quoted

_TEXT_OR_NONE = {str, type(None)}
#: From here on, a float does not represent each whole number.
_MAX_FLOAT = 2.0**53


class _Refused(Exception):
    """A value has no text; the message is the remedy."""


class Conversion:
    """How values become text: only aware times do without `convert`; `timezone` names that of times without one."""

    def __init__(self, convert: bool, timezone: str | None) -> None:
        self._convert, self._zone = convert, _zone(timezone)
        self._messages: dict[tuple[str, type, str], str] = {}

    def texts(self, cells: list[Any], api_name: str, problems: dict[int, list[Problem]]) -> list[Any]:
        """Return the texts of a column's values, None where one is missing; add problems of others, by their place.

        Values of one type have one message, with the first of them as an example.
        """
        if {*map(type, cells)} <= _TEXT_OR_NONE:
            return cells
        found = list(cells)
        for place, cell in enumerate(cells):
            if type(cell) in _TEXT_OR_NONE:
                continue
            try:
                found[place] = None if is_missing(cell) else self._text(cell, api_name)
            except _Refused as error:
                message = f"must be a str, got {type(cell).__name__}, e.g. {quoted(cell)}; {error}"
                message = self._messages.setdefault((api_name, type(cell), str(error)), message)
                problems[place].append(Problem(api_name, cell, rule("text"), message))
        return found

    def _text(self, cell: Any, api_name: str) -> str:
        if isinstance(cell, str):
            return str.__str__(cell)
        value = _plain(cell)
        is_time = isinstance(value, datetime)
        if api_name == "eventTime" and not is_time:
            raise _Refused("pass aware datetimes, or text such as '2023-12-03T10:15:30Z'")
        if api_name == "eventId" and isinstance(value, float):
            raise _Refused("a float may have lost digits of an id; read the column as text")
        text = _written(value, self._zone)
        if not (self._convert or is_time):
            raise _Refused("turn it into a str, or pass convert=True to send_table")
        return text


def _zone(name: str | None) -> ZoneInfo | None:
    """Return a time zone by its name, or raise `ValueError`."""
    try:
        return None if name is None else ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise InvalidArgument(f"timezone: expected a name such as 'Europe/Berlin', got {quoted(name)}") from None


def is_missing(value: Any) -> bool:
    """Return whether a value is a missing one: None, NaN, NaT or pandas' NA."""
    if isinstance(value, float) or (type(value).__module__ == "numpy" and type(value).__name__ != "ndarray"):
        return bool(value != value)  # noqa: PLR0124  # only NaN and NaT differ from themselves
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (type(value) is Decimal and value.is_nan())


def column_cells(column: Any) -> list[Any]:
    """Return the values of an array of pandas."""
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return utc_texts(column.to_numpy(f"datetime64[{column.dtype.unit}]"))
    if str(column.dtype) in ("float16", "float32"):  # of which Python's float would show more digits
        return list(column)
    values: list[Any] = column.to_numpy(object, na_value=None).tolist()
    return values


def utc_texts(moments: Any) -> list[str | None]:
    """Return an array of times in UTC as texts, None for a missing one."""
    import numpy as np

    texts = np.datetime_as_string(moments).tolist()
    return [None if text == "NaT" else _as_time(text) for text in texts]


def _as_time(text: str) -> str:
    """Return an ISO time as the API writes it, with 0, 3, 6 or 9 decimals of a second."""
    for _ in range(3 * ("." in text)):
        text = text.removesuffix("000")
    return text.removesuffix(".") + "Z"


def _plain(value: Any) -> Any:
    """Return a value of numpy as one of Python."""
    if type(value).__module__ != "numpy":
        return value
    import numpy as np

    if isinstance(value, np.datetime64):
        import pandas as pd

        return pd.Timestamp(value)
    if not isinstance(value, np.ndarray | np.generic) or isinstance(value, np.timedelta64):
        return value
    return float(str(value)) if isinstance(value, np.floating) else value.tolist()


def _utc(moment: datetime, zone: ZoneInfo | None) -> str:
    local, offset = moment.replace(tzinfo=None), moment.utcoffset()
    try:
        return _as_time((local - (_offset(local, zone) if offset is None else offset)).isoformat())
    except (OverflowError, ValueError):
        raise _Refused("outside the years 1 to 9999 in UTC") from None


def _offset(local: datetime, zone: ZoneInfo | None) -> timedelta:
    if zone is None:
        raise _Refused("it has no time zone; add one, or pass timezone='UTC' to send_table if it is in UTC")
    day = datetime(local.year, local.month, local.day, local.hour, local.minute, local.second, tzinfo=zone)
    first, second = day.utcoffset(), day.replace(fold=1).utcoffset()
    if first != second or first is None:
        raise _Refused(f"in {zone.key} it occurs twice or never, because the clock changes; pass an aware datetime")
    return first


def _written(value: Any, zone: ZoneInfo | None) -> str:
    """Return the text of a value; `zone` is that of times without one."""
    if isinstance(value, datetime):
        return _utc(value, zone)
    if isinstance(value, dict | list | tuple):
        return _json(value, zone)
    for types, write in _WRITERS:
        if isinstance(value, types):
            return write(value)
    raise _Refused("turn it into a str")


def _number(value: float | Decimal) -> str:
    if not math.isfinite(value) or (isinstance(value, float) and abs(value) >= _MAX_FLOAT):
        raise _Refused("not finite, or of 2**53 or more, where a float loses digits; read the column as text")
    return repr(float(value)) if isinstance(value, float) else format(value, "f")


def _json(value: Any, zone: ZoneInfo | None) -> str:
    def known(inner: Any) -> Any:
        """Return what JSON writes for a value that it does not know."""
        plain = None if is_missing(inner) else _plain(inner)
        return plain if isinstance(plain, bool | int | float | list | None) else _written(plain, zone)

    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=known)
    except (ValueError, TypeError, RecursionError):
        raise _Refused("it cannot be written as JSON") from None


_WRITERS: list[tuple[type | tuple[type, ...], Callable[[Any], str]]] = [
    (bool, lambda value: str(value).lower()),
    (int, lambda value: format(int(value))),
    ((float, Decimal), _number),
    ((date, time), lambda value: value.isoformat()),
    (UUID, str),
]
