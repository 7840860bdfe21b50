"""Every `pytest.raises` also checks that the docstring of the public callable lists the error.

Every notebook that nbval runs is also compared with its refresh.
"""

from types import TracebackType
from typing import Any

import pytest

from tests import nbval_bytes
from tests.docstrings import undocumented

_raises = pytest.raises


class _Listed:
    """A `pytest.raises` whose error must be listed in the `Raises` of the public callable that it left."""

    def __init__(self, *expected: Any, **options: Any) -> None:
        self._inner = _raises(*expected, **options)

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        is_expected = self._inner.__exit__(kind, error, trace)
        if is_expected and error is not None and (name := undocumented(error)):
            pytest.fail(f"the docstring of {name} does not list {type(error).__name__} in Raises")
        return bool(is_expected)


pytest.raises = _Listed  # type: ignore[assignment,misc]  # in every test module, which calls it by this name


def pytest_configure(config: pytest.Config) -> None:
    """Let it see the notebooks as well, which are in another folder."""
    config.pluginmanager.register(nbval_bytes)
