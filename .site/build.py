"""Build the documentation site with its lab into build/site: python .site/build.py.

The pages are built from the files of this folder, the README, the notebooks as they are committed, and the docstrings.
The lab needs npm.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import browser_lab

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build"
SOURCE = BUILD / "site-source"
SITE = BUILD / "site"

#: What the pages show of the rest of the project.
SHOWN = ("README.md", "bwp_nb/contract/schema.graphql", "notebooks")


def pages() -> None:
    """Build the pages; a warning is an error."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(HERE, SOURCE)
    for name in SHOWN:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, SOURCE / name)
    readme = SOURCE / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("](.site/", "]("), "utf-8")  # it links to files of this folder
    command = ["sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--fresh-env", "--write-all"]
    subprocess.run([sys.executable, "-m", *command, SOURCE, SITE], env=os.environ | {"BWP_ROOT": str(ROOT)}, check=True)


if __name__ == "__main__":
    shutil.rmtree(SITE, ignore_errors=True)
    pages()
    browser_lab.build(BUILD / "lab-source", SITE / "lab")
