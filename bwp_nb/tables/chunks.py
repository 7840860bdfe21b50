"""Rows as columns, a chunk at a time: what every kind of table is read into."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from bwp_nb.errors import InvalidTable, Problem
from bwp_nb.text import quoted, typed

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

#: Rows that are read, checked and written at a time: enough to be fast, few enough to stay small.
CHUNK = 1_000

_ROW, _ROW_RULE = "row", "a row that can be read"


@dataclass
class Chunk:
    """Some rows of a table as columns: `first` is the number of the first one, from 0; None is a missing value.

    `problems` are those of rows that cannot be read or have a value without a text, by the row's place in the chunk.
    """

    first: int
    length: int
    columns: dict[str, list[Any]] = field(default_factory=dict)
    problems: dict[int, list[Problem]] = field(default_factory=lambda: defaultdict(list))

    def refuse(self, place: int, message: str, lost: list[Any]) -> None:
        """Add why a row cannot be read, and the cells that are lost because of it."""
        self.problems[place].append(Problem(_ROW, lost, _ROW_RULE, message))

    def lost(self, place: int) -> list[Any]:
        """Return the cells of a row that cannot be read."""
        return [part for one in self.problems.get(place, ()) if one.field == _ROW for part in one.value]


@dataclass(frozen=True)
class Table:
    """A source of rows, which is read once.

    `names` are those of its columns, None if each row has its own; `maps` are those of which the type is a map. `index`
    is a DataFrame's own index, None if that is just the numbers of the rows. `part` is its name among the tables that
    are sent together, and `check` raises an error if it is not to be read or sent any further.
    """

    name: str
    names: list[str] | None
    chunks: Iterator[Chunk]
    maps: Collection[str] = ()
    index: "pd.Index[Any] | None" = None
    part: str = ""
    check: Callable[[], None] = lambda: None


def by_column(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows that may each have other names as columns."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def blocks(rows: Iterable[T], size: int = CHUNK) -> Iterator[tuple[int, list[T]]]:
    """Yield rows some at a time, after the number of the first of them."""
    left, first = iter(rows), 0
    while block := list(islice(left, size)):
        yield first, block
        first += size


def checked(names: list[Any], where: str) -> list[str]:
    """Return the names of a table's columns, or raise `InvalidTable` for a missing or a repeated name."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            advice = "Rename it; if pandas wrote it for an index, save the file with index=False."
            raise InvalidTable(f"Column {place} of {where}: expected a str as its name, got {typed(name)}. {advice}")
        if name in names[:place]:
            raise InvalidTable(f"{where} has two columns called {quoted(name)}. Rename one.")
    if not names:
        raise InvalidTable(f"{where} has no columns.")
    return names
