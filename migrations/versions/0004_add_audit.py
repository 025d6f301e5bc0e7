"""Add the audit chain."""

# ruff: noqa: S608 - only constants are put together.

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = "act, subject, message_id, from_state, to_state, fence, reason, sha256, at"

SQLITE_TRIGGERS = (
    f"""CREATE TRIGGER audit_message_insert AFTER INSERT ON message BEGIN
        INSERT INTO audit ({COLUMNS}) VALUES ('message_state', NEW.ref, NEW.id, NULL, NEW.state,
        NEW.fence, NEW.reason, NEW.sha256, NEW.state_at); END""",
    f"""CREATE TRIGGER audit_message_state AFTER UPDATE OF state ON message
        WHEN OLD.state <> NEW.state BEGIN
        INSERT INTO audit ({COLUMNS}) VALUES ('message_state', NEW.ref, NEW.id, OLD.state,
        NEW.state, NEW.fence, NEW.reason, NEW.sha256, NEW.state_at); END""",
    f"""CREATE TRIGGER audit_message_delete AFTER DELETE ON message BEGIN
        INSERT INTO audit ({COLUMNS}) VALUES ('message_state', OLD.ref, OLD.id, OLD.state,
        'deleted', OLD.fence, '', OLD.sha256, strftime('%Y-%m-%d %H:%M:%f000', 'now')); END""",
)

POSTGRES_TRIGGERS = (
    f"""CREATE FUNCTION audit_message() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO audit ({COLUMNS}) VALUES ('message_state', NEW.ref, NEW.id, NULL,
            NEW.state, NEW.fence, NEW.reason, NEW.sha256, NEW.state_at);
        ELSIF TG_OP = 'UPDATE' THEN
            INSERT INTO audit ({COLUMNS}) VALUES ('message_state', NEW.ref, NEW.id, OLD.state,
            NEW.state, NEW.fence, NEW.reason, NEW.sha256, NEW.state_at);
        ELSE
            INSERT INTO audit ({COLUMNS}) VALUES ('message_state', OLD.ref, OLD.id, OLD.state,
            'deleted', OLD.fence, '', OLD.sha256, clock_timestamp());
        END IF;
        RETURN NULL; END $$""",
    """CREATE TRIGGER audit_message_insert AFTER INSERT ON message
        FOR EACH ROW EXECUTE FUNCTION audit_message()""",
    """CREATE TRIGGER audit_message_state AFTER UPDATE OF state ON message
        FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION audit_message()""",
    """CREATE TRIGGER audit_message_delete AFTER DELETE ON message
        FOR EACH ROW EXECUTE FUNCTION audit_message()""",
)

SEALED = (("message", "payload"), ("request", "answers"), ("timeline_entry", "note"))


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("from_state", sa.String(length=24), nullable=True),
        sa.Column("to_state", sa.String(length=24), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("uq_audit_position", "audit", ["position"], unique=True)
    unsealed = sa.text("position IS NULL")
    op.create_index(
        "ix_audit_unsealed", "audit", ["id"], sqlite_where=unsealed, postgresql_where=unsealed
    )
    op.create_index("ix_audit_message", "audit", ["message_id", "id"])
    op.create_table(
        "seal_key",
        sa.Column("id", sa.String(length=4), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seal_key")),
    )
    # What is there already begins its record here.
    op.execute(
        f"INSERT INTO audit ({COLUMNS}) SELECT 'message_state', ref, id, NULL, state, fence, "
        "reason, sha256, state_at FROM message ORDER BY id"
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    key_id = "CAST(substr({0}, 1, 4) AS TEXT)" if sqlite else "encode(substr({0}, 1, 4), 'escape')"
    for table, column in SEALED:
        op.execute(
            f"INSERT INTO seal_key (id, seen_at) SELECT DISTINCT {key_id.format(column)}, "
            f"CURRENT_TIMESTAMP FROM {table} WHERE {column} IS NOT NULL "
            "ON CONFLICT (id) DO NOTHING"
        )
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRES_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    for name in ("insert", "state", "delete"):
        on = "" if op.get_bind().dialect.name == "sqlite" else " ON message"
        op.execute(f"DROP TRIGGER audit_message_{name}{on}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_message()")
    op.drop_table("seal_key")
    op.drop_index("ix_audit_message", table_name="audit")
    op.drop_index("ix_audit_unsealed", table_name="audit")
    op.drop_index("uq_audit_position", table_name="audit")
    op.drop_table("audit")
