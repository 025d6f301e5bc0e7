"""The roster: who takes new requests, in which languages, when they work and when they are out."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff


class Roster(Model):
    """A staff member's line. Whoever has none takes no new requests by themselves.

    ``shifts`` has seven entries from Monday, each ``["08:00", "12:00"]`` or None, on the clinic's
    clock; None as a whole means the clinic's own hours. ``cover_id`` is who was named to stand
    in while they are out; None means whoever is on duty.
    """

    __tablename__ = "roster"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    takes_requests: Mapped[bool]
    languages: Mapped[list[str]] = mapped_column(JSON)
    shifts: Mapped[list[list[str] | None] | None] = mapped_column(JSON(none_as_null=True))
    out_until: Mapped[datetime | None] = mapped_column(Instant)
    assigned_at: Mapped[datetime | None] = mapped_column(Instant)
    cover_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))

    staff: Mapped[Staff] = relationship(foreign_keys=staff_id)
