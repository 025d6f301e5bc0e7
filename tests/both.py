"""Migrated databases of both kinds for proofs and benchmarks, which run without pytest."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from leadcapture.database import open_engine
from tests.post_office import PostOffice, open_post_office
from tests.postgres import Postgres
from tests.served import run_command, service_environ

KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Place:
    """A fresh database of one kind, a folder, and a post office of its own."""

    kind: str
    url: str
    engine: Engine
    folder: Path
    office: PostOffice


@dataclass
class Places:
    """Makes places; the server behind those on PostgreSQL starts when it is needed."""

    folder: Path
    stack: ExitStack
    _postgres: Postgres | None = None

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            self._postgres = self.stack.enter_context(Postgres())
        return self._postgres

    @contextmanager
    def place(self, kind: str) -> Iterator[Place]:
        """A migrated database for the length of a ``with``."""
        folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.folder))
        url = self._new(kind, folder)
        environ = service_environ(folder, url, port=8000, smtp_port=25)
        run_command(["migrate"], environ)
        engine = open_engine(url)
        with open_post_office() as office:
            try:
                yield Place(kind, url, engine, folder, office)
            finally:
                engine.dispose()

    def _new(self, kind: str, folder: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{folder / 'leadcapture.sqlite3'}"
        return self.postgres.url(self.postgres.create())


@contextmanager
def open_places() -> Iterator[Places]:
    """Places in a folder that is gone afterwards."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="leadcapture-"))
        yield Places(Path(folder), stack)
