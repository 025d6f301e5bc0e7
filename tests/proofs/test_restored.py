"""Short forms of two proofs: a clone mails nobody (MD-24), a backup restores (DD-07)."""

from pathlib import Path

from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.backups import backups
from tests.proofs.restored import restored_copy


def a_place(
    database_kind: str, database_url: str, engine: Engine, folder: Path, office: PostOffice
) -> Place:
    return Place(database_kind, database_url, engine, folder, office)


def test_a_clone_mails_nobody_until_it_is_released(
    database_kind: str, database_url: str, engine: Engine, tmp_path: Path, office: PostOffice
) -> None:
    """MD-24: real schedulers, on a clone made by hand; restored ones too:
    ``python -m tests.proofs --only restored_copy``.
    """
    place = a_place(database_kind, database_url, engine, tmp_path, office)
    assert restored_copy(place, quick=True, seed=1).faults == []


def test_a_backup_of_two_thousand_leads_passes_the_drill(
    database_kind: str, database_url: str, engine: Engine, tmp_path: Path, office: PostOffice
) -> None:
    """DD-07; a hundred thousand: ``python -m tests.proofs --only backups``."""
    place = a_place(database_kind, database_url, engine, tmp_path, office)
    assert backups(place, quick=True, seed=1).faults == []
