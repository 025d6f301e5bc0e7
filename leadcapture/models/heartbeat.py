"""A heartbeat: when each job of the timetable last committed."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class Heartbeat(Model):
    """``ok`` is False where the job raised; ``error`` is the exception's class, never its words."""

    __tablename__ = "heartbeat"

    job: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    ok: Mapped[bool]
    error: Mapped[str] = mapped_column(String(80), default="")
