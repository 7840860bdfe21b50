"""Who may import whom."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import bwp_nb

ROOT = Path(bwp_nb.__file__).parent

#: The modules of this package that each one may import: at its head, inside a function, or for types only.
MAY_IMPORT: dict[str, set[str]] = {
    module: {f"bwp_nb.{name}" for name in names.split()}
    for module, names in {
        "bwp_nb": "",
        "bwp_nb.answer": "blame errors",
        "bwp_nb.bulk": "client columns duplicates errors ledger mutation report sender table",
        "bwp_nb.auth": "answer clock errors transport",
        "bwp_nb.rejected_values": "errors event",
        "bwp_nb.check": "answer auth classifications client clock connection errors mutation settings transport",
        "bwp_nb.classifications": "",
        "bwp_nb.client": "answer auth classifications clock errors event history mutation retries sandbox transport",
        "bwp_nb.clock": "",
        "bwp_nb.columns": "errors event mutation table",
        "bwp_nb.connection": "auth client clock retries sandbox settings transport",
        "bwp_nb.controls": "errors event fields look",
        "bwp_nb.documented": "",
        "bwp_nb.editor": "controls errors event fields look",
        "bwp_nb.drift": "answer client connection documented errors history",
        "bwp_nb.duplicates": "errors",
        "bwp_nb.errors": "classifications sources",
        "bwp_nb.event": "errors",
        "bwp_nb.faults": "clock",
        "bwp_nb.fields": "event",
        "bwp_nb.forms": "answer client editor errors event history look mutation outcome panel rows snippets",
        "bwp_nb.history": "errors",
        "bwp_nb.look": "errors fields sources",
        "bwp_nb.ledger": "errors",
        "bwp_nb.mutation": "errors event pasted",
        "bwp_nb.outcome": "answer errors history look",
        "bwp_nb.panel": "errors faults look sandbox",
        "bwp_nb.pasted": "",
        "bwp_nb.plots": "errors history report sandbox",
        "bwp_nb.report": "columns errors event ledger table",
        "bwp_nb.protocol": "",
        "bwp_nb.retries": "clock errors",
        "bwp_nb.rows": "errors event mutation table",
        "bwp_nb.sandbox": "clock faults",
        "bwp_nb.server": "clock documented errors sandbox site",
        "bwp_nb.snippets": "client event mutation settings",
        "bwp_nb.settings": "auth errors",
        "bwp_nb.sender": "answer classifications client errors ledger mutation",
        "bwp_nb.site": "faults protocol sandbox",
        "bwp_nb.sources": "",
        "bwp_nb.table": "errors event",
        "bwp_nb.traffic": "bulk client connection errors event sandbox",
        "bwp_nb.transport": "",
    }.items()
}


def _modules() -> dict[str, Path]:
    """Return every module by its dotted name."""
    paths = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in paths.items()}


def _imported(module: str, path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever it does."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _own(name: str, modules: dict[str, Path]) -> str | None:
    """Return the module of ours that an imported name is or stands in, if any."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def _found() -> dict[str, set[str]]:
    modules = _modules()
    return {
        module: {own for name in _imported(module, path) if (own := _own(name, modules))}
        for module, path in modules.items()
    }


def test_every_module_imports_exactly_what_the_table_says() -> None:
    """A new import is a decision, made here."""
    assert MAY_IMPORT == _found()


def test_imports_point_one_way() -> None:
    """No module imports one that imports it."""
    assert len(MAY_IMPORT) == len([*TopologicalSorter(MAY_IMPORT).static_order()])


def test_the_sandbox_shares_no_code_with_what_builds_and_sends() -> None:
    """It is a second reading of the documentation, or the tests that compare the two prove nothing."""
    assert not _found()["bwp_nb.sandbox"] & {"bwp_nb.event", "bwp_nb.mutation", "bwp_nb.client"}


def test_only_the_transport_opens_connections() -> None:
    """One module reaches a network; those that know of HTTP besides make requests, read answers or play them."""
    modules = _modules()
    roots = {name: {found.split(".")[0] for found in _imported(name, path)} for name, path in modules.items()}
    assert {"bwp_nb.transport"} == {name for name, found in roots.items() if "httpcore" in found}
    assert {"bwp_nb.server"} == {name for name, found in roots.items() if "tornado" in found}
    knowing = {"answer", "auth", "check", "client", "faults", "protocol", "sandbox", "server", "settings", "site"}
    knowing |= {"transport"}
    assert {f"bwp_nb.{name}" for name in knowing} == {name for name, found in roots.items() if "httpx" in found}
