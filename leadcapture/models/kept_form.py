"""A kept form: what somebody had typed when their session ended, until they are back."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class KeptForm(Model):
    """The last form that a staff member sent without a session: one for each person.

    ``sealed`` is JSON with ``path`` and ``fields``, bound to the person's ``fs_uniquifier``.
    """

    __tablename__ = "kept_form"

    staff_id: Mapped[int] = mapped_column(
        ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    kept_at: Mapped[datetime] = mapped_column(Instant)
