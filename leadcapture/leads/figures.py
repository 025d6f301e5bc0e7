"""Figures: what became of those who asked in a stretch of days, and how soon they were answered.

They are the sum of each day's tally (`leads.tallies`). Days that are over are kept
(`leads.kept_tallies`); today, and a day that something changed a moment ago, is reckoned anew.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads.clock import Rules
from leadcapture.leads.kept_tallies import kept_tallies
from leadcapture.leads.opening_time import OpeningTime
from leadcapture.leads.responses import Responses
from leadcapture.leads.tallies import (
    STAGES,
    Content,
    Reckoning,
    TooMany,
    count_days,
    reckoning_of,
)
from leadcapture.models import Staff

LONGEST = 400
"""Days that one look at the figures may cover."""
MOST = 10_000
"""Requests that are reckoned while somebody waits; more keep a thread for too long."""

Name = TypeVar("Name", bound=Hashable)


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


def read_figures(session: Session, period: Period, rules: Rules, now: datetime) -> Figures:
    """The figures of a period; `StillCounting` where too little of a long one is ready."""
    reckoning = reckoning_of(session, rules)
    days = dict(kept_tallies(session, period.first, period.last, reckoning))
    missing = [day for day in period.days if day not in days]
    try:
        days |= count_days(session, missing, reckoning, now, MOST)
    except TooMany:
        raise StillCounting(len(days), len(period.days)) from None
    total = _Sum()
    for content in days.values():
        total.add(content)
    total.add_open(reckoning, now)
    sources = total.sources
    return Figures(
        period=period,
        requests={day: Counter(days[day]["sources"]) for day in period.days},
        sources=sorted(sources, key=lambda name: (-sources[name], name)),
        funnel=dict(zip(STAGES, total.stages, strict=True)),
        responses=_together(total.hours.values()),
        hours=dict(sorted(total.hours.items())),
        languages=_by_number(total.languages),
        people=_by_number(_named(session, total.people)),
        letters=total.letters,
    )


@dataclass
class _Sum:
    """The tallies of many days, added up."""

    sources: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    stages: list[int] = field(default_factory=lambda: [0] * len(STAGES))
    hours: dict[int, Responses] = field(default_factory=dict)
    languages: dict[str, Responses] = field(default_factory=dict)
    people: dict[int, Responses] = field(default_factory=dict)
    open: list[Sequence[Any]] = field(default_factory=list)

    def add(self, content: Content) -> None:
        """One day more."""
        self.sources.update(content["sources"])
        self.letters.update(content["letters"])
        self.stages = [one + more for one, more in zip(self.stages, content["stages"], strict=True)]
        for hour, waits in content["hours"].items():
            _add(self.hours, int(hour), waits)
        for language, waits in content["languages"].items():
            _add(self.languages, language, waits)
        for person, waits in content["people"].items():
            _add(self.people, int(person), waits)
        self.open += content["open"]

    def add_open(self, reckoning: Reckoning, now: datetime) -> None:
        """The waits that ran when their day was reckoned: by now some of them may be late."""
        running = [(datetime.fromisoformat(row[0]), *row[1:]) for row in self.open]
        if not running:
            return
        opening = OpeningTime(reckoning.rules.hours, min(row[0] for row in running), now)
        for asked_at, hour, language, channel in running:
            is_late = opening.between(asked_at, now) > reckoning.rules.target_of(channel)
            for responses in (
                self.hours.setdefault(hour, Responses()),
                self.languages.setdefault(language, Responses()),
            ):
                responses.late += is_late
                responses.open += not is_late


def _add(kept: dict[Name, Responses], name: Name, waits: Sequence[Any]) -> None:
    responses = kept.get(name)
    if responses is None:
        responses = kept[name] = Responses()
    minutes, in_time, late = waits
    responses.minutes.update(minutes)
    responses.in_time += in_time
    responses.late += late


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
