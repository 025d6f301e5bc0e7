"""Migrated databases for one test each, copied from a template that is made once."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psycopg

from leadcapture import migrate
from leadcapture.settings import Settings
from tests.postgres import Postgres

SettingsFor = Callable[[str], Settings]


@dataclass
class SqliteFiles:
    """Copies of a migrated SQLite file."""

    folder: Path
    settings_for: SettingsFor
    _template: Path | None = None

    def new(self, folder: Path) -> str:
        """A migrated database in this folder; its URL."""
        if self._template is None:
            template = self.folder / "template.sqlite3"
            migrate.upgrade(self.settings_for(f"sqlite:///{template}"))
            with closing(sqlite3.connect(template)) as connection:
                # What still stands in the log beside the file would not be copied.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._template = template
        path = folder / "leadcapture.sqlite3"
        shutil.copyfile(self._template, path)
        return f"sqlite:///{path}"

    def empty(self, folder: Path) -> str:
        """A database that nobody has migrated."""
        return f"sqlite:///{folder / 'empty.sqlite3'}"

    def take_back(self) -> None:
        """Nothing is left to do: files go with the folder of their test."""


@dataclass
class PostgresDatabases:
    """Copies of a migrated PostgreSQL database.

    To copy one and to drop it are some hundred files each; to empty it is one question. So a
    database serves again, under another name, where the test before changed rows alone.
    """

    server: Postgres
    settings_for: SettingsFor
    _template: str = ""
    _migrated: list[str] = field(default_factory=list)
    _empty: list[str] = field(default_factory=list)
    _cleared: list[str] = field(default_factory=list)

    def new(self, _folder: Path) -> str:
        if not self._template:
            template = self.server.create()
            migrate.upgrade(self.settings_for(self.server.url(template)))
            # A database that somebody is connected to cannot be copied.
            self.server.disconnect(template)
            self._template = template
        if self._cleared:
            name = self.server.rename(self._cleared.pop())
        else:
            name = self.server.create(self._template)
        self._migrated.append(name)
        return self.server.url(name)

    def empty(self, _folder: Path) -> str:
        self._empty.append(self.server.create())
        return self.server.url(self._empty[-1])

    def take_back(self) -> None:
        """Empty what tests have done with, or drop it; whoever is still connected is thrown out."""
        while self._empty:
            self.server.drop(self._empty.pop())
        while self._migrated:
            name = self._migrated.pop()
            if self._clearing.clear(self.server, name):
                self._cleared.append(name)
            else:
                self.server.drop(name)

    @cached_property
    def _clearing(self) -> "Clearing":
        return Clearing.of(self.server, self._template)


@dataclass(frozen=True)
class Clearing:
    """How a copy of a template becomes as it was: what is taken away, and what must not differ."""

    bare: frozenset[str]
    numbers: str
    state: str
    before: list[tuple[object, ...]]

    @classmethod
    def of(cls, server: Postgres, template: str) -> "Clearing":
        """Look at the template: what is in it stays, all else is taken away."""
        with server.connect(template) as connection:
            tables = [name for (name,) in connection.execute(_TABLES)]
            full = [name for name in tables if _holds_rows(connection, name)]
            numbers = [
                f"SELECT setval('{name}', {number}, {is_called})"
                for name, number, is_called in connection.execute(_NUMBERS)
            ]
            state = _state_of(full)
            before = connection.execute(state.encode()).fetchall()
        return cls(frozenset(tables) - set(full), "; ".join(numbers), state, before)

    def clear(self, server: Postgres, name: str) -> bool:
        """Take the rows of a test away; False where it did more to the database than that."""
        server.disconnect(name)
        try:
            with server.connect(name) as connection:
                return self._is_untouched(connection) and self._clear(connection)
        except psycopg.Error:
            return False

    def _clear(self, connection: psycopg.Connection) -> bool:
        """Delete, and give the space back: rows stand in the order in which they come again."""
        if touched := self._touched(connection):
            # Neither keys nor triggers look at what goes.
            deletions = "; ".join(f'DELETE FROM "{table}"' for table in touched)
            replica = "SET session_replication_role = replica"
            connection.execute(f"{replica}; {deletions}; {self.numbers}".encode())
            names = ", ".join(f'"{table}"' for table in touched)
            connection.execute(f"VACUUM (PARALLEL 0) {names}".encode())
            for table in touched:
                connection.execute("SELECT pg_clear_relation_stats('public', %s)", (table,))
        return self._is_untouched(connection) and not self._touched(connection)

    def _is_untouched(self, connection: psycopg.Connection) -> bool:
        return connection.execute(self.state.encode()).fetchall() == self.before

    def _touched(self, connection: psycopg.Connection) -> list[str]:
        """The tables in which rows stand or stood, of those that had none."""
        return [table for (table,) in connection.execute(_FILLED) if table in self.bare]


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_FILLED = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    AND pg_relation_size(oid) > 0
"""
_NUMBERS = """
    SELECT sequencename, coalesce(last_value, start_value), last_value IS NOT NULL FROM pg_sequences
"""
# What somebody changes writes its row of a catalogue anew.
_CATALOGUES = ("pg_attrdef", "pg_constraint", "pg_trigger", "pg_proc", "pg_type")
_OURS = 16_384
# An index that many rows passed through.
_LARGEST = 256 * 1024


def _holds_rows(connection: psycopg.Connection, table: str) -> bool:
    return connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1'.encode()).fetchone() is not None


def _state_of(full: list[str]) -> str:
    """A question whose answer stays the same while nothing but rows of other tables changes."""
    written = "count(*), coalesce(max(xmin::text::bigint), 0)"
    kinds = "hashtext(concat_ws(' ', relname, relkind, relnatts, relhasindex, relhastriggers))"
    changed = [f"SELECT {written} FROM {name} WHERE oid >= {_OURS}" for name in _CATALOGUES]
    changed += [
        f"SELECT {written} FROM pg_attribute WHERE attrelid >= {_OURS}",
        f"SELECT {written} FROM pg_index WHERE indexrelid >= {_OURS}",
        f"SELECT count(*), sum({kinds}::bigint) FROM pg_class WHERE oid >= {_OURS}",
        f"SELECT count(*), 0 FROM pg_class WHERE oid >= {_OURS} AND relkind = 'r'"
        " AND reltuples >= 0",
        f"SELECT count(*), 0 FROM pg_statistic WHERE starelid >= {_OURS}",
        f"SELECT count(*), 0 FROM pg_class WHERE oid >= {_OURS} AND relkind IN ('r', 'i')"
        f" AND pg_relation_size(oid) > {_LARGEST}",
        "SELECT count(*), 0 FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase"
        " WHERE datname = current_database()",
        *(f'SELECT {written} FROM "{name}"' for name in full),
    ]
    return " UNION ALL ".join(f"({one})" for one in changed)
