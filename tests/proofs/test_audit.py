"""The short form of the proof that no change to the audit goes unseen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.audit import audit_tampered


@pytest.fixture
def place(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> Iterator[Place]:
    yield Place(database_kind, database_url, engine, tmp_path, office)


def test_a_hundred_tamperings_are_found_at_their_row(place: Place) -> None:
    """PR-10; the whole thousand: ``python -m tests.proofs --only audit_tampered``."""
    assert audit_tampered(place, quick=True, seed=10).faults == []
