"""Narrow two indexes to the rows that are looked for, so that most rows are written past them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LEASED = sa.text("lease_until IS NOT NULL")
SEALED = sa.text("position IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_message_state_lease", table_name="message")
    op.create_index(
        "ix_message_lease",
        "message",
        ["lease_until"],
        sqlite_where=LEASED,
        postgresql_where=LEASED,
    )
    op.drop_index("uq_audit_position", table_name="audit")
    op.create_index(
        "uq_audit_position",
        "audit",
        ["position"],
        unique=True,
        sqlite_where=SEALED,
        postgresql_where=SEALED,
    )


def downgrade() -> None:
    op.drop_index("uq_audit_position", table_name="audit")
    op.create_index("uq_audit_position", "audit", ["position"], unique=True)
    op.drop_index("ix_message_lease", table_name="message")
    op.create_index("ix_message_state_lease", "message", ["state", "lease_until"])
