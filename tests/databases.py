"""Migrated databases for one test each, copied from a template that is made once."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass
class PostgresDatabases:
    """Copies of a migrated PostgreSQL database."""

    server: Postgres
    settings_for: SettingsFor
    _template: str = ""
    _made: list[str] = field(default_factory=list)

    def new(self, _folder: Path) -> str:
        if not self._template:
            template = self.server.create()
            migrate.upgrade(self.settings_for(self.server.url(template)))
            # A database that somebody is connected to cannot be copied.
            self.server.disconnect(template)
            self._template = template
        return self._make(self._template)

    def empty(self, _folder: Path) -> str:
        return self._make("template1")

    def drop_used(self) -> None:
        """Drop what tests have done with; whoever is still connected is thrown out."""
        while self._made:
            self.server.drop(self._made.pop())

    def _make(self, template: str) -> str:
        name = self.server.create(template)
        self._made.append(name)
        return self.server.url(name)
