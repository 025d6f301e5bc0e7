"""The lead's page by hand: how a person of the clinic was in touch, on both databases."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import contact
from leadcapture.models import Lead, LeadStatus, Message, Staff, Task, TimelineEntry
from leadcapture.vault import Vault
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING
from tests.people import NOTE, a_lead, a_message, a_staff_member
from tests.test_dashboard import janet, rosa
from tests.visitors import Visitor

__all__ = ["janet", "rosa"]


@pytest.mark.parametrize(
    ("meeting", "reason"),
    [(contact.Meeting.WROTE, "wrote"), (contact.Meeting.MET, "contacted")],
)
def test_a_written_answer_and_a_meeting_end_the_wait_as_a_call_does(
    app: Flask, session: Session, vault: Vault, meeting: contact.Meeting, reason: str
) -> None:
    with app.app_context():
        ana = a_staff_member(session)
    lead = a_lead(session)
    letter = a_message(session, lead)
    logged = contact.log_meeting(session, vault, lead, ana.id, TUESDAY_MORNING, meeting, NOTE)
    assert logged.cancelled == 1
    session.commit()
    session.expire_all()
    assert (lead.status, lead.waiting_since) == (LeadStatus.CONTACTED, None)
    assert (letter.state, letter.reason) == ("cancelled", reason)
    entry = session.scalars(select(TimelineEntry).where(TimelineEntry.kind == meeting)).one()
    assert (entry.actor_id, entry.facts) == (ana.id, {"follow_ups_cancelled": 1})
    assert entry.note is not None and NOTE.encode() not in entry.note


def test_the_page_logs_a_written_answer_in_one_click(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    page = rosa.page(f"/desk/leads/{janet.ref}")
    assert rosa.send(page, "/calls", outcome="wrote", note=NOTE).status_code == 303
    assert (janet.status, janet.waiting_since) == (LeadStatus.CONTACTED, None)
    text = rosa.page(f"/desk/leads/{janet.ref}").text
    assert "Logged: you wrote to Janet Whitfield. 3 follow-ups are cancelled." in text
    assert "Wrote to the person (3 follow-ups cancelled)" in text
    assert "Somebody of the clinic has written to the person." in text


def test_a_wrong_number_is_a_try_and_the_person_keeps_waiting(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    rosa.send(rosa.page(f"/desk/leads/{janet.ref}"), "/calls", outcome="wrong_number")
    assert (janet.status, janet.waiting_since) == (LeadStatus.NEW, TUESDAY_MORNING)
    assert set(session.scalars(select(Message.state))) == {"queued"}
    assert "Call: Wrong number" in rosa.page(f"/desk/leads/{janet.ref}").text


def test_who_asks_to_be_called_back_becomes_a_task_on_the_clinics_clock(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    page = rosa.page(f"/desk/leads/{janet.ref}")
    rosa.send(page, "/calls", outcome="call_back", call_back_at=typed(TUESDAY_MORNING, hours=26))
    task = session.scalars(select(Task)).one()
    # Costa Rica is six hours behind UTC all year.
    assert task.due_at == TUESDAY_MORNING + timedelta(hours=26)
    assert (task.kind, task.lead_id) == ("call_back", janet.id)
    assert session.scalars(select(Staff.id)).one() == task.owner_id
    assert janet.waiting_since is None
    assert "Call back" in rosa.page("/desk/").main_text


def test_a_call_back_at_no_time_to_come_keeps_the_note_and_says_why(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    page = rosa.page(f"/desk/leads/{janet.ref}")
    for when in ("", "tomorrow", "0001-01-01T00:00", "2020-01-01T10:00", "9999-12-31T23:59"):
        again = rosa.send(page, "/calls", outcome="call_back", call_back_at=when, note=NOTE)
        assert again.status_code == 422
        assert "Say when they want to be called back" in again.text
        assert NOTE in again.text and f'value="{when}"' in again.text
    assert session.scalars(select(Task)).all() == []
    assert janet.waiting_since == TUESDAY_MORNING


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_ways_of_being_in_touch_are_for_everyone(
    browser: Browser, site: str, app: Flask, session: Session, janet: Lead
) -> None:
    """AX-01: dark, and 320 px wide without scrolling sideways."""
    with app.app_context():
        ana = a_staff_member(session)
    session.commit()
    look: dict[str, Any] = {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"}
    with open_page(browser, site, **look) as page:
        sign_in_by_form(page, ana.email)
        page.goto(f"/desk/leads/{janet.ref}")
        page.get_by_role("button", name="Asked to be called back").click()
        page.get_by_text("Say when they want to be called back").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert_accessible(page)
        page.get_by_role("button", name="I wrote to them").click()
        page.get_by_text("Logged: you wrote to Janet Whitfield.").wait_for()


def typed(now: datetime, hours: int) -> str:
    """This many hours from ``now`` as somebody at the clinic types it, to the minute."""
    return (now + timedelta(hours=hours - 6)).strftime("%Y-%m-%dT%H:%M")
