"""The database: can it be reached, does it keep what it acknowledged, is somebody at work?"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, func, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from leadcapture import migrate
from leadcapture.backup import revision_of
from leadcapture.database import apply_rules, database_now, engine_options
from leadcapture.doctor.finding import Finding, attention, fault, ok
from leadcapture.models import Heartbeat, NoticeSender
from leadcapture.outbox import instance
from leadcapture.outbox.instance import Standing
from leadcapture.settings import Settings

SILENT_AFTER = timedelta(seconds=90)
CLOCK_APART, CLOCK_WRONG = timedelta(seconds=2), timedelta(seconds=30)
WAL_LARGE = 64 * 1024 * 1024
_WAITS_SECONDS = 3


def examine(settings: Settings, now: datetime) -> list[Finding]:
    """The findings up to the first that makes the others meaningless."""
    url = settings.database_url
    file = make_url(url).database if make_url(url).get_backend_name() == "sqlite" else None
    if file and not Path(file).exists():
        # To connect would make an empty one.
        return [fault("database", "there is no file", "leadcapture migrate makes it.")]
    engine = _open(url)
    try:
        return list(_look(engine, settings, now))
    except SQLAlchemyError as error:
        found = f"out of reach or locked ({type(error).__name__})"
        return [fault("database", found, "Look whether it runs, and at LEADCAPTURE_DATABASE_URL.")]
    finally:
        engine.dispose()


def _open(url: str) -> Engine:
    options = engine_options(url)
    if make_url(url).get_backend_name() == "sqlite":
        options["connect_args"] |= {"timeout": _WAITS_SECONDS}
    else:
        limits = f" -c statement_timeout={_WAITS_SECONDS}s -c lock_timeout={_WAITS_SECONDS}s"
        options["connect_args"]["options"] += limits
        options["connect_args"]["connect_timeout"] = _WAITS_SECONDS
    return apply_rules(create_engine(url, **options))


def _look(engine: Engine, settings: Settings, now: datetime) -> Iterator[Finding]:
    with engine.connect() as connection:
        revision = revision_of(connection)
        connection.rollback()
        if not revision:
            yield fault("database", "it has no tables", "leadcapture migrate makes them.")
            return
        yield _check_writing(connection)
        yield from _check_durability(connection)
    yield _check_migrations(settings, revision)
    with Session(engine) as session:
        yield _check_clock(session, now)
        yield _check_scheduler(session, database_now(session))
        yield _check_instance(session, settings.data_dir)
        yield from _check_services(session, settings)


def _check_services(session: Session, settings: Settings) -> Iterator[Finding]:
    """Are the services whose mails become leads believed for a good reason?"""
    number = session.scalar(select(func.count()).select_from(NoticeSender))
    if not number or settings.imap is None:
        return
    if settings.imap.authserv_id:
        name = settings.imap.authserv_id
        yield ok("calling services", f"{number}, each believed with the word of {name}")
        return
    mend = "Set LEADCAPTURE_IMAP_AUTHSERV_ID to the name in your mail server's own headers."
    found = f"{number}, believed by their From alone, which anybody can write"
    yield attention("calling services", found, mend)


def _check_writing(connection: Connection) -> Finding:
    with contextlib.closing(connection.begin()) as transaction:
        connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
        transaction.rollback()
    return ok("database", f"{connection.dialect.name} answers and can be written to")


def _check_durability(connection: Connection) -> Iterator[Finding]:
    """Does a commit outlive a power cut?"""
    if connection.dialect.name == "sqlite":
        yield from _check_sqlite(connection)
        return
    wanted: dict[str, tuple[str, ...]] = {"fsync": ("on",), "full_page_writes": ("on",)}
    wanted["synchronous_commit"] = ("on", "local", "remote_write", "remote_apply")
    shown = {name: connection.scalar(text(f"SHOW {name}")) for name in wanted}
    wrong = [
        f"{name}={shown[name]}" for name, values in wanted.items() if shown[name] not in values
    ]
    if wrong:
        mend = "Set them to on in postgresql.conf: an acknowledged request could vanish."
        yield fault("durability", ", ".join(wrong), mend)
    else:
        yield ok("durability", ", ".join(f"{name}={value}" for name, value in shown.items()))
    if connection.scalar(text("SHOW data_checksums")) != "on":
        mend = "Stop the server and run pg_checksums --enable: damage on the disk goes unseen."
        yield attention("page checksums", "off", mend)
    else:
        yield ok("page checksums", "on")


def _check_sqlite(connection: Connection) -> Iterator[Finding]:
    mode = connection.scalar(text("PRAGMA journal_mode"))
    level = connection.scalar(text("PRAGMA synchronous"))
    if (mode, level) != ("wal", 2):
        mend = "Keep the file on a local disk: WAL does not work over a network."
        yield fault("durability", f"journal_mode={mode}, synchronous={level}", mend)
    else:
        yield ok("durability", "journal_mode=wal, synchronous=FULL")
    wal = Path(f"{connection.engine.url.database}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > WAL_LARGE:
        mend = "Something reads for very long: end it, or restart the service."
        yield attention("write-ahead log", f"{size / 1e6:,.0f} MB", mend)
    else:
        yield ok("write-ahead log", f"{size / 1e6:,.1f} MB")


def _check_migrations(settings: Settings, revision: str) -> Finding:
    if not migrate.is_known(revision):
        # Code of the release before runs on it for the length of an upgrade (DD-12).
        found = f"schema {revision} is of a later release than this one"
        return attention("migrations", found, "Install the release that migrated the database.")
    differences = migrate.differences(settings)
    if differences:
        found = f"schema {revision} differs from the models in {len(differences)} places"
        return fault("migrations", found, "Run leadcapture migrate.")
    return ok("migrations", f"schema {revision} is what the models say")


def _check_clock(session: Session, now: datetime) -> Finding:
    if session.get_bind().dialect.name == "sqlite":
        return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC; there is no other clock to compare with")
    apart = abs(datetime.now(UTC) - database_now(session))
    found = f"{apart.total_seconds():.1f} s from the database's"
    mend = "Let both machines keep time by NTP (Debian: apt-get install chrony)."
    if apart > CLOCK_WRONG:
        return fault("clock", found, mend)
    return attention("clock", found, mend) if apart > CLOCK_APART else ok("clock", found)


def _check_scheduler(session: Session, now: datetime) -> Finding:
    beats = session.scalars(select(Heartbeat).order_by(Heartbeat.at.desc())).all()
    mend = "Start it: leadcapture scheduler, or leadcapture up."
    if not beats:
        return fault("scheduler", "it has never run", mend)
    age = now - beats[0].at
    if age > SILENT_AFTER:
        return fault("scheduler", f"silent for {age.total_seconds():,.0f} s", mend)
    failing = [f"{beat.job} ({beat.error})" for beat in beats if not beat.ok]
    if failing:
        return fault("scheduler", f"failing: {', '.join(failing)}", "Its log names the cause.")
    return ok("scheduler", f"last heard {max(0.0, age.total_seconds()):.0f} s ago")


def _check_instance(session: Session, data_dir: Path) -> Finding:
    match instance.standing(session, data_dir):
        case Standing.BELONGS:
            return ok("instance", "this data folder and the database belong together")
        case Standing.UNNAMED:
            return ok("instance", "the first start of the scheduler will name it")
        case Standing.RELEASED:
            return ok("instance", "released; the next scheduler to start takes it")
    return fault(
        "instance",
        "this data folder does not belong to the database: nothing is sent from here",
        "A second machine: leadcapture join. A restored database that shall mail from now on: "
        "leadcapture release-outbox.",
    )
