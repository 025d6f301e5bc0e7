"""A request, as it was typed: never changed, save by erasure."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.lead import Lead
from leadcapture.models.types import words


class Screening(enum.StrEnum):
    """What screening decided; a held request waits for staff, it is never dropped."""

    ACCEPTED = "accepted"
    HELD = "held"
    RELEASED = "released"
    DISCARDED = "discarded"


class Request(Model):
    """One filled-in form, or what a colleague or a service took down of a call.

    ``receipt`` is the reference that the person holds (`leads.references`); ``token`` makes it
    idempotent.

    ``answers`` is sealed JSON with ``conditions`` (list of topics) and ``message``. It is
    bound to ``receipt``: open it with ``vault.open("request", "answers", receipt, answers)``.
    ``touch`` holds the first and the last touch (UTM fields, referrer, landing page).
    ``packet_note`` says why no packet was queued, where none was.
    """

    __tablename__ = "request"

    id: Mapped[int] = mapped_column(primary_key=True)
    receipt: Mapped[str] = mapped_column(String(22), unique=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    lead_id: Mapped[int] = mapped_column(ForeignKey("lead.id"), index=True)
    channel: Mapped[str] = mapped_column(String(16))
    full_name: Mapped[str] = mapped_column(String(200))
    email_typed: Mapped[str] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(20))
    phone_typed: Mapped[str] = mapped_column(String(60), default="")
    country: Mapped[str] = mapped_column(String(2), default="")
    contact_by: Mapped[str] = mapped_column(String(16), default="")
    contact_time: Mapped[str] = mapped_column(String(16), default="")
    time_zone: Mapped[str] = mapped_column(String(64), default="")
    language: Mapped[str] = mapped_column(String(5))
    page: Mapped[str] = mapped_column(String(300), default="")
    touch: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    answers: Mapped[bytes] = mapped_column(LargeBinary)
    screening: Mapped[Screening] = mapped_column(words(Screening))
    held_reason: Mapped[str] = mapped_column(String(32), default="")
    packet_note: Mapped[str] = mapped_column(String(32), default="")
    created_at: Mapped[datetime] = mapped_column(Instant)

    lead: Mapped[Lead] = relationship()

    __table_args__ = (
        Index("ix_request_screening_created", "screening", "created_at"),
        Index("ix_request_channel_lead", "channel", "lead_id"),
    )
