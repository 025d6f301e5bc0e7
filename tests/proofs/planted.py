"""Planted bugs: each rule is broken once in a copy of the tree, and a test must notice."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.both import Place
from tests.proofs.finding import Finding
from tests.proofs.planted_bugs import BUGS, Bug
from tests.proofs.planted_looks import LOOKS
from tests.tables import print_table

HOUSE = Path(__file__).resolve().parents[2]
AT_ONCE = 2
ENDS_WITHIN = 600
QUICK = 2
ALL = BUGS + LOOKS
_TOLD = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.M)
_KEPT = ("leadcapture", "migrations", "templates", "tests", "pyproject.toml", "wsgi.py")


@dataclass(frozen=True)
class Verdict:
    """What came of a bug: the test that noticed, or a fault: it survived, or could not be tried."""

    bug: Bug
    caught_by: str = ""
    fault: str = ""


def fault_of_text(bug: Bug, house: Path = HOUSE) -> str:
    """Why this bug cannot be planted; empty where it can."""
    found = (house / bug.file).read_text().count(bug.right)
    return "" if found == 1 else f"{bug.name}: its text stands {found} times in {bug.file}"


def copy_tree(folder: Path) -> Path:
    """A copy of what runs, without anything that was built from it."""
    for name in _KEPT:
        if (HOUSE / name).is_dir():
            shutil.copytree(
                HOUSE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(HOUSE / name, folder / name)
    return folder


def plant(bug: Bug, tree: Path) -> Verdict:
    """Plant a bug in a copy of the tree, run its tests, take it out again."""
    if fault := fault_of_text(bug, tree):
        return Verdict(bug, fault=fault)
    place = tree / bug.file
    healthy = place.read_text()
    place.write_text(healthy.replace(bug.right, bug.wrong))
    try:
        status, told = run_tests(tree, bug.tests, bug.unseen_on)
    finally:
        place.write_text(healthy)
    if status == 0:
        return Verdict(bug, fault=f"{bug.name}: no test noticed")
    noticed = _TOLD.search(told)
    if status != 1 or noticed is None:
        return Verdict(bug, fault=f"{bug.name}: the tests did not run ({status}): {told[-400:]}")
    return Verdict(bug, caught_by=noticed[1])


def run_tests(tree: Path, tests: Sequence[str], unseen_on: str = "postgresql") -> tuple[int, str]:
    """Run these tests of a tree up to the first that fails; pytest's exit status, its words.

    On SQLite alone where nothing else is asked: most rules are the same on both, and a server
    a run would take long.
    """
    options = ["-q", "-x", "-p", "no:cacheprovider", "-k", f"not {unseen_on}", "--tb=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
    )
    return done.returncode, done.stdout + done.stderr


def plant_all(bugs: Sequence[Bug], folder: Path) -> list[Verdict]:
    """Plant one bug after the other, two at a time; all their tests first without any."""
    trees: SimpleQueue[Path] = SimpleQueue()
    for number in range(AT_ONCE):
        trees.put(copy_tree(folder / f"tree-{number}"))

    def plant_in_a_tree(bug: Bug) -> Verdict:
        tree = trees.get()
        try:
            return plant(bug, tree)
        finally:
            trees.put(tree)

    tests = sorted({test for bug in bugs for test in bug.tests})
    status, told = run_tests(folder / "tree-0", tests)
    if status != 0:
        fault = f"the tests fail without any bug: {_TOLD.findall(told) or told[-400:]}"
        return [Verdict(bugs[0], fault=fault)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(plant_in_a_tree, bugs))


def planted(place: Place, quick: bool, seed: int) -> Finding:
    """Each of the planted bugs is noticed by a test; on SQLite, where all of them can be."""
    if place.kind != "sqlite":
        return Finding("planted once, on SQLite")
    first = seed % (len(ALL) - QUICK)
    bugs = ALL[first : first + QUICK] if quick else ALL
    folder = place.folder / "planted"
    folder.mkdir()
    faults = [fault for bug in ALL if (fault := fault_of_text(bug))]
    verdicts = plant_all(bugs, folder)
    faults += [verdict.fault for verdict in verdicts if verdict.fault]
    caught = [verdict for verdict in verdicts if verdict.caught_by]
    rows = [[verdict.bug.name, verdict.bug.file, verdict.caught_by] for verdict in caught]
    print_table("Planted bugs", ["what is broken", "in", "which test noticed"], rows)
    return Finding(f"{len(caught)} of {len(bugs)} planted bugs noticed", faults)
