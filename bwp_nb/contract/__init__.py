"""What is known of the API, as data.

Its interface: `schema_text` and `facts_text`, the texts of `schema.graphql` and `facts.toml`; `documented`, the
documentation's own requests and responses; `Classification`, `classification`, `CLASSIFICATIONS`, `ACCESS_DENIED`,
`RETRYABLE`, `THROTTLING` and `VALIDATION` of `classifications`; `CITED`, `PAGES` and `pages` of `sources`.
"""

from importlib.resources import files

from bwp_nb.contract import documented

__all__ = ["documented", "facts_text", "schema_text"]


def schema_text() -> str:
    """Return the text of `schema.graphql`."""
    return files(__name__).joinpath("schema.graphql").read_text("utf-8")


def facts_text() -> str:
    """Return the text of `facts.toml`."""
    return files(__name__).joinpath("facts.toml").read_text("utf-8")
