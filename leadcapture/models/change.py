"""A change: a note that something on somebody's page is new, for pages that are open."""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Model


class Change(Model):
    """One line of the feed. Triggers write it in the transaction of what happened.

    ``lead_id`` is None where no lead's page shows it. It is no foreign key: a line outlives its
    lead for some minutes, and says nothing of anyone. Only the newest lines are kept.
    """

    __tablename__ = "change"

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[int | None] = mapped_column()

    __table_args__ = (Index("ix_change_lead", "lead_id", "id"),)
