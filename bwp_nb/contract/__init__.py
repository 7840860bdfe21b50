"""What is known of the API, as data.

Its interface: `schema_text`, the text of `schema.graphql`; `documented`, the documentation's requests and responses;
`Classification`, `classification`, `is_internal`, `message_of`, `CLASSIFICATIONS`, `ACCESS_DENIED`, `RETRYABLE`,
`THROTTLING` and `VALIDATION` of `classifications`; `Hint`, `hints` and `property_place` of `hints`; `vocabulary`.
"""

from importlib.resources import files

from bwp_nb.contract import documented

__all__ = ["documented", "schema_text"]


def schema_text() -> str:
    """Return the text of `schema.graphql`."""
    return files(__name__).joinpath("schema.graphql").read_text("utf-8")
