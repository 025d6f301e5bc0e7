"""The short form of the proof that forged tokens change nothing."""

from pathlib import Path

from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.forged import forged


def test_two_thousand_forged_tokens_change_nothing(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> None:
    """AB-07, MD-11; the whole 10^5: ``python -m tests.proofs --only forged``."""
    place = Place(database_kind, database_url, engine, tmp_path, office)
    assert forged(place, True, 7).faults == []
