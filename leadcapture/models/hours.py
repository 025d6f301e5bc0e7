"""The clinic's hours: when the first-response clock runs, and how long it may run."""

from datetime import datetime

from sqlalchemy import JSON, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model

ONLY = 1


class ClinicHours(Model):
    """The only row; without it the defaults of `leads.clock` hold.

    ``weekly`` has seven entries from Monday, each ``["08:00", "17:00"]`` or None for closed;
    ``exceptions`` the same by ISO date; ``holidays`` the holidays that staff switched, by their
    Spanish name: True where the clinic is closed. Lengths are minutes of opening time.
    """

    __tablename__ = "clinic_hours"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    weekly: Mapped[list[list[str] | None]] = mapped_column(JSON)
    exceptions: Mapped[dict[str, list[str] | None]] = mapped_column(JSON)
    holidays: Mapped[dict[str, bool]] = mapped_column(JSON)
    target_minutes: Mapped[int]
    channel_minutes: Mapped[dict[str, int]] = mapped_column(JSON)
    warn_minutes: Mapped[int]
    next_minutes: Mapped[int]
    changed_at: Mapped[datetime] = mapped_column(Instant)
