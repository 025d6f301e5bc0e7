"""Add the senders whose mails tell of missed calls and of chats."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice_sender",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=22), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_sender")),
        sa.UniqueConstraint("address", name=op.f("uq_notice_sender_address")),
        sa.UniqueConstraint("ref", name=op.f("uq_notice_sender_ref")),
    )


def downgrade() -> None:
    op.drop_table("notice_sender")
