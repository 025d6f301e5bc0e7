"""A lead: one person who asked, found again by the address."""

import enum
from datetime import datetime

from sqlalchemy import (
    FetchedValue,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    Text,
    TextClause,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

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
    MERGED = "merged"

    @property
    def is_listed(self) -> bool:
        """True for what staff work with: neither held nor merged into another."""
        return self not in UNLISTED


UNLISTED = (LeadStatus.HELD, LeadStatus.MERGED)


_UNDATED = "waiting_since IS NOT NULL AND first_response_due_at IS NULL"
_UNOWNED = "waiting_since IS NOT NULL AND owner_id IS NULL"


# The folded name stands at the start of the words that a lead is found by.
NAME_ORDER = "substr(search_text, 1, 60)"
DUE_ORDER = "coalesce(first_response_due_at, waiting_since)"


def _partial(name: str, column: str | TextClause, where: str, *more: str) -> Index:
    """An index in which only those stand who are waiting for something."""
    return Index(name, column, *more, sqlite_where=text(where), postgresql_where=text(where))


class Lead(Model):
    """A person who asked. ``ref`` is public and random; ``id`` stays inside.

    ``address_key`` is the address as it identifies a person (case folded); ``cap_hash`` the
    keyed hash of it without its +tag, which caps and suppressions count by. Who gave no address
    has an empty ``email`` and is known by a telephone (``tel:+1305…``) or by nothing
    (``none:`` and a word of its own): no address looks like either.
    ``waiting_since`` is when a person last asked and nobody has answered; None when nobody waits.
    ``first_response_due_at`` is when they should have heard from a person, ``warning_due_at`` when
    the next of the ``warnings`` goes to staff; both None until the clock has been read.
    ``merged_into_id`` names the lead that stands for this one since they turned out to be one
    person: its rows are there then, and this one keeps its address and its reference.
    ``version`` grows with each change that people see; the database counts it (`leads.changes`).
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
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_request_at: Mapped[datetime] = mapped_column(Instant)
    waiting_since: Mapped[datetime | None] = mapped_column(Instant)
    first_response_due_at: Mapped[datetime | None] = mapped_column(Instant)
    warning_due_at: Mapped[datetime | None] = mapped_column(Instant)
    warnings: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    search_text: Mapped[str] = mapped_column(Text)
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("lead.id"))
    version: Mapped[int] = mapped_column(server_default="1", server_onupdate=FetchedValue())

    owner: Mapped[Staff | None] = relationship()

    __table_args__ = (
        Index("ix_lead_status_last_request", "status", "last_request_at", "id"),
        Index("ix_lead_last_request", "last_request_at", "id"),
        Index("ix_lead_owner_last_request", "owner_id", "last_request_at", "id"),
        Index("ix_lead_country_last_request", "country", "last_request_at", "id"),
        Index("ix_lead_created", "created_at", "id"),
        Index("ix_lead_name", text(NAME_ORDER), "id"),
        _partial("ix_lead_waiting_since", "waiting_since", "waiting_since IS NOT NULL", "id"),
        _partial("ix_lead_due", text(DUE_ORDER), "waiting_since IS NOT NULL", "id"),
        _partial("ix_lead_undated", "waiting_since", _UNDATED),
        _partial("ix_lead_warning_due", "warning_due_at", "warning_due_at IS NOT NULL"),
        _partial("ix_lead_unowned", "waiting_since", _UNOWNED),
        _partial("ix_lead_merged_into", "merged_into_id", "merged_into_id IS NOT NULL"),
    )

    @validates("waiting_since")
    def _rewind_clock(self, _name: str, since: datetime | None) -> datetime | None:
        """A wait that ends or begins takes the clock of the one before with it."""
        if since != self.waiting_since:
            self.first_response_due_at = self.warning_due_at = None
            self.warnings = 0
        return since
