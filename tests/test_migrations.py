"""Migrations: equal to the models, there and back with data (DD-08)."""

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, inspect, select, text

from leadcapture import demo, migrate
from leadcapture.database import open_engine, open_session
from leadcapture.leads import merging, tags
from leadcapture.models import Lead, Staff
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.configured import make_settings
from tests.databases import PostgresDatabases, SqliteFiles
from tests.migrating import VERSIONS, kill_upgrades, published_in, rows_of, schema_of

# What a step means to change in what it keeps, by the revision that it leads to: the release
# before merges takes a merged lead for a closed one, and notes that it changed.
CHANGED = {
    "0012": (
        *(("lead", "status"), ("lead", "closed_reason"), ("lead", "version")),
        *(("change", "id"), ("change", "lead_id")),
    )
}


def test_models_and_migrated_database_agree(database_url: str, tmp_path: Path) -> None:
    """DD-08."""
    assert migrate.differences(make_settings(tmp_path, database_url)) == []


def test_every_revision_is_left_and_reached_again_with_a_clinics_rows_in_it(
    database_url: str, engine: Engine, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """DD-08: down to the first revision, and up again; no row of what stays is lost or changed."""
    a_clinic(engine, settings, vault, clock.now)
    before = schema_of(engine)
    published = published_in(database_url)
    revisions = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
    for revision in reversed(revisions[:-1]):
        walk_to(engine, revision, partial(migrate.downgrade, settings, revision))
    for revision in revisions[1:]:
        walk_to(engine, revision, partial(migrate.upgrade, settings, revision))
    assert schema_of(engine) == before
    assert migrate.differences(settings) == []
    migrate.downgrade(settings, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(settings)
    assert schema_of(engine) == before
    assert published_in(database_url) == published > 10


def a_clinic(engine: Engine, settings: Settings, vault: Vault, now: datetime) -> None:
    """The demo, and what it has not: a merge, a tag that somebody wears."""
    with open_session(engine) as session:
        demo.fill(session, vault, settings, now)
        kept, other = (
            session.scalars(select(Lead).where(Lead.full_name == name)).one()
            for name in ("Marcus Ortiz", "Marc Ortiz")
        )
        actor = session.scalars(select(Staff.id)).one()
        tags.tag_lead(
            session, other, tags.add_tag(session, "Knee", tags.COLORS[0], now), actor, now
        )
        merging.merge(session, vault, settings, kept, other, (), actor, now)
        session.commit()


def walk_to(engine: Engine, revision: str, step: Callable[[], None]) -> None:
    """Take the step; what stands in columns of both revisions is as it was, and every key leads
    somewhere.
    """
    columns = columns_of(engine)
    with engine.connect() as connection:
        before = rows_of(connection, columns)
    # A statement that SQLite keeps for a connection remembers the columns of before.
    engine.dispose()
    step()
    stays = {
        table: tuple(name for name in names if (table, name) not in CHANGED.get(revision, ()))
        for table, names in columns_of(engine).items()
    }
    shared = {
        table: [name for name in names if name in columns[table]]
        for table, names in stays.items()
        if table in columns and names
    }
    kept = {
        table: [tuple(row[columns[table].index(name)] for name in names) for row in before[table]]
        for table, names in shared.items()
    }
    with engine.connect() as connection:
        after = rows_of(connection, shared)
        if engine.dialect.name == "sqlite":
            # PostgreSQL lets no key lead nowhere.
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == [], revision
    engine.dispose()
    for table in shared:
        assert sorted(map(repr, after[table])) == sorted(map(repr, kept[table])), (revision, table)


def columns_of(engine: Engine) -> dict[str, list[str]]:
    """The columns of each table; the words of the search are kept from others' by triggers."""
    found = inspect(engine).get_multi_columns()
    return {
        table: [column["name"] for column in columns]
        for (_, table), columns in found.items()
        if not table.startswith(("lead_search", "alembic_version"))
    }


def test_a_second_upgrade_changes_nothing(database_url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, database_url)
    engine = open_engine(database_url)

    def versions() -> list[tuple[object, ...]]:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT id, sha256 FROM letter_version ORDER BY id"))
            return [tuple(row) for row in rows]

    before = versions()
    migrate.upgrade(settings)
    assert versions() == before
    engine.dispose()


def test_a_killed_upgrade_leaves_one_revision_whole_and_goes_on(
    databases: SqliteFiles | PostgresDatabases, tmp_path: Path
) -> None:
    """DD-08: kill -9 from the first statement to the last; more of them:
    ``python -m tests.proofs --only killed_upgrades``.
    """

    def empty() -> str:
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        return databases.empty(folder)

    kills = kill_upgrades(empty, tmp_path, kills=5)
    assert kills.faults == []
    # Whoever kills too early only, or too late only, has shown nothing.
    assert len(kills.revisions - {"", "0018"}) >= 2
