"""Let the clinic choose the packets that are never attached to a letter."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "linked_packet",
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_linked_packet")),
    )


def downgrade() -> None:
    op.drop_table("linked_packet")
