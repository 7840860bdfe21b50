"""The docstrings of the public names: they list each parameter and each error, and their examples run."""

import doctest
import inspect
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

import bwp_nb as bwp
from tests.docstrings import PUBLIC, parameters, section, undocumented


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_documented(name: str) -> None:
    """`Parameters` has the names of the signature; a class that is only returned has its fields as `Attributes`."""
    item = PUBLIC[name]
    attributes = section(item, "Attributes")
    if attributes and not section(item, "Parameters"):
        assert (
            {field.name for field in fields(item) if not field.name.startswith("_")} <= attributes
            if is_dataclass(item)
            else inspect.isclass(item)
        )
    else:
        assert parameters(item) == section(item, "Parameters")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_example_runs(name: str) -> None:
    """What an example prints is what the docstring says."""
    item: Any = PUBLIC[name]
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(item) or "", {}, name, None, None)
    assert 0 == doctest.DocTestRunner().run(test).failed


def test_an_error_that_is_not_listed_is_noticed() -> None:
    """Each error that a test expects is compared with the `Raises` of the public callable that it left."""
    with pytest.raises(ValueError, match="unknown topic") as raised:
        bwp.reference("weather")
    assert "" == undocumented(raised.value)
    unlisted = ArithmeticError().with_traceback(raised.value.__traceback__)
    assert "reference" == undocumented(unlisted)
