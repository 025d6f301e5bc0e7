"""A tag: a word of the clinic's own by which leads are told apart."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Base, Instant, Model

lead_tag = Table(
    "lead_tag",
    Base.metadata,
    Column("lead_id", Integer, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_lead_tag_tag", "tag_id", "lead_id"),
)


class Tag(Model):
    """``name`` as it was typed; ``name_key`` folds case, so that a word is there once.

    ``color`` names a token of the stylesheet. An archived tag stays on its leads and is offered
    no more.
    """

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    name: Mapped[str] = mapped_column(String(40))
    name_key: Mapped[str] = mapped_column(String(120), unique=True)
    color: Mapped[str] = mapped_column(String(16))
    archived_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
