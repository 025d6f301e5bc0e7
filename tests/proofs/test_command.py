"""The command that runs the proofs."""

import re
from pathlib import Path

import pytest

from tests.both import KINDS, Place, open_places
from tests.proofs.finding import Finding
from tests.proofs.turns import ONLY_ON, PROOFS, choose, find


def test_a_proof_that_breaks_off_falls_short(capsys: pytest.CaptureFixture[str]) -> None:
    """OP-08: the others have their turn, and the table says which it was."""

    def breaks(place: Place, quick: bool, seed: int) -> Finding:
        raise AssertionError(f"seed {seed} on {place.kind}")

    with open_places() as places:
        finding = find(breaks, places, "sqlite", quick=True, seed=7)
    assert finding == Finding("broke off", ["AssertionError: seed 7 on sqlite"])
    assert "Traceback" in capsys.readouterr().err


def test_a_short_form_of_each_runs_on_one_database_which_the_seed_chooses() -> None:
    """OP-08."""
    first, second = (choose(PROOFS, None, once=True, seed=seed) for seed in (0, 1))
    assert [name for name, _ in first] == [name for name, _ in second] == list(PROOFS)
    met = {name: {kind, other} for (name, kind), (_, other) in zip(first, second, strict=True)}
    assert met == {name: set(ONLY_ON.get(name, KINDS)) for name in PROOFS}
    assert choose(["states"], None, once=False, seed=0) == [("states", kind) for kind in KINDS]


def test_the_suite_has_a_short_form_of_each_and_says_where_the_long_one_is() -> None:
    """OP-08."""
    tests = Path(__file__).parents[1].rglob("test_*.py")
    named = {name for file in tests for name in re.findall(r"--only (\w+)``", file.read_text())}
    assert set(PROOFS) - named == set()
