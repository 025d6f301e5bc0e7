"""The first-response clock: in clinic hours, stopped by people only, warned about in time."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from leadcapture.leads import clock, contact, watch
from leadcapture.leads.hours import Hours, Span, read_span
from leadcapture.models import Lead, LetterVersion, Message, MessageKind, Roster, Staff, Task
from leadcapture.outbox.queue import open_payload
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.guards import no_patient_word_in_logs
from tests.people import NAME, a_lead, a_request, a_staff_member

ESCAZU = "America/Costa_Rica"
MINUTE = timedelta(minutes=1)
RULES = clock.default_rules(ESCAZU)

# Summer time begins and ends at night, so hours by day are counted without doubt.
TIMES = st.times(time(4), time(22, 59)).map(lambda at: at.replace(second=0, microsecond=0))
SPANS: st.SearchStrategy[Span | None] = st.none() | st.tuples(TIMES, TIMES).map(
    lambda pair: (min(pair), max(pair)) if pair[0] != pair[1] else None
)


def here(words: str) -> datetime:
    return datetime.fromisoformat(words).replace(tzinfo=ZoneInfo(ESCAZU))


def counted_minute_by_minute(hours: Hours, moment: datetime, minutes: int) -> datetime:
    """Go forward a minute at a time and count those in which the clinic is open."""
    zone = ZoneInfo(hours.zone)
    moment = moment.astimezone(UTC)
    for _ in range(40 * 24 * 60):
        local = moment.astimezone(zone)
        span = hours.of_day(local.date())
        if span is not None and span[0] <= local.time() < span[1]:
            minutes -= 1
        moment += MINUTE
        if not minutes:
            return moment
    raise AssertionError("the clinic does not open within forty days")


@tried(max_examples=60, deadline=None)
@given(
    week=st.lists(SPANS, min_size=7, max_size=7).filter(lambda week: sum(map(bool, week)) > 2),
    day=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    at=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    exceptions=st.dictionaries(st.integers(0, 6), SPANS, max_size=3),
    zone=st.sampled_from([ESCAZU, "America/New_York", "Europe/Madrid", "Australia/Sydney"]),
    minutes=st.integers(1, 600),
)
def test_due_times_are_those_counted_minute_by_minute(
    week: list[Span | None],
    day: date,
    at: time,
    exceptions: dict[int, Span | None],
    zone: str,
    minutes: int,
) -> None:
    """Over holidays, days of their own, and the days on which summer time begins and ends."""
    own = {day + timedelta(days=number): span for number, span in exceptions.items()}
    hours = Hours(zone, tuple(week), own, RULES.hours.closed_on)
    asked = datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)
    due = clock.due_at(asked, hours, minutes * MINUTE)
    assert due == counted_minute_by_minute(hours, asked, minutes)


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-03-03 09:00", "2026-03-03 11:00"),
        ("2026-03-06 15:00", "2026-03-06 17:00"),
        ("2026-03-06 16:30", "2026-03-07 09:30"),
        ("2026-03-07 11:00", "2026-03-09 09:00"),
        ("2026-03-08 20:00", "2026-03-09 10:00"),
        # Holy Thursday and Good Friday; the Saturday after them is an ordinary one.
        ("2026-04-01 16:00", "2026-04-04 09:00"),
        # Juan Santamaria's day falls on a Saturday.
        ("2026-04-10 16:00", "2026-04-13 09:00"),
        # 2 August and 1 December are holidays without full pay: the clinic is open.
        ("2026-12-01 09:00", "2026-12-01 11:00"),
        ("2026-12-24 16:00", "2026-12-26 09:00"),
    ],
)
def test_the_default_hours_know_costa_ricas_holidays(asked: str, due: str) -> None:
    assert clock.due_at(here(asked), RULES.hours, RULES.target) == here(due)


def test_a_clinic_that_never_opens_gets_calendar_time() -> None:
    hours = Hours(ESCAZU, (None,) * 7)
    assert clock.due_at(TUESDAY_MORNING, hours, 5 * MINUTE) == TUESDAY_MORNING + 5 * MINUTE


@pytest.mark.parametrize("words", [["17:00", "08:00"], ["08:00", "08:00"], ["x", "y"], ["08:00"]])
def test_hours_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_span(words)


@pytest.fixture
def duty(settings: Settings, vault: Vault) -> watch.ResponseWatch:
    return watch.ResponseWatch(settings, vault)


def letters(session: Session) -> list[Message]:
    found = select(Message).where(Message.kind == MessageKind.STAFF_ALERT).order_by(Message.id)
    return list(session.scalars(found))


@pytest.fixture
def rosa(app: Flask, session: Session) -> Staff:
    with app.app_context():
        return a_staff_member(session)


@pytest.fixture
def marta(app: Flask, session: Session) -> Staff:
    """Marta, on duty in the clinic's hours."""
    with app.app_context():
        marta = a_staff_member(session, name="Marta Solís", language="es")
    session.add(Roster(staff_id=marta.id, takes_requests=True, languages=["en", "es"], shifts=None))
    session.flush()
    return marta


