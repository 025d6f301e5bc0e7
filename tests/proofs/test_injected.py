"""The proof that no parameter lets SQL through, in its short form."""

from pathlib import Path

from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.injected import injected


def test_sqlmap_finds_nothing_in_the_form_and_the_search(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> None:
    """WS-01; every parameter: ``python -m tests.proofs --only injected``."""
    place = Place(database_kind, database_url, engine, tmp_path, office)
    assert injected(place, quick=True, seed=0).faults == []
