"""What `facts.toml` says, and the pages of the documentation by their titles.

A text of this package that cites a page puts its title in quotation marks: documented in “User Event Schema”.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def facts() -> dict[str, Any]:
    """Return what `facts.toml` says, by topic."""
    return tomllib.loads(files("bwp_nb.contract").joinpath("facts.toml").read_text("utf-8"))


#: The address of each page that this package cites. Only the first part of each could be read.
PAGES: dict[str, str] = facts()["pages"]

#: A page's title as texts cite it.
CITED = re.compile(f"“({'|'.join(map(re.escape, PAGES))})”")


def pages(text: str) -> list[str]:
    """Return the addresses of the pages that a text cites, each once."""
    return list(dict.fromkeys(PAGES[title] for title in CITED.findall(text)))
