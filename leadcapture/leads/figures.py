"""Figures: what became of those who asked in a stretch of days, and how soon they were answered.

They are the sum of each day's tally (`leads.tallies`). Days that are over are kept
(`leads.kept_tallies`), months of them together (`leads.kept_months`), and of the last days the
hours (`leads.kept_hours`). The latest hours, and what something changed a moment ago, is reckoned
anew.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads.clock import Rules
from leadcapture.leads.kept_tallies import read_kept
from leadcapture.leads.responses import Responses
from leadcapture.leads.tallies import STAGES, TooMany, count_days, reckoning_of
from leadcapture.models import Staff

LONGEST = 400
"""Days that one look at the figures may cover."""
MOST = 10_000
"""Requests that are reckoned while somebody waits; more keep a thread for too long."""


class StillCounting(Exception):
    """Too much is to be reckoned at once: ``args`` are the days that are ready, and all of them.

    The scheduler is at it, and has more of them ready in a minute.
    """


@dataclass(frozen=True)
class Period:
    """Days of the clinic, both included; at most `LONGEST`."""

    first: date
    last: date

    @property
    def days(self) -> Sequence[date]:
        count = (self.last - self.first).days + 1
        return [self.first + timedelta(days=number) for number in range(count)]


@dataclass(frozen=True)
class Figures:
    """All figures of a period. ``people`` are by the name of whoever answered."""

    period: Period
    requests: Mapping[date, Mapping[str, int]]
    sources: Sequence[str]
    funnel: Mapping[str, int]
    responses: Responses
    hours: Mapping[int, Responses]
    languages: Mapping[str, Responses]
    people: Mapping[str, Responses]
    letters: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(sum(day.values()) for day in self.requests.values())


def read_figures(
    session: Session, period: Period, rules: Rules, now: datetime, most: int = MOST
) -> Figures:
    """The figures of a period; `StillCounting` where too little of a long one is ready.

    What is not is counted at once, where that is ``most`` requests at most.
    """
    reckoning = reckoning_of(session, rules)
    kept = read_kept(session, period.days, reckoning)
    total = kept.total
    try:
        total.add_parts(count_days(session, kept.left, reckoning, now, most).items())
    except TooMany:
        raise StillCounting(kept.ready, len(period.days)) from None
    total.add_open(reckoning, now)
    sources: Counter[str] = Counter()
    for names in total.days.values():
        sources.update(names)
    return Figures(
        period=period,
        requests={day: Counter(total.days.get(day)) for day in period.days},
        sources=sorted(sources, key=lambda name: (-sources[name], name)),
        funnel=dict(zip(STAGES, total.stages, strict=True)),
        responses=_together(total.hours.values()),
        hours=dict(sorted(total.hours.items())),
        languages=_by_number(total.languages),
        people=_by_number(_named(session, total.people)),
        letters=total.letters,
    )


def _together(parts: Iterable[Responses]) -> Responses:
    whole = Responses()
    for part in parts:
        whole.minutes.update(part.minutes)
        whole.in_time += part.in_time
        whole.late += part.late
        whole.open += part.open
    return whole


def _named(session: Session, people: Mapping[int, Responses]) -> Mapping[str, Responses]:
    rows = session.execute(select(Staff.id, Staff.name, Staff.email).where(Staff.id.in_(people)))
    known = [(row.id, row.name, row.email) for row in rows]
    names = Counter(name for _, name, _ in known)
    return {
        name if names[name] == 1 else f"{name} ({email})": people[staff_id]
        for staff_id, name, email in known
    }


def _by_number(found: Mapping[str, Responses]) -> Mapping[str, Responses]:
    return dict(sorted(found.items(), key=lambda pair: (-pair[1].answered, pair[0])))