def test_the_owner_is_warned_twice_and_then_the_next_person(
    session: Session, duty: watch.ResponseWatch, rosa: Staff, marta: Staff
) -> None:
    """OP-06: once for each level, within a tick, with no page open."""
    lead = a_lead(session, owner_id=rosa.id)
    a_request(session, lead)
    for minutes in range(0, 241, 1):
        duty.watch_responses(session, TUESDAY_MORNING + minutes * MINUTE)
    session.flush()
    told = [(letter.recipient, letter.due_at - TUESDAY_MORNING) for letter in letters(session)]
    assert told == [
        (rosa.email, 105 * MINUTE),
        (rosa.email, 120 * MINUTE),
        (marta.email, 150 * MINUTE),
    ]
    task = session.scalars(select(Task)).one()
    assert (task.kind, task.owner_id, task.done_at) == ("response_next", marta.id, None)


def test_a_warning_says_neither_name_nor_health(
    session: Session, duty: watch.ResponseWatch, vault: Vault, rosa: Staff
) -> None:
    """It names the reference that the person holds, and the hour of the clinic's own clock."""
    a_request(session, a_lead(session, owner_id=rosa.id), receipt="7K3M9QXW2")
    duty.watch_responses(session, TUESDAY_MORNING + timedelta(hours=3))
    session.flush()
    (letter,) = letters(session)
    sealed = vault.open("message", "payload", letter.ref, letter.payload)
    assert "Janet" not in sealed and "Whitfield" not in sealed and "steoarth" not in sealed
    assert "7K3-M9Q-XW2" in sealed and "11:00, 1 hour ago" in sealed


@pytest.mark.parametrize(
    ("minutes", "language", "kind", "told"),
    [
        (105, "en", "staff_due", "11:00"),
        (120, "en", "staff_late", "11:00, just now"),
        (120, "es", "staff_late", "11:00, ahora mismo"),
        (145, "en", "staff_late", "11:00, 25 minutes ago"),
        (145, "es", "staff_late", "11:00, hace 25 minutos"),
        (24 * 60, "en", "staff_late", "11:00 on Tue 3 Mar, 1 day ago"),
    ],
)
def test_a_warning_says_when_the_answer_is_due_or_how_long_ago_it_was(
    session: Session,
    duty: watch.ResponseWatch,
    vault: Vault,
    rosa: Staff,
    minutes: int,
    language: str,
    kind: str,
    told: str,
) -> None:
    rosa.language = language
    a_request(session, a_lead(session, owner_id=rosa.id))
    duty.watch_responses(session, TUESDAY_MORNING + 100 * MINUTE)
    duty.watch_responses(session, TUESDAY_MORNING + minutes * MINUTE)
    session.flush()
    (letter,) = letters(session)
    payload = open_payload(vault, letter)
    assert payload["values"]["received_at"] == told
    version = session.get(LetterVersion, payload["letter"])
    assert version is not None and version.kind == kind


