"""Kept hours: what the hours of the last days come to, each reckoned once it is over.

Of today, and of a day that something changed a moment ago, only the hours that this concerns are
so reckoned while somebody waits. An hour is a part of the clinic's day, counted from its midnight.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from leadcapture.leads.tallies import Content, Reckoning, Stretch, bounds, count, joined
from leadcapture.leads.tally_fences import OVER_AFTER, clear, holds, keep
from leadcapture.models import HourTally

_HOUR = timedelta(hours=1)
# Where staff are busy, something changes the last days all the time.
_DAYS = 7
_AT_ONCE = 24


def kept_hours(
    session: Session, days: Sequence[date], changed: Collection[datetime], reckoning: Reckoning
) -> Mapping[datetime, Content]:
    """The hours of these days (in rising order) that hold, by when they begin, without those into
    which a changed instant falls.
    """
    if not days:
        return {}
    # Of no more days there are any.
    stretches = joined([bounds(day, day, reckoning.zone) for day in days[-_DAYS:]])
    falls = [
        and_(HourTally.begins_at >= begins, HourTally.begins_at < ends)
        for begins, ends in stretches
    ]
    kept = select(HourTally.begins_at, HourTally.content).where(
        or_(*falls), *holds(HourTally, reckoning)
    )
    rows = session.execute(kept).all()
    first, _ = stretches[0]
    stale = {hour_of(at, reckoning.zone) for at in changed if at >= first}
    return {row.begins_at: row.content for row in rows if row.begins_at not in stale}


def left_over(
    days: Sequence[date], hours: Collection[datetime], zone: ZoneInfo
) -> Sequence[Stretch]:
    """The stretches of these days, in rising order, without these hours of theirs."""
    left: list[Stretch] = []
    for day in days:
        begins, ends = bounds(day, day, zone)
        has_some = any(begins <= hour < ends for hour in hours)
        parts = _hours_of(day, zone) if has_some else [(begins, ends)]
        left += (part for part in parts if part[0] not in hours)
    return joined(left)


def hour_of(at: datetime, zone: ZoneInfo) -> datetime:
    """When the hour begins into which this instant falls."""
    day = at.astimezone(zone).date()
    midnight, _ = bounds(day, day, zone)
    return midnight + (at - midnight) // _HOUR * _HOUR


def keep_hours(session: Session, reckoning: Reckoning, now: datetime) -> Iterator[datetime]:
    """Reckon the hours of the last days that are over and not kept, the newest first.

    Each few are committed before the next are asked for. What is older than that is taken away.
    """
    zone, over_at = reckoning.zone, now - OVER_AFTER
    today = over_at.astimezone(zone).date()
    days = [today - timedelta(days=number) for number in range(_DAYS)]
    first, _ = bounds(days[-1], days[-1], zone)
    session.execute(delete(HourTally).where(HourTally.begins_at < first))
    session.commit()
    known = set(session.scalars(select(HourTally.begins_at).where(*holds(HourTally, reckoning))))
    hours = [hour for day in days for hour in reversed(_hours_of(day, zone))]
    missing = [hour for hour in hours if hour[1] <= over_at and hour[0] not in known]
    for at in range(0, len(missing), _AT_ONCE):
        stretches = missing[at : at + _AT_ONCE][::-1]
        parts = [begins for begins, _ in stretches]
        reckon = partial(
            count, session, joined(stretches), partial(hour_of, zone=zone), reckoning, now
        )
        keep(session, HourTally, parts, reckon, reckoning)
        yield parts[-1]


def clear_hours(session: Session, changed: Collection[datetime], zone: ZoneInfo) -> None:
    """Have the hours of these instants reckoned anew."""
    # Looked up after the instants: an hour that is not here yet is reckoned with what they tell.
    known = set(session.scalars(select(HourTally.begins_at)))
    if known:
        since = min(known)
        clear(session, HourTally, known & {hour_of(at, zone) for at in changed if at >= since})


def _hours_of(day: date, zone: ZoneInfo) -> Sequence[Stretch]:
    begins, ends = bounds(day, day, zone)
    # Where clocks are put on or back by half an hour, the last one is shorter.
    number = -((begins - ends) // _HOUR)
    starts = [begins + hour * _HOUR for hour in range(number)]
    return list(zip(starts, [*starts[1:], ends], strict=True))
