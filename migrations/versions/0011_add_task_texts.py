"""Add what a task says, when its owner was reminded of it, and who is mentioned in a note."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain columns: a table made anew would lose the triggers of the feed of changes.
    op.add_column("task", sa.Column("text", sa.LargeBinary(), nullable=True))
    op.add_column("task", sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "mention",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["timeline_entry.id"],
            name=op.f("fk_mention_entry_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_mention_staff_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("entry_id", "staff_id", name=op.f("pk_mention")),
    )
    op.create_index("ix_mention_staff_opened", "mention", ["staff_id", "opened_at"])


def downgrade() -> None:
    op.drop_table("mention")
    op.drop_column("task", "reminded_at")
    op.drop_column("task", "text")
