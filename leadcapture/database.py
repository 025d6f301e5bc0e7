"""The database: ``db``, the engine's rules for SQLite and PostgreSQL, and instants."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    Table,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from leadcapture.kept_file import make_private

BUSY_TIMEOUT_MS = 15_000
PING_AFTER_SECONDS = 1.0
Answer = TypeVar("Answer")
# An error that quotes its parameters would put a patient's words into a log.
_ALWAYS = {"pool_size": 10, "max_overflow": 20, "hide_parameters": True}


class Base(DeclarativeBase):
    """The declarative base; the naming convention lets migrations name what they drop."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

if TYPE_CHECKING:
    # db.Model is made at run time, where a type checker cannot see it.
    class Model(Base):
        __abstract__ = True
else:
    Model = db.Model


def table_of(model: type[Base]) -> Table:
    """The table of a model. To name the model is to import it: a table's name alone finds
    nothing until somebody else has.
    """
    return Base.metadata.tables[model.__tablename__]


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; a naive one is refused when it is bound."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        value = value.astimezone(UTC)
        # SQLite has no zones: its text is UTC by this rule, so that it sorts as time does.
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class TurnTaking(sqlite3.Connection):
    """A connection to SQLite whose writers take turns without long sleeps.

    SQLite's busy handler sleeps up to 100 ms between its tries, so that among a few writers the
    file stands idle most of the time. Here the writers of a process queue up at a lock, and
    only the first of them asks SQLite, every half millisecond, until `BUSY_TIMEOUT_MS`.
    """

    _turns: ClassVar[dict[str, threading.Lock]] = {}

    def __init__(self, database: str, *args: Any, **options: Any) -> None:
        if not database.startswith((":", "file:")):
            make_private(Path(database))
        super().__init__(database, *args, **options)
        self._turn = self._turns.setdefault(database, threading.Lock())
        self._has_turn = False

    def begin_writing(self) -> None:
        """BEGIN IMMEDIATE; OperationalError where the database stays locked for too long."""
        ends_at = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise sqlite3.OperationalError("database is locked")
        self._has_turn = True
        try:
            self.execute("PRAGMA busy_timeout = 0")
            while not self._begin_immediate(ends_at):
                time.sleep(0.0005)
            self.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        except BaseException:
            self._end_turn()
            raise

    def commit(self) -> None:
        try:
            super().commit()
        except BaseException:
            # At a full disk. SQLAlchemy counts it as ended, and would never roll it back.
            self.rollback()
            raise
        self._end_turn()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._end_turn()

    def close(self) -> None:
        super().close()
        self._end_turn()

    def _begin_immediate(self, ends_at: float) -> bool:
        try:
            self.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends_at:
                raise
            return False
        return True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.release()


_reading: ContextVar[bool] = ContextVar("reading", default=False)


def begin_reading(only: bool = True) -> None:
    """Say that what follows in this context only reads: SQLite need not lock to write, and
    PostgreSQL plans each question for what it asks.
    """
    _reading.set(only)


@contextmanager
def reading() -> Iterator[None]:
    """Within: transactions begin deferred on SQLite and never queue behind a writer."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


@contextmanager
def asking(engine: Engine) -> Iterator[Connection]:
    """A connection for single questions: each goes to PostgreSQL in one round trip.

    Without a transaction around them, two questions may see two moments.
    """
    with reading(), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


def engine_options(url: str) -> dict[str, Any]:
    """The options with which every engine of ours is made."""
    if make_url(url).get_backend_name() == "sqlite":
        return {
            "connect_args": {
                # None switches the driver's own BEGIN off: with it, read-modify-writes are lost.
                "isolation_level": None,
                "factory": TurnTaking,
                "timeout": BUSY_TIMEOUT_MS / 1000,
                "check_same_thread": False,
            },
            **_ALWAYS,
        }
    return {
        "connect_args": {
            "connect_timeout": 5,
            "options": "-c timezone=UTC",
        },
        **_ALWAYS,
    }


def apply_rules(engine: Engine) -> Engine:
    """Attach what keeps SQLite safe: WAL, FULL, foreign keys, and BEGIN IMMEDIATE to write."""
    if event.contains(engine, "checkin", _note_return):
        return engine
    event.listen(engine, "checkin", _note_return)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "checkout", partial(_ping_the_idle, engine.dialect))
        event.listen(engine, "begin", _begin_on_server)
    return engine


def open_engine(url: str) -> Engine:
    """An engine for whatever runs outside a request."""
    return apply_rules(create_engine(url, **engine_options(url)))


def open_session(engine: Engine) -> Session:
    """A session whose objects stay readable after the commit."""
    return Session(engine, expire_on_commit=False)


def once_more(ask: Callable[[], Answer]) -> Answer:
    """What ``ask`` answers; asked again where its connection turned out to be dead.

    The first to meet a server that restarted clears the pool for all. What is asked has to be
    safe to repeat, and to begin with a session that is fresh or rolled back.
    """
    try:
        return ask()
    except DBAPIError as failure:
        if not failure.connection_invalidated:
            raise
    return ask()


def plan_anew(connection: Connection) -> None:
    """Let PostgreSQL plan each statement of this transaction for the values that it gets.

    Whoever searches needs it: the plan that is kept for any value ignores the index of a rare word
    (2.2 s at a million leads). Whoever writes does not: a form's statements and their triggers
    took the server half as long again when they were planned each time.
    """
    if connection.dialect.name == "postgresql":
        with _told_by_sqlalchemy(connection):
            _driver_of(connection).execute("SET LOCAL plan_cache_mode = force_custom_plan")


@contextmanager
def pipelined(session: Session) -> Iterator[None]:
    """Within: statements that return nothing go to PostgreSQL together, in one round trip.

    What fails is told at the end at the latest, as SQLAlchemy tells it.
    """
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        yield
        return
    with _told_by_sqlalchemy(connection), _driver_of(connection).pipeline():
        yield


def database_now(session: Session) -> datetime:
    """The one clock that due times and leases are compared with (aware UTC).

    On PostgreSQL it is the server's, because several machines share it.
    """
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment.astimezone(UTC)


def own_moment(engine: Engine, clock: Callable[[], datetime] | None) -> datetime | None:
    """The moment, where it is ours to tell; None where a statement has to ask the server."""
    if clock is not None:
        return clock()
    return None if engine.dialect.name == "postgresql" else datetime.now(UTC)


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        # NORMAL would not fsync a commit in WAL: an acknowledged request could vanish.
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


@contextmanager
def _told_by_sqlalchemy(connection: Connection) -> Iterator[None]:
    """Within: what the driver is asked past SQLAlchemy fails as if it had been asked by it.

    An error of the driver's own is not wrapped, and a connection that died not given up, so that
    nobody would ask once more. SQLAlchemy has no public way to be told.
    """
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        connection._handle_dbapi_exception(error, None, None, None, None)


def _begin_on_server(connection: Connection) -> None:
    # Outside a transaction, in AUTOCOMMIT, nobody searches.
    if _reading.get() and not _driver_of(connection).autocommit:
        plan_anew(connection)


def _begin(connection: Connection) -> None:
    driver = _driver_of(connection)
    if _reading.get():
        driver.execute("BEGIN")
    else:
        driver.begin_writing()


def _note_return(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["returned_at"] = time.monotonic()


def _ping_the_idle(
    dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Replace a connection that died while it idled; a ping each time would cost a round trip."""
    returned_at = record.info.get("returned_at")
    if returned_at is None or time.monotonic() - returned_at < PING_AFTER_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise DisconnectionError from None
