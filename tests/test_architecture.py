"""Which part of the package imports which."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bwp_nb

ROOT = Path(bwp_nb.__file__).parent
ROOMS = ("checks", "commands", "contract", "displays", "forms", "sandbox", "tables", "wire")

#: What each top-level module and each room imports of the package: at its head, inside a function, or for types only.
IMPORTS = {
    unit: set(names.split())
    for unit, names in {
        "__init__": "",
        "__main__": "commands displays errors",
        "checks": "__init__ client connection contract displays errors event history mutation sandbox settings "
        "text wire",
        "client": "displays errors event history mutation sandbox wire",
        "commands": "__init__ checks displays sandbox text",
        "connection": "client displays errors sandbox settings text wire",
        "contract": "displays text",
        "displays": "text",
        "errors": "contract displays text",
        "event": "contract displays errors text",
        "forms": "client connection contract displays errors event history mutation reference sandbox settings "
        "snippets tables text wire",
        "history": "displays text wire",
        "mutation": "contract displays errors event pasted text",
        "notebooks": "displays settings text wire",
        "pasted": "errors event text",
        "plots": "displays history sandbox tables text",
        "reference": "contract displays sandbox settings",
        "sandbox": "contract displays text wire",
        "settings": "displays errors text wire",
        "snippets": "client event mutation settings",
        "tables": "client contract displays errors event mutation text wire",
        "text": "",
        "traffic": "client displays errors event",
        "wire": "contract displays errors event text",
    }.items()
}


def _modules() -> dict[str, Path]:
    """Return the path of every module by its dotted name."""
    paths = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in paths.items()}


MODULES = _modules()


def _unit(module: str) -> str:
    """Return the room of a module, or the name of a top-level module."""
    return module.split(".")[1] if "." in module else "__init__"


def _imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever it does; every import is absolute."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_of(name: str) -> str | None:
    """Return the module of this package that an imported name is, or is in; None for other packages."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def _found() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        own = {_unit(imported) for name in _imported(path) if (imported := _module_of(name))}
        found[_unit(module)] |= own - {_unit(module)}
    return dict(found)


def test_every_part_imports_exactly_what_the_table_says() -> None:
    """A new import is a decision, made here."""
    assert IMPORTS == _found()


def test_imports_point_one_way() -> None:
    """No part imports one that imports it, and no module either."""
    assert len(IMPORTS) == len([*TopologicalSorter(IMPORTS).static_order()])
    modules = {
        module: {own for name in _imported(path) if (own := _module_of(name))} for module, path in MODULES.items()
    }
    packages = {module: {name for name in names if name != module} for module, names in modules.items()}
    assert len(MODULES) == len([*TopologicalSorter(packages).static_order()])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_a_paragraph_what_it_is_for_and_what_others_may_import(room: str) -> None:
    """Every name that another part imports from a room is one that the room's docstring has in backticks."""
    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text("utf-8"))) or ""
    assert docstring.count("\n\n") <= 1
    interface = set(re.findall(r"`(?:\w+\.)*(\w+)`", docstring))
    imported = {
        name.rpartition(".")[2]
        for module, path in MODULES.items()
        for name in _imported(path)
        if name.startswith(f"bwp_nb.{room}") and _unit(module) != room and name not in MODULES
    }
    assert set() == imported - interface


def test_the_sandbox_shares_no_code_with_what_builds_and_sends() -> None:
    """It is a second reading of the documentation; otherwise the tests that compare the two prove nothing."""
    imported = {
        own
        for module, path in MODULES.items()
        if _unit(module) == "sandbox"
        for own in map(_module_of, _imported(path))
    }
    outside = {own for own in imported if own and _unit(own) != "sandbox"}
    shared = {
        "bwp_nb.text",
        "bwp_nb.wire.platform",
        "bwp_nb.displays.html",
        "bwp_nb.displays.sources",
        "bwp_nb.displays.short_errors",
    }
    assert {"bwp_nb.contract", *shared} == outside


def test_only_the_wire_opens_connections() -> None:
    """One room reaches a network, and one serves on it."""
    roots = {name: {found.split(".")[0] for found in _imported(path)} for name, path in MODULES.items()}
    assert {"wire"} == {_unit(name) for name, found in roots.items() if found & {"h11", "httpcore"}}
    assert {"sandbox"} == {_unit(name) for name, found in roots.items() if "tornado" in found}
    knowing = {_unit(name) for name, found in roots.items() if "httpx" in found}
    assert {"checks", "client", "sandbox", "settings", "wire"} == knowing


def test_the_package_shows_some_twenty_entries() -> None:
    """A reader finds the way at one look."""
    hidden = {"__init__.py", "__init__.pyi", "__main__.py", "__pycache__", "py.typed"}
    assert len({path.name for path in ROOT.iterdir()} - hidden) <= 24


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_read(module: str) -> None:
    """At most 350 lines, docstrings not counted."""
    text = MODULES[module].read_text("utf-8")
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and ast.get_docstring(node)]
    docstrings = sum(node.body[0].end_lineno - node.body[0].lineno + 1 for node in documented)  # type: ignore[operator]
    assert len(text.splitlines()) - docstrings <= 350
