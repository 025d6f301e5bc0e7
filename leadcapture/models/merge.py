"""A merge: two leads turned out to be one person, or were told apart for good."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.lead import Lead
from leadcapture.models.staff import Staff


class Merge(Model):
    """One lead went into another, with all that is needed to take it apart again.

    ``moved`` has the ids of the rows that changed their lead, by table; ``stood`` is sealed JSON
    (bound to ``ref``) with what the merge changed of either lead, and None once it is too late.
    """

    __tablename__ = "merge"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    kept_id: Mapped[int] = mapped_column(ForeignKey("lead.id", ondelete="CASCADE"), index=True)
    merged_id: Mapped[int] = mapped_column(ForeignKey("lead.id", ondelete="CASCADE"), index=True)
    actor_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    moved: Mapped[dict[str, Any]] = mapped_column(JSON)
    stood: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(Instant)
    undone_at: Mapped[datetime | None] = mapped_column(Instant)

    kept: Mapped[Lead] = relationship(foreign_keys=[kept_id])
    merged: Mapped[Lead] = relationship(foreign_keys=[merged_id])
    actor: Mapped[Staff] = relationship()

    __table_args__ = (
        # Only those stand in it of which something is still to be forgotten.
        Index(
            "ix_merge_at",
            "at",
            sqlite_where=text("stood IS NOT NULL"),
            postgresql_where=text("stood IS NOT NULL"),
        ),
    )


class ToldApart(Model):
    """A colleague said that two leads are not the same person; ``lead_id`` is the lower id."""

    __tablename__ = "told_apart"

    lead_id: Mapped[int] = mapped_column(
        ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    other_id: Mapped[int] = mapped_column(
        ForeignKey("lead.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    )
    actor_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    at: Mapped[datetime] = mapped_column(Instant)

    actor: Mapped[Staff] = relationship()
