"""Tallies: what the requests of a day, or of a part of it, come to, reckoned from the rows.

Held and discarded requests do not count. A wait begins with the first request that nobody has
answered. As everywhere (`leads.contact`, `leads.pipeline`) it ends when a person reaches them by
telephone, writes to them, meets them or moves them along the pipeline, never with an automatic
letter, and it is counted in opening time. One that ends because the lead is closed, or moved
among many at once, was not answered: it counts for no answer and against nobody. What was taken
back since never was.
"""

import hashlib
import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from leadcapture.leads import lengths
from leadcapture.leads.among import among
from leadcapture.leads.clock import Rules
from leadcapture.leads.contact import CallOutcome, Meeting
from leadcapture.leads.opening_time import OpeningTime
from leadcapture.leads.sources import read_rules, source_column
from leadcapture.models import (
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Request,
    Screening,
    SourceRule,
    TimelineEntry,
)

STAGES = ("asked", "reached", "booked", "patient")
Stretch = tuple[datetime, datetime]
"""From the first instant (aware UTC) to just before the second."""
Part = TypeVar("Part", bound=Hashable)
Content = dict[str, Any]
"""The tally of a day or of an hour, as it is kept (JSON).

``sources`` and ``letters`` count by word, ``stages`` those who asked for the first time, by the
stage that they came to at least. ``hours`` (of asking, on the clinic's clock), ``languages`` and
``people`` (ids of staff) are each ``[minutes of each wait that ended, in time, late]``, the first
packed (`leads.lengths`). ``open`` lists the waits that run and are in time so far: ``[asked at,
hour, language, channel]``.
"""

# Part of the mark of what is kept: grows when a day is to be reckoned in another way.
_EDITION = 3
_COUNTED = (Screening.ACCEPTED, Screening.RELEASED)
_AHEAD = (MessageState.QUEUED, MessageState.CLAIMED, MessageState.SENDING)
_KINDS = ("status_changed", "call_logged", *Meeting, "act_undone")
_NOBODY = 0
_STAGE_OF_STATUS: Mapping[str, int] = {
    LeadStatus.CONTACTED: 1,
    LeadStatus.BOOKED: 2,
    LeadStatus.PATIENT: 3,
}
_AT_ONCE = 5_000
_MINUTE = timedelta(minutes=1)


class TooMany(Exception):
    """More requests fall into the days than are read at once."""


@dataclass(frozen=True)
class Reckoning:
    """What a tally goes by: hours and targets, and the names of sources."""

    rules: Rules
    sources: Sequence[SourceRule]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.rules.hours.zone)

    @property
    def mark(self) -> str:
        """The same for two that make the same of the same rows (64 hex digits)."""
        hours = self.rules.hours
        told = [
            _EDITION,
            *(hours.zone, hours.week, sorted(hours.exceptions.items()), sorted(hours.closed_on)),
            *(self.rules.target, sorted(self.rules.targets.items())),
            *((rule.name, sorted(rule.conditions.items())) for rule in self.sources),
        ]
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def reckoning_of(session: Session, rules: Rules) -> Reckoning:
    """By these rules of the clock, with the names of sources as they stand."""
    return Reckoning(rules, read_rules(session))


def bounds(first: date, last: date, zone: ZoneInfo) -> Stretch:
    """The stretch of these days, both included."""
    begins, ends = (
        datetime.combine(day, time(), zone).astimezone(UTC)
        for day in (first, last + timedelta(days=1))
    )
    return begins, ends


def count_days(
    session: Session,
    stretches: Sequence[Stretch],
    reckoning: Reckoning,
    now: datetime,
    most: int | None = None,
) -> Mapping[date, Content]:
    """The tally of each day of the clinic of the requests of these stretches.

    `TooMany` where they are more than ``most``.
    """
    zone = reckoning.zone
    return count(session, stretches, lambda at: at.astimezone(zone).date(), reckoning, now, most)


