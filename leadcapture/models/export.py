"""An export: which leads somebody asked for as a file, how far it is, and its sealed parts."""

import enum
from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff
from leadcapture.models.types import words


class ExportState(enum.StrEnum):
    """``asked`` waits for a second person, ``queued`` for the scheduler; ``gone`` is deleted."""

    ASKED = "asked"
    QUEUED = "queued"
    READY = "ready"
    TAKEN = "taken"
    CANCELLED = "cancelled"
    GONE = "gone"

    @property
    def is_at_work(self) -> bool:
        """True where there is still something to wait for, or to cancel."""
        return self in (ExportState.ASKED, ExportState.QUEUED)


class Export(Model):
    """One export; the row stays when its content is gone, because it says who took what.

    ``wanted`` is the sealed filter (bound to ``ref``): what was searched for may be a name.
    ``columns`` are names of `leads.exporting.COLUMNS`. ``written`` of ``total`` leads (None until
    they are counted) stand in the parts; ``place`` is the key of the list from which the next
    part goes on. ``ready_at`` is when the last part was written, ``gone_at`` when the content
    was or will be deleted.
    """

    __tablename__ = "export"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    actor_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    approver_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    wanted: Mapped[bytes] = mapped_column(LargeBinary)
    columns: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[ExportState] = mapped_column(words(ExportState))
    total: Mapped[int | None]
    written: Mapped[int] = mapped_column(default=0)
    place: Mapped[str] = mapped_column(String(120), default="")
    created_at: Mapped[datetime] = mapped_column(Instant)
    ready_at: Mapped[datetime | None] = mapped_column(Instant)
    gone_at: Mapped[datetime | None] = mapped_column(Instant)

    actor: Mapped[Staff] = relationship(foreign_keys=[actor_id])
    approver: Mapped[Staff | None] = relationship(foreign_keys=[approver_id])

    __table_args__ = (Index("ix_export_state", "state", "created_at"),)


class ExportPart(Model):
    """Some lines of an export, sealed (bound to the export's ``ref`` and the part's number)."""

    __tablename__ = "export_part"

    export_id: Mapped[int] = mapped_column(
        ForeignKey("export.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
