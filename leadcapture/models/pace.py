"""A pace: how much of its allowance the mail to one place has used."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class Pace(Model):
    """A token bucket, kept as the instant ``full_at`` at which it will be full again.

    Each message moves ``full_at`` by the time that one token takes to come back. ``name`` is
    ``relay`` or ``domain:`` and a recipient domain. Until ``slowed_until`` the pace is half;
    after ``started_at`` it begins low and doubles.
    """

    __tablename__ = "pace"

    name: Mapped[str] = mapped_column(String(263), primary_key=True)
    full_at: Mapped[datetime] = mapped_column(Instant, index=True)
    slowed_until: Mapped[datetime | None] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
