"""The audit: what happened to messages and what staff did, each row chained to the one before."""

from datetime import datetime

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model

MESSAGE_STATE = "message_state"


class AuditEntry(Model):
    """One act on one subject: who, what, which, when; never content.

    Database triggers write a ``message_state`` row for each message that is made, changes its
    state or is deleted (``to_state`` is then ``deleted``), in the same transaction, whoever
    does it. ``subject`` is the public reference of the message or lead, or a gate's name.
    ``position`` and ``hash`` are set afterwards, once, by the sealer; ``message_id`` and
    ``actor_id`` outlive what they name.
    """

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    act: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(80))
    actor_id: Mapped[int | None]
    message_id: Mapped[int | None]
    from_state: Mapped[str | None] = mapped_column(String(24))
    to_state: Mapped[str | None] = mapped_column(String(24))
    fence: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(200), default="")
    sha256: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Instant)
    position: Mapped[int | None]
    hash: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index(
            "uq_audit_position",
            "position",
            unique=True,
            sqlite_where=text("position IS NOT NULL"),
            postgresql_where=text("position IS NOT NULL"),
        ),
        Index(
            "ix_audit_unsealed",
            "id",
            sqlite_where=text("position IS NULL"),
            postgresql_where=text("position IS NULL"),
        ),
        Index("ix_audit_message", "message_id", "id"),
        Index(
            "ix_audit_viewed",
            "at",
            "actor_id",
            sqlite_where=text("act = 'lead_viewed'"),
            postgresql_where=text("act = 'lead_viewed'"),
        ),
    )


class SealKey(Model):
    """The id of a key that has sealed rows here: without the key they stay shut."""

    __tablename__ = "seal_key"

    id: Mapped[str] = mapped_column(String(4), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(Instant)
