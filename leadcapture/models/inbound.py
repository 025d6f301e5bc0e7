"""A mail that came in, and what it was taken for."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model
from leadcapture.models.types import words


class InboundKind(enum.StrEnum):
    """What a mail is; only what is proven and people's own words are acted on."""

    BOUNCE = "bounce"
    DELAY = "delay"
    REPORT = "report"
    COMPLAINT = "complaint"
    ANSWER = "answer"
    NOTICE = "notice"
    STRANGER = "stranger"
    OURS = "ours"
    AUTOMATIC = "automatic"
    UNPROVEN = "unproven"
    UNREADABLE = "unreadable"


class InboundMail(Model):
    """One mail of the mailbox, on record once however often it is fetched.

    ``mail_id_hash`` is the keyed hash of its Message-ID, ``sha256`` that of its bytes as
    fetched. ``content`` is sealed JSON (``sender``, ``subject``, ``text``), bound to ``ref``;
    only a stranger's mail has it: an answer's words stand on the lead's timeline, a notice's on
    its request, and every mail itself stays in a folder of the mailbox. ``task_id`` names the
    task about it. ``fetched_at``: when whoever files it fetched it.
    """

    __tablename__ = "inbound_mail"
    __table_args__ = (UniqueConstraint("mail_id_hash", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    mail_id_hash: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    kind: Mapped[InboundKind] = mapped_column(words(InboundKind))
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("lead.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("task.id"), index=True)
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(Instant)
    fetched_at: Mapped[datetime] = mapped_column(Instant)
