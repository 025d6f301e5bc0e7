"""Add names of sources, texts of the form, and the record of what was changed in the settings."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=22), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("conditions", sa.JSON(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_rule")),
        sa.UniqueConstraint("ref", name=op.f("uq_source_rule_ref")),
    )
    op.create_table(
        "form_text",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["staff.id"], name=op.f("fk_form_text_author_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_form_text")),
        sa.UniqueConstraint("language", "number", name=op.f("uq_form_text_language_number")),
    )
    op.create_table(
        "form_text_in_use",
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("form_text_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["form_text_id"], ["form_text.id"], name=op.f("fk_form_text_in_use_form_text_id")
        ),
        sa.PrimaryKeyConstraint("language", name=op.f("pk_form_text_in_use")),
    )
    op.create_table(
        "setting_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("area", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["staff.id"], name=op.f("fk_setting_change_actor_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting_change")),
    )
    op.create_index("ix_setting_change_area", "setting_change", ["area", "id"])


def downgrade() -> None:
    op.drop_table("setting_change")
    op.drop_table("form_text_in_use")
    op.drop_table("form_text")
    op.drop_table("source_rule")
