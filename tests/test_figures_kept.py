"""Reports from kept days: the same as what a plain look at every row says, whatever happens."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from leadcapture.leads import clock as response_clock
from leadcapture.leads import (
    figures,
    kept_hours,
    kept_tallies,
    sources,
    tallies,
    tally_fences,
    timeline,
)
from leadcapture.leads.clock import Rules, keep_rules
from leadcapture.leads.figures import Figures, Period, read_figures
from leadcapture.leads.kept_months import kept_months
from leadcapture.leads.kept_tallies import TallyKeeper
from leadcapture.models import (
    DayTally,
    HourTally,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    MonthTally,
    Recount,
    Request,
    Screening,
    Staff,
    TimelineEntry,
)
from tests.clock import TUESDAY_MORNING
from tests.people import a_lead, a_message, a_request, a_staff_member

ZONE = ZoneInfo("America/Costa_Rica")
DAYS = 43
BEGIN = TUESDAY_MORNING - timedelta(days=10)
FIRST = BEGIN.astimezone(ZONE).date()
NOW = BEGIN + timedelta(days=DAYS)
MARCH = date(2026, 3, 1)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
PERIOD = Period(FIRST, FIRST + timedelta(days=DAYS))
STAGE = {"contacted": 1, "booked": 2, "patient": 3}
AHEAD = ("queued", "claimed", "sending")


@dataclass
class Plain:
    """Every figure as words and numbers, to be compared."""

    requests: dict[date, Counter[str]] = field(default_factory=dict)
    funnel: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[Any]] = field(default_factory=dict)

    def wait(self, name: str, told: tuple[str, int | None]) -> None:
        self.waits.setdefault(name, []).append(told)


def plainly(session: Session, rules: Rules, now: datetime) -> Plain:
    """What the figures mean, said row by row."""
    plain = Plain({day: Counter() for day in PERIOD.days})
    names = {one.id: one for one in session.scalars(select(Staff))}
    named = sources.read_rules(session)
    for lead in session.scalars(select(Lead)):
        asked = [
            one
            for one in session.scalars(
                select(Request).where(Request.lead_id == lead.id).order_by(Request.id)
            )
            if one.screening in (Screening.ACCEPTED, Screening.RELEASED)
        ]
        entries = session.scalars(
            select(TimelineEntry)
            .where(TimelineEntry.lead_id == lead.id)
            .order_by(TimelineEntry.at, TimelineEntry.id)
        ).all()
        answers = [one for one in entries if one.actor_id and _moves_on(one)]
        for number, request in enumerate(asked):
            local = request.created_at.astimezone(ZONE)
            if not PERIOD.first <= local.date() <= PERIOD.last:
                continue
            plain.requests[local.date()][sources.source_of(request, named)] += 1
            for letter in session.scalars(
                select(Message).where(
                    Message.request_id == request.id, Message.kind != MessageKind.STAFF_ALERT
                )
            ):
                plain.letters["queued" if letter.state in AHEAD else letter.state.value] += 1
            if number == 0:
                stages = [STAGE.get(lead.status, 0), *(_stage(one) for one in entries)]
                for stage in ("asked", "reached", "booked", "patient")[: max(stages) + 1]:
                    plain.funnel[stage] += 1
            if any(
                not any(early.created_at <= one.at < request.created_at for one in answers)
                for early in asked[:number]
            ):
                continue
            answer = next((one for one in answers if one.at >= request.created_at), None)
            if answer and answer.kind == "status_changed" and answer.facts["to"] == "closed":
                continue
            took = _open_between(rules, request.created_at, answer.at if answer else now)
            is_late = took > rules.target_of(request.channel)
            told = (
                "late" if is_late else "in time" if answer else "open",
                int(took / timedelta(minutes=1)) if answer else None,
            )
            plain.wait("all", told)
            plain.wait(f"hour {local.hour}", told)
            plain.wait(f"language {request.language}", told)
            if answer:
                plain.wait(f"person {names[answer.actor_id or 0].name}", told)
    return plain


def _moves_on(entry: TimelineEntry) -> bool:
    if entry.kind == "call_logged":
        return entry.facts.get("outcome") == "reached"
    return entry.kind in ("status_changed", "wrote", "met")


def _stage(entry: TimelineEntry) -> int:
    if entry.kind == "status_changed":
        return STAGE.get(entry.facts.get("to", ""), 0)
    return int(_moves_on(entry))


def _open_between(rules: Rules, begins: datetime, ends: datetime) -> timedelta:
    took, day = timedelta(0), begins.astimezone(ZONE).date()
    while day <= ends.astimezone(ZONE).date():
        if span := rules.hours.of_day(day):
            opens, closes = (datetime.combine(day, at, ZONE).astimezone(UTC) for at in span)
            took += max(min(ends, closes) - max(begins, opens), timedelta(0))
        day += timedelta(days=1)
    return took


def as_plain(found: Figures) -> Plain:
    plain = Plain(
        {day: Counter(numbers) for day, numbers in found.requests.items()},
        Counter(found.funnel),
        Counter(found.letters),
    )
    named = {"all": found.responses}
    named |= {f"hour {hour}": told for hour, told in found.hours.items()}
    named |= {f"language {code}": told for code, told in found.languages.items()}
    named |= {f"person {name}": told for name, told in found.people.items()}
    for name, told in named.items():
        kinds = (told.in_time, told.late, told.open)
        plain.waits[name] = [*kinds, sorted(told.minutes.elements())]
    return plain


def same(session: Session, rules: Rules, now: datetime) -> None:
    """The figures are those that the rows tell."""
    wanted = plainly(session, rules, now)
    for name, told in wanted.waits.items():
        kinds = Counter(kind for kind, _ in told)
        minutes = sorted(minute for _, minute in told if minute is not None)
        wanted.waits[name] = [kinds["in time"], kinds["late"], kinds["open"], minutes]
    assert as_plain(read_figures(session, PERIOD, rules, now)) == wanted


def keep(session: Session, now: datetime) -> None:
    """As many turns of the scheduler's as all takes that is missing."""
    kept: list[Any] = []
    while kept != (kept := kept_so_far(session)) or not kept:
        TallyKeeper(str(ZONE)).keep_tallies(session, now)


