"""The short form of the races between stops and intents."""

from pathlib import Path

from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.stop_races import race


def test_of_a_stop_and_an_intent_one_wins(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> None:
    """MD-16, MD-14, I7; ten thousand: ``python -m tests.proofs --only stop_races``."""
    finding = race(Place(database_kind, database_url, engine, tmp_path, office), 150, seed=16)
    assert finding.faults == []
