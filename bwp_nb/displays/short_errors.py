"""Errors that IPython shows in a few lines: the line of the user's cell, and what the error says.

`%xmode Verbose`, or `BWP_TRACEBACK=full` in the environment, shows the whole traceback instead. Outside IPython nothing
is different.
"""

import os
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from bwp_nb.text import readable

_WIDTH = 110
_MAX_LINES = 8


class ShortError(Exception):
    """An error that IPython shows in at most eight lines."""

    def _said(self) -> tuple[str, list[tuple[str, str]], str]:
        """Return what is wrong, the details, each with a part that can be left out, and what to do."""
        return str(self), [], ""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows; it calls this."""
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        if shell and (os.environ.get("BWP_TRACEBACK") == "full" or shell.InteractiveTB.mode == "Verbose"):
            whole: list[str] = shell.InteractiveTB.structured_traceback(type(self), self, self.__traceback__, 1)
            return whole
        place = _place(self, shell)
        return [place, *_fitted(type(self).__name__, *self._said(), _MAX_LINES - 1)]


class InvalidArgument(ShortError, ValueError):
    """An argument that a function of this package does not accept."""


class MissingExtra(ShortError, ModuleNotFoundError):
    """A package is missing, or too old, that an extra of this package installs."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra to install if an import fails."""
    try:
        yield
    except ImportError as error:
        advice = f'This part of bwp_nb needs its extra {name}; run: python -m pip install "bwp-nb[{name}]"'
        raise MissingExtra(advice, name=error.name) from None


def _place(error: Exception, shell: Any) -> str:
    """Return the last line before this package on the way to an error: its cell or file, and its code."""
    own = os.path.dirname(os.path.dirname(__file__))
    frames = [traceback.FrameSummary("", 0, ""), *traceback.extract_tb(error.__traceback__)]
    *_, last = takewhile(lambda frame: not frame.filename.startswith(own), frames)
    cell = shell.compile.format_code_name(last.filename) if shell else None
    name = " ".join(cell or [os.path.basename(last.filename)])
    line = readable(last.line or "", 500)
    return f"{name}, line {last.lineno}: {line if len(line) <= 90 else f'{line[:90]}…'}"


def _fitted(name: str, what: str, details: list[tuple[str, str]], advice: str, most: int) -> list[str]:
    """Return the parts on at most `most` lines: with all details, without what can be left out, or with fewer."""
    full = [f"  {detail}. {more}".removesuffix(". ") for detail, more in details]
    short = [f"  {detail}" for detail, _ in details]
    fewer = ([*short[:count], f"  and {len(short) - count} more"] for count in range(len(short) - 1, -1, -1))
    for shown in (full, short, *fewer):
        parts = [f"{name}: {what[:330]}{'…' * (len(what) > 330)}", *shown, *filter(None, [advice])]
        lines = [line for part in parts for line in textwrap.wrap(part, _WIDTH, subsequent_indent="    ")]
        if len(lines) <= most:
            break
    return lines if len(lines) <= most else [*lines[: most - 1], "    …"]
