"""Migrations: equal to the models, there and back with data (DD-08)."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import inspect, text

from leadcapture import migrate
from leadcapture.database import open_engine
from tests.configured import make_settings


def test_models_and_migrated_database_agree(database_url: str, tmp_path: Path) -> None:
    """DD-08."""
    assert migrate.differences(make_settings(tmp_path, database_url)) == []


def test_there_and_back_and_there_again(empty_database_url: str, tmp_path: Path) -> None:
    """DD-08."""
    settings = make_settings(tmp_path, empty_database_url)
    migrate.upgrade(settings)
    migrate.downgrade(settings, "base")
    engine = open_engine(empty_database_url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(settings)
    with engine.connect() as connection:
        published = connection.execute(text("SELECT count(*) FROM letter_version")).scalar_one()
    engine.dispose()
    assert published > 10


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


def test_a_killed_migration_leaves_the_old_or_the_new_schema(
    empty_database_url: str, tmp_path: Path
) -> None:
    """DD-08: kill -9 at several moments; what stands afterwards is whole, and goes on."""
    settings = dataclasses.replace(make_settings(tmp_path, empty_database_url))
    program = (
        "from tests.configured import make_settings; from leadcapture import migrate;"
        "from pathlib import Path; import sys;"
        "print('go', flush=True);"
        "migrate.upgrade(make_settings(Path(sys.argv[1]), sys.argv[2]))"
    )
    for wait in (0.0, 0.02, 0.04):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), empty_database_url],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        engine = open_engine(empty_database_url)
        tables = set(inspect(engine).get_table_names()) - {"alembic_version"}
        engine.dispose()
        assert not tables or {"lead", "message", "request"} <= tables
    migrate.upgrade(settings)
    assert migrate.differences(settings) == []