def kept_so_far(session: Session) -> list[Any]:
    """Which days, hours and months are kept, and by which rules."""
    return [
        session.execute(select(*columns).order_by(columns[0])).all()
        for columns in (
            (DayTally.day, DayTally.rules, DayTally.content.is_(None)),
            (HourTally.begins_at, HourTally.rules, HourTally.content.is_(None)),
            (MonthTally.month, MonthTally.made_of),
        )
    ]


class Life:
    """A clinic in which something happens."""

    def __init__(
        self,
        session: Session,
        staff: list[Staff],
        seed: int,
        begin: datetime = BEGIN,
        minutes: int = DAYS * 24 * 60,
    ) -> None:
        self.session = session
        self.begin = begin
        self.minutes = minutes
        self.staff = staff
        self.chance = random.Random(seed)

    def leads(self) -> list[Lead]:
        return list(self.session.scalars(select(Lead).order_by(Lead.id)))

    def fill(self) -> None:
        for _ in range(40):
            at = self._moment()
            lead = a_lead(self.session, created_at=at, last_request_at=at, waiting_since=at)
            for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
                self._ask(lead)
        for _ in range(60):
            self.act()

    def act(self) -> None:
        """One thing that happens, to anybody."""
        lead = self.chance.choice(self.leads())
        what: list[Callable[[Lead], None]] = [
            self._tell,
            self._tell,
            self._tell,
            self._move,
            self._letter,
            self._letter,
            self._screen,
            self._join,
            self._forget,
        ]
        self.chance.choice(what)(lead)
        self.session.commit()

    def _moment(self) -> datetime:
        return self.begin + timedelta(minutes=self.chance.randrange(self.minutes))

    def _ask(self, lead: Lead) -> None:
        request = a_request(
            self.session,
            lead,
            created_at=self._moment(),
            channel=self.chance.choice(("web", "phone", "mail")),
            language=self.chance.choice(("en", "es")),
            touch=self.chance.choice(({}, {"first": {"utm_source": "google"}})),
            screening=self.chance.choice(list(Screening)),
            consents=(),
        )
        for _ in range(2):
            kind = self.chance.choice((MessageKind.PACKET, MessageKind.FOLLOW_UP))
            at = request.created_at
            more: dict[str, Any] = {"created_at": at, "state_at": at, "request_id": request.id}
            a_message(self.session, lead, kind=kind, **more)

    def _tell(self, lead: Lead) -> None:
        kind = self.chance.choice(("call_logged", "call_logged", "wrote", "met", "note_added"))
        outcome = self.chance.choice(("reached", "no_answer"))
        facts = {"outcome": outcome} if kind == "call_logged" else {}
        by = self.chance.choice(self.staff).id
        timeline.record(self.session, lead.id, kind, self._moment(), actor_id=by, facts=facts)

    def _move(self, lead: Lead) -> None:
        to = self.chance.choice(("contacted", "booked", "patient", "closed"))
        if self.chance.random() < 0.3:
            lead.status = LeadStatus(to)
            return
        by = self.chance.choice((None, self.staff[0].id))
        timeline.record(
            self.session, lead.id, "status_changed", self._moment(), actor_id=by, facts={"to": to}
        )

    def _letter(self, lead: Lead) -> None:
        letters = self.session.scalars(select(Message).where(Message.lead_id == lead.id)).all()
        if letters:
            letter = self.chance.choice(letters)
            letter.state = self.chance.choice(list(MessageState))
            letter.state_at = letter.created_at + timedelta(hours=2)

    def _screen(self, lead: Lead) -> None:
        request = self.session.scalars(select(Request).where(Request.lead_id == lead.id)).first()
        if request:
            request.screening = self.chance.choice(list(Screening))

    def _join(self, lead: Lead) -> None:
        request = self.session.scalars(select(Request).where(Request.lead_id == lead.id)).first()
        if request:
            request.lead_id = self.chance.choice(self.leads()).id

    def _forget(self, lead: Lead) -> None:
        ids = self.session.scalars(select(Request.id).where(Request.lead_id == lead.id)).all()
        for table in (Message, Request):
            which = Message.request_id if table is Message else Request.id
            self.session.execute(delete(table).where(which.in_(ids[:1])))


