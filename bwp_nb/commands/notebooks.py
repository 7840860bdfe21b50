"""The commands for notebooks: notebooks, refresh."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from glob import glob
from pathlib import Path

import bwp_nb as bwp
from bwp_nb.commands.result import Case, Result, said
from bwp_nb.displays.short_errors import InvalidArgument
from bwp_nb.text import counted


def notebooks(given: argparse.Namespace) -> Result:
    """Write the notebooks of this package to a folder.

    They are the guide, from the first event to the live API. With --json it prints notebooks, which are their paths.

    Exit statuses: 0 they are in the folder; 1 a file cannot be written, or other files of these names are there, in
    which case nothing was written; 2 wrong usage.
    """
    paths = [str(path) for path in bwp.notebooks.write(given.folder, overwrite=given.overwrite)]
    start = f'python -m pip install "bwp-nb[lab]"\njupyter lab "{paths[0]}"'
    text = "\n".join([f"{given.folder} has these notebooks:", *paths, "To open the first one:", start])
    return Result(text, {"notebooks": paths})


def writing(command: argparse.ArgumentParser) -> None:
    """Add where to write."""
    command.add_argument("folder", help="the folder, which is made if it does not exist")
    command.add_argument("--overwrite", action="store_true", help="overwrite other files of the same names")


def refresh(given: argparse.Namespace) -> Result:
    """Run notebooks, store their outputs as the same bytes each time, and check what they store.

    The checks find cells that have not run in order, errors without the tag raises-exception, outputs that are not
    compared, and what is of one run or machine, such as widgets, paths, tokens and secrets. With --json it prints ok
    and notebooks, each with name, outcome, message, details and file.

    Exit statuses: 0 all is well; 1 a cell failed, in which case its notebook is not written, a notebook has problems
    or, with --check, shows something else; 2 wrong usage, or a path has no notebook; 4 the extra notebooks is missing.
    """
    cases = [_refreshed(path, given) for path in _found(given.path)]
    data = {"ok": all(case.outcome == "passed" for case in cases), "notebooks": list(map(asdict, cases))}
    text = "\n".join(f"{case.name}: {case.message}\n{case.details}".rstrip() for case in cases)
    return Result(text, data, cases)


def _refreshed(path: Path, given: argparse.Namespace) -> Case:
    name = str(path)
    try:
        different = bwp.notebooks.refresh(path, dry_run=given.check, timeout=given.timeout)
        wrong = bwp.notebooks.problems(path)
    except (InvalidArgument, OSError) as error:
        return Case(name, "failed", said(error), file=name)
    outcome = "failed" if wrong or (given.check and different) else "passed"
    message = f"{counted(len(different), 'difference')}, {counted(len(wrong), 'problem')}"
    return Case(name, outcome, message, "\n".join(map(str, [*different, *wrong])), name)


def _found(names: list[str]) -> Iterator[Path]:
    """Yield the files, and the notebooks in the folders except in hidden ones."""
    for path in map(Path, names):
        inside = sorted(glob("**/*.ipynb", root_dir=path, recursive=True)) if path.is_dir() else [""]
        if not inside:
            raise InvalidArgument(f"{path} has no notebook.")
        yield from (path / name for name in inside)


def refreshing(command: argparse.ArgumentParser) -> None:
    """Add what to refresh, and how."""
    command.add_argument("path", nargs="+", help="a notebook, or a folder of notebooks")
    command.add_argument("--check", action="store_true", help="write nothing; if something else is shown, fail")
    command.add_argument("--timeout", type=int, default=120, metavar="S", help="the most seconds for a cell: 120")
