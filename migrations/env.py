"""Runs the migrations over the application's own engine, each in one transaction."""

from alembic import context
from flask import current_app
from sqlalchemy import MetaData


def target() -> MetaData:
    return current_app.extensions["migrate"].db.metadata


def is_ours(thing: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    # The full-text index is made by hand, in each database's own words.
    return not (name or "").startswith("lead_search")


def run() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=target(),
            include_object=is_ours,
            render_as_batch=True,
            compare_type=True,
            # SQLite can undo a CREATE TABLE too: a killed migration leaves the old schema.
            transactional_ddl=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
