"""A bulk act: what a staff member did to several leads at once, and how they stood before."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class BulkAct(Model):
    """``act`` is one of `leadcapture.leads.bulk.Act`; ``facts`` say whereto.

    ``changed`` has, for each lead changed, its id and how it stood; ``refused`` the references of
    the others, each with the reason. No name and no address stands in it, save sealed (bound to
    ``ref``) with an edit and with a view that was let go.
    """

    __tablename__ = "bulk_act"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    actor_id: Mapped[int] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), index=True)
    act: Mapped[str] = mapped_column(String(16))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    refused: Mapped[list[list[str]]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(Instant)
    undone_at: Mapped[datetime | None] = mapped_column(Instant)
