"""Figures: what became of those who asked in a stretch of days, and how soon they were answered.

Everything is about the requests of these days; held and discarded ones do not count. A wait begins
with the first request that nobody has answered. As everywhere (`leads.contact`, `leads.pipeline`)
it ends when a person reaches them by telephone, writes to them, meets them or moves them along the
pipeline, never with an automatic letter, and it is counted in opening time.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from leadcapture.leads.clock import Rules
from leadcapture.leads.contact import Meeting
from leadcapture.leads.hours import Hours
from leadcapture.leads.sources import read_rules, source_column
from leadcapture.models import (
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Request,
    Screening,
    Staff,
    TimelineEntry,
)

LONGEST = 400
"""Days that one look at the figures may cover."""
MOST = 50_000
"""Requests that one look may cover: each is read, so that more would keep a thread for seconds."""
STAGES = ("asked", "reached", "booked", "patient")
_COUNTED = (Screening.ACCEPTED, Screening.RELEASED)
_ANSWERS = ("status_changed", *Meeting)
_STAGE_OF_STATUS = {
    LeadStatus.CONTACTED.value: 1,
    LeadStatus.BOOKED.value: 2,
    LeadStatus.PATIENT.value: 3,
}


@dataclass(frozen=True)
class Period:
    """Days of the clinic, both included; at most `LONGEST`."""

    first: date
    last: date

    @property
    def days(self) -> Sequence[date]:
        count = (self.last - self.first).days + 1
        return [self.first + timedelta(days=number) for number in range(count)]

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """From the first instant (aware UTC) to just before the second."""
        begins, ends = (
            datetime.combine(day, time(), zone).astimezone(UTC)
            for day in (self.first, self.last + timedelta(days=1))
        )
        return begins, ends


@dataclass
class Responses:
    """How soon a person answered: whole minutes of opening time of each wait that has ended.

    ``in_time`` were answered within the target. ``late`` were not, or still wait and are past it.
    ``open`` still wait, in time.
    """

    minutes: list[int] = field(default_factory=list)
    in_time: int = 0
    late: int = 0
    open: int = 0

    @property
    def answered(self) -> int:
        return len(self.minutes)

    @property
    def waiting(self) -> int:
        return self.in_time + self.late + self.open - self.answered

    @property
    def median(self) -> int | None:
        return self._rank(50)

    @property
    def p90(self) -> int | None:
        return self._rank(90)

    @property
    def share(self) -> int | None:
        """Percent within the target, of those of whom it is decided."""
        decided = self.in_time + self.late
        return round(100 * self.in_time / decided) if decided else None

    def _rank(self, percent: int) -> int | None:
        """The nearest rank: the least value that so many percent do not exceed."""
        if not self.minutes:
            return None
        ordered = sorted(self.minutes)
        return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]


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


def is_too_much(session: Session, period: Period, zone: ZoneInfo) -> bool:
    """True where more than `MOST` requests fall into the period; counts no further than that."""
    begins, ends = period.bounds(zone)
    found = select(Request.id).where(*_falls_into(begins, ends)).limit(MOST + 1)
    number = session.scalar(select(func.count()).select_from(found.subquery()))
    return (number or 0) > MOST


def read_figures(session: Session, period: Period, rules: Rules, now: datetime) -> Figures:
    """The figures of a period, in three questions whose cost grows with its requests alone."""
    zone = ZoneInfo(rules.hours.zone)
    begins, ends = period.bounds(zone)
    opening = OpeningTime(rules.hours, begins, max(now, begins))
    requests: dict[date, Counter[str]] = {day: Counter() for day in period.days}
    funnel = [0] * len(STAGES)
    all_waits = Responses()
    hours: dict[int, Responses] = {}
    languages: dict[str, Responses] = {}
    people: dict[int, Responses] = {}
    for row in session.execute(_asked(read_rules(session), begins, ends)):
        local = row.created_at.astimezone(zone)
        requests[local.date()][row.source] += 1
        if row.is_first:
            reached = max(row.stage or 0, _STAGE_OF_STATUS.get(row.status, 0))
            for stage in range(reached + 1):
                funnel[stage] += 1
        if row.is_same_wait:
            continue
        kept = [
            all_waits,
            hours.setdefault(local.hour, Responses()),
            languages.setdefault(row.language, Responses()),
        ]
        if row.answered_by is not None:
            kept.append(people.setdefault(row.answered_by, Responses()))
        took = opening.between(row.created_at, row.answered_at or now)
        _count(kept, took, rules.target_of(row.channel), row.answered_at is not None)
    totals: Counter[str] = sum(requests.values(), Counter())
    return Figures(
        period=period,
        requests=requests,
        sources=sorted(totals, key=lambda name: (-totals[name], name)),
        funnel=dict(zip(STAGES, funnel, strict=True)),
        responses=all_waits,
        hours=dict(sorted(hours.items())),
        languages=_by_number(languages),
        people=_by_number(_named(session, people)),
        letters=_letters(session, begins, ends),
    )


class OpeningTime:
    """The clinic's opening time between two instants, reckoned once and looked up often."""

    def __init__(self, hours: Hours, begins: datetime, ends: datetime) -> None:
        zone = ZoneInfo(hours.zone)
        first, last = (moment.astimezone(zone).date() for moment in (begins, ends))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        spans = [
            tuple(datetime.combine(day, at, zone).astimezone(UTC) for at in span)
            for day in days
            if (span := hours.of_day(day)) is not None
        ]
        self._opens = [opens for opens, _ in spans]
        self._lengths = [closes - opens for opens, closes in spans]
        self._before = list(accumulate(self._lengths, initial=timedelta(0)))

    def between(self, begins: datetime, ends: datetime) -> timedelta:
        """How long the clinic was open from the one to the other; calendar time if it never is."""
        if not self._opens:
            return ends - begins
        return self._until(ends) - self._until(begins)

    def _until(self, moment: datetime) -> timedelta:
        number = bisect_right(self._opens, moment)
        if number == 0:
            return timedelta(0)
        inside = min(moment - self._opens[number - 1], self._lengths[number - 1])
        return self._before[number - 1] + inside


