"""Keep what the kept days of each month come to together."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "month_tally",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("made_of", sa.String(length=64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_month_tally")),
    )


def downgrade() -> None:
    op.drop_table("month_tally")
