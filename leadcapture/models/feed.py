"""A calendar feed: the link by which a staff member's calendar reads what falls due."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff


class CalendarFeed(Model):
    """One link for each person. Only the SHA-256 of its token is kept; without a row it is dead."""

    __tablename__ = "calendar_feed"

    staff_id: Mapped[int] = mapped_column(
        ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(Instant)

    staff: Mapped[Staff] = relationship()