def test_now_and_the_lead_say_when_the_answer_is_due_or_was(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    visitor = sign_in()
    lead = a_lead(session)
    clock.now = TUESDAY_MORNING + 110 * MINUTE
    assert "10 min left , is due at 11:00" in visitor.page("/desk/").main_text
    assert "is due at 11:00" in visitor.page(f"/desk/leads/{lead.ref}").main_text
    clock.now = TUESDAY_MORNING + 145 * MINUTE
    assert "25 min late , was due at 11:00" in visitor.page("/desk/").main_text
    assert "was due at 11:00" in visitor.page(f"/desk/leads/{lead.ref}").main_text
    clock.now = TUESDAY_MORNING + timedelta(days=1)
    assert "was due Tue 11:00" in visitor.page("/desk/").main_text


@pytest.mark.parametrize("outcome", list(contact.CallOutcome))
def test_only_a_conversation_stops_the_clock(
    session: Session,
    duty: watch.ResponseWatch,
    vault: Vault,
    rosa: Staff,
    outcome: contact.CallOutcome,
) -> None:
    lead = a_lead(session, owner_id=rosa.id)
    duty.watch_responses(session, TUESDAY_MORNING + timedelta(hours=2))
    session.expire_all()
    assert lead.first_response_due_at == TUESDAY_MORNING + timedelta(hours=2)
    at = TUESDAY_MORNING + timedelta(hours=2, minutes=1)
    contact.log_call(session, vault, lead, rosa.id, at, outcome)
    duty.watch_responses(session, at)
    session.expire_all()
    is_over = outcome is contact.CallOutcome.REACHED
    assert (lead.first_response_due_at is None) == is_over
    assert (session.scalars(select(Task.done_at)).one() is not None) == is_over


def test_a_new_wait_begins_a_new_clock(
    session: Session, duty: watch.ResponseWatch, rosa: Staff
) -> None:
    lead = a_lead(session, owner_id=rosa.id)
    duty.watch_responses(session, TUESDAY_MORNING + timedelta(hours=4))
    session.expire_all()
    assert (lead.warnings, lead.warning_due_at) == (3, None)
    lead.waiting_since = None
    lead.waiting_since = TUESDAY_MORNING + timedelta(days=1)
    duty.watch_responses(session, TUESDAY_MORNING + timedelta(days=1))
    session.expire_all()
    assert lead.first_response_due_at == TUESDAY_MORNING + timedelta(days=1, hours=2)
    duty.watch_responses(session, TUESDAY_MORNING + timedelta(days=1, hours=2))
    assert len(letters(session)) == 2


def test_changed_rules_move_every_running_clock_and_warn_nobody_twice(
    session: Session, duty: watch.ResponseWatch, rosa: Staff
) -> None:
    lead = a_lead(session, owner_id=rosa.id)
    duty.watch_responses(session, TUESDAY_MORNING + 105 * MINUTE)
    rules = clock.Rules(RULES.hours, target=timedelta(hours=4), targets={"mail": MINUTE})
    clock.keep_rules(session, rules, {}, TUESDAY_MORNING)
    duty.watch_responses(session, TUESDAY_MORNING + 106 * MINUTE)
    session.expire_all()
    assert lead.first_response_due_at == TUESDAY_MORNING + timedelta(hours=4)
    duty.watch_responses(session, TUESDAY_MORNING + 225 * MINUTE)
    assert len(letters(session)) == 1
    kept = clock.read_rules(session, ESCAZU)
    assert (kept.target_of("web"), kept.target_of("mail")) == (timedelta(hours=4), MINUTE)


def test_the_timetable_itself_warns(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock, rosa: Staff
) -> None:
    """The job that comes by every ten seconds holds the duty."""
    a_lead(session, owner_id=rosa.id)
    session.commit()
    timetable = Timetable(settings, engine, vault, clock)
    (upkeep,) = [job for name, job, _ in timetable.jobs() if name == "upkeep"]
    clock.advance(timedelta(hours=2))
    with no_patient_word_in_logs():
        upkeep()
    assert [letter.recipient for letter in letters(session)] == [rosa.email]
    assert NAME not in session.scalars(select(Task.kind)).one()


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (
            select(Lead.id)
            .where(Lead.waiting_since.is_not(None), Lead.first_response_due_at.is_(None))
            .order_by(Lead.waiting_since)
            .limit(200),
            # Either holds only those who wait.
            "ix_lead_(undated|waiting_since)",
        ),
        (
            select(Lead.id)
            .where(Lead.warning_due_at <= TUESDAY_MORNING)
            .order_by(Lead.warning_due_at)
            .limit(200),
            "ix_lead_warning_due",
        ),
    ],
    ids=["undated", "warning"],
)
def test_the_watch_walks_its_own_small_indexes(
    session: Session, question: object, index: str
) -> None:
    explain = "EXPLAIN QUERY PLAN " if session.get_bind().dialect.name == "sqlite" else "EXPLAIN "
    if not explain.startswith("EXPLAIN QUERY"):
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
    compiled = question.compile(session.get_bind(), compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
    plan = "\n".join(
        str(row) for row in session.execute(text(explain + str(compiled).replace(":", "\\:")))
    )
    assert re.search(index, plan), plan
