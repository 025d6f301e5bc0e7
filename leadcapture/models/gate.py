"""A gate: while it is closed, mail behind it waits."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class Gate(Model):
    """``relay`` closes for a while when it is out of reach, ``queue`` until a person opens it,
    ``domain:example.org`` for a while to what goes to that recipient domain.

    A row that stands is closed until ``closed_until``; None means until a person opens it.
    ``reason`` is a word of the reply table.
    """

    __tablename__ = "gate"

    name: Mapped[str] = mapped_column(String(263), primary_key=True)
    closed_until: Mapped[datetime | None] = mapped_column(Instant)
    reason: Mapped[str] = mapped_column(String(64))
    failures: Mapped[int] = mapped_column(default=0)
    since: Mapped[datetime] = mapped_column(Instant)
