"""Keep what each day's requests come to, and note which days have to be reckoned anew."""

# ruff: noqa: S608 - only constants are put together.

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What ends a wait or moves somebody on, and what queues another letter about an old request.
TOLD = "('status_changed', 'call_logged', 'wrote', 'met', 'packet_link_asked', 'packet_sent_again')"
# A letter that waits, is claimed or on its way counts as the same.
AHEAD = "('queued', 'claimed', 'sending')"
COUNTED = ("screening", "lead_id", "channel", "language", "touch", "created_at")

OF_LEAD = "INSERT INTO recount (at) SELECT created_at FROM request WHERE lead_id = {0}.{1};"
OF_LETTER = "INSERT INTO recount (at) SELECT created_at FROM request WHERE id = {0}.request_id;"
# The request itself, and those after it that it makes a second one.
OF_REQUEST = "INSERT INTO recount (at) VALUES (old.created_at); " + OF_LEAD.format("old", "lead_id")
OF_MOVED = OF_REQUEST + " " + OF_LEAD.format("new", "lead_id")


def _letter_counts(later: str) -> str:
    """True of a change that counts: most letters leave within the hour, while their day runs."""
    return (
        "new.request_id IS NOT NULL AND new.kind <> 'staff_alert' AND new.state <> old.state "
        f"AND NOT (new.state IN {AHEAD} AND old.state IN {AHEAD}) "
        f"AND (new.dedupe_key NOT LIKE 'packet:%' OR {later})"
    )


def _triggers(is_sqlite: bool) -> tuple[tuple[str, str, str, str, str], ...]:
    """Name, table, event, condition and what is done."""
    if is_sqlite:
        later = "julianday(new.state_at) - julianday(new.created_at) > 1.0 / 24"
        old = "new.created_at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')"
        touch = "coalesce(new.touch, '') <> coalesce(old.touch, '')"
    else:
        later = "new.state_at > new.created_at + interval '1 hour'"
        old = "new.created_at < now() - interval '1 day'"
        touch = "new.touch::text IS DISTINCT FROM old.touch::text"
    differs = " OR ".join([f"new.{name} <> old.{name}" for name in COUNTED if name != "touch"])
    return (
        (
            *("entry", "timeline_entry", "INSERT", f"new.kind IN {TOLD}"),
            OF_LEAD.format("new", "lead_id"),
        ),
        (
            *("entry_delete", "timeline_entry", "DELETE", f"old.kind IN {TOLD}"),
            OF_LEAD.format("old", "lead_id"),
        ),
        (
            *("lead", "lead", "UPDATE OF status", "new.status <> old.status"),
            OF_LEAD.format("new", "id"),
        ),
        (
            *("letter", "message", "UPDATE OF state", _letter_counts(later)),
            OF_LETTER.format("new"),
        ),
        (
            *("letter_delete", "message", "DELETE", "old.request_id IS NOT NULL"),
            OF_LETTER.format("old"),
        ),
        # Whoever stores a request of a day long past.
        ("request", "request", "INSERT", old, OF_LEAD.format("new", "lead_id")),
        (
            "request_update",
            "request",
            f"UPDATE OF {', '.join(COUNTED)}",
            f"{differs} OR {touch}",
            OF_MOVED,
        ),
        ("request_delete", "request", "DELETE", "", OF_REQUEST),
    )


def upgrade() -> None:
    op.create_table(
        "day_tally",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rules", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_day_tally")),
    )
    op.create_table(
        "recount",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recount")),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name, table, when, condition, body in _triggers(is_sqlite):
        if is_sqlite:
            guard = f"WHEN {condition} " if condition else ""
            op.execute(
                f"CREATE TRIGGER recount_{name} AFTER {when} ON {table} {guard}BEGIN {body} END"
            )
            continue
        guard = f"WHEN ({condition}) " if condition else ""
        op.execute(
            f"CREATE FUNCTION recount_{name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body} RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER recount_{name} AFTER {when} ON {table} FOR EACH ROW {guard}"
            f"EXECUTE FUNCTION recount_{name}()"
        )


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name, table, *_ in _triggers(is_sqlite):
        op.execute(f"DROP TRIGGER recount_{name}" + ("" if is_sqlite else f" ON {table}"))
        if not is_sqlite:
            op.execute(f"DROP FUNCTION recount_{name}()")
    op.drop_table("recount")
    op.drop_table("day_tally")
