"""Kept tallies: days and hours that are over are reckoned once, and anew when something changed
them.

Triggers (migration 0015) note the instant of each request whose day comes to something else now,
in the transaction of what happened. Who reads passes over the days and hours of such notes; who
keeps clears them, takes the notes away, and reckons the days and hours anew.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from leadcapture.leads.among import among
from leadcapture.leads.clock import read_rules
from leadcapture.leads.kept_hours import clear_hours, keep_hours, kept_hours, left_over
from leadcapture.leads.kept_months import keep_months, kept_months, last_day
from leadcapture.leads.tallies import (
    Reckoning,
    Stretch,
    bounds,
    count_days,
    joined,
    reckoning_of,
)
from leadcapture.leads.tally_fences import OVER_AFTER, clear, holds, keep
from leadcapture.leads.tally_sums import Sum
from leadcapture.models import DayTally, Recount, Request, Screening

# So many notes a reader looks through.
NOTES = 5_000
_NOTES_AT_ONCE = 10_000
_DAYS_AT_ONCE = 5
# Days of the shortest month, less one.
_A_MONTH = 27
# The scheduler has other duties in the same job.
_TURN_SECONDS = 2.0


@dataclass(frozen=True)
class Kept:
    """What is known of some days, how many of them are known whole, and what is left to reckon."""

    total: Sum
    ready: int
    left: Sequence[Stretch]


def read_kept(session: Session, days: Sequence[date], reckoning: Reckoning) -> Kept:
    """What of these days, in rising order, is reckoned and still holds: by the month or by the
    hour where it is kept so.
    """
    changed = _changed(session)
    if changed is None:
        return Kept(Sum(), 0, left_over(days, (), reckoning.zone))
    total = _whole_days(session, days[0], days[-1], changed, reckoning)
    ready = len(total.days)
    missing = [day for day in days if day not in total.days]
    hours = kept_hours(session, missing, changed, reckoning)
    total.add_parts([(hour.astimezone(reckoning.zone).date(), hours[hour]) for hour in hours])
    return Kept(total, ready, left_over(missing, hours, reckoning.zone))


class TallyKeeper:
    """A duty of the scheduler: reckons what is missing, the newest day first.

    Safe in several processes: a day is kept only where nobody has cleared it since it was read.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone

    def keep_tallies(self, session: Session, now: datetime) -> None:
        """Reckon for two seconds at most; commits every few days."""
        ends_at = time.monotonic() + _TURN_SECONDS
        reckoning = reckoning_of(session, read_rules(session, self._zone))
        while clear_changed(session, reckoning.zone) and time.monotonic() < ends_at:
            session.commit()
        session.commit()
        for _ in keep_hours(session, reckoning, now):
            if time.monotonic() >= ends_at:
                return
        fences = _good_days(session, reckoning)
        missing = _missing(session, fences, reckoning, now)
        for days in missing:
            stretches = joined([bounds(day, day, reckoning.zone) for day in days])
            reckon = partial(count_days, session, stretches, reckoning, now)
            keep(session, DayTally, days, reckon, reckoning)
            if time.monotonic() >= ends_at:
                return
        if missing:
            fences = _good_days(session, reckoning)
        for _ in keep_months(session, fences, reckoning):
            if time.monotonic() >= ends_at:
                return


def clear_changed(session: Session, zone: ZoneInfo) -> bool:
    """Clear the days and hours that the oldest notes name, and take these away; False for none."""
    notes = session.execute(
        select(Recount.id, Recount.at).order_by(Recount.id).limit(_NOTES_AT_ONCE)
    ).all()
    if not notes:
        return False
    changed = [note.at for note in notes]
    clear(session, DayTally, {at.astimezone(zone).date() for at in changed})
    clear_hours(session, changed, zone)
    session.execute(delete(Recount).where(among(session, Recount.id, [note.id for note in notes])))
    return True


def _changed(session: Session) -> Sequence[datetime] | None:
    """The instants that notes name; None where there are too many notes to look through."""
    notes = session.scalars(select(Recount.at).limit(NOTES + 1)).all()
    return None if len(notes) > NOTES else notes


def _whole_days(
    session: Session,
    first: date,
    last: date,
    changed: Sequence[datetime],
    reckoning: Reckoning,
) -> Sum:
    total, stale = Sum(), {at.astimezone(reckoning.zone).date() for at in changed}
    wanted = select(DayTally.day, DayTally.content).where(
        DayTally.day.between(first, last), *holds(DayTally, reckoning)
    )
    if (last - first).days >= _A_MONTH:
        fences = _good_days(session, reckoning, first, last)
        for day in stale:
            fences.pop(day, None)
        months = kept_months(session, fences, reckoning)
        total.add_months(months.values())
        wanted = wanted.where(*(~DayTally.day.between(month, last_day(month)) for month in months))
    kept = session.execute(wanted)
    total.add_parts([(day, content) for day, content in kept if content and day not in stale])
    return total


def _good_days(
    session: Session, reckoning: Reckoning, first: date = date.min, last: date = date.max
) -> dict[date, int]:
    """The days that are kept by these rules, each with its fence."""
    rows = session.execute(
        select(DayTally.day, DayTally.fence).where(
            DayTally.day.between(first, last), *holds(DayTally, reckoning)
        )
    )
    return {row.day: row.fence for row in rows}


def _missing(
    session: Session, known: Collection[date], reckoning: Reckoning, now: datetime
) -> Sequence[Sequence[date]]:
    """The days to reckon, a few at a time, each part in rising order."""
    counted = Request.screening.in_((Screening.ACCEPTED, Screening.RELEASED))
    begins = session.scalar(select(func.min(Request.created_at)).where(counted))
    if begins is None:
        return ()
    first = begins.astimezone(reckoning.zone).date()
    last = (now - OVER_AFTER).astimezone(reckoning.zone).date() - timedelta(days=1)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    missing = [day for day in reversed(days) if day not in known]
    return [
        sorted(missing[begin : begin + _DAYS_AT_ONCE])
        for begin in range(0, len(missing), _DAYS_AT_ONCE)
    ]
