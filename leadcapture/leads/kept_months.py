"""Kept months: the kept days of a month added up once, so that a year is read as twelve sums.

A month is kept with a mark of the tallies that went into it. It holds as long as its days make
the same mark: a day that is cleared and reckoned anew needs not know of its month.
"""

import hashlib
import json
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leadcapture.leads.tallies import Content, Reckoning
from leadcapture.leads.tally_fences import holds
from leadcapture.leads.tally_sums import Sum
from leadcapture.models import DayTally, MonthTally

Fences = Mapping[date, int]
"""The kept days that hold, each with the fence under which it was reckoned."""


def kept_months(session: Session, fences: Fences, reckoning: Reckoning) -> Mapping[date, Content]:
    """The months, by their first day, whose days all hold and are as they were when it was kept."""
    marks = [mark for _, mark in _marks(fences, reckoning)]
    if not marks:
        return {}
    kept = select(MonthTally.month, MonthTally.content).where(MonthTally.made_of.in_(marks))
    return {row.month: row.content for row in session.execute(kept)}


def keep_months(session: Session, fences: Fences, reckoning: Reckoning) -> Iterator[date]:
    """Add up the months that are not kept as their days now are, the newest first.

    Each is committed before the next is asked for.
    """
    marks = sorted(_marks(fences, reckoning), reverse=True)
    known = {row.month: row.made_of for row in session.execute(_KNOWN)} if marks else {}
    for month, mark in marks:
        if known.get(month) != mark:
            _keep(session, month, reckoning)
            session.commit()
            yield month


def last_day(month: date) -> date:
    """The last day of the month that begins on this day."""
    return month.replace(day=monthrange(month.year, month.month)[1])


_KNOWN = select(MonthTally.month, MonthTally.made_of)


def _marks(fences: Fences, reckoning: Reckoning) -> Iterator[tuple[date, str]]:
    """The mark of each month of which all days are here."""
    days: defaultdict[date, list[tuple[str, int]]] = defaultdict(list)
    for day in sorted(fences):
        days[day.replace(day=1)].append((day.isoformat(), fences[day]))
    for month, made_of in days.items():
        if len(made_of) == last_day(month).day:
            told = json.dumps([reckoning.mark, made_of])
            yield month, hashlib.sha256(told.encode()).hexdigest()


def _keep(session: Session, month: date, reckoning: Reckoning) -> None:
    rows = session.execute(
        select(DayTally.day, DayTally.fence, DayTally.content).where(
            DayTally.day.between(month, last_day(month)), *holds(DayTally, reckoning)
        )
    ).all()
    # Of what is read here, not of what was known before: a day may have been cleared since.
    mark = dict(_marks({row.day: row.fence for row in rows}, reckoning)).get(month)
    if mark is None:
        return
    total = Sum()
    total.add_parts([(row.day, row.content) for row in rows])
    make = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    kept = make(MonthTally).values(month=month, made_of=mark, content=total.content)
    told = {"made_of": kept.excluded.made_of, "content": kept.excluded.content}
    session.execute(kept.on_conflict_do_update(index_elements=["month"], set_=told))
