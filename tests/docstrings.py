"""The public callables, and what their docstrings say of parameters and errors."""

import inspect
import re
from collections.abc import Iterator
from types import CodeType, FunctionType, TracebackType
from typing import Any

import bwp_nb as bwp
from bwp_nb.displays.short_errors import MissingExtra

_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n(.*?)(?=^\w[\w ]*\n-{3,}\n|\Z)", re.MULTILINE | re.DOTALL)


def public() -> dict[str, Any]:
    """Return the public functions, classes and methods by their names, those of public modules included.

    Without those of an extra that is not installed, or too old.
    """
    found: dict[str, Any] = {}
    for name in bwp.__all__:
        try:
            given = getattr(bwp, name)
        except MissingExtra:
            continue
        if not inspect.ismodule(given):
            found |= _members(name, given)
            continue
        for inner in [inner for inner in dir(given) if not inner.startswith("_")]:
            item = getattr(given, inner)
            if str(getattr(item, "__module__", "")).startswith(given.__name__):
                found |= _members(f"{name}.{inner}", item)
    return found


def _members(name: str, item: Any) -> Iterator[tuple[str, Any]]:
    if not str(getattr(item, "__module__", "")).startswith("bwp_nb") or not callable(item):
        return
    yield name, item
    for inner, member in vars(item).items() if inspect.isclass(item) else ():
        function = getattr(member, "__func__", member)
        if not inner.startswith("_") and isinstance(function, FunctionType) and item.__module__ == function.__module__:
            yield f"{name}.{inner}", function


PUBLIC = public()


def parameters(item: Any) -> set[str]:
    """Return the names in a callable's signature; an error without a constructor of its own takes a message."""
    if inspect.isclass(item) and issubclass(item, BaseException) and "__init__" not in vars(item):
        return set()
    return set(inspect.signature(item).parameters) - {"self", "cls"}


def section(item: Any, title: str) -> set[str]:
    """Return the names that one section of a docstring defines."""
    doc = inspect.getdoc(item) or ""
    if title == "Parameters" and (other := re.search(r"parameters are those of `(\w+)`", doc)):
        return section(PUBLIC[other[1]], title) & parameters(item)
    for found, text in _SECTION.findall(doc):
        if found == title:
            heads = [line.split(" :")[0] for line in text.splitlines() if line and not line.startswith(" ")]
            return {name.strip().lstrip("*") for head in heads for name in head.split(",")}
    return set()


def _codes() -> dict[CodeType, str]:
    """Return the public callable of each code object; a class is called by its constructor."""
    functions = {name: item.__init__ if inspect.isclass(item) else item for name, item in PUBLIC.items()}
    return {item.__code__: name for name, item in functions.items() if isinstance(item, FunctionType)}


_CODES = _codes()


def undocumented(error: BaseException) -> str:
    """Return the public callable that an error left without being listed in its `Raises`; empty if there is none.

    An interrupt, and an error that a test made itself, need not be listed.
    """
    name = _left(error.__traceback__)
    if not name or not isinstance(error, Exception) or _module(error.__traceback__).startswith("tests"):
        return ""
    listed = section(PUBLIC[name], "Raises")
    return "" if {kind.__name__ for kind in type(error).__mro__} & listed else name


def _module(trace: TracebackType | None) -> str:
    """Return the module in which an error was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))


def _left(trace: TracebackType | None) -> str:
    """Return the outermost function of the package in a traceback, if it is public."""
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith("bwp_nb"):
            return _CODES.get(trace.tb_frame.f_code, "")
        trace = trace.tb_next
    return ""
