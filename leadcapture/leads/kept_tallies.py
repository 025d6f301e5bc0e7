"""Kept tallies: days that are over are reckoned once, and anew when something changed them.

Triggers (migration 0015) note the instant of each request whose day comes to something else now,
in the transaction of what happened. Who reads passes over the days of such notes; who keeps
clears them, takes the notes away, and reckons the days anew.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, null, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leadcapture.database import reading
from leadcapture.leads.among import among
from leadcapture.leads.clock import read_rules
from leadcapture.leads.kept_months import holds, keep_months, kept_months, last_day
from leadcapture.leads.tallies import Content, Reckoning, count_days, reckoning_of
from leadcapture.leads.tally_sums import Sum
from leadcapture.models import DayTally, Recount, Request, Screening

# The triggers pass over what happens to a letter within an hour of its request.
OVER_AFTER = timedelta(hours=2)
# So many notes a reader looks through.
NOTES = 5_000
_NOTES_AT_ONCE = 10_000
_DAYS_AT_ONCE = 5
# Days of the shortest month, less one.
_A_MONTH = 27
# The scheduler has other duties in the same job.
_TURN_SECONDS = 2.0


def kept_sum(session: Session, first: date, last: date, reckoning: Reckoning) -> Sum:
    """The days of this stretch that are reckoned and still hold, by the month where it is kept."""
    total = Sum()
    changed = _changed_days(session, reckoning.zone)
    if changed is None:
        return total
    wanted = select(DayTally.day, DayTally.content).where(
        DayTally.day.between(first, last), *holds(reckoning)
    )
    if (last - first).days >= _A_MONTH:
        fences = _good_days(session, reckoning, first, last)
        for day in changed:
            fences.pop(day, None)
        for month, content in kept_months(session, fences, reckoning).items():
            total.add_month(content)
            wanted = wanted.where(~DayTally.day.between(month, last_day(month)))
    for day, content in session.execute(wanted):
        if content and day not in changed:
            total.add_day(day, content)
    return total


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
        fences = _good_days(session, reckoning)
        missing = _missing(session, fences, reckoning, now)
        for days in missing:
            _keep(session, days, reckoning, now)
            if time.monotonic() >= ends_at:
                return
        if missing:
            fences = _good_days(session, reckoning)
        for _ in keep_months(session, fences, reckoning):
            if time.monotonic() >= ends_at:
                return


def clear_changed(session: Session, zone: ZoneInfo) -> bool:
    """Clear the days that the oldest notes name, and take the notes away; False for none."""
    notes = session.execute(
        select(Recount.id, Recount.at).order_by(Recount.id).limit(_NOTES_AT_ONCE)
    ).all()
    if not notes:
        return False
    # In order, so that two processes do not wait for one another.
    for day in sorted({note.at.astimezone(zone).date() for note in notes}):
        session.execute(
            update(DayTally)
            .where(DayTally.day == day)
            .values(content=null(), fence=DayTally.fence + 1)
        )
    session.execute(delete(Recount).where(among(session, Recount.id, [note.id for note in notes])))
    return True


def _changed_days(session: Session, zone: ZoneInfo) -> set[date] | None:
    """The days that notes name; None where there are too many notes to look through."""
    notes = session.scalars(select(Recount.at).limit(NOTES + 1)).all()
    return None if len(notes) > NOTES else {at.astimezone(zone).date() for at in notes}


def _good_days(
    session: Session, reckoning: Reckoning, first: date = date.min, last: date = date.max
) -> dict[date, int]:
    """The days that are kept by these rules, each with its fence."""
    rows = session.execute(
        select(DayTally.day, DayTally.fence).where(
            DayTally.day.between(first, last), *holds(reckoning)
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


def _keep(session: Session, days: Sequence[date], reckoning: Reckoning, now: datetime) -> None:
    fences = _fences(session, days)
    session.commit()
    with reading():
        # No lock is held while we read: whoever writes need not wait for us.
        made = count_days(session, days, reckoning, now)
        session.rollback()
    _store(session, made, fences, reckoning)
    session.commit()


def _store(
    session: Session,
    made: Mapping[date, Content],
    fences: Mapping[date, int],
    reckoning: Reckoning,
) -> None:
    for day, content in made.items():
        session.execute(
            update(DayTally)
            .where(DayTally.day == day, DayTally.fence == fences[day])
            .values(rules=reckoning.mark, content=content)
        )


def _fences(session: Session, days: Sequence[date]) -> Mapping[date, int]:
    """The fence of each day, with a row made for each that has none."""

    def known() -> dict[date, int]:
        rows = session.execute(select(DayTally.day, DayTally.fence).where(DayTally.day.in_(days)))
        return {row.day: row.fence for row in rows}

    fences = known()
    new: list[dict[str, Any]] = [
        {"day": day, "rules": "", "fence": 0} for day in days if day not in fences
    ]
    if not new:
        return fences
    make = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    # Another process may make the same row at the same moment.
    session.execute(make(DayTally).on_conflict_do_nothing(), new)
    return known()
