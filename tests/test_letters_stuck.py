"""Letters that stand still: tried again, known to have arrived, ended, each from both pages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.leads import letters_stuck
from leadcapture.models import (
    AuditEntry,
    Lead,
    Message,
    MessageKind,
    MessageState,
    Staff,
    SuppressionScope,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import ledger, stops
from leadcapture.outbox.alerts import raise_alert
from tests.chromium import assert_accessible, open_page
from tests.clock import Clock
from tests.conftest import SignIn
from tests.pages import Page
from tests.people import PASSWORD, a_lead, a_message, a_staff_member
from tests.post_office import PostOffice
from tests.test_dashboard import rosa
from tests.visitors import Visitor

__all__ = ["rosa"]


@pytest.fixture
def lead(session: Session) -> Lead:
    return a_lead(session, waiting_since=None)


def held(session: Session, lead: Lead, reason: str = "nonsense", **changes: Any) -> Message:
    """A packet's letter that is held, and the task about it."""
    message = a_message(
        session,
        lead,
        **{"kind": MessageKind.PACKET, "state": MessageState.HELD, "reason": reason} | changes,
    )
    ledger.ask_staff(session, message, "letter_held", message.state_at)
    session.commit()
    return message


def the_letter(session: Session) -> Message:
    session.expire_all()
    return session.scalars(select(Message).where(Message.kind == MessageKind.PACKET)).one()


def page_at(visitor: Visitor, lead: Lead, where: str) -> Page:
    return visitor.page("/desk/" if where == "now" else f"/desk/leads/{lead.ref}")


@pytest.mark.parametrize("where", ["now", "lead"])
def test_a_held_letter_goes_out_with_the_password_once_more(
    rosa: Visitor,
    session: Session,
    lead: Lead,
    where: str,
    send_due: Callable[[], object],
    office: PostOffice,
) -> None:
    """`leadcapture.outbox`: held → staff release, signed in afresh → queued (AU-11)."""
    held(session, lead, attempts=3)
    page = page_at(rosa, lead, where)
    assert "If it stops once more, it comes back here." in page.main_text
    rosa.send(page, "/release", password="a guess")
    assert the_letter(session).state is MessageState.HELD
    assert not office.letters
    done = rosa.send(page, "/release", password=PASSWORD)
    assert done.status_code == 303
    assert "Packet is tried again within a minute." in page_at(rosa, lead, where).text
    letter = the_letter(session)
    assert (letter.state, letter.reason, letter.attempts) == (MessageState.QUEUED, "released", 0)
    send_due()
    assert the_letter(session).state is MessageState.SENT
    assert "Had it tried again: Packet" in page_at(rosa, lead, "lead").text
    assert "letter_tried_again" in session.scalars(select(AuditEntry.act)).all()
    assert session.scalars(select(Task.done_at)).all() != [None]


def test_a_packet_whose_time_has_passed_is_kept_anew_when_a_person_tries_it_again(
    rosa: Visitor, session: Session, lead: Lead, clock: Clock
) -> None:
    held(session, lead, not_after=clock.now - timedelta(days=1))
    rosa.send(page_at(rosa, lead, "now"), "/release", password=PASSWORD)
    letter = the_letter(session)
    assert letter.state is MessageState.QUEUED
    assert letter.not_after is not None and letter.not_after > clock.now


def test_a_wrong_password_says_so_and_keeps_the_letter(
    rosa: Visitor, session: Session, lead: Lead
) -> None:
    held(session, lead)
    answer = rosa.send(page_at(rosa, lead, "lead"), "/release", password="a guess")
    assert (answer.status_code, "so the letter stays held" in answer.text) == (422, True)
    rosa.send(page_at(rosa, lead, "now"), "/release", password="")
    assert "so the letter stays held" in page_at(rosa, lead, "now").text


