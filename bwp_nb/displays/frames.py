"""Rows as a DataFrame, for which the extra `tables` is needed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bwp_nb.displays.short_errors import extra

if TYPE_CHECKING:
    import pandas as pd


def frame(rows: Iterable[object], columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Return rows as a DataFrame."""
    with extra("tables"):
        import pandas as pd
    return pd.DataFrame(list(rows), columns=None if columns is None else list(columns))
