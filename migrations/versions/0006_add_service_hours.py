"""Add the clinic's hours and first-response targets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UNDATED = sa.text("waiting_since IS NOT NULL AND first_response_due_at IS NULL")
WARNED_NEXT = sa.text("warning_due_at IS NOT NULL")
UNOWNED = sa.text("waiting_since IS NOT NULL AND owner_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "clinic_hours",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("weekly", sa.JSON(), nullable=False),
        sa.Column("exceptions", sa.JSON(), nullable=False),
        sa.Column("holidays", sa.JSON(), nullable=False),
        sa.Column("target_minutes", sa.Integer(), nullable=False),
        sa.Column("channel_minutes", sa.JSON(), nullable=False),
        sa.Column("warn_minutes", sa.Integer(), nullable=False),
        sa.Column("next_minutes", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinic_hours")),
    )
    op.create_table(
        "roster",
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("takes_requests", sa.Boolean(), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("shifts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("out_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_roster_staff_id")),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_roster")),
    )
    op.add_column(
        "lead", sa.Column("first_response_due_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("lead", sa.Column("warning_due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "lead", sa.Column("warnings", sa.SmallInteger(), server_default="0", nullable=False)
    )
    # Partial: a lead that nobody waits on stands in none of them.
    for name, column, where in (
        ("ix_lead_undated", "waiting_since", UNDATED),
        ("ix_lead_warning_due", "warning_due_at", WARNED_NEXT),
        ("ix_lead_unowned", "waiting_since", UNOWNED),
    ):
        op.create_index(name, "lead", [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in ("ix_lead_unowned", "ix_lead_warning_due", "ix_lead_undated"):
        op.drop_index(name, table_name="lead")
    for column in ("warnings", "warning_due_at", "first_response_due_at"):
        op.drop_column("lead", column)
    op.drop_table("roster")
    op.drop_table("clinic_hours")
