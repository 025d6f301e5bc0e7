"""A consent that a person gave, with the exact version of the words they saw."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff
from leadcapture.models.types import words


class ConsentKind(enum.StrEnum):
    HEALTH = "health"
    FOLLOW_UPS = "follow_ups"


class Consent(Model):
    """One grant: kind, text version and hash, language, page and time; ``withdrawn_at`` ends it.

    ``recorded_by_id`` is who of the clinic heard it, where it was given aloud; ``page`` is then
    the way in (``phone``, ``walk_in`` …).
    """

    __tablename__ = "consent"

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[int] = mapped_column(ForeignKey("lead.id"), index=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), index=True)
    kind: Mapped[ConsentKind] = mapped_column(words(ConsentKind))
    text_version: Mapped[str] = mapped_column(String(16))
    text_sha256: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(5))
    page: Mapped[str] = mapped_column(String(300), default="")
    given_at: Mapped[datetime] = mapped_column(Instant)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Instant)
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))

    recorded_by: Mapped[Staff | None] = relationship()
