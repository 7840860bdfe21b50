"""The documentation's own requests and responses, as printed."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from bwp_nb.displays.html import beside, card, code
from bwp_nb.displays.sources import PAGES


@dataclass(frozen=True)
class Example:
    """One documented request with its response.

    Attributes
    ----------
    name : str
        Its name.
    version : str
        The version of the API whose documentation shows it.
    source : str
        The address of the page.
    request : str
        The request's GraphQL text, as printed.
    response : dict
        The JSON of the response, as printed; a new object each time.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.documented.PAGE_LOAD.response
    {'data': {'sendUserEvents': {'status': 'successful'}}}
    """

    name: str
    version: str
    source: str

    @property
    def request(self) -> str:
        """The request's GraphQL text."""
        return files(__name__).joinpath(f"{self.name}.graphql").read_text("utf-8")

    @property
    def response(self) -> dict[str, Any]:
        """The JSON of the response; a new object each time."""
        answer: dict[str, Any] = json.loads(files(__name__).joinpath(f"{self.name}.json").read_text("utf-8"))
        return answer

    def _repr_html_(self) -> str:
        """Return the request beside the response, and the page that prints them."""
        page = next(title for title, address in PAGES.items() if address == self.source)
        request, response = code(self.request, "graphql"), code(self.response, "json")
        return card(f"Printed in “{page}”, version {self.version}.", beside(request=request, response=response))


#: One page load, accepted.
PAGE_LOAD = Example("page_load", "2024-11-01", PAGES["sendUserEvents"])

#: The same with the event time `2023`, rejected.
INVALID_EVENT_TIME = Example("invalid_event_time", "2024-11-01", PAGES["sendUserEvents"])

#: A shopper on the order review page, from the April 2024 guide: another page, which gives the values.
PRE_ORDER_PAGE_LOAD = Example("pre_order_page_load", "2024-04-01", PAGES["Send User Events"])
