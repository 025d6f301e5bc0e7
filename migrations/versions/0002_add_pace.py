"""Add the pace of each recipient domain."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pace",
        sa.Column("name", sa.String(length=263), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slowed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pace")),
    )
    op.create_index(op.f("ix_pace_full_at"), "pace", ["full_at"])
    op.add_column("message", sa.Column("domain", sa.String(length=253), nullable=True))
    # Our recipients are plain addresses: what follows their only @ is the domain, in ASCII.
    position = "instr(recipient, '@')"
    if op.get_bind().dialect.name == "postgresql":
        position = "strpos(recipient, '@')"
    op.execute(f"UPDATE message SET domain = lower(substr(recipient, {position} + 1))")  # noqa: S608
    op.create_index(
        "ix_message_lane",
        "message",
        ["state", "priority", "due_at", "id", "domain", "attempts"],
    )
    # The lane's index begins with the same columns.
    op.drop_index("ix_message_state_due", table_name="message")
    # A gate may bear the name of a domain.
    with op.batch_alter_table("gate") as gate:
        gate.alter_column(
            "name",
            type_=sa.String(length=263),
            existing_type=sa.String(80),
            existing_nullable=False,
        )


def downgrade() -> None:
    op.execute("DELETE FROM gate WHERE name LIKE 'domain:%'")
    with op.batch_alter_table("gate") as gate:
        gate.alter_column(
            "name",
            type_=sa.String(length=80),
            existing_type=sa.String(263),
            existing_nullable=False,
        )
    op.create_index("ix_message_state_due", "message", ["state", "priority", "due_at", "id"])
    op.drop_index("ix_message_lane", table_name="message")
    op.drop_column("message", "domain")
    op.drop_index(op.f("ix_pace_full_at"), table_name="pace")
    op.drop_table("pace")
