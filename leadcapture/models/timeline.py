"""An entry of a lead's timeline: what happened, when, by whom."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.lead import Lead
from leadcapture.models.staff import Staff


class TimelineEntry(Model):
    """One thing that happened to a lead. ``kind`` names it; ``facts`` hold its words' values.

    ``note`` is sealed (bound to ``ref``) because staff write of health there.
    """

    __tablename__ = "timeline_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    lead_id: Mapped[int] = mapped_column(ForeignKey("lead.id"))
    request_id: Mapped[int | None] = mapped_column(ForeignKey("request.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    kind: Mapped[str] = mapped_column(String(32))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    note: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(Instant)

    actor: Mapped[Staff | None] = relationship()
    lead: Mapped[Lead] = relationship()

    __table_args__ = (Index("ix_timeline_entry_lead_at", "lead_id", "at", "id"),)
