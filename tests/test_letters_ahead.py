"""Letters to come and tags on a lead's page: skipped, paused, resumed, hastened, tagged."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import letters_ahead, tags
from leadcapture.models import (
    AuditEntry,
    Lead,
    LeadStatus,
    Message,
    MessageState,
    Staff,
    SuppressionScope,
    Tag,
    TimelineEntry,
)
from leadcapture.outbox import claims, stops
from tests.clock import TUESDAY_MORNING, Clock
from tests.pages import Page
from tests.people import PASSWORD, a_message, a_staff_member, claim
from tests.test_dashboard import janet, page_of, rosa
from tests.visitors import Visitor

__all__ = ["janet", "rosa"]


@pytest.fixture
def ana(app: Flask, session: Session) -> Staff:
    with app.app_context():
        return a_staff_member(session, name="Ana Vargas")


def first_letter(session: Session) -> Message:
    """The follow-up of day 3, read anew."""
    session.expire_all()
    return session.scalars(select(Message).where(Message.step == "day-3")).one()


def plan(visitor: Visitor, page: Page, letter: Message, act: str, **typed: str) -> str:
    """Press a button of the letter's and read the page that comes."""
    answer = visitor.send(page, f"/letters/{letter.ref}/plan", act=act, **typed)
    assert answer.status_code in (303, 422)
    return answer.text if answer.status_code == 422 else ""


