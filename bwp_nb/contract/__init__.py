"""What is known of the API, as data.

Its interface: `schema_text`, the text of `schema.graphql`; `documented`, the documentation's requests and responses;
`Classification`, `classification`, `inner`, `is_internal`, `message_of`,
`CLASSIFICATIONS`, `ACCESS_DENIED`, `RETRYABLE`,
`THROTTLING` and `VALIDATION` of `classifications`; `Hint`, `hints` and `property_place` of `hints`; the documented
`EVENT_TYPES`, `CLIENT_TYPES` and `PROPERTY_NAMES`.
"""

from importlib.resources import files

from bwp_nb.contract import documented
from bwp_nb.displays.sources import facts

__all__ = ["CLIENT_TYPES", "EVENT_TYPES", "PROPERTY_NAMES", "documented", "schema_text"]

#: The client types in “User Event Schema”.
CLIENT_TYPES = ("WEBSITE_CLIENT", "SERVER_CLIENT")

#: The event types in “User Event Schema”. Whether the API refuses others is unknown, so they are not refused here.
EVENT_TYPES: tuple[str, ...] = tuple(fact["name"] for fact in facts()["event_types"])

#: Additional properties in “Send User Events”, “sendUserEvents” and “User Event Schema”; others can be sent as well.
PROPERTY_NAMES: tuple[str, ...] = tuple(fact["name"] for fact in facts()["properties"])


def text_of(file: str) -> str:
    """Return the text of a file of this folder, such as `schema.graphql`."""
    return files(__name__).joinpath(file).read_text("utf-8")


def schema_text() -> str:
    """Return the text of `schema.graphql`."""
    return text_of("schema.graphql")
