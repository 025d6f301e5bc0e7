"""Migrated databases of both kinds for proofs and benchmarks, which run without pytest."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from leadcapture import migrate
from leadcapture.database import open_engine
from leadcapture.settings import Settings, load
from tests.databases import PostgresDatabases, SqliteFiles
from tests.post_office import PostOffice, open_post_office
from tests.postgres import Postgres
from tests.served import service_environ

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
    _databases: dict[str, SqliteFiles | PostgresDatabases] = field(default_factory=dict)

    @contextmanager
    def place(self, kind: str) -> Iterator[Place]:
        """A migrated database for the length of a ``with``."""
        folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.folder))
        if kind not in self._databases:
            self._databases[kind] = self._make(kind)
        url = self._databases[kind].new(folder)
        with open_post_office() as office, closing_engine(url) as engine:
            yield Place(kind, url, engine, folder, office)

    def _make(self, kind: str) -> SqliteFiles | PostgresDatabases:
        def settings_for(url: str) -> Settings:
            return _settings(self.folder, url)

        if kind == "sqlite":
            return SqliteFiles(self.folder, settings_for)
        return PostgresDatabases(self.stack.enter_context(Postgres()), settings_for)


def _settings(folder: Path, url: str) -> Settings:
    return load(service_environ(folder, url, port=8000, smtp_port=25))


@contextmanager
def a_database(url: str, folder: Path) -> Iterator[Engine]:
    """Migrate the database at this URL; an engine for the length of a ``with``."""
    migrate.upgrade(_settings(folder, url))
    with closing_engine(url) as engine:
        yield engine


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    """An engine for the length of a ``with``."""
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
