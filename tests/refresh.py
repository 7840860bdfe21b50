"""Refresh this repository's notebooks and, where Chromium is, its pictures: python tests/refresh.py [NOTEBOOK ...].

With names it refreshes these notebooks only; `bwp-nb refresh` is the same for any notebook.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from bwp_nb.notebooks import refresh

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"

if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(name, *refresh(name), sep="\n  ")
    if not sys.argv[1:] and any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        subprocess.run([sys.executable, "-m", "tests.pictures"], cwd=NOTEBOOKS.parent, check=True)
