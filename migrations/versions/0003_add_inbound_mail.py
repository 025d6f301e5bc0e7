"""Add the mail that comes in."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_mail",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=22), nullable=False),
        sa.Column("mail_id_hash", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("lead_id", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_inbound_mail_lead_id")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_inbound_mail_message_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_inbound_mail_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_mail")),
        sa.UniqueConstraint("ref", name=op.f("uq_inbound_mail_ref")),
        sa.UniqueConstraint(
            "mail_id_hash", "sha256", name=op.f("uq_inbound_mail_mail_id_hash_sha256")
        ),
    )
    op.create_index(op.f("ix_inbound_mail_lead_id"), "inbound_mail", ["lead_id"])
    op.create_index(op.f("ix_inbound_mail_message_id"), "inbound_mail", ["message_id"])
    op.create_index(op.f("ix_inbound_mail_task_id"), "inbound_mail", ["task_id"])


def downgrade() -> None:
    op.drop_table("inbound_mail")
