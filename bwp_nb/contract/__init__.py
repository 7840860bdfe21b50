"""What is known of the API, as data.

Its interface: `schema_text`, the text of `schema.graphql`; `documented`, the documentation's requests and responses;
`Classification`, `classification`, `CLASSIFICATIONS`, `ACCESS_DENIED`, `RETRYABLE`, `THROTTLING` and `VALIDATION` of
`classifications`; `facts`, the content of `facts.toml`, and `CITED`, `PAGES` and `pages` of `sources`.
"""

from importlib.resources import files

from bwp_nb.contract import documented

__all__ = ["documented", "schema_text"]


def schema_text() -> str:
    """Return the text of `schema.graphql`."""
    return files(__name__).joinpath("schema.graphql").read_text("utf-8")
