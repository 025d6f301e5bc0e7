"""The command that runs the proofs."""

import pytest

from tests.both import Place, open_places
from tests.proofs.finding import Finding
from tests.proofs.turns import find


def test_a_proof_that_breaks_off_falls_short(capsys: pytest.CaptureFixture[str]) -> None:
    """OP-08: the others have their turn, and the table says which it was."""

    def breaks(place: Place, quick: bool, seed: int) -> Finding:
        raise AssertionError(f"seed {seed} on {place.kind}")

    with open_places() as places:
        finding = find(breaks, places, "sqlite", quick=True, seed=7)
    assert finding == Finding("broke off", ["AssertionError: seed 7 on sqlite"])
    assert "Traceback" in capsys.readouterr().err
