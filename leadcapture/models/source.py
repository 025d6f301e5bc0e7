"""A rule that gives a name to the way in which a request found us."""

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Model


class SourceRule(Model):
    """The name of all requests that fit each of the ``conditions``; the lowest position wins.

    ``conditions`` are lower-case words by field: ``channel``, ``utm_source``, ``utm_medium``,
    ``utm_campaign``, ``referrer``. There is one at least.
    """

    __tablename__ = "source_rule"

    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(22), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    conditions: Mapped[dict[str, str]] = mapped_column(JSON)
    position: Mapped[int]
