"""Add the feed of changes, a version of each lead, who is on which page, and forms kept."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# What no timeline may tell of; the last two always come with an entry of the timeline.
TOLD = (
    *("status", "closed_reason", "owner_id", "full_name", "email", "phone", "phone_typed"),
    *("country", "time_zone", "language", "contact_by", "contact_time"),
)
SEEN = (*TOLD, "last_request_at", "waiting_since")

# States in which a letter stands for a moment only, or as it stood before.
UNTOLD = "('queued', 'claimed', 'sending')"
GATES = "('relay', 'queue', 'instance')"


def _row(of: str, columns: tuple[str, ...]) -> str:
    return "(" + ", ".join(f"{of}.{column}" for column in columns) + ")"


def _sqlite() -> tuple[str, ...]:
    def tell(name: str, when: str, condition: str, lead_id: str) -> str:
        return (
            # Put together from what stands in this file alone.
            f"CREATE TRIGGER change_{name} AFTER {when} {condition} "  # noqa: S608
            f"BEGIN INSERT INTO change (lead_id) VALUES ({lead_id}); END"
        )

    # PostgreSQL says "is distinct from" where SQLite says "is not".
    return (
        f"CREATE TRIGGER lead_version AFTER UPDATE OF {', '.join(SEEN)} ON lead "  # noqa: S608
        f"WHEN {_row('new', SEEN)} IS NOT {_row('old', SEEN)} "
        "BEGIN UPDATE lead SET version = version + 1 WHERE id = new.id; END",
        tell(
            "lead",
            f"UPDATE OF {', '.join(TOLD)} ON lead",
            f"WHEN {_row('new', TOLD)} IS NOT {_row('old', TOLD)}",
            "new.id",
        ),
        tell("timeline", "INSERT ON timeline_entry", "", "new.lead_id"),
        tell(
            "message",
            "UPDATE OF state ON message",
            f"WHEN new.state <> old.state AND new.state NOT IN {UNTOLD}",
            "new.lead_id",
        ),
        tell("task", "INSERT ON task", "", "new.lead_id"),
        tell("task_update", "UPDATE ON task", "", "new.lead_id"),
        tell("gate", "INSERT ON gate", f"WHEN new.name IN {GATES}", "NULL"),
        tell("gate_update", "UPDATE ON gate", f"WHEN new.name IN {GATES}", "NULL"),
        tell("gate_delete", "DELETE ON gate", f"WHEN old.name IN {GATES}", "NULL"),
    )


def _postgres() -> tuple[str, ...]:
    def tell(name: str, when: str, condition: str, function: str = "tell_change") -> str:
        return (
            f"CREATE TRIGGER change_{name} AFTER {when} FOR EACH ROW {condition} "
            f"EXECUTE FUNCTION {function}()"
        )

    return (
        "CREATE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.version := old.version + 1; RETURN new; END $$",
        "CREATE FUNCTION tell_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO change (lead_id) VALUES (new.lead_id); RETURN NULL; END $$",
        "CREATE FUNCTION tell_lead() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO change (lead_id) VALUES (new.id); RETURN NULL; END $$",
        "CREATE FUNCTION tell_all() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO change (lead_id) VALUES (NULL); RETURN NULL; END $$",
        f"CREATE TRIGGER lead_version BEFORE UPDATE OF {', '.join(SEEN)} ON lead FOR EACH ROW "
        f"WHEN ({_row('new', SEEN)} IS DISTINCT FROM {_row('old', SEEN)}) "
        "EXECUTE FUNCTION count_version()",
        tell(
            "lead",
            f"UPDATE OF {', '.join(TOLD)} ON lead",
            f"WHEN ({_row('new', TOLD)} IS DISTINCT FROM {_row('old', TOLD)})",
            "tell_lead",
        ),
        tell("timeline", "INSERT ON timeline_entry", ""),
        tell(
            "message",
            "UPDATE OF state ON message",
            f"WHEN (new.state <> old.state AND new.state NOT IN {UNTOLD})",
        ),
        tell("task", "INSERT OR UPDATE ON task", ""),
        tell("gate", "INSERT OR UPDATE ON gate", f"WHEN (new.name IN {GATES})", "tell_all"),
        tell("gate_delete", "DELETE ON gate", f"WHEN (old.name IN {GATES})", "tell_all"),
    )


TRIGGERS = {
    "lead": ("lead_version", "change_lead"),
    "timeline_entry": ("change_timeline",),
    "message": ("change_message",),
    "task": ("change_task", "change_task_update"),
    "gate": ("change_gate", "change_gate_update", "change_gate_delete"),
}


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lead_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
    )
    op.create_index("ix_change_lead", "change", ["lead_id", "id"])
    op.create_table(
        "presence",
        sa.Column("lead_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["lead_id"], ["lead.id"], name=op.f("fk_presence_lead_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_presence_staff_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("lead_id", "staff_id", name=op.f("pk_presence")),
    )
    op.create_index(op.f("ix_presence_seen_at"), "presence", ["seen_at"])
    op.create_table(
        "kept_form",
        sa.Column("staff_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_kept_form_staff_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_kept_form")),
    )
    op.add_column("lead", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _sqlite() if is_sqlite else _postgres():
        op.execute(statement)


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, names in TRIGGERS.items():
        for name in names:
            op.execute(f"DROP TRIGGER IF EXISTS {name}" + ("" if is_sqlite else f" ON {table}"))
    if not is_sqlite:
        for name in ("count_version", "tell_change", "tell_lead", "tell_all"):
            op.execute(f"DROP FUNCTION {name}()")
    op.drop_column("lead", "version")
    op.drop_table("kept_form")
    op.drop_table("presence")
    op.drop_table("change")
