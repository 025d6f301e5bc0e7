"""Migrated databases of both kinds for proofs and benchmarks, which run without pytest."""

import dataclasses
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
        with open_post_office() as office, a_database(url, folder) as engine:
            yield Place(kind, url, engine, folder, office)

    def _new(self, kind: str, folder: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{folder / 'leadcapture.sqlite3'}"
        return self.postgres.url(self.postgres.create())


@contextmanager
def a_database(url: str, folder: Path) -> Iterator[Engine]:
    """Migrate the database at this URL; an engine for the length of a ``with``."""
    run_command(["migrate"], service_environ(folder, url, port=8000, smtp_port=25))
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def a_server_of_its_own(
    place: Place, folder: Path | None = None
) -> Iterator[tuple[Postgres, Place]]:
    """The same place on a PostgreSQL that nobody else uses, to be crashed at will."""
    with Postgres(folder) as server:
        url = server.url(server.create())
        with a_database(url, place.folder) as engine:
            yield server, dataclasses.replace(place, url=url, engine=engine)


@contextmanager
def open_places() -> Iterator[Places]:
    """Places in a folder that is gone afterwards."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="leadcapture-"))
        yield Places(Path(folder), stack)
