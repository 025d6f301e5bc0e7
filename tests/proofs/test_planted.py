"""The short form of the planted bugs: each can still be planted, and two of them are."""

import re
from pathlib import Path

import pytest

from tests.proofs.planted import ALL, copy_tree, fault_of_text, plant, plant_all
from tests.proofs.planted_bugs import CELLS, Bug

TWO = [
    bug for bug in ALL if bug.name in ("a wrong password fails the letter", "dots are not stuffed")
]


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_each_bug_can_still_be_planted(bug: Bug) -> None:
    """A rule that is written otherwise now needs its bug written otherwise too."""
    assert fault_of_text(bug) == ""
    assert bug.right != bug.wrong


def test_each_names_tests_that_there_are() -> None:
    """A test that was called otherwise notices nothing, and stops the whole list."""
    for test in {test for bug in ALL for test in bug.tests}:
        place, _, name = test.partition("::")
        words = Path(place).read_text()
        written = rf"(def|class) {re.escape(name.partition('[')[0])}\b"
        assert not name or re.search(written, words), test


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in ALL}) == len(ALL) >= 25


def test_two_of_them_are_noticed(tmp_path: Path) -> None:
    """The whole list: ``python -m tests.proofs --only planted``."""
    verdicts = plant_all(TWO, tmp_path)
    assert [verdict.fault for verdict in verdicts] == ["", ""]
    assert all(verdict.caught_by.startswith("tests/") for verdict in verdicts)


def test_a_bug_that_nobody_notices_is_told(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    place = "leadcapture/outbox/replies.py"
    harmless = Bug("harmless", place, "import re\n", "import re as re\n", (CELLS,))
    gone = Bug("gone", place, "no such text", "", (CELLS,))
    assert plant(harmless, tree).fault == "harmless: no test noticed"
    assert "its text stands 0 times" in plant(gone, tree).fault
