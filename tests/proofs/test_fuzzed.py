"""The proof that no odd request breaks the service, in its short form."""

from pathlib import Path

from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.fuzzed import fuzzed


def test_a_thousand_odd_requests_meet_no_failure_of_ours(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> None:
    """WS-12, WS-04, WS-05; ten thousand: ``python -m tests.proofs --only fuzzed``."""
    place = Place(database_kind, database_url, engine, tmp_path, office)
    assert fuzzed(place, quick=True, seed=len(database_kind)).faults == []
