"""What ended a wait on a lead's page is taken back from the message that confirms it (LOOK)."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import clock as response_clock
from leadcapture.leads.lengths import unpack
from leadcapture.leads.tallies import bounds, count_days, reckoning_of
from leadcapture.models import Lead, LeadStatus, Message, MessageKind, Screening, Staff, Task
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.pages import Page
from tests.people import a_lead, a_request
from tests.test_dashboard import janet, page_of, rosa
from tests.visitors import Visitor

__all__ = ["janet", "rosa"]

TUESDAY = date(2026, 3, 3)


def follow_ups(session: Session) -> list[tuple[str, str]]:
    session.expire_all()
    letters = session.scalars(
        select(Message).where(Message.kind == MessageKind.FOLLOW_UP).order_by(Message.id)
    )
    return [(letter.step, letter.state.value) for letter in letters]


def minutes_of_answers(session: Session, clock: Clock) -> list[int]:
    rules = response_clock.read_rules(session, "America/Costa_Rica")
    reckoning = reckoning_of(session, rules)
    day = bounds(TUESDAY, TUESDAY, reckoning.zone)
    tally = count_days(session, [day], reckoning, clock.now)[TUESDAY]
    return list(unpack(waits[0] for waits in tally["hours"].values()))


DAYS = ("day-3", "day-10", "day-24")
AS_BEFORE = [*((day, "cancelled") for day in DAYS), *((day, "queued") for day in DAYS)]


@pytest.mark.parametrize("outcome", ["reached", "wrote", "met"])
@pytest.mark.parametrize("where", ["lead", "now"])
def test_a_logged_contact_is_taken_back_and_its_letters_go_on(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock, outcome: str, where: str
) -> None:
    waited = janet.waiting_since
    clock.advance(timedelta(minutes=7))
    rosa.send(page_of(rosa, janet), "/calls", outcome=outcome)
    assert (janet.status, janet.waiting_since) == (LeadStatus.CONTACTED, None)
    assert follow_ups(session) == [(day, "cancelled") for day in DAYS]
    assert minutes_of_answers(session, clock) == [7]
    page = page_of(rosa, janet) if where == "lead" else rosa.page("/desk/")
    assert "Logged" in page.text
    clock.advance(timedelta(minutes=1))
    rosa.send(page, "/undoing")
    session.expire_all()
    assert (janet.status, janet.waiting_since) == (LeadStatus.NEW, waited)
    assert follow_ups(session) == AS_BEFORE
    assert minutes_of_answers(session, clock) == []
    text = page_of(rosa, janet).text
    assert "Undone: 1 lead stands as before. 3 follow-ups go out after all." in text
    assert "Took back what was logged: back to New" in text


def test_a_call_back_that_was_promised_by_mistake_is_taken_back(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    at = (TUESDAY_MORNING + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    rosa.send(page_of(rosa, janet), "/calls", outcome="call_back", call_back_at=at)
    rosa.send(page_of(rosa, janet), "/undoing")
    session.expire_all()
    assert janet.status is LeadStatus.NEW
    assert None not in session.scalars(select(Task.done_at)).all()


def test_what_a_colleague_did_since_is_not_undone(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead, clock: Clock
) -> None:
    rosa.send(page_of(rosa, janet), "/calls", outcome="reached")
    page = page_of(rosa, janet)
    clock.advance(timedelta(minutes=1))
    marta = sign_in(name="Marta Solís")
    marta.send(page_of(marta, janet), "/calls", outcome="reached")
    rosa.send(page, "/undoing")
    session.expire_all()
    assert (janet.status, janet.waiting_since) == (LeadStatus.CONTACTED, None)
    assert follow_ups(session) == [(day, "cancelled") for day in DAYS]
    assert "Not undone: somebody has dealt with them since." in page_of(rosa, janet).text


def test_a_try_to_call_is_taken_back_with_the_call_back_that_was_promised(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    """The person waits all the while; what was warned of meanwhile is not warned of again."""
    waited = janet.waiting_since
    at = (TUESDAY_MORNING + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    rosa.send(page_of(rosa, janet), "/calls", outcome="no_answer", call_back_at=at)
    page = page_of(rosa, janet)
    assert "still waits for a person" in page.text
    janet.warnings = 1
    session.commit()
    clock.advance(timedelta(minutes=1))
    rosa.send(page, "/undoing")
    session.expire_all()
    assert (janet.status, janet.waiting_since, janet.warnings) == (LeadStatus.NEW, waited, 1)
    assert None not in session.scalars(select(Task.done_at)).all()
    assert follow_ups(session) == [(day, "queued") for day in DAYS]
    text = page_of(rosa, janet).text
    assert "Undone: 1 lead stands as before." in text
    assert "Took back what was logged" in text


def test_the_follow_ups_that_were_cancelled_by_hand_go_on(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    page = page_of(rosa, janet)
    paused = session.scalars(select(Message).where(Message.step == "day-10")).one()
    rosa.send(page, f"/letters/{paused.ref}/plan", act="pause")
    rosa.send(page_of(rosa, janet), "/follow-ups/cancellation")
    assert follow_ups(session) == [(day, "cancelled") for day in DAYS]
    page = page_of(rosa, janet)
    assert "3 follow-ups are cancelled." in page.text
    clock.advance(timedelta(minutes=1))
    rosa.send(page, "/undoing")
    assert follow_ups(session)[3:] == [
        ("day-3", "queued"),
        ("day-10", "held"),
        ("day-24", "queued"),
    ]
    text = page_of(rosa, janet).text
    assert "3 follow-ups go out after all." in text and "Undid the last change" in text
    rosa.send(page, "/undoing")
    assert len(follow_ups(session)) == 6


def test_follow_ups_stay_cancelled_where_the_person_was_reached_since(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead, clock: Clock
) -> None:
    rosa.send(page_of(rosa, janet), "/follow-ups/cancellation")
    page = page_of(rosa, janet)
    clock.advance(timedelta(minutes=1))
    marta = sign_in(name="Marta Solís")
    marta.send(page_of(marta, janet), "/calls", outcome="reached")
    rosa.send(page, "/undoing")
    assert follow_ups(session) == [(day, "cancelled") for day in DAYS]
    assert "Not undone: somebody has dealt with them since." in page_of(rosa, janet).text


def test_a_move_is_undone_whatever_reason_was_left_chosen(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    moved = rosa.send(page_of(rosa, janet), "/status", status="contacted", reason="cost")
    told = rosa.page(moved.location)
    clock.advance(timedelta(minutes=1))
    undone = rosa.page(rosa.send(told, "/undoing").location)
    assert "3 follow-ups go out after all." in undone.main_text
    session.expire_all()
    assert janet.status is LeadStatus.NEW


@pytest.mark.parametrize("back", ["lead", "now"])
def test_who_was_given_a_lead_by_mistake_gives_it_back(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead, back: str
) -> None:
    sign_in(name="Marta Solís")
    marta = session.scalars(select(Staff).where(Staff.name == "Marta Solís")).one()
    page = page_of(rosa, janet) if back == "lead" else rosa.page("/desk/")
    given = rosa.send(page, "/assignee", to=marta.email)
    assert janet.owner_id == marta.id
    told = rosa.page(given.location)
    assert "Janet Whitfield belongs to Marta Solís now." in told.text
    undone = rosa.page(rosa.send(told, "/undoing").location)
    session.expire_all()
    assert janet.owner_id is None
    assert "Undone: 1 lead stands as before." in undone.text
    mine = rosa.send(page_of(rosa, janet), "/owner")
    assert janet.owner_id is not None
    rosa.send(rosa.page(mine.location), "/undoing")
    session.expire_all()
    assert janet.owner_id is None


def test_what_was_typed_for_a_task_stands_in_no_other_form(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    page = page_of(rosa, janet)
    owner = session.scalars(select(Staff.email)).first()
    at = (TUESDAY_MORNING + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M")
    wrong = rosa.send(page, "/tasks", text=" ", due_at=at, owner=owner)
    read = Page(wrong.text)
    assert read.form("/tasks")["due_at"] == [at]
    assert read.form("/calls")["call_back_at"] == [""]


def test_a_move_on_the_leads_page_is_undone_with_its_letters(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    page = page_of(rosa, janet)
    paused = session.scalars(select(Message).where(Message.step == "day-10")).one()
    rosa.send(page, f"/letters/{paused.ref}/plan", act="pause")
    clock.advance(timedelta(minutes=7))
    moved = rosa.send(page_of(rosa, janet), "/status", status="closed", reason="cost")
    told = rosa.page(moved.location)
    assert "1 lead is now: Closed." in told.main_text
    clock.advance(timedelta(minutes=1))
    undone = rosa.page(rosa.send(told, "/undoing").location)
    assert "3 follow-ups go out after all." in undone.main_text
    session.expire_all()
    assert (janet.status, janet.closed_reason) == (LeadStatus.NEW, "")
    assert follow_ups(session)[3:] == [
        ("day-3", "queued"),
        ("day-10", "held"),
        ("day-24", "queued"),
    ]


def test_to_close_or_to_move_many_is_no_answer(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    """Issue: only a logged call, a written answer or a meeting stops the clock as answered."""
    clock.advance(timedelta(minutes=7))
    rosa.send(page_of(rosa, janet), "/status", status="closed", reason="not_a_person")
    others = [a_lead(session), a_lead(session)]
    for other in others:
        a_request(session, other)
    session.commit()
    refs = [other.ref for other in others]
    rosa.send(rosa.page("/desk/leads"), "/acts", lead=refs, act="move:contacted")
    assert [other.waiting_since for other in others] == [None, None]
    assert minutes_of_answers(session, clock) == []


def test_a_skipped_letter_goes_out_after_all_and_a_paused_one_stays_paused(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    """A paused one needs the password to go on: to skip it and take that back is no way around."""
    first, second = session.scalars(
        select(Message).where(Message.step.in_(("day-3", "day-10"))).order_by(Message.id)
    )
    refs = first.ref, second.ref
    rosa.send(page_of(rosa, janet), f"/letters/{refs[1]}/plan", act="pause")
    for ref in refs:
        rosa.send(page_of(rosa, janet), f"/letters/{ref}/plan", act="skip")
        page = page_of(rosa, janet)
        assert "It is never sent." in page.text
        rosa.send(page, f"/letters/{ref}/plan")
        assert "goes out on its day after all" in page_of(rosa, janet).text
        rosa.send(page, f"/letters/{ref}/plan")
        assert "may no longer go out" in page_of(rosa, janet).text
    assert follow_ups(session) == [
        ("day-3", "cancelled"),
        ("day-10", "cancelled"),
        ("day-24", "queued"),
        ("day-3", "queued"),
        ("day-10", "held"),
    ]


def test_a_discarded_request_is_held_again(rosa: Visitor, session: Session) -> None:
    lead = a_lead(session, status=LeadStatus.HELD, waiting_since=None)
    request = a_request(session, lead, screening=Screening.HELD, held_reason="links")
    for _ in range(2):
        rosa.send(rosa.page("/desk/"), "/decision", decision="discard")
        assert (lead.status, lead.closed_reason) == (LeadStatus.CLOSED, "not_a_person")
        page = rosa.page("/desk/")
        assert "It stays on file and mails nobody." in page.text
        rosa.send(page, "/decision")
        assert (request.screening, lead.status) == (Screening.HELD, LeadStatus.HELD)
        assert "the request is held as before" in rosa.page("/desk/").text
    rosa.send(page, "/decision")
    assert "A colleague had decided already." in rosa.page("/desk/").text
