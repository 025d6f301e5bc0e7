"""Command: what every command does alike; what an operator can mend ends it with a sentence."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from leadcapture.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

STOPS = 2


class Commands(click.Group):
    """Commands that say what is amiss with the database, a file or an address, and no traceback.

    What nobody can mend from outside is ours: it is shown as it came.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as problem:
            if (sentence := why_it_ended(problem)) is None:
                raise
            return fail(sentence)


def fail(sentence: str) -> NoReturn:
    """End the command with this sentence and status 2."""
    click.echo(sentence, err=True)
    sys.exit(STOPS)


def why_it_ended(problem: Exception) -> str | None:
    """What to mend, in one or two sentences; None where it is no matter of the operator's."""
    from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError, ProgrammingError

    from leadcapture.migrate import NewerSchema

    match problem:
        case NewerSchema():
            return str(problem)
        case ProgrammingError() | OperationalError() | InterfaceError():
            return _why_no_database(problem)
        case ArgumentError():
            return (
                "That is no address of a database. It looks like "
                "postgresql+psycopg://user@host/name or sqlite:////folder/file.sqlite3"
            )
        case OSError(filename=str(), strerror=str()):
            return f"{problem.filename}: {problem.strerror}."
    return None


def _why_no_database(problem: Any) -> str:
    said = str(problem.orig).strip().partition("\n")[0]
    sqlstate = getattr(problem.orig, "sqlstate", None)
    # PostgreSQL: undefined_table and undefined_column.
    if sqlstate in ("42P01", "42703") or said.startswith(("no such table", "no such column")):
        return (
            "The database has no tables of this release. If it is the right one: leadcapture "
            "migrate"
        )
    if sqlstate:
        return f"The database refuses: {said}."
    return (
        f"The database does not answer: {said}. Is it up, and does LEADCAPTURE_DATABASE_URL name "
        "it?"
    )


@contextmanager
def loading() -> Iterator[None]:
    """Import what a service is made of, with the collector of garbage off: all of it stays.

    A fifth of the time that a web server or a scheduler takes to start was spent in walking
    through it again and again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def a_database(settings: Settings, reads: bool = False) -> "Iterator[Session]":
    """A session of the database that there is, for the length of a ``with``.

    A file that is not there is not made by looking for it: the command ends.
    """
    from sqlalchemy import make_url

    from leadcapture.database import open_engine, open_session, reading

    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        fail(f"There is no database at {url.database}. To make one: leadcapture migrate")
    engine = open_engine(settings.database_url)
    try:
        with reading() if reads else nullcontext(), open_session(engine) as session:
            yield session
    finally:
        engine.dispose()
