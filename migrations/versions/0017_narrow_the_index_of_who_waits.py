"""Narrow the index of who waits to those who do: all others are in the archive."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

NAME = "ix_lead_waiting_since"
COLUMNS = ["waiting_since", "id"]
WAITING = sa.text("waiting_since IS NOT NULL")


def upgrade() -> None:
    op.drop_index(NAME, table_name="lead")
    op.create_index(NAME, "lead", COLUMNS, sqlite_where=WAITING, postgresql_where=WAITING)


def downgrade() -> None:
    op.drop_index(NAME, table_name="lead")
    op.create_index(NAME, "lead", COLUMNS)