@pytest.fixture
def staff(app: Flask, session: Session) -> list[Staff]:
    with app.app_context():
        made = [a_staff_member(session), a_staff_member(session, name="Marta Solís")]
    session.commit()
    return made


@pytest.mark.parametrize("seed", [1, 2])
def test_kept_days_say_what_the_rows_say(session: Session, staff: list[Staff], seed: int) -> None:
    """While things happen, before the days are reckoned anew and after; by changed rules, too."""
    life = Life(session, staff, seed)
    sources.add_rule(session, "Google", {"utm_source": "google"})
    life.fill()
    rules = response_clock.default_rules(str(ZONE))
    same(session, rules, NOW)
    for turn in range(12):
        if turn % 3 == 0:
            keep(session, NOW)
            assert not session.scalar(select(func.count()).select_from(Recount))
        for _ in range(life.chance.randrange(1, 5)):
            life.act()
        same(session, rules, NOW + turn * timedelta(minutes=7))
    keep(session, NOW)
    sources.add_rule(session, "By telephone", {"channel": "phone"})
    sooner = Rules(rules.hours, target=timedelta(minutes=30), targets={"mail": timedelta(hours=4)})
    keep_rules(session, sooner, {}, NOW)
    session.commit()
    same(session, sooner, NOW)
    keep(session, NOW)
    same(session, sooner, NOW)


def test_kept_days_are_read_and_not_reckoned_again(session: Session, staff: list[Staff]) -> None:
    Life(session, staff, 3).fill()
    rules = response_clock.default_rules(str(ZONE))
    keep(session, NOW)
    before = read_figures(session, PERIOD, rules, NOW)
    kept = session.scalars(select(DayTally)).all()
    begins = session.scalars(select(func.min(Request.created_at))).one().astimezone(ZONE).date()
    assert {one.day for one in kept} >= {day for day in PERIOD.days[:-2] if day >= begins}
    assert PERIOD.last not in {one.day for one in kept}, "today is not over"
    for one in kept:
        one.content = {**(one.content or {}), "sources": {"made up": 1}}
    session.execute(delete(MonthTally))
    session.commit()
    after = read_figures(session, PERIOD, rules, NOW)
    assert after.funnel == before.funnel
    assert after.sources[0] == "made up"


