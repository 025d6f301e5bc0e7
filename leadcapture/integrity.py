"""Integrity: are the database's pages whole; where they are not, nothing more is written."""

import contextlib
import logging
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, ExceptionContext, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

FILE = "database-damaged"
EVERY = timedelta(days=1)
LONGEST = 120.0
_PROGRESS = 10_000
_UNREADABLE = (
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_DATA,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
)


def is_damaged(data_dir: Path) -> bool:
    """True once a look has found damage, until a later look finds none. Asked at every write."""
    return (data_dir / FILE).exists()


def check(engine: Engine, data_dir: Path, longest: float = LONGEST) -> bool | None:
    """Look at the database for ``longest`` seconds, and remember beside it what was found.

    True where it is whole, None where time ran out before the end: then what was known stays.
    """
    if engine.dialect.name == "sqlite":
        whole = _is_whole_sqlite(make_url(str(engine.url)).database or "", longest)
    else:
        whole = _is_whole_postgresql(engine, longest)
    if whole:
        (data_dir / FILE).unlink(missing_ok=True)
    elif whole is False:
        _remember(data_dir)
    return whole


def remember_damage_met(engine: Engine, data_dir: Path) -> None:
    """Have damage that any question meets be remembered at once, not at the next look."""

    def look(context: ExceptionContext) -> None:
        if _tells_of_damage(context.original_exception):
            _remember(data_dir)

    event.listen(engine, "handle_error", look)


class DailyCheck:
    """Repeats the look once a day in one scheduler process."""

    def __init__(self, engine: Engine, data_dir: Path) -> None:
        self._engine = engine
        self._data_dir = data_dir
        self._last: datetime | None = None

    def check_pages(self, session: Session, now: datetime) -> None:
        """Look where a day has passed; damage that stands is looked at again each time."""
        session.rollback()
        due = self._last is None or now - self._last >= EVERY or now < self._last
        if due or is_damaged(self._data_dir):
            check(self._engine, self._data_dir)
            self._last = now


def _remember(data_dir: Path) -> None:
    if not is_damaged(data_dir):
        log.error("the database is damaged: nothing more is written")
    # The database itself cannot be trusted with this.
    (data_dir / FILE).write_text("Mend the database or restore a backup.\n")


def _tells_of_damage(error: BaseException | None) -> bool:
    # A page or an index is corrupt. What a virtual table says of itself is of the search alone,
    # which is made anew from the rows.
    if getattr(error, "sqlstate", "") in ("XX001", "XX002"):
        return True
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code != sqlite3.SQLITE_CORRUPT_VTAB and code & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def _is_whole_sqlite(path: str, longest: float) -> bool | None:
    deadline = time.monotonic() + longest
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as connection:
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _PROGRESS)
        try:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return False if _is_damage(error.sqlite_errorcode) else None
    return bool(said == ("ok",))


def _is_damage(code: int) -> bool:
    """False for what says nothing of the pages: out of time, busy, no room on the disk (DD-05)."""
    # Of an extended code, the last byte is the code itself.
    return code in _UNREADABLE or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_whole_postgresql(engine: Engine, longest: float) -> bool | None:
    """By amcheck where the extension stands, and by the checksums that reading verifies."""
    with engine.connect() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = {int(longest * 1000)}"))
        try:
            if _failed_checksums(connection):
                return False
            if connection.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'")):
                connection.execute(
                    text(
                        "SELECT bt_index_check(c.oid) FROM pg_index i JOIN pg_class c "
                        "ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
                        "JOIN pg_namespace n ON n.oid = c.relnamespace "
                        "WHERE a.amname = 'btree' AND n.nspname = 'public' AND i.indisvalid"
                    )
                ).all()
            tables = connection.scalars(
                text("SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'")
            )
            # An index could answer without a look at the pages.
            connection.execute(text("SET LOCAL enable_indexonlyscan = off"))
            connection.execute(text("SET LOCAL enable_indexscan = off"))
            for table in tables.all():
                # Each page is read, those of long values too, so each checksum is verified.
                every = f"SELECT count(md5(t::text)) FROM {table} t"  # noqa: S608
                connection.execute(text(every))
        except SQLAlchemyError as error:
            code = getattr(getattr(error, "orig", None), "sqlstate", "") or ""
            # 57014: out of time. XX: whatever the server itself thinks impossible.
            return False if code.startswith("XX") else None
    return True


def _failed_checksums(connection: Connection) -> bool:
    failures = text(
        "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
    )
    return bool(connection.scalar(failures))
