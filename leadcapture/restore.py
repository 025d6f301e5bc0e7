"""Restore: open a backup in a scratch place to prove it, or put it into an empty database."""

import dataclasses
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql
from sqlalchemy import Engine, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from leadcapture import archive, migrate, pg_tools
from leadcapture.archive import BackupRefused, Manifest
from leadcapture.backup import SEALED, count_rows, revision_of
from leadcapture.database import Base, open_engine, open_session
from leadcapture.outbox import instance, sweeper
from leadcapture.settings import Settings
from leadcapture.vault import SealBroken, Vault

SAMPLE = 200
_SCRATCH = "leadcapture_drill_"


@dataclass(frozen=True)
class Check:
    """One step of the drill: what was looked at, whether it holds, and what was found."""

    name: str
    holds: bool
    found: str


@dataclass
class Drill:
    """What a drill came to. ``rpo`` is the backup's age, ``rto`` how long restoring took."""

    checks: list[Check]
    rpo: timedelta | None = None
    rto: timedelta | None = None

    @property
    def holds(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    def times(self) -> list[tuple[str, str, str]]:
        """Rows for what would be lost (RPO) and how long it would take (RTO)."""
        lost = f"{self.rpo.total_seconds() / 60:.1f} min old" if self.rpo is not None else "unknown"
        took = f"{self.rto.total_seconds():.1f} s" if self.rto is not None else "unknown"
        return [("RPO", "", lost), ("RTO", "", took)]


def verify(settings: Settings, path: Path, now: datetime) -> Drill:
    """Open the backup beside everything that is in use, and look whether all of it is there.

    On PostgreSQL the scratch database is made on the configured server and dropped again.
    """
    drill = Drill([])
    with TemporaryDirectory(prefix="leadcapture-drill-") as folder:
        began = time.monotonic()
        try:
            manifest, part = archive.extract(path, Path(folder))
            drill.rpo = now - manifest.taken_at
            drill.checks.append(Check("archive", True, f"{manifest.size:,} bytes, hash equal"))
            with _scratch(settings, manifest, Path(folder)) as url:
                _load(manifest, part, url)
                drill.checks += _look(dataclasses.replace(settings, database_url=url), manifest)
                drill.rto = timedelta(seconds=time.monotonic() - began)
                drill.checks += _examine(settings, url, manifest.taken_at)
        except BackupRefused as refused:
            drill.checks.append(Check("restore", False, str(refused)))
        except SQLAlchemyError as error:
            # Its words may quote a row.
            drill.checks.append(Check("restore", False, f"broke off: {type(error).__name__}"))
    return drill


def restore_into(settings: Settings, path: Path, url: str, now: datetime) -> Manifest:
    """Put the backup into an empty database, which then keeps its mail until it is released.

    Raises `BackupRefused` where the database is not empty or the backup is not sound.
    """
    with TemporaryDirectory(prefix="leadcapture-restore-") as folder:
        manifest, part = archive.extract(path, Path(folder))
        if make_url(url).get_backend_name() != manifest.kind:
            raise BackupRefused(f"This backup is of {manifest.kind}; {_kind(url)} cannot take it.")
        _refuse_filled(url)
        _load(manifest, part, url)
    target = dataclasses.replace(settings, database_url=url)
    checks = _look(target, manifest)
    engine = open_engine(url)
    with open_session(engine) as session:
        instance.disown(session, now)
        session.commit()
    engine.dispose()
    for check in checks:
        if not check.holds:
            raise BackupRefused(f"Restored, but {check.name}: {check.found}. Do not use it as is.")
    return manifest


def _load(manifest: Manifest, part: Path, url: str) -> None:
    if manifest.kind == "postgresql":
        pg_tools.restore(url, part)
        return
    target = Path(make_url(url).database or "")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with part.open("rb") as source, archive.private_file(fresh) as copy:
        while chunk := source.read(1 << 20):
            copy.write(chunk)
    if target.exists():
        # An empty one, whose mode is whose choice it was.
        fresh.chmod(stat.S_IMODE(target.stat().st_mode))
    fresh.replace(target)
    archive.sync_folder(target.parent)


def _look(settings: Settings, manifest: Manifest) -> list[Check]:
    """Is the database whole, does it hold what the manifest says, does today's code read it?"""
    engine = open_engine(settings.database_url)
    with engine.connect() as connection:
        broken = _integrity(engine)
        rows, revision = count_rows(connection), revision_of(connection)
    engine.dispose()
    if broken:
        return [Check("integrity", False, broken)]
    equal = rows == dict(manifest.rows) and revision == manifest.revision
    counted = f"{sum(rows.values()):,} rows in {len(rows)} tables, schema {revision or 'none'}"
    return [
        Check("integrity", True, "ok"),
        Check("content", equal, counted if equal else f"{counted}: not what the manifest says"),
        _migrated(settings),
    ]


def _migrated(settings: Settings) -> Check:
    """Does the copy come up to this release's schema?"""
    try:
        migrate.upgrade(settings)
    except migrate.NewerSchema as newer:
        return Check("migrations", False, str(newer))
    differences = migrate.differences(settings)
    return Check("migrations", not differences, f"{len(differences)} differences from the models")


def _examine(settings: Settings, url: str, taken_at: datetime) -> list[Check]:
    vault = Vault(settings.seal_keys, settings.seal_key_id, settings.hash_key)
    engine = open_engine(url)
    try:
        with open_session(engine) as session:
            return [_open_seals(session, vault), _check_invariants(session, vault, taken_at)]
    finally:
        engine.dispose()


def _open_seals(session: Session, vault: Vault) -> Check:
    """Open the oldest and the newest of each sealed column with the keys at hand."""
    opened, shut = 0, 0
    for name, column, bound_to in SEALED:
        table = Base.metadata.tables[name]
        rows = select(table.c[bound_to], table.c[column]).where(table.c[column].is_not(None))
        for order in (table.c.id, table.c.id.desc()):
            for ref, sealed in session.execute(rows.order_by(order).limit(SAMPLE)):
                try:
                    vault.open(name, column, ref, sealed)
                    opened += 1
                except SealBroken:
                    shut += 1
    found = f"{opened} opened" + (f", {shut} do not open with our keys" if shut else "")
    return Check("sealed rows", shut == 0, found)


def _check_invariants(session: Session, vault: Vault, taken_at: datetime) -> Check:
    """Do the ledger's invariants hold, seen from the instant of the backup?"""
    violations = sweeper.violations(session, taken_at, vault=vault)
    found = "; ".join(str(violation) for violation in violations[:5])
    return Check("invariants", not violations, found or "all hold")


def _integrity(engine: Engine) -> str:
    """What is wrong with the pages and the references; empty where all is well."""
    if engine.dialect.name != "sqlite":
        # pg_restore has just built every index and checked every foreign key.
        return ""
    with engine.connect() as connection:
        said = connection.scalar(text("PRAGMA integrity_check(1)"))
        orphans = connection.execute(text("PRAGMA foreign_key_check")).first()
    if said != "ok":
        return "pages are damaged"
    return "rows refer to rows that are not there" if orphans else ""


def _refuse_filled(url: str) -> None:
    if (
        make_url(url).get_backend_name() == "sqlite"
        and not Path(make_url(url).database or "").exists()
    ):
        return
    engine = open_engine(url)
    try:
        tables = inspect(engine).get_table_names()
    except SQLAlchemyError as error:
        raise BackupRefused(f"The database is out of reach: {type(error).__name__}.") from None
    finally:
        engine.dispose()
    if tables:
        raise BackupRefused(
            f"The database holds {len(tables)} tables already. A backup is only put into an "
            "empty one: nothing is overwritten."
        )


@contextmanager
def _scratch(settings: Settings, manifest: Manifest, folder: Path) -> Iterator[str]:
    """The URL of a new place of the backup's own kind."""
    if manifest.kind == "sqlite":
        yield f"sqlite:///{folder / 'scratch.sqlite3'}"
        return
    if make_url(settings.database_url).get_backend_name() != "postgresql":
        raise BackupRefused("This backup is of PostgreSQL, and none is configured to open it on.")
    name = _SCRATCH + secrets.token_hex(6)
    _administer(settings.database_url, "CREATE DATABASE {} TEMPLATE template0", name)
    try:
        made = make_url(settings.database_url).set(database=name)
        yield made.render_as_string(hide_password=False)
    finally:
        _administer(settings.database_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _administer(url: str, statement: str, name: str) -> None:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        raise BackupRefused(
            "The database's user may not make a scratch database: ALTER ROLE … CREATEDB, or run "
            "the drill with a DATABASE_URL whose user may."
        ) from None
    except psycopg.Error as error:
        raise BackupRefused(f"No scratch database: {type(error).__name__}.") from None


def _kind(url: str) -> str:
    return make_url(url).get_backend_name()