@pytest.mark.parametrize(
    ("reason", "kind", "sentence"),
    [
        ("differs_from_first_copy", MessageKind.PACKET, "Ask whether the first arrived"),
        ("unknown_kind", "of_tomorrow", "When the newer version runs again"),
    ],
)
def test_what_another_try_cannot_help_offers_none_and_refuses_it(
    rosa: Visitor, session: Session, lead: Lead, reason: str, kind: str, sentence: str
) -> None:
    message = held(session, lead, reason)
    session.execute(update(Message).where(Message.id == message.id).values(kind=str(kind)))
    page = page_at(rosa, lead, "now")
    assert sentence in page.main_text and "Never send" in page.main_text
    assert "Try again" not in page.main_text
    token = page.form("/sign-out")["csrf_token"]
    typed = {"csrf_token": token, "password": PASSWORD}
    rosa.post(f"/desk/letters/{message.ref}/release", data=typed)
    assert "Not tried again" in page_at(rosa, lead, "now").text
    assert session.scalar(select(Message.state)) == MessageState.HELD


def test_a_letter_of_a_newer_version_can_be_tried_again_when_that_runs(
    session: Session, lead: Lead, rosa: Visitor
) -> None:
    """What is shown of ``unknown_kind`` is true: here the kind is known again."""
    message = held(session, lead, "unknown_kind")
    me = session.scalars(select(Staff.id)).one()
    assert letters_stuck.try_again(session, message, me, message.state_at).is_done


def test_what_a_stop_would_end_at_once_is_not_tried_again(
    rosa: Visitor, session: Session, lead: Lead, clock: Clock
) -> None:
    held(session, lead)
    stops.suppress(session, lead.cap_hash, SuppressionScope.ALL, "no_such_address", clock.now)
    session.execute(update(Message).values(state="held"))
    session.commit()
    rosa.send(page_at(rosa, lead, "now"), "/release", password=PASSWORD)
    page = page_at(rosa, lead, "now")
    assert "Not tried again: Packet. This address asked for no more mail." in page.text


@pytest.mark.parametrize("where", ["now", "lead"])
@pytest.mark.parametrize(
    ("state", "reason", "doubts"),
    [
        (MessageState.UNCERTAIN, "no_answer_after_dot", 1),
        (MessageState.HELD, "doubt_twice", 2),
    ],
)
def test_what_a_colleague_knows_to_have_arrived_counts_as_sent(
    rosa: Visitor,
    session: Session,
    lead: Lead,
    where: str,
    state: MessageState,
    reason: str,
    doubts: int,
) -> None:
    """`leadcapture.outbox`: uncertain → evidence (staff) → sent."""
    held(session, lead, reason, state=state, doubts=doubts)
    page = page_at(rosa, lead, where)
    assert "it counts as sent and nothing more goes out" in page.main_text
    rosa.send(page, "/settlement", act="arrived")
    assert "Noted: Packet arrived. It is not sent again." in page_at(rosa, lead, where).text
    letter = the_letter(session)
    assert (letter.state, letter.reason) == (MessageState.SENT, "evidence_staff")
    assert letter.sent_at is not None
    assert "Knows that it arrived: Packet" in page_at(rosa, lead, "lead").text
    assert "every letter has arrived" in page_at(rosa, lead, "now").text


def test_what_never_reached_the_dot_cannot_have_arrived(
    rosa: Visitor, session: Session, lead: Lead
) -> None:
    held(session, lead)
    page = page_at(rosa, lead, "now")
    assert "It arrived" not in page.main_text
    rosa.send(page, "/settlement", act="arrived")
    assert the_letter(session).state is MessageState.HELD


@pytest.mark.parametrize("act", ["never", None])
@pytest.mark.parametrize(
    "reason",
    ["doubt_twice", "nonsense", "cannot_be_written", "differs_from_first_copy", "unknown_kind"],
)
def test_a_held_letter_ends_for_good(
    rosa: Visitor, session: Session, lead: Lead, reason: str, act: str | None
) -> None:
    """I3: every message reaches a final state; to have dealt with one is to have ended it."""
    held(session, lead, reason)
    rosa.send(page_at(rosa, lead, "now"), "/settlement", act=act)
    letter = the_letter(session)
    assert (letter.state, letter.reason) == (MessageState.CANCELLED, "staff_cancelled")
    assert "Packet is never sent." in page_at(rosa, lead, "lead").text
    assert "Ended it: Packet" in page_at(rosa, lead, "lead").text


