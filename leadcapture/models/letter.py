"""Every version of every text that we send, kept for ever as it was."""

from datetime import datetime

from sqlalchemy import LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class LetterVersion(Model):
    """One immutable version of a letter or a packet, in one language.

    ``kind`` says what it is for (``packet``, ``packet_letter``, ``follow_up`` …), ``topic``
    which of that kind (a condition for packets, ``day-3`` for follow-ups, empty otherwise).
    ``text`` is Markdown with named placeholders; for packets ``pdf`` holds the typeset
    bytes, made once, so that each copy ever sent is the same.
    """

    __tablename__ = "letter_version"
    __table_args__ = (UniqueConstraint("kind", "topic", "language", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    topic: Mapped[str] = mapped_column(String(32), default="")
    language: Mapped[str] = mapped_column(String(5))
    number: Mapped[int]
    subject: Mapped[str] = mapped_column(String(200), default="")
    text: Mapped[str] = mapped_column(Text)
    pdf: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
