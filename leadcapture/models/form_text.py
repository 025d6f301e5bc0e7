"""The clinic's own words on the public form: every version, and which is in use."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from leadcapture.database import Instant, Model
from leadcapture.models.staff import Staff


class FormText(Model):
    """One immutable version in one language.

    ``parts`` has the texts named in `letters.form_texts.PARTS`; ``sha256`` is theirs.
    """

    __tablename__ = "form_text"
    __table_args__ = (UniqueConstraint("language", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(String(5))
    number: Mapped[int]
    parts: Mapped[dict[str, str]] = mapped_column(JSON)
    sha256: Mapped[str] = mapped_column(String(64))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)

    author: Mapped[Staff | None] = relationship()


class FormTextInUse(Model):
    """The version that visitors read in a language; without a row they read what we ship."""

    __tablename__ = "form_text_in_use"

    language: Mapped[str] = mapped_column(String(5), primary_key=True)
    form_text_id: Mapped[int] = mapped_column(ForeignKey("form_text.id"))
    since: Mapped[datetime] = mapped_column(Instant)

    form_text: Mapped[FormText] = relationship()
