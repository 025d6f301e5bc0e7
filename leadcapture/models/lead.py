"""A lead: one person who asked, found again by the address."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff
from leadcapture.models.types import words


class LeadStatus(enum.StrEnum):
    """Where a lead stands; the moves between them are in `leads.pipeline`."""

    HELD = "held"
    NEW = "new"
    CONTACTED = "contacted"
    BOOKED = "booked"
    PATIENT = "patient"
    CLOSED = "closed"


class Lead(Model):
    """A person who asked. ``ref`` is public and random; ``id`` stays inside.

    ``address_key`` is the address as it identifies a person (case folded); ``cap_hash`` the
    keyed hash of it without its +tag, which caps and suppressions count by.
    ``waiting_since`` is when a person last asked and nobody has answered; None when nobody waits.
    """

    __tablename__ = "lead"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    address_key: Mapped[str] = mapped_column(String(254), unique=True)
    cap_hash: Mapped[str] = mapped_column(String(64), index=True)
    email: Mapped[str] = mapped_column(String(254))
    full_name: Mapped[str] = mapped_column(String(200))
    phone: Mapped[str | None] = mapped_column(String(20), index=True)
    phone_typed: Mapped[str] = mapped_column(String(60), default="")
    country: Mapped[str] = mapped_column(String(2), default="")
    time_zone: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(5))
    contact_by: Mapped[str] = mapped_column(String(16), default="")
    contact_time: Mapped[str] = mapped_column(String(16), default="")
    status: Mapped[LeadStatus] = mapped_column(words(LeadStatus))
    closed_reason: Mapped[str] = mapped_column(String(32), default="")
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_request_at: Mapped[datetime] = mapped_column(Instant)
    waiting_since: Mapped[datetime | None] = mapped_column(Instant)
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    search_text: Mapped[str] = mapped_column(Text)

    owner: Mapped[Staff | None] = relationship()

    __table_args__ = (
        Index("ix_lead_status_last_request", "status", "last_request_at", "id"),
        Index("ix_lead_last_request", "last_request_at", "id"),
        Index("ix_lead_waiting_since", "waiting_since", "id"),
    )
