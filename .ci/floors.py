"""Print the oldest versions that pyproject.toml admits, as requirements: python .ci/floors.py."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
groups = [project["dependencies"], *(extras[name] for name in extras if name != "bench")]
floors = {}  # of two for one name, that of the extra, which comes last
for group in groups:
    for requirement in group:
        if match := re.match(r"([\w.-]+)>=([\w.]+)", requirement):
            floors[match[1]] = match[2]
for name in sorted(floors):
    print(f"{name}=={floors[name]}")
