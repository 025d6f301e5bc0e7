"""Record who of the clinic heard a consent that was given aloud."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By hand: Alembic would make the whole table anew on SQLite for the sake of the reference.
    op.execute(
        "ALTER TABLE consent ADD COLUMN recorded_by_id INTEGER "
        "CONSTRAINT fk_consent_recorded_by_id REFERENCES staff (id)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE consent DROP COLUMN recorded_by_id")
