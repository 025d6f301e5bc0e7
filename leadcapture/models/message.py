"""A message: one letter to one address, queued in the transaction of its cause."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.lead import Lead
from leadcapture.models.types import words


class MessageState(enum.StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    HELD = "held"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    BOUNCED = "bounced"

    @property
    def is_final(self) -> bool:
        """True where nothing more happens, save sent → bounced."""
        return self not in OPEN_STATES

    @property
    def is_stoppable(self) -> bool:
        """True before the intent: what is in these states can still be cancelled."""
        return self in (MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)


OPEN_STATES = (
    MessageState.QUEUED,
    MessageState.CLAIMED,
    MessageState.SENDING,
    MessageState.UNCERTAIN,
    MessageState.HELD,
)


class MessageKind(enum.StrEnum):
    """What a message is for; whether doubt is resent hangs on it."""

    PACKET = "packet"
    PACKET_LINK = "packet_link"
    FOLLOW_UP = "follow_up"
    STAFF_ALERT = "staff_alert"

    @property
    def is_resent_after_doubt(self) -> bool:
        """At least once for what a person waits for; at most once for the rest."""
        return self is not MessageKind.FOLLOW_UP

    @property
    def priority(self) -> int:
        """0 for what a person waits for, 1 for the rest: a packet overtakes 10,000 reminders."""
        return 1 if self is MessageKind.FOLLOW_UP else 0

    @property
    def is_commercial(self) -> bool:
        """Follow-ups need consent, keep quiet hours and carry an unsubscribe."""
        return self is MessageKind.FOLLOW_UP


class Message(Model):
    """One row of the outbox.

    ``domain`` is the recipient's, in lower case, behind an ``@`` where it is a letter to staff
    (`queue.lane_of`); None on rows of the release before.
    ``fence`` grows with every claim: an outcome that names an older fence is refused.
    ``payload`` is sealed JSON (bound to ``ref``): ``letter``, ``packets`` and ``linked`` (ids of
    the pinned letter versions), ``values`` (placeholders) and, once a copy was at the dot and
    none was taken for sure, ``first_copy`` (what is the letter's own in it). Sealed, because
    which packet a person gets tells of their health. ``mail_id`` and ``mail_date`` are the
    headers that all copies carry; ``sha256`` is set by the first intent and must not change.
    """

    __tablename__ = "message"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    kind: Mapped[str] = mapped_column(String(24))
    step: Mapped[str] = mapped_column(String(24), default="")
    dedupe_key: Mapped[str] = mapped_column(String(120), unique=True)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("lead.id"), index=True)
    request_id: Mapped[int | None] = mapped_column(ForeignKey("request.id"), index=True)
    recipient: Mapped[str] = mapped_column(String(254))
    domain: Mapped[str | None] = mapped_column(String(253))
    cap_hash: Mapped[str] = mapped_column(String(64), default="")
    language: Mapped[str] = mapped_column(String(5))
    time_zone: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(SmallInteger)
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[MessageState] = mapped_column(words(MessageState))
    reason: Mapped[str] = mapped_column(String(200), default="")
    due_at: Mapped[datetime] = mapped_column(Instant)
    not_after: Mapped[datetime | None] = mapped_column(Instant)
    fence: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    doubts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(Instant)
    mail_id: Mapped[str] = mapped_column(String(120))
    mail_date: Mapped[datetime | None] = mapped_column(Instant)
    sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    state_at: Mapped[datetime] = mapped_column(Instant)
    sent_at: Mapped[datetime | None] = mapped_column(Instant)

    lead: Mapped[Lead | None] = relationship()

    __table_args__ = (
        # Covers a claim, which passes over 10,000 letters of a closed domain without their rows.
        Index("ix_message_lane", "state", "priority", "due_at", "id", "domain", "attempts"),
        # Most messages wait or are done: they hold no lease.
        Index(
            "ix_message_lease",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index("ix_message_cap_created", "cap_hash", "created_at"),
    )