def test_a_skipped_letter_is_cancelled_and_the_others_stay(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    letter = first_letter(session)
    plan(rosa, page_of(rosa, janet), letter, "skip")
    page = page_of(rosa, janet)
    assert "Skipped: Follow-up · day 3. It is never sent." in page.text
    assert page.text.count("Skipped: Follow-up · day 3") == 2
    letter = first_letter(session)
    assert (letter.state, letter.reason) == (MessageState.CANCELLED, "staff_cancelled")
    states = session.scalars(select(Message.state).order_by(Message.id)).all()
    assert states == ["cancelled", "queued", "queued"]
    assert "letter_skipped" in session.scalars(select(AuditEntry.act)).all()


def test_a_paused_letter_is_not_claimed_and_goes_on_with_the_password(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    """`leadcapture.outbox`: held, and released by a person who signed in afresh."""
    letter = first_letter(session)
    due_at, keeps = letter.due_at, TUESDAY_MORNING + timedelta(days=5)
    letter.not_after = keeps
    session.commit()
    plan(rosa, page_of(rosa, janet), letter, "pause")
    assert claims.claim_next(session.connection(), due_at + timedelta(minutes=1)) is None
    session.commit()
    page = page_of(rosa, janet)
    assert "A colleague keeps it back until somebody resumes it." in page.text
    assert "Nothing is held and every letter has arrived." in rosa.page("/desk/").text

    clock.now = due_at + timedelta(days=4)
    again = plan(rosa, page, letter, "resume", password="not mine")
    assert "That is not your password, so the letter stays paused." in again
    assert letters_ahead.is_paused(first_letter(session))
    plan(rosa, page_of(rosa, janet), letter, "resume", password=PASSWORD)
    letter = first_letter(session)
    # Its day has passed: it goes at once, and is as fresh then as one that never waited.
    assert (letter.state, letter.due_at) == (MessageState.QUEUED, clock.now)
    assert letter.not_after == clock.now + timedelta(days=2) > keeps
    assert claim(session, clock.now).id == letter.id


def test_a_letter_sent_now_leaves_now_by_day_and_in_the_morning_by_night(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    letter = first_letter(session)
    plan(rosa, page_of(rosa, janet), letter, "now")
    assert "Follow-up · day 3 leaves within a minute." in page_of(rosa, janet).text
    assert first_letter(session).due_at == TUESDAY_MORNING
    # 23:00 in Tampa.
    clock.now = TUESDAY_MORNING + timedelta(hours=13)
    plan(rosa, page_of(rosa, janet), letter, "now")
    text = page_of(rosa, janet).text
    assert "It is night where they are: Follow-up · day 3 leaves Wed 4 Mar 2026, 09:00" in text
    letter = first_letter(session)
    assert (letter.due_at, letter.reason) == (TUESDAY_MORNING + timedelta(hours=23), "quiet_hours")


def test_nothing_that_stops_a_letter_is_overridden_by_sending_it_now(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    """A cap or a suppression that would stop the letter leaves it on its day, and says why."""
    before = first_letter(session).due_at
    sent = a_message(session, janet, step="day-1", state="sent", sent_at=TUESDAY_MORNING)
    session.commit()
    plan(rosa, page_of(rosa, janet), first_letter(session), "now")
    text = page_of(rosa, janet).text
    assert "Not sent now: Follow-up · day 3. One follow-up a day is the most" in text
    session.delete(session.get_one(Message, sent.id))
    janet.status = LeadStatus.CONTACTED
    session.commit()
    plan(rosa, page_of(rosa, janet), first_letter(session), "now")
    assert "Somebody has spoken with the person." in page_of(rosa, janet).text
    assert (first_letter(session).state, first_letter(session).due_at) == ("queued", before)
    stops.suppress(
        session, janet.cap_hash, SuppressionScope.FOLLOW_UPS, "unsubscribed", TUESDAY_MORNING
    )
    session.commit()
    answer = letters_ahead.resume(session, first_letter(session), 1, TUESDAY_MORNING)
    assert not answer.is_done


def test_a_letter_that_is_just_leaving_says_so(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    """I7: of a skip and an intent one loses, whichever comes first."""
    page = page_of(rosa, janet)
    clock.now = first_letter(session).due_at
    letter = claim(session, clock.now)
    session.commit()
    # Claimed, before its intent, it can still be stopped: then the worker loses.
    plan(rosa, page, letter, "pause")
    assert letters_ahead.is_paused(first_letter(session))
    assert not claims.declare_intent(session.connection(), letter, "0" * 64, clock.now)
    session.commit()
    second = session.scalars(select(Message).where(Message.step == "day-10")).one()
    clock.now = second.due_at
    claimed = claim(session, clock.now)
    assert claims.declare_intent(session.connection(), claimed, "0" * 64, clock.now)
    session.commit()
    for act in ("skip", "pause", "now"):
        plan(rosa, page, second, act)
        assert "Follow-up · day 10 is just leaving." in page_of(rosa, janet).text
    session.refresh(second)
    assert second.state is MessageState.SENDING


def test_a_tag_is_put_on_and_taken_off_on_the_page(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    tags.add_tag(session, "Surf team", "accent", TUESDAY_MORNING)
    session.commit()
    page = page_of(rosa, janet)
    assert [one.get("value") for one in page.find("option") if one.is_within("datalist")] == [
        "Surf team"
    ]
    answer = rosa.send(page, "/tags", tag="nonsense")
    assert answer.status_code == 422 and 'value="nonsense"' in answer.text
    rosa.send(page, "/tags", tag="  surf  TEAM ")
    page = page_of(rosa, janet)
    assert "Tagged “Surf team”." in page.text
    rosa.send(page, "/tags", tag="Surf team")
    assert "The lead carries “Surf team” already." in page_of(rosa, janet).text
    off = next(button for button in page.find("button") if button.get("name") == "off")
    rosa.send(page, "/tags", off=off.get("value"))
    assert "This lead carries none." in page_of(rosa, janet).text
    kinds = session.scalars(select(TimelineEntry.kind).order_by(TimelineEntry.id)).all()
    assert kinds == ["tag_added", "tag_removed"]
    # The word itself stands with the tag alone: renamed there, it is gone from all timelines.
    tags.rename_tag(session, session.scalars(select(Tag)).one(), "Wave team", "accent")
    session.commit()
    told = page_of(rosa, janet).text
    assert "Tag “Wave team” removed" in told and "Surf team" not in told
