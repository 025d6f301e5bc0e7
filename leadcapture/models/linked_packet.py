"""Packets that are never attached to a letter: they are read behind their link alone."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class LinkedPacket(Model):
    """A packet, by its ``topic``, that the clinic does not attach; the others are attached too."""

    __tablename__ = "linked_packet"

    topic: Mapped[str] = mapped_column(String(32), primary_key=True)
    since: Mapped[datetime] = mapped_column(Instant)
