"""Fresh copies of a migrated database, for proofs that need hundreds."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from sqlalchemy import URL, create_engine, make_url, text


@dataclass
class Copies:
    """``new()`` makes a copy of the database at ``template``, which nobody may have open."""

    template: str
    folder: Path
    _made: list[str] = field(default_factory=list)

    def new(self) -> str:
        """The URL of one more copy."""
        url = make_url(self.template)
        name = f"copy_{token_hex(6)}"
        if url.get_backend_name() == "sqlite":
            name = str(self.folder / f"{name}.sqlite3")
            source = Path(url.database or "")
            if not self._made:
                with closing(sqlite3.connect(source)) as connection:
                    # What still stands in the log beside the file would not be copied.
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copyfile(source, name)
        else:
            template = url.database
            self._run(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY WAL_LOG')
        self._made.append(name)
        return url.set(database=name).render_as_string(hide_password=False)

    def drop(self) -> None:
        """Forget every copy made so far."""
        url = make_url(self.template)
        for name in self._made:
            if url.get_backend_name() == "sqlite":
                for end in ("", "-wal", "-shm"):
                    Path(name + end).unlink(missing_ok=True)
            else:
                self._run(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.clear()

    def _run(self, url: URL, statement: str) -> None:
        engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()
