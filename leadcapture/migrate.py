"""Migrations: the schema comes up to date, then the shipped texts are published."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import flask_migrate
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, text

from leadcapture.app import create_app
from leadcapture.database import Base, db
from leadcapture.letters.shipped import publish_shipped
from leadcapture.settings import Settings
from leadcapture.web import migrations_folder, utc_now

_LOCK = 7_355_608


class NewerSchema(Exception):
    """The database was migrated by a later release; the message says what to do."""


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring the database up to ``revision`` and publish what texts are new. Safe to repeat.

    :raises NewerSchema: where a later release has migrated it; nothing is touched
    """
    app = _migrating_app(settings)
    with app.app_context(), _alone(app):
        _refuse_newer()
        _quietly(flask_migrate.upgrade, str(migrations_folder()), revision)
        if revision == "head":
            publish_shipped(db.session(), utc_now(), settings.clinic)
            db.session.commit()
            db.session.remove()
        # The last connection of SQLite to close takes the write-ahead log with it.
        db.engine.dispose()


def downgrade(settings: Settings, revision: str) -> None:
    """Take the database back to ``revision``.

    :raises NewerSchema: where a later release has migrated it; nothing is touched
    """
    app = _migrating_app(settings)
    with app.app_context(), _alone(app):
        _refuse_newer()
        _quietly(flask_migrate.downgrade, str(migrations_folder()), revision)


def differences(settings: Settings) -> list[object]:
    """What the models say and the migrated database does not; empty where they agree."""
    app = create_app(settings)
    with app.app_context(), db.engine.connect() as connection, warnings.catch_warnings():
        # Indexes of expressions, which SQLite cannot show: they are not compared.
        warnings.filterwarnings("ignore", ".*expression-based index")
        return [
            difference
            for difference in compare_metadata(_context(connection), Base.metadata)
            if "lead_search" not in str(difference)
        ]


def is_known(revision: str) -> bool:
    """Does this release know the revision? It does not know those of later ones."""
    scripts = ScriptDirectory(str(migrations_folder()))
    return revision in {script.revision for script in scripts.walk_revisions()}


def _refuse_newer() -> None:
    with db.engine.connect() as connection:
        revision = _context(connection).get_current_revision()
    if revision is not None and not is_known(revision):
        raise NewerSchema(
            f"The database was migrated by a later release (schema {revision}). Install that "
            "release, or one after it; nothing was changed."
        )


def _migrating_app(settings: Settings) -> Flask:
    """The application with what migrates: a service that only runs need not load Alembic."""
    app = create_app(settings)
    flask_migrate.Migrate(app, db, directory=str(migrations_folder()), render_as_batch=True)
    return app


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"compare_type": True})


@contextmanager
def _alone(app: Flask) -> Iterator[None]:
    """Let one process migrate a PostgreSQL at a time; SQLite's own lock does it there."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            yield
            return
        with db.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()


def _quietly(command: object, directory: str, revision: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command(directory=directory, revision=revision)  # type: ignore[operator]
