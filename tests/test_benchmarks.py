"""The benchmarks run; what they find is printed, not asserted."""

from tests.benchmarks.cases import measure


def test_every_case_is_measured() -> None:
    """At a size at which the numbers mean nothing."""
    lines = "\n".join(measure(400, quick=True))
    assert 15 == lines.count("\n| ") - 2
    for words in ("DataFrame", "CSV file", "16 workers", "peak memory", "import bwp_nb", "the sandbox"):
        assert words in lines
