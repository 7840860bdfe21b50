"""What is known of the API, as data: no other room of the package is imported here.

Its interface: `schema_text`, the API's types as `schema.graphql` holds them; `documented`, the documentation's own
requests and answers; `classifications.CLASSIFICATIONS` and `classifications.classification`; `sources.PAGES` and
`sources.pages`.
"""

from importlib.resources import files

from bwp_nb.contract import documented

__all__ = ["documented", "schema_text"]


def schema_text() -> str:
    """Return the text of `schema.graphql`."""
    return files(__name__).joinpath("schema.graphql").read_text("utf-8")
