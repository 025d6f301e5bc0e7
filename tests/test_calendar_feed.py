"""The calendar feed: what is due for a person, to whoever has the link, and nothing more."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from icalendar import Calendar
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads.calendar import initials
from leadcapture.models import AuditEntry, CalendarFeed, Lead, Staff, Task
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Settings
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn, make_visitor
from tests.people import PATIENT_WORDS, a_lead, a_request
from tests.visitors import Visitor


def a_task(session: Session, owner: Staff, lead: Lead | None, **changes: Any) -> Task:
    facts: dict[str, Any] = {
        "ref": new_ref(),
        "dedupe_key": new_ref(),
        "kind": "call_back",
        "owner_id": owner.id,
        "lead_id": lead.id if lead else None,
        "due_at": TUESDAY_MORNING + timedelta(hours=3),
        "created_at": TUESDAY_MORNING,
    } | changes
    task = Task(**facts)
    session.add(task)
    session.flush()
    return task


def make_link(visitor: Visitor) -> str:
    """Make a link; its path. The page shows it this once."""
    answer = visitor.send(visitor.page("/desk/calendar"), "/desk/calendar")
    assert answer.status_code == 200
    link = answer.text.partition('id="link" readonly value="')[2].partition('"')[0]
    path = urlsplit(link).path
    assert path not in visitor.page("/desk/calendar").markup
    return path


def test_a_calendar_reads_what_is_due_for_its_person_and_nothing_about_health(
    sign_in: SignIn, app: Flask, settings: Settings, session: Session
) -> None:
    """AU-12, PR-01: initials and a link; RFC 5545."""
    rosa = sign_in()
    marta = sign_in(name="Marta Solís")
    owner, colleague = session.scalars(select(Staff).order_by(Staff.id)).all()
    lead = a_lead(session)
    a_request(session, lead)
    task = a_task(session, owner, lead)
    a_task(session, colleague, lead)
    a_task(session, owner, lead, done_at=TUESDAY_MORNING)
    path = make_link(rosa)
    calendar_app = make_visitor(app, settings, session)
    answer = calendar_app.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/calendar")
    assert "Set-Cookie" not in answer.headers
    (event,) = Calendar.from_ical(answer.data).walk("VEVENT")
    assert event["SUMMARY"] == "Call back: J. W."
    assert event["UID"] == f"{task.ref}@127.0.0.1"
    assert event.decoded("DTSTART") == task.due_at
    assert str(event["URL"]) == f"{settings.public_url}/desk/leads/{lead.ref}"
    assert event["TRANSP"] == "TRANSPARENT"
    assert not [word for word in PATIENT_WORDS if word in answer.text]
    assert len(Calendar.from_ical(calendar_app.get(make_link(marta)).data).walk("VEVENT")) == 1


def test_a_calendar_that_knows_the_feed_is_told_so(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    """RFC 9110, 13.1.2: the same bytes as long as the same is due."""
    rosa = sign_in()
    owner = session.scalars(select(Staff)).one()
    task = a_task(session, owner, a_lead(session))
    path = make_link(rosa)
    first = rosa.get(path)
    known = {"If-None-Match": first.headers["ETag"]}
    clock.advance(timedelta(hours=1))
    again = rosa.get(path, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    task.due_at += timedelta(hours=1)
    moved = rosa.get(path, headers=known)
    assert moved.status_code == 200
    before, after = (Calendar.from_ical(one.data).walk("VEVENT")[0] for one in (first, moved))
    assert before["UID"] == after["UID"]


def test_a_link_is_a_secret_that_can_be_taken_back(sign_in: SignIn, session: Session) -> None:
    """Only a hash is kept; a new link, a removal and a closed account end the one before."""
    rosa = sign_in()
    first = make_link(rosa)
    token = first.rpartition("/")[2].removesuffix(".ics")
    kept = session.scalars(select(CalendarFeed)).one()
    assert token not in str(vars(kept)) and len(token) * 6 >= 128
    second = make_link(rosa)
    assert (rosa.get(first).status_code, rosa.get(second).status_code) == (404, 200)
    owner = session.scalars(select(Staff)).one()
    owner.active = False
    assert rosa.get(second).status_code == 404
    owner.active = True
    rosa.send(rosa.page("/desk/calendar"), "/removal")
    assert rosa.get(second).status_code == 404
    acts = session.scalars(select(AuditEntry.act).where(AuditEntry.act.like("feed%"))).all()
    assert acts == ["feed_opened", "feed_opened", "feed_closed"]
    for odd in ("x", "a" * 43, "%00" * 14, "é" * 43):
        assert rosa.get(f"/calendar/{odd}.ics").status_code == 404


def test_initials_say_no_name() -> None:
    assert initials("Janet Mary Whitfield") == "J. W."
    assert initials("  josé  ") == "J."
    assert initials("") == initials("… —") == ""