def test_a_kept_month_is_read_until_one_of_its_days_changes(
    session: Session, staff: list[Staff]
) -> None:
    life = Life(session, staff, 5)
    life.fill()
    rules = response_clock.default_rules(str(ZONE))
    reckoning = tallies.reckoning_of(session, rules)
    keep(session, NOW)
    month = session.scalars(select(MonthTally)).one()
    assert month.month == MARCH
    month.content = {**month.content, "letters": {"made up": 1}}
    session.commit()
    assert read_figures(session, PERIOD, rules, NOW).letters["made up"] == 1
    lead = session.scalars(
        select(Lead)
        .join(Request)
        .where(Request.created_at.between(BEGIN + 9 * DAY, BEGIN + 30 * DAY))
    ).first()
    assert lead is not None
    timeline.record(session, lead.id, "met", NOW, actor_id=staff[0].id)
    session.commit()
    same(session, rules, NOW)
    kept_tallies.clear_changed(session, ZONE)
    session.commit()
    assert MARCH not in kept_months(session, kept_tallies._good_days(session, reckoning), reckoning)
    same(session, rules, NOW)
    keep(session, NOW)
    assert MARCH in kept_months(session, kept_tallies._good_days(session, reckoning), reckoning)
    same(session, rules, NOW)


@pytest.mark.parametrize("seed", [6, 7])
def test_kept_hours_say_what_the_rows_say(session: Session, staff: list[Staff], seed: int) -> None:
    """Today goes on, and yesterday's people are answered, while the scheduler keeps what it can."""
    life = Life(session, staff, seed, begin=NOW - 2 * DAY, minutes=2 * 24 * 60)
    life.fill()
    rules = response_clock.default_rules(str(ZONE))
    for turn in range(10):
        now = NOW + turn * timedelta(minutes=43)
        if turn % 3 == 0:
            TallyKeeper(str(ZONE)).keep_tallies(session, now)
        for _ in range(life.chance.randrange(1, 4)):
            life.act()
        same(session, rules, now)
    assert session.scalar(select(func.count()).where(HourTally.content.is_not(None)))


def test_the_hours_of_today_are_read_and_only_the_latest_reckoned(
    session: Session, staff: list[Staff]
) -> None:
    """Hours that are over come from what is kept, save one that changed since."""
    noon = datetime.combine(PERIOD.last, time(12, 30), ZONE).astimezone(UTC)
    asked = {
        hours: a_request(session, a_lead(session), created_at=noon - hours * HOUR)
        for hours in range(13)
    }
    session.commit()
    keep(session, noon)
    rules = response_clock.default_rules(str(ZONE))
    today = Period(PERIOD.last, PERIOD.last)
    for one in session.scalars(select(HourTally)):
        one.content = {**(one.content or {}), "sources": {"kept": 1}}
    session.commit()
    # The hours of half past eleven and of half past twelve are not over, or not for long enough.
    assert read_figures(session, today, rules, noon).requests == {
        today.last: {"kept": 11, "web": 2}
    }
    timeline.record(session, asked[5].lead_id, "met", noon, actor_id=staff[0].id)
    session.commit()
    assert read_figures(session, today, rules, noon).requests == {
        today.last: {"kept": 10, "web": 3}
    }
    keep(session, noon)
    assert read_figures(session, today, rules, noon).requests == {
        today.last: {"kept": 10, "web": 3}
    }
    sources.add_rule(session, "By web", {"channel": "web"})
    session.commit()
    assert read_figures(session, today, rules, noon).requests == {today.last: {"By web": 13}}


def test_an_hour_that_changed_while_it_was_read_is_not_kept(
    session: Session, staff: list[Staff]
) -> None:
    request = a_request(session, a_lead(session), created_at=BEGIN)
    session.commit()
    reckoning = tallies.reckoning_of(session, response_clock.default_rules(str(ZONE)))
    hour = kept_hours.hour_of(BEGIN, ZONE)

    def read_and_answer() -> Mapping[datetime, tallies.Content]:
        made = tallies.count(session, [(hour, hour + HOUR)], lambda _: hour, reckoning, NOW)
        timeline.record(session, request.lead_id, "met", BEGIN, actor_id=staff[0].id)
        session.commit()
        kept_tallies.clear_changed(session, ZONE)
        session.commit()
        return made

    tally_fences.keep(session, HourTally, [hour], read_and_answer, reckoning)
    assert session.scalars(select(HourTally.content)).one() is None