def count(
    session: Session,
    stretches: Sequence[Stretch],
    part_of: Callable[[datetime], Part],
    reckoning: Reckoning,
    now: datetime,
    most: int | None = None,
) -> Mapping[Part, Content]:
    """The tally of each part into which requests of these stretches fall; in four questions."""
    asked = _asked(session, stretches, reckoning, most) if stretches else []
    counts: defaultdict[Part, _Count] = defaultdict(_Count)
    if asked:
        zone = reckoning.zone
        opening = OpeningTime(reckoning.rules.hours, asked[0].created_at, now)
        leads = _leads_of(session, asked)
        count_of: dict[int, _Count] = {}
        for row in asked:
            counted = count_of[row.id] = counts[part_of(row.created_at)]
            hour = row.created_at.astimezone(zone).hour
            counted.add(row, leads[row.lead_id], hour, opening, reckoning, now)
        for request_id, state, number in _letters(session, list(count_of)):
            count_of[request_id].letters[state] += number
    return {part: counted.content for part, counted in counts.items()}


def nothing() -> Content:
    """The tally of a part in which nobody asked."""
    return _Count().content


def joined(stretches: Sequence[Stretch]) -> Sequence[Stretch]:
    """The same, in rising order as they are, with those that follow one another as one."""
    long: list[Stretch] = []
    for begins, ends in stretches:
        if long and long[-1][1] == begins:
            begins, _ = long.pop()
        long.append((begins, ends))
    return long


@dataclass
class _Life:
    """What a day asks of one lead: its requests, who answered when, how far it has come.

    ``answered_by`` is `_NOBODY` where a wait ended without an answer.
    """

    requests: list[tuple[int, datetime]] = field(default_factory=list)
    answered_at: list[datetime] = field(default_factory=list)
    answered_by: list[int] = field(default_factory=list)
    stages: list[tuple[datetime, int]] = field(default_factory=list)

    @property
    def stage(self) -> int:
        return max((stage for _, stage in self.stages), default=0)

    def take_back(self, at: datetime) -> None:
        """Forget what an act of this instant said, since it was undone."""
        kept = [n for n, answered in enumerate(self.answered_at) if answered != at]
        self.answered_by = [self.answered_by[n] for n in kept]
        self.answered_at = [self.answered_at[n] for n in kept]
        self.stages = [told for told in self.stages if told[0] != at]

    def before(self, request_id: int) -> datetime | None:
        """When they last asked before this request; None where it is their first."""
        return max((at for other, at in self.requests if other < request_id), default=None)

    def answer_after(self, moment: datetime) -> tuple[datetime, int] | None:
        """The first answer from this moment on, and by whom."""
        number = bisect_left(self.answered_at, moment)
        if number == len(self.answered_at):
            return None
        return self.answered_at[number], self.answered_by[number]


@dataclass
class _Waits:
    minutes: list[int] = field(default_factory=list)
    in_time: int = 0
    late: int = 0

    def add(self, minutes: int | None, is_late: bool) -> None:
        if minutes is not None:
            self.minutes.append(minutes)
        self.late += is_late
        self.in_time += not is_late

    @property
    def content(self) -> list[Any]:
        return [lengths.pack(self.minutes), self.in_time, self.late]


