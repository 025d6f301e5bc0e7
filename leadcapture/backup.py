"""Backup: one file that holds the whole database as it was at one instant."""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, Table, create_engine, func, inspect, make_url, select, text

from leadcapture import models, pg_tools
from leadcapture.archive import (
    BackupRefused,
    Manifest,
    private_file,
    sha256_of,
    sync_folder,
    write_archive,
)
from leadcapture.database import Base, engine_options
from leadcapture.settings import Settings

AT_FILE = "backup-at"
FOLDER = "backups"
# (table, column, column of the reference that the seal is bound to)
SEALED = (
    (models.Message.__tablename__, "payload", "ref"),
    (models.Request.__tablename__, "answers", "receipt"),
    (models.TimelineEntry.__tablename__, "note", "ref"),
    (models.Task.__tablename__, "text", "ref"),
)
_STEP_PAGES = 512
_NAME = re.compile(r"leadcapture-\d{8}T\d{6}Z\.zip")


@dataclass(frozen=True)
class Facts:
    """What stands in a database at the instant of its copy."""

    revision: str
    rows: dict[str, int]
    key_ids: tuple[str, ...]


def take_backup(settings: Settings, now: datetime, path: Path | None = None) -> tuple[Path, int]:
    """Write a backup to ``path`` or under its time in the data folder; where, and how many bytes.

    Writers go on meanwhile. Raises `BackupRefused`; then nothing is left behind.
    """
    path = path or settings.data_dir / FOLDER / f"leadcapture-{now:%Y%m%dT%H%M%SZ}.zip"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        raise BackupRefused(f"{path} exists, and a backup is never overwritten.")
    with TemporaryDirectory(prefix=".leadcapture-", dir=path.parent) as scratch:
        kind = make_url(settings.database_url).get_backend_name()
        copy = _copy_sqlite if kind == "sqlite" else _dump_postgresql
        part, facts = copy(settings.database_url, Path(scratch))
        manifest = Manifest(
            taken_at=now.astimezone(UTC),
            kind=kind,
            part=part.name,
            sha256=sha256_of(part),
            size=part.stat().st_size,
            revision=facts.revision,
            rows=facts.rows,
            key_ids=facts.key_ids,
        )
        write_archive(path, part, manifest)
    _remember(settings.data_dir, now)
    return path, path.stat().st_size


def rotate(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest ``keep`` backups that have a name of ours; those deleted."""
    ours = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    old = ours[: max(0, len(ours) - keep)]
    for path in old:
        path.unlink()
    return old


def count_rows(connection: Connection) -> dict[str, int]:
    """The number of rows of each of our tables that is there."""
    there = set(inspect(connection).get_table_names())
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in _tables()
        if table.name in there
    }


def revision_of(connection: Connection) -> str:
    """The schema's revision; empty where nobody has migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")


def _copy_sqlite(url: str, scratch: Path) -> tuple[Path, Facts]:
    source, part = make_url(url).database or "", scratch / "database.sqlite3"
    if not Path(source).exists():
        raise BackupRefused(f"There is no database at {source}.")
    private_file(part).close()
    with (
        closing(sqlite3.connect(source, isolation_level=None)) as live,
        closing(sqlite3.connect(part)) as copy,
    ):
        # A snapshot that is held open: otherwise each write of others would begin the copy anew.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copy, pages=_STEP_PAGES, sleep=0.0)
        copy.execute("PRAGMA journal_mode = DELETE")
    engine = create_engine(f"sqlite:///{part}")
    with engine.connect() as connection:
        facts = _facts(connection)
    engine.dispose()
    return part, facts


def _dump_postgresql(url: str, scratch: Path) -> tuple[Path, Facts]:
    part = scratch / "database.pgdump"
    engine = create_engine(url, **engine_options(url))
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            # The counts and the dump look at the same instant.
            snapshot = str(connection.scalar(text("SELECT pg_export_snapshot()")))
            facts = _facts(connection)
            pg_tools.dump(url, snapshot, part)
    finally:
        engine.dispose()
    part.chmod(0o600)
    return part, facts


def _facts(connection: Connection) -> Facts:
    return Facts(revision_of(connection), count_rows(connection), _key_ids(connection))


def _key_ids(connection: Connection) -> tuple[str, ...]:
    """The ids of the keys without which what is sealed here stays shut."""
    found: set[str] = set()
    for table, column, _ in SEALED:
        sealed = Base.metadata.tables[table].c[column]
        ids = select(func.substr(sealed, 1, 4)).where(sealed.is_not(None)).distinct()
        found |= {bytes(name).decode("ascii", "replace") for name in connection.scalars(ids)}
    return tuple(sorted(found))


def _tables() -> list[Table]:
    return sorted(Base.metadata.tables.values(), key=lambda table: table.name)


def _remember(data_dir: Path, now: datetime) -> None:
    """Write down when the last good backup was taken, for health and doctor."""
    fresh = data_dir / f".{AT_FILE}"
    fresh.write_text(now.astimezone(UTC).isoformat() + "\n")
    fresh.replace(data_dir / AT_FILE)
    sync_folder(data_dir)
