"""The benchmarks run; what they find is printed, not asserted."""

from tests.benchmarks import rivals, shop
from tests.benchmarks.cases import measure


def test_every_case_is_measured() -> None:
    """At a size at which the numbers mean nothing; other trackers only where they are installed."""
    lines = "\n".join(measure(400, quick=True))
    assert 23 + len(rivals.installed()) == lines.count("\n| ") - 2
    for words in (
        "DataFrame",
        "CSV file",
        "16 workers",
        "2 processes",
        "peak memory",
        "save_spreadsheet",
        "import bwp_nb",
        "sandbox",
    ):
        assert words in lines


def test_the_data_set_is_the_one_that_was_measured() -> None:
    """Another one could flatter; an event has ten properties and about 0.9 kB."""
    assert shop.DIGEST == shop.digest()
    row = next(shop.rows())
    assert 10 == len(shop.keywords(row)["additional_properties"])
