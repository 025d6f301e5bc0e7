"""Name who stands in for a colleague while they are out of office."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By hand: Alembic would make the whole table anew on SQLite for the sake of the reference.
    op.execute(
        "ALTER TABLE roster ADD COLUMN cover_id INTEGER "
        "CONSTRAINT fk_roster_cover_id REFERENCES staff (id)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE roster DROP COLUMN cover_id")
