"""Reckon a request's day anew for a packet that left long after it, however soon it was sent.

Most packets leave while their request's day still runs, and those need not be noted. Their own
age told nothing of that where a request was held: its packet is made when it is released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# A letter that waits, is claimed or on its way counts as the same.
AHEAD = "('queued', 'claimed', 'sending')"
COUNTS = (
    "new.request_id IS NOT NULL AND new.kind <> 'staff_alert' AND new.state <> old.state "
    f"AND NOT (new.state IN {AHEAD} AND old.state IN {AHEAD})"
)
IS_PACKET = "new.dedupe_key LIKE 'packet:%'"
NOTE = "INSERT INTO recount (at) SELECT created_at FROM request WHERE id = new.request_id"
OF_SQLITE = "julianday(new.state_at) - julianday({since}created_at) > 1.0 / 24"
OF_POSTGRESQL = "new.state_at > {since}created_at + interval '1 hour'"


def upgrade() -> None:
    later = _later().format(since="")
    _replace(COUNTS, f"{NOTE} AND (NOT ({IS_PACKET}) OR {later});")
    op.execute(
        sa.text(
            "INSERT INTO recount (at) SELECT created_at FROM request WHERE screening = 'released'"
        )
    )


def downgrade() -> None:
    later = _later().format(since="new.")
    _replace(f"{COUNTS} AND (NOT ({IS_PACKET}) OR {later})", f"{NOTE};")


def _later() -> str:
    return OF_SQLITE if op.get_bind().dialect.name == "sqlite" else OF_POSTGRESQL


def _replace(condition: str, body: str) -> None:
    """Have the trigger on letters do this."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER recount_letter")
        op.execute(
            "CREATE TRIGGER recount_letter AFTER UPDATE OF state ON message "
            f"WHEN {condition} BEGIN {body} END"
        )
        return
    op.execute("DROP TRIGGER recount_letter ON message")
    op.execute(
        "CREATE OR REPLACE FUNCTION recount_letter() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {body} RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER recount_letter AFTER UPDATE OF state ON message FOR EACH ROW "
        f"WHEN ({condition}) EXECUTE FUNCTION recount_letter()"
    )
