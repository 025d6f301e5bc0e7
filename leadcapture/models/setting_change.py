"""A change of the settings: who made it, when, and what had been set before."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff


class SettingChange(Model):
    """``before`` and ``after`` hold only what differs, in plain words by field.

    ``area`` is the page of settings, ``subject`` what on it was changed.
    """

    __tablename__ = "setting_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    area: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(100))
    before: Mapped[dict[str, str]] = mapped_column(JSON)
    after: Mapped[dict[str, str]] = mapped_column(JSON)
    actor_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    at: Mapped[datetime] = mapped_column(Instant)

    actor: Mapped[Staff] = relationship()

    __table_args__ = (Index("ix_setting_change_area", "area", "id"),)
