"""The documentation's own requests and answers, as printed: what this package is measured against."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_PAGE = "https://documents.buywithprime.amazon.com/bwp-api/docs/analytics-mutations-senduserevents"
_GUIDE = "https://documents.buywithprime.amazon.com/bwp-api/v2024-04-01/docs/send-user-events-for-buy-with-prime"


@dataclass(frozen=True)
class Example:
    """One documented request with its answer."""

    name: str
    version: str
    source: str

    @property
    def request(self) -> str:
        """The request's GraphQL text."""
        return files(__name__).joinpath(f"{self.name}.graphql").read_text("utf-8")

    @property
    def response(self) -> dict[str, Any]:
        """The answer's JSON, read afresh each time, so that nobody changes it for others."""
        answer: dict[str, Any] = json.loads(files(__name__).joinpath(f"{self.name}.json").read_text("utf-8"))
        return answer


#: One page load, accepted.
PAGE_LOAD = Example("page_load", "2024-11-01", _PAGE)

#: The same with the event time `2023`, refused.
INVALID_EVENT_TIME = Example("invalid_event_time", "2024-11-01", _PAGE)

#: A shopper before the order review page: read from another page, the April 2024 guide, which gives its values.
PRE_ORDER_PAGE_LOAD = Example("pre_order_page_load", "2024-04-01", _GUIDE)
