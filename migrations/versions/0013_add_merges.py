"""Add merges of leads that are one person, and pairs that are not."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MERGED = sa.text("merged_into_id IS NOT NULL")
STOOD = sa.text("stood IS NOT NULL")


def upgrade() -> None:
    # In plain words: on SQLite a table made anew for the key would lose its triggers.
    op.execute(
        "ALTER TABLE lead ADD COLUMN merged_into_id INTEGER "
        "CONSTRAINT fk_lead_merged_into_id REFERENCES lead (id)"
    )
    op.create_index(
        "ix_lead_merged_into",
        "lead",
        ["merged_into_id"],
        sqlite_where=MERGED,
        postgresql_where=MERGED,
    )
    op.create_table(
        "merge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=22), nullable=False),
        sa.Column("kept_id", sa.Integer(), nullable=False),
        sa.Column("merged_id", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.Column("stood", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["kept_id"], ["lead.id"], name=op.f("fk_merge_kept_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["merged_id"], ["lead.id"], name=op.f("fk_merge_merged_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["staff.id"], name=op.f("fk_merge_actor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge")),
        sa.UniqueConstraint("ref", name=op.f("uq_merge_ref")),
    )
    op.create_index(op.f("ix_merge_kept_id"), "merge", ["kept_id"])
    op.create_index(op.f("ix_merge_merged_id"), "merge", ["merged_id"])
    op.create_index("ix_merge_at", "merge", ["at"], sqlite_where=STOOD, postgresql_where=STOOD)
    op.create_table(
        "told_apart",
        sa.Column("lead_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("other_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["lead_id"], ["lead.id"], name=op.f("fk_told_apart_lead_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["other_id"], ["lead.id"], name=op.f("fk_told_apart_other_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["staff.id"], name=op.f("fk_told_apart_actor_id")),
        sa.PrimaryKeyConstraint("lead_id", "other_id", name=op.f("pk_told_apart")),
    )
    op.create_index(op.f("ix_told_apart_other_id"), "told_apart", ["other_id"])


def downgrade() -> None:
    # What the release before does not know stands there as what it comes nearest to.
    op.execute("UPDATE lead SET status = 'closed', closed_reason = 'other' WHERE status = 'merged'")
    op.drop_table("told_apart")
    op.drop_table("merge")
    op.drop_index("ix_lead_merged_into", table_name="lead")
    op.drop_column("lead", "merged_into_id")
