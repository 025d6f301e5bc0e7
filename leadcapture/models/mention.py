"""A mention: a note of a timeline names a colleague, who is to read it."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.timeline import TimelineEntry


class Mention(Model):
    """``opened_at`` is when the colleague opened the lead's page, None until then."""

    __tablename__ = "mention"

    entry_id: Mapped[int] = mapped_column(
        ForeignKey("timeline_entry.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    staff_id: Mapped[int] = mapped_column(
        ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    created_at: Mapped[datetime] = mapped_column(Instant)
    opened_at: Mapped[datetime | None] = mapped_column(Instant)

    entry: Mapped[TimelineEntry] = relationship()

    __table_args__ = (Index("ix_mention_staff_opened", "staff_id", "opened_at"),)
