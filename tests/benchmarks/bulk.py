"""Rows into either database as fast as the disk takes them: COPY, or executemany."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

Row = tuple[Any, ...]
Store = Callable[[str, str, Iterable[Row]], None]


@contextmanager
def storing(engine: Engine) -> Iterator[Store]:
    """Within: ``store(table, columns, rows)``; triggers and indexes rest until the end.

    What a trigger would have written is not written, save the search index.
    """
    connection = engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        kind = _Postgres(driver) if engine.dialect.name == "postgresql" else _Sqlite(driver)
        kind.begin()
        yield kind.store
        kind.end()
    finally:
        connection.close()


class _Sqlite:
    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._resting: list[tuple[str, str, str]] = []

    def begin(self) -> None:
        self._driver.execute("PRAGMA foreign_keys = OFF")
        self._driver.execute("PRAGMA synchronous = OFF")
        self._driver.execute("PRAGMA cache_size = -262144")
        # A log of gigabytes would be written beside the file, to be copied into it at the end;
        # without one nothing could be taken back, and nothing has to be. Stays where others read.
        with suppress(sqlite3.OperationalError):
            self._driver.execute("PRAGMA journal_mode = OFF")
        self._driver.execute("BEGIN IMMEDIATE")
        self._resting = self._driver.execute(
            "SELECT type, name, sql FROM sqlite_master "
            "WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _sql in self._resting:
            self._driver.execute(f'DROP {kind} "{name}"')

    def store(self, table: str, columns: str, rows: Iterable[Row]) -> None:
        names = columns.split()
        places = ", ".join("?" * len(names))
        self._driver.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})",
            ([_for_sqlite(value) for value in row] for row in rows),
        )

    def end(self) -> None:
        for _kind, _name, sql in self._resting:
            self._driver.execute(sql)
        self._driver.execute("INSERT INTO lead_search (lead_search) VALUES ('rebuild')")
        self._driver.execute("COMMIT")
        self._driver.execute("ANALYZE")
        self._driver.execute("PRAGMA journal_mode = WAL")
        self._driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._driver.execute("PRAGMA cache_size = -2000")
        self._driver.execute("PRAGMA synchronous = FULL")
        self._driver.execute("PRAGMA foreign_keys = ON")


class _Postgres:
    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._resting: list[tuple[str, str]] = []
        self._tables: set[str] = set()

    def begin(self) -> None:
        self._run("SET LOCAL session_replication_role = replica")
        # The index of a constraint cannot be dropped alone.
        self._resting = self._run(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        ).fetchall()
        for name, _definition in self._resting:
            self._run(f'DROP INDEX "{name}"')

    def store(self, table: str, columns: str, rows: Iterable[Row]) -> None:
        if "id" in columns.split():
            self._tables.add(table)
        names = ", ".join(columns.split())
        with (
            self._driver.cursor() as cursor,
            cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row([_for_postgres(value) for value in row])

    def end(self) -> None:
        for _name, definition in self._resting:
            self._run(definition)
        for table in self._tables:
            self._run(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                f"(SELECT coalesce(max(id), 1) FROM {table}))"
            )
        self._driver.commit()
        self._driver.autocommit = True
        # What autovacuum does within minutes of such a load.
        self._run("VACUUM ANALYZE")
        self._driver.autocommit = False

    def _run(self, statement: str) -> Any:
        return self._driver.execute(statement)


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return _for_postgres(value)


def _for_postgres(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value
