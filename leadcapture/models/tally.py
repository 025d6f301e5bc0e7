"""A tally: what the requests of one day of the clinic, or of a part of it, come to, kept."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model


class DayTally(Model):
    """``content`` is what `leads.tallies` made of the day; None until it is reckoned (anew).

    ``rules`` tells by which hours, targets and names of sources. ``fence`` grows each time that
    the day has to be reckoned anew, so that what was read before is not kept.
    """

    __tablename__ = "day_tally"

    day: Mapped[date] = mapped_column(primary_key=True)
    rules: Mapped[str] = mapped_column(String(64), default="")
    fence: Mapped[int] = mapped_column(default=0)
    content: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class HourTally(Model):
    """The same of one hour of a day, by the instant at which it begins; the last days' alone."""

    __tablename__ = "hour_tally"

    begins_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    rules: Mapped[str] = mapped_column(String(64), default="")
    fence: Mapped[int] = mapped_column(default=0)
    content: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Recount(Model):
    """A note that the day of a request of this instant has to be reckoned anew.

    Triggers write it (migration 0015) in the transaction of whatever changes what a day comes
    to, once the day is over. It names nobody, and outlives nothing: who reckons takes it away.
    """

    __tablename__ = "recount"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)


class MonthTally(Model):
    """``content`` is what `leads.tally_sums` made of all days of the month, by its first day.

    ``made_of`` tells which tallies of those days went into it: where one of them has been
    reckoned anew since, it holds no more. So nobody has to clear it.
    """

    __tablename__ = "month_tally"

    month: Mapped[date] = mapped_column(primary_key=True)
    made_of: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
