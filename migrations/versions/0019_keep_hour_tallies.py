"""Keep what the hours of the last days come to, so that only the latest are reckoned anew."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hour_tally",
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rules", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("begins_at", name=op.f("pk_hour_tally")),
    )


def downgrade() -> None:
    op.drop_table("hour_tally")
