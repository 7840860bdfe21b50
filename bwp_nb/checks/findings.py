"""What a check found, as text, as a table and as a frame."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bwp_nb.displays.frames import frame
from bwp_nb.displays.html import Listing
from bwp_nb.text import shortened

if TYPE_CHECKING:
    import pandas as pd

#: The most rows that are shown as text; `frame()` has all.
_MOST_SHOWN = 100


class Findings:
    """A dataclass whose first field is a list of dataclasses: each is a line of its text, and a row of its table."""

    @property
    def _rows(self) -> list[Any]:
        return list(next(iter(vars(self).values())))

    def frame(self) -> "pd.DataFrame":
        """Return a DataFrame with a row for each step, change or event type.

        Returns
        -------
        DataFrame
            Its columns are the fields of a row.
        """
        return frame(map(asdict, self._rows))

    def __repr__(self) -> str:
        lines = shortened(list(map(str, self._rows)), _MOST_SHOWN, "row")
        if len(lines) > _MOST_SHOWN:
            lines[-1] += "; all are in frame()"
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return Listing(self._rows, "row")._repr_html_()
