"""A suppression: an address that must not get mail, kept as a keyed hash only."""

import enum
from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model
from leadcapture.models.types import words


class SuppressionScope(enum.StrEnum):
    FOLLOW_UPS = "follow_ups"
    ALL = "all"


class Suppression(Model):
    """What an address does not get any more, why and since when; it outlives the lead."""

    __tablename__ = "suppression"
    __table_args__ = (UniqueConstraint("cap_hash", "scope"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    cap_hash: Mapped[str] = mapped_column(String(64))
    scope: Mapped[SuppressionScope] = mapped_column(words(SuppressionScope))
    reason: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(Instant)