def test_a_letter_that_stops_again_comes_back_to_the_page(
    rosa: Visitor, session: Session, lead: Lead, clock: Clock
) -> None:
    message = held(session, lead)
    rosa.send(page_at(rosa, lead, "now"), "/release", password=PASSWORD)
    assert "every letter has arrived" in page_at(rosa, lead, "now").text
    message = the_letter(session)
    since = (MessageState.QUEUED,)
    ledger.settle(session, message, MessageState.HELD, clock.now, since=since, reason="nonsense")
    ledger.ask_staff(session, message, "letter_held", clock.now)
    assert "nothing sensible" in page_at(rosa, lead, "now").main_text


def test_of_a_colleague_and_a_worker_one_is_told_that_it_was_too_late(
    rosa: Visitor, session: Session, lead: Lead
) -> None:
    held(session, lead)
    page = page_at(rosa, lead, "now")
    rosa.send(page, "/release", password=PASSWORD)
    rosa.send(page, "/settlement", act="never")
    told = "somebody was quicker. Packet now: will be sent."
    assert told in page_at(rosa, lead, "now").text
    assert the_letter(session).state is MessageState.QUEUED


def test_of_two_who_decide_at_the_same_time_one_wins(
    engine: Engine, session: Session, lead: Lead, clock: Clock, rosa: Visitor
) -> None:
    held(session, lead)
    me = session.scalars(select(Staff.id)).one()
    session.commit()
    with open_session(engine) as other:
        seen = other.scalars(select(Message)).one()
        other.commit()
        mine = the_letter(session)
        assert letters_stuck.try_again(session, mine, me, clock.now).is_done
        session.commit()
        assert not letters_stuck.end(other, seen, me, clock.now).is_done
        assert seen.state is MessageState.QUEUED
    kinds = session.scalars(select(TimelineEntry.kind)).all()
    assert kinds == ["letter_tried_again"]


def test_a_paused_letter_is_none_that_stands_still(
    rosa: Visitor, session: Session, lead: Lead, sign_in: SignIn, clock: Clock
) -> None:
    message = held(session, lead, "paused")
    me = session.scalars(select(Staff.id)).one()
    for act in (letters_stuck.try_again, letters_stuck.end, letters_stuck.settle):
        assert not act(session, message, me, clock.now + timedelta(hours=1)).is_done


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_the_acts_are_for_everybody(
    app: Flask, site: str, browser: Browser, session: Session, lead: Lead, script: bool
) -> None:
    """AX-01, AX-05, AX-08: axe finds nothing, 320 px do not scroll, and no script is needed."""
    with app.app_context():
        admin = a_staff_member(session, "admin")
    held(session, lead)
    again = {"state": MessageState.UNCERTAIN, "doubts": 1}
    held(session, lead, "no_answer_after_dot", **again)
    held(session, lead, "differs_from_first_copy")
    raise_alert(session, "sweep_i7", "zz", lead.created_at)
    a_lead(session, phone=None, phone_typed="")
    a_lead(session)
    session.commit()
    choices = {"java_script_enabled": script}
    with open_page(browser, site, viewport={"width": 320, "height": 640}, **choices) as page:
        page.goto("/sign-in")
        page.fill("#email", admin.email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/")
        for path in (f"/desk/leads/{lead.ref}", "/desk/"):
            page.goto(path)
            page.locator("summary", has_text="Try again").first.click()
            if script:
                assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
                assert_accessible(page)
        page.get_by_label("Your password").first.fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_text("is tried again within a minute").wait_for()
        if script:
            page.locator("button", has_text="I wrote to them").first.click()
            page.get_by_text("Logged: you wrote to").wait_for()
            assert_accessible(page)
            page.get_by_role("button", name="Undo").click()
            page.get_by_text("stands as before").wait_for()
