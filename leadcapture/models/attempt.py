"""An attempt: what one try at sending a message came to."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class Attempt(Model):
    """The ledger's row for one outcome: phase, reply code and what followed.

    ``outcome`` is the state that it led to, or ``lost`` for a worker that vanished. The
    relay's words are not kept: they may repeat the address.
    """

    __tablename__ = "attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), index=True)
    fence: Mapped[int]
    phase: Mapped[str] = mapped_column(String(16))
    code: Mapped[int | None]
    enhanced: Mapped[str] = mapped_column(String(12), default="")
    outcome: Mapped[str] = mapped_column(String(24))
    at: Mapped[datetime] = mapped_column(Instant)
