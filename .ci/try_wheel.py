"""Use the installed package as a stranger would, and look for the files that are not Python."""

from importlib.metadata import entry_points
from importlib.resources import files

import bwp_nb as bwp

client = bwp.connect()
assert client.send(bwp.Mutation.parse(bwp.documented.PAGE_LOAD.request).events).status == "successful"
assert client.sandbox.accepted
for name in (
    "contract/schema.graphql",
    "py.typed",
    "__init__.pyi",
    "contract/documented/page_load.json",
    "forms/style.css",
    "commands/welcome.txt",
):
    assert files("bwp_nb").joinpath(name).is_file(), name
assert "bwp_nb.checks.pytest_plugin" in {found.module for found in entry_points(group="pytest11")}