class _Count:
    """One part while it is counted."""

    def __init__(self) -> None:
        self.sources: Counter[str] = Counter()
        self.letters: Counter[str] = Counter()
        self.stages = [0] * len(STAGES)
        self.waits: dict[str, dict[str, _Waits]] = {"hours": {}, "languages": {}, "people": {}}
        self.open: list[list[Any]] = []

    def add(
        self,
        row: Any,
        life: _Life,
        hour: int,
        opening: OpeningTime,
        reckoning: Reckoning,
        now: datetime,
    ) -> None:
        """Count a request: where it came from, how far they came, how long they waited."""
        self.sources[row.source] += 1
        before = life.before(row.id)
        if before is None:
            for stage in range(max(life.stage, _STAGE_OF_STATUS.get(row.status, 0)) + 1):
                self.stages[stage] += 1
        else:
            between = life.answer_after(before)
            if between is None or between[0] >= row.created_at:
                # The wait that the request before began goes on.
                return
        answer = life.answer_after(row.created_at)
        if answer is not None and answer[1] == _NOBODY:
            return
        took = opening.between(row.created_at, answer[0] if answer else now)
        is_late = took > reckoning.rules.target_of(row.channel)
        if answer is None and not is_late:
            self.open.append([row.created_at.isoformat(), hour, row.language, row.channel])
            return
        kept = {"hours": str(hour), "languages": row.language}
        if answer is not None:
            kept["people"] = str(answer[1])
        for kind, name in kept.items():
            waits = self.waits[kind].setdefault(name, _Waits())
            waits.add(took // _MINUTE if answer else None, is_late)

    @property
    def content(self) -> Content:
        waits = {
            kind: {name: waits.content for name, waits in named.items()}
            for kind, named in self.waits.items()
        }
        told = {"sources": dict(self.sources), "letters": dict(self.letters)}
        return {**told, "stages": self.stages, **waits, "open": self.open}


def _asked(
    session: Session, stretches: Sequence[Stretch], reckoning: Reckoning, most: int | None
) -> Sequence[Any]:
    """A row for each request of these stretches, by the index on (screening, created_at)."""
    falls = [
        and_(Request.created_at >= begins, Request.created_at < ends) for begins, ends in stretches
    ]
    wanted = (
        select(
            Request.id,
            Request.lead_id,
            Request.created_at,
            Request.channel,
            Request.language,
            source_column(reckoning.sources).label("source"),
            Lead.status,
        )
        .join(Lead, Lead.id == Request.lead_id)
        .where(Request.screening.in_(_COUNTED), or_(*falls))
    )
    rows = session.execute(wanted if most is None else wanted.limit(most + 1)).all()
    if most is not None and len(rows) > most:
        raise TooMany
    return sorted(rows, key=lambda row: row.created_at)


def _leads_of(session: Session, asked: Sequence[Any]) -> Mapping[int, _Life]:
    lives = {row.lead_id: _Life() for row in asked}
    for ids in _parts(list(lives)):
        requests = select(Request.lead_id, Request.id, Request.created_at).where(
            among(session, Request.lead_id, ids), _plain(Request.screening).in_(_COUNTED)
        )
        for lead_id, request_id, at in session.execute(requests):
            lives[lead_id].requests.append((request_id, at))
        for entry in session.execute(_entries(session, ids)):
            life = lives[entry.lead_id]
            if entry.kind == "act_undone":
                if entry.undid:
                    life.take_back(datetime.fromisoformat(entry.undid))
                continue
            stage = _stage_of(entry)
            life.stages.append((entry.at, stage or 0))
            if stage is not None and entry.actor_id is not None:
                life.answered_at.append(entry.at)
                life.answered_by.append(entry.actor_id if _is_answer(entry) else _NOBODY)
    return lives


def _entries(session: Session, lead_ids: Sequence[int]) -> Any:
    entry = TimelineEntry
    names = ("outcome", "to", "among", "undid")
    facts = (entry.facts[name].as_string().label(name) for name in names)
    return (
        select(entry.lead_id, entry.at, entry.actor_id, entry.kind, *facts)
        .where(among(session, entry.lead_id, lead_ids), entry.kind.in_(_KINDS))
        .order_by(entry.lead_id, entry.at, entry.id)
    )


def _stage_of(entry: Any) -> int | None:
    """The stage that an entry shows; None for one that answers nobody."""
    if entry.kind == "status_changed":
        return _STAGE_OF_STATUS.get(entry.to, 0)
    if entry.kind == "call_logged" and entry.outcome != CallOutcome.REACHED:
        return None
    return 1


def _is_answer(entry: Any) -> bool:
    """Whether it says that a person had to do with this one; closing or moving many does not."""
    return entry.kind != "status_changed" or not (entry.to == LeadStatus.CLOSED or entry.among)


def _letters(session: Session, request_ids: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """How many letters about each request stand in each state; all that are ahead as queued."""
    state = case((Message.state.in_(_AHEAD), MessageState.QUEUED.value), else_=Message.state)
    for ids in _parts(request_ids):
        rows = session.execute(
            select(Message.request_id, state.label("state"), func.count())
            .where(among(session, Message.request_id, ids), Message.kind != MessageKind.STAFF_ALERT)
            .group_by(Message.request_id, state)
        )
        for request_id, word, number in rows:
            yield request_id, str(MessageState(word)), number


def _plain(column: Any) -> ColumnElement[str]:
    """The column behind a function, so that no index by it is walked instead of the leads'."""
    return func.lower(column)


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(ids), _AT_ONCE):
        yield ids[begin : begin + _AT_ONCE]
