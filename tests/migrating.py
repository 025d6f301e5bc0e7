"""Upgrades that are killed at a chosen moment, and what stands in a database afterwards.

As a program it upgrades the database at the URL that it is given: for each line that it reads, a
process of its own does so and kills itself (SIGKILL) before its so manieth statement or commit.
It forks, because to load the application takes longer than to upgrade.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import Connection, Engine, event, inspect, text

from leadcapture import migrate
from leadcapture.database import open_engine
from leadcapture.settings import Settings
from tests.configured import make_settings

NEVER = 0
"""The moment of an upgrade that nobody kills."""
_TREE = Path(__file__).parent.parent
VERSIONS = _TREE / "migrations" / "versions"


class Killer:
    """Upgrades a database in processes that can be killed at any moment of theirs."""

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        self._program = program

    def upgrade(self, url: str, killed_at: int = NEVER) -> int:
        """Upgrade; how many moments there were, 0 where it was killed at its moment.

        Fails where it ended otherwise.
        """
        assert self._program.stdin is not None and self._program.stdout is not None
        self._program.stdin.write(f"{killed_at} {url}\n")
        self._program.stdin.flush()
        told = self._program.stdout.readline().split()
        assert told and told[0] == "done", f"the upgrade failed: {told}"
        return int(told[1])


@contextmanager
def a_killer(folder: Path) -> Iterator[Killer]:
    """One for the length of a ``with``; its processes see settings of this folder."""
    command = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(
        command, cwd=_TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        yield Killer(program)


@dataclass
class Kills:
    """What killed upgrades left behind: at which revisions, and what was neither old nor new."""

    moments: int = 0
    kills: int = 0
    revisions: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def kill_upgrades(empty: Callable[[], str], folder: Path, kills: int) -> Kills:
    """Kill so many upgrades of databases that ``empty`` makes, each at a later moment, from the
    first statement to the last; look at what stands, and upgrade again what was killed.
    """
    schemas = schemas_by_revision(make_settings(folder, empty()))
    head = max(schemas)
    found = Kills()
    with a_killer(folder) as killer:
        whole = empty()
        found.moments = killer.upgrade(whole)
        published = published_in(whole)
        for moment in spread(found.moments, kills):
            url = empty()
            killer.upgrade(url, killed_at=moment)
            found.kills += 1
            engine = open_engine(url)
            revision = revision_of(engine)
            found.revisions.add(revision)
            told = faults_in(engine, revision, schemas, published)
            engine.dispose()
            killer.upgrade(url)
            if revision_of(engine) != head or faults_in(engine, head, schemas, published):
                told.append("a second upgrade did not bring it to the end")
            elif published_in(url) != published:
                told.append("a second upgrade did not publish all texts")
            engine.dispose()
            found.faults += [f"killed at {moment} of {found.moments}: {fault}" for fault in told]
    return found


def spread(moments: int, kills: int) -> list[int]:
    """So many moments of all, from the first to the last, as far apart as can be."""
    return sorted({1 + (moments - 1) * number // (kills - 1) for number in range(kills)})


def schemas_by_revision(settings: Settings) -> dict[str, frozenset[str]]:
    """What stands in this empty database at each revision, from none ("") to the last."""
    engine = open_engine(settings.database_url)
    found = {"": schema_of(engine)}
    for path in sorted(VERSIONS.glob("[0-9]*.py")):
        revision = path.name[:4]
        migrate.upgrade(settings, revision)
        found[revision] = schema_of(engine)
    engine.dispose()
    return found


def faults_in(
    engine: Engine, revision: str, schemas: Mapping[str, frozenset[str]], published: int
) -> list[str]:
    """What is there and does not belong to the revision that the database says it is at, or the
    other way round.
    """
    if revision not in schemas:
        return [f"it says that it is at {revision}"]
    found = schema_of(engine)
    faults = [
        f"at {revision or 'no revision'}: {'+' if thing in found else '-'} {thing}"
        for thing in sorted(found ^ schemas[revision])
    ]
    if revision == max(schemas):
        with engine.connect() as connection:
            texts = connection.scalars(text("SELECT count(*) FROM letter_version")).one()
        if texts not in (0, published):
            faults.append(f"{texts} of {published} texts are published")
    return faults


def revision_of(engine: Engine) -> str:
    """The revision that the database says it is at; empty where it is at none."""
    if "alembic_version" not in inspect(engine).get_table_names():
        return ""
    with engine.connect() as connection:
        found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return ",".join(found)


def published_in(url: str) -> int:
    """How many texts of ours are published there."""
    engine = open_engine(url)
    with engine.connect() as connection:
        count = connection.scalars(text("SELECT count(*) FROM letter_version")).one()
    engine.dispose()
    return int(count)


def schema_of(engine: Engine) -> frozenset[str]:
    """All that was made in a database, in its own words, save Alembic's own table."""
    with engine.connect() as connection:
        questions = _SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL
        things = {
            " ".join(map(str, row))
            for question in questions
            for row in connection.execute(text(question))
        }
    return frozenset(thing for thing in things if "alembic_version" not in thing)


def rows_of(
    connection: Connection, columns: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[object, ...]]]:
    """The rows of these tables, these columns of them."""
    found = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        rows = connection.execute(text(f'SELECT {listed} FROM "{table}"'))
        found[table] = [tuple(row) for row in rows]
    return found


_SQLITE = ("SELECT type, name, tbl_name, sql FROM sqlite_master",)
_POSTGRESQL = (
    "SELECT 'table', relname, relkind FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')",
    "SELECT 'column', table_name, column_name, data_type, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    "SELECT 'trigger', tgrelid::regclass, pg_get_triggerdef(oid)"
    " FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT 'function', proname, prosrc"
    " FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prolang <> 13",
)


def _serve(folder: Path) -> None:
    for line in sys.stdin:
        killed_at, url = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            moments = _upgrade(make_settings(folder, url), int(killed_at))
            os.write(writing, str(moments).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as told:
            moments = int(told.read() or 0)
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        as_asked = died if int(killed_at) else status == 0
        print("done" if as_asked else f"status {status}", moments, flush=True)


def _upgrade(settings: Settings, killed_at: int) -> int:
    moments = count(1)

    def pass_by(*_: object) -> None:
        if next(moments) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", pass_by)
    event.listen(Engine, "commit", pass_by)
    migrate.upgrade(settings)
    return next(moments) - 1


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