def test_hours_are_kept_for_a_week(session: Session, staff: list[Staff]) -> None:
    a_request(session, a_lead(session), created_at=NOW - 20 * DAY)
    keep(session, NOW)
    keep(session, NOW + 3 * DAY)
    first = session.scalars(select(func.min(HourTally.begins_at))).one()
    assert first.astimezone(ZONE).date() == (NOW - 3 * DAY).astimezone(ZONE).date()


@pytest.mark.parametrize(
    ("zone", "day", "number", "last"),
    [
        ("America/New_York", date(2026, 3, 8), 23, 60),
        ("America/New_York", date(2026, 11, 1), 25, 60),
        ("Australia/Lord_Howe", date(2026, 10, 4), 24, 30),
        ("Asia/Kathmandu", date(2026, 5, 5), 24, 60),
    ],
)
def test_the_hours_of_a_day_make_up_the_whole_day(
    zone: str, day: date, number: int, last: int
) -> None:
    """Where clocks are changed, and where they are not whole hours away from UTC."""
    whole = tallies.bounds(day, day, ZoneInfo(zone))
    first = whole[0]
    hours = kept_hours.left_over([day], {first}, ZoneInfo(zone))
    assert hours == [(first + HOUR, whole[1])]
    begins = {first + n * HOUR for n in range(number)}
    assert kept_hours.left_over([day], begins, ZoneInfo(zone)) == []
    short = max(begins)
    assert whole[1] - short == timedelta(minutes=last)
    assert kept_hours.hour_of(whole[1] - timedelta(minutes=1), ZoneInfo(zone)) == short


def test_a_packet_that_leaves_days_after_its_request_is_counted_on_the_requests_day(
    session: Session, staff: list[Staff]
) -> None:
    """Held for days, released, and taken by the relay within a minute."""
    lead = a_lead(session)
    request = a_request(session, lead, created_at=BEGIN, screening=Screening.HELD)
    rules = response_clock.default_rules(str(ZONE))
    now = BEGIN + 5 * DAY
    request.screening = Screening.RELEASED
    facts: dict[str, Any] = {"request_id": request.id, "created_at": now, "state_at": now}
    packet = a_message(
        session, lead, kind=MessageKind.PACKET, dedupe_key=f"packet:{request.receipt}", **facts
    )
    session.commit()
    keep(session, NOW)
    packet.state, packet.state_at = MessageState.SENT, now + timedelta(minutes=1)
    session.commit()
    kept_tallies.clear_changed(session, ZONE)
    session.commit()
    same(session, rules, NOW)


def test_what_was_read_before_a_change_is_not_kept(session: Session, staff: list[Staff]) -> None:
    """Between reading a day and keeping it somebody answers: the day stays to be reckoned."""
    at = BEGIN
    request = a_request(session, a_lead(session), created_at=at)
    session.commit()
    rules = response_clock.default_rules(str(ZONE))
    reckoning = tallies.reckoning_of(session, rules)
    fences = tally_fences.read_fences(session, DayTally, [FIRST])
    session.commit()
    read = tallies.count_days(session, [tallies.bounds(FIRST, FIRST, ZONE)], reckoning, NOW)
    timeline.record(session, request.lead_id, "met", at, actor_id=staff[0].id)
    session.commit()
    kept_tallies.clear_changed(session, ZONE)
    session.commit()
    tally_fences.store(session, DayTally, read, fences, reckoning)
    session.commit()
    assert not kept_tallies.read_kept(session, [FIRST], reckoning).total.days
    same(session, rules, NOW)


def test_a_long_period_says_how_much_of_it_is_ready(session: Session, staff: list[Staff]) -> None:
    Life(session, staff, 4).fill()
    rules = response_clock.default_rules(str(ZONE))
    with pytest.raises(figures.StillCounting) as counting:
        read_figures(session, PERIOD, rules, NOW, most=10)
    assert counting.value.args == (0, len(PERIOD.days))
    keep(session, NOW)
    assert read_figures(session, PERIOD, rules, NOW, most=10).total > 10
