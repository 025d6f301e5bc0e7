"""A task: something that a person of the clinic has to decide or do."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.lead import Lead
from leadcapture.models.staff import Staff


class Task(Model):
    """Something to do. ``kind`` names it (``letter_failed``, ``letter_uncertain`` …).

    ``text`` is what a colleague wrote, sealed (bound to ``ref``), with the kind ``todo``.
    ``reminded_at`` is when its owner got mail about it, None before and after a snooze.
    """

    __tablename__ = "task"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    dedupe_key: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("lead.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    due_at: Mapped[datetime] = mapped_column(Instant)
    done_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    text: Mapped[bytes | None] = mapped_column(LargeBinary)
    reminded_at: Mapped[datetime | None] = mapped_column(Instant)

    lead: Mapped[Lead | None] = relationship()
    owner: Mapped[Staff | None] = relationship()

    __table_args__ = (Index("ix_task_done_due", "done_at", "due_at"),)