def _count(
    kept: Sequence[Responses], took: timedelta, target: timedelta, is_answered: bool
) -> None:
    is_late = took > target
    for responses in kept:
        if is_answered:
            responses.minutes.append(took // timedelta(minutes=1))
        responses.late += is_late
        responses.in_time += is_answered and not is_late
        responses.open += not is_answered and not is_late


def _asked(rules: Sequence[Any], begins: datetime, ends: datetime) -> Any:
    """A row for each request of these days, by the index on (screening, created_at)."""
    answer, entry, earlier = aliased(TimelineEntry), aliased(TimelineEntry), aliased(Request)
    first_answer = (
        select(entry.id)
        .where(entry.lead_id == Request.lead_id, entry.at >= Request.created_at, _ends_wait(entry))
        .order_by(entry.at, entry.id)
        .limit(1)
        .correlate(Request)
        .scalar_subquery()
    )
    between = (
        exists()
        .where(
            entry.lead_id == earlier.lead_id,
            entry.at >= earlier.created_at,
            entry.at < Request.created_at,
            _ends_wait(entry),
        )
        .correlate(earlier, Request)
    )
    before = and_(
        earlier.lead_id == Request.lead_id,
        earlier.id < Request.id,
        earlier.screening.in_(_COUNTED),
    )
    return (
        select(
            Request.created_at,
            Request.channel,
            Request.language,
            source_column(rules).label("source"),
            (~exists().where(before).correlate(Request)).label("is_first"),
            exists().where(before, ~between).correlate(Request).label("is_same_wait"),
            Lead.status,
            _stage().label("stage"),
            answer.at.label("answered_at"),
            answer.actor_id.label("answered_by"),
        )
        .join(Lead, Lead.id == Request.lead_id)
        .outerjoin(answer, answer.id == first_answer)
        .where(*_falls_into(begins, ends))
    )


def _falls_into(begins: datetime, ends: datetime) -> Sequence[ColumnElement[bool]]:
    return (
        Request.screening.in_(_COUNTED),
        Request.created_at >= begins,
        Request.created_at < ends,
    )


def _ends_wait(entry: Any) -> ColumnElement[bool]:
    """True for what a person did that answers whoever waits."""
    reached = and_(entry.kind == "call_logged", entry.facts["outcome"].as_string() == "reached")
    return and_(entry.actor_id.is_not(None), or_(entry.kind.in_(_ANSWERS), reached))


def _stage() -> ColumnElement[int]:
    """How far the lead's timeline says that it ever came, as an index of `STAGES`."""
    entry = aliased(TimelineEntry)
    to = entry.facts["to"].as_string()
    moved = entry.kind == "status_changed"
    called = and_(entry.kind == "call_logged", entry.facts["outcome"].as_string() == "reached")
    reached = or_(called, entry.kind.in_(tuple(Meeting)))
    stages = [(and_(moved, to == word), number) for word, number in _STAGE_OF_STATUS.items()]
    return (
        select(func.max(case(*stages, (reached, 1), else_=0)))
        .where(entry.lead_id == Request.lead_id)
        .correlate(Request)
        .scalar_subquery()
    )


def _letters(session: Session, begins: datetime, ends: datetime) -> Mapping[str, int]:
    """What became of the letters to those who asked in these days, by their state."""
    rows = session.execute(
        select(Message.state, func.count())
        .join(Request, Request.id == Message.request_id)
        .where(
            *_falls_into(begins, ends),
            Message.kind != MessageKind.STAFF_ALERT,
        )
        .group_by(Message.state)
    )
    return {MessageState(state).value: number for state, number in rows}


def _named(session: Session, people: Mapping[int, Responses]) -> Mapping[str, Responses]:
    rows = session.execute(select(Staff.id, Staff.name, Staff.email).where(Staff.id.in_(people)))
    known = [(row.id, row.name, row.email) for row in rows]
    names = Counter(name for _, name, _ in known)
    return {
        name if names[name] == 1 else f"{name} ({email})": people[staff_id]
        for staff_id, name, email in known
    }


def _by_number(found: Mapping[str, Responses]) -> Mapping[str, Responses]:
    return dict(_sorted(found))


def _sorted(found: Mapping[str, Responses]) -> Iterator[tuple[str, Responses]]:
    yield from sorted(found.items(), key=lambda pair: (-pair[1].answered, pair[0]))
