"""A sender whose mails tell of a call that nobody answered, or of a chat on the site."""

import enum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Model
from leadcapture.models.types import words


class NoticeKind(enum.StrEnum):
    """What such mails tell of."""

    CALL = "call"
    CHAT = "chat"


class NoticeSender(Model):
    """A service that staff trust to tell of people: no other sender's mail is read as theirs.

    ``address`` is its sender in lower case, or ``@`` and a whole domain. ``language`` is the one
    that the people it tells of are answered in.
    """

    __tablename__ = "notice_sender"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    address: Mapped[str] = mapped_column(String(254), unique=True)
    kind: Mapped[NoticeKind] = mapped_column(words(NoticeKind))
    language: Mapped[str] = mapped_column(String(5))
