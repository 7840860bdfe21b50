"""Use the installed package as a stranger would: python .ci/try_wheel.py, or with --lab if it has the extra `lab`.

It looks for the files that are not Python, and at what is there without extras.
"""

import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import bwp_nb as bwp

#: What needs an extra, by the extra's name.
EXTRAS = {
    "charts": lambda: bwp.plots.outcomes(client.history),
    "drift": lambda: bwp.drift(client),
    "forms": lambda: bwp.forms.EventForm(client),
    "server": lambda: bwp.serve().close(),
    "tables": lambda: bwp.send_table(client, bwp.traffic.shop_day(20), progress=False).frame(),
}

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

missing = {}
for name, use in EXTRAS.items():
    try:
        use()
    except ImportError as error:
        missing[name] = str(error)
sentence = 'This part of bwp_nb needs its extra {0}; run: python -m pip install "bwp-nb[{0}]"'
expected = {name: sentence.format(name) for name in EXTRAS if name != "drift"}
assert missing == ({} if "--lab" in sys.argv else expected), missing

with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-I", "-m", "bwp_nb"]
    subprocess.run([*command, "notebooks", folder], check=True, stdout=subprocess.DEVNULL)
    guide = sorted(Path(folder).glob("*.ipynb"))
    assert len(guide) == 8, guide
    if "--lab" in sys.argv:  # a page that has no outputs of another version of pandas or matplotlib
        subprocess.run([*command, "refresh", "--check", guide[0]], check=True)
