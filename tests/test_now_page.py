"""Now and the settings behind it: the order of the queue, assigning, hours, targets, the team."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import clock as response_clock
from leadcapture.models import Lead, LeadStatus, Roster, Screening, Staff, TimelineEntry
from tests.chromium import assert_accessible, open_page
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.people import PASSWORD, a_lead, a_request, a_staff_member


def test_who_can_be_called_now_comes_first(sign_in: SignIn, session: Session) -> None:
    """15:00 UTC: ten in New York, midnight in Tokyo."""
    rosa = sign_in()
    a_lead(session, full_name="Kenji", time_zone="Asia/Tokyo")
    a_lead(session, full_name="Eve", contact_time="evening")
    a_lead(session, full_name="Taken", owner_id=session.scalars(select(Staff.id)).one())
    a_lead(session, full_name="Morning", contact_time="morning")
    a_lead(session, full_name="Odd", time_zone="Mars/Olympus")
    text = rosa.page("/desk/").main_text
    order = [text.index(name) for name in ("Morning", "Odd", "Taken", "Eve", "Kenji")]
    assert order == sorted(order)
    for heading in ("Can be called now", "Asked for another time of day", "Not in their daytime"):
        assert heading in text
    assert "from 18:00 here" in text


def test_who_cannot_or_will_not_be_called_is_written_to(sign_in: SignIn, session: Session) -> None:
    """They stand after those who can be called now, whatever the time where they are."""
    rosa = sign_in()
    a_lead(session, full_name="Silent", phone=None, phone_typed="", time_zone="Asia/Tokyo")
    mails = a_lead(session, full_name="Mails", contact_by="email")
    a_lead(session, full_name="Kenji", time_zone="Asia/Tokyo")
    a_lead(session, full_name="Called", contact_by="phone", waiting_since=TUESDAY_MORNING)
    page = rosa.page("/desk/")
    text = page.main_text
    order = ("Can be called now", "Called", "Write to them", "Silent", "Mails", "Kenji")
    places = [text.index(name) for name in order]
    assert places == sorted(places)
    assert f'href="mailto:{mails.email}"' in rosa.get("/desk/").text
    assert rosa.send(page, f"/leads/{mails.ref}/calls", outcome="wrote").status_code == 303
    assert mails.waiting_since is None


def test_while_the_clinic_is_closed_the_clock_says_when_it_is_due(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    rosa = sign_in()
    clock.advance(timedelta(hours=9))
    a_lead(session, waiting_since=clock.now)
    assert "due Wed 10:00" in rosa.page("/desk/").main_text


def test_hundreds_who_wait_stand_on_pages(sign_in: SignIn, session: Session) -> None:
    rosa = sign_in()
    for number in range(60):
        since = TUESDAY_MORNING - timedelta(minutes=number)
        a_lead(session, full_name=f"Person {number:02}", waiting_since=since)
    first = rosa.page("/desk/")
    assert "Page 1 of 3" in first.main_text
    assert "Person 59" in first.main_text and "Person 20" not in first.main_text
    assert "Person 20" in rosa.page(first.link("Next")).main_text
    for page in ("99", "-1", "x", "0"):
        assert rosa.get(f"/desk/?page={page}").status_code == 200


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "A coordinator decides."), ("es", "Decide alguien de coordinación.")],
)
def test_whoever_may_not_decide_reads_who_does(
    sign_in: SignIn, session: Session, language: str, told: str
) -> None:
    a_request(
        session,
        a_lead(session, status=LeadStatus.HELD, waiting_since=None),
        screening=Screening.HELD,
        held_reason="honeypot",
    )
    fiona, rosa = sign_in("front_desk", "Fiona Mora"), sign_in()
    for member in session.scalars(select(Staff)):
        member.language = language
    session.commit()
    [section] = fiona.page("/desk/").find("section", id="undecided")
    assert told in section.text and not section.find("form")
    [section] = rosa.page("/desk/").find("section", id="undecided")
    assert told not in section.text and section.find("form")


def test_a_lead_is_given_to_a_colleague_and_its_timeline_says_so(
    sign_in: SignIn, session: Session
) -> None:
    rosa = sign_in()
    sign_in(name="Marta Solís")
    lead = a_lead(session)
    marta = session.scalars(select(Staff).where(Staff.name == "Marta Solís")).one()
    done = rosa.send(rosa.page("/desk/"), "/assignee", to=marta.email)
    assert (done.status_code, lead.owner_id) == (303, marta.id)
    assert "Assigned to Marta Solís" in rosa.page(f"/desk/leads/{lead.ref}").main_text
    assert "<Lead" not in rosa.page("/desk/").main_text
    again = rosa.send(rosa.page("/desk/"), "/assignee", to=marta.email)
    assert again.status_code == 303
    entries = session.scalars(select(TimelineEntry.kind)).all()
    assert entries == ["assigned_to"]
    assert rosa.send(rosa.page("/desk/"), "/assignee", to="x@y.example").status_code == 400
    lead.status = LeadStatus.HELD
    token = rosa.page("/desk/").form("/sign-out")["csrf_token"]
    answer = rosa.post(
        f"/desk/leads/{lead.ref}/assignee", data={"csrf_token": token, "to": marta.email}
    )
    assert answer.status_code == 409


def test_the_admin_changes_hours_and_targets_and_sees_what_they_mean(
    sign_in: SignIn, session: Session
) -> None:
    admin = sign_in("admin")
    page = admin.page("/desk/settings/hours")
    assert "A request on Fri 16:30 is due Sat 09:30." in page.main_text
    typed = {
        "day-5-opens": "",
        "day-5-closes": "",
        "target": "60",
        "target-mail": "240",
        "exception-day": "2026-12-24",
        "exception-opens": "08:00",
        "exception-closes": "12:00",
    }
    lead = a_lead(session, first_response_due_at=TUESDAY_MORNING)
    assert admin.send(page, "/settings/hours", **typed).status_code == 303
    assert lead.first_response_due_at is None, "the watch reads it anew"
    page = admin.page("/desk/settings/hours")
    assert "A request on Fri 16:30 is due Mon 08:30." in page.main_text
    rules = response_clock.read_rules(session, "America/Costa_Rica")
    assert rules.target_of("mail") == timedelta(hours=4)
    assert "Dec 24, 2026" in page.main_text
    admin.send(page, "/settings/hours", **{"drop-2026-12-24": "on", "holiday": []})
    rules = response_clock.read_rules(session, "America/Costa_Rica")
    assert (dict(rules.hours.exceptions), rules.hours.closed_on) == ({}, frozenset())


@pytest.mark.parametrize(
    "typed",
    [
        {"target": "soon"},
        {"target": "0"},
        {"warn": "-5"},
        {"next": "9" * 400},
        {"day-0-opens": "17:00", "day-0-closes": "08:00"},
        {"day-0-opens": "\u0667:00"},
        {"exception-day": "31 February"},
        {f"day-{number}-{end}": "" for number in range(7) for end in ("opens", "closes")},
    ],
)
def test_settings_that_make_no_sense_change_nothing_and_say_why(
    sign_in: SignIn, session: Session, typed: dict[str, str]
) -> None:
    """AX-03: the summary names each field, and what was typed stays."""
    admin = sign_in("admin")
    answer = admin.send(admin.page("/desk/settings/hours"), "/settings/hours", **typed)
    assert answer.status_code == 422
    assert "<title>Error" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert response_clock.read_rules(session, "America/Costa_Rica").target == timedelta(hours=2)


def test_the_admin_says_who_takes_requests(sign_in: SignIn, session: Session) -> None:
    admin = sign_in("admin")
    page = admin.page("/desk/settings/team")
    typed = {"takes_requests": "on", "languages": ["en", "es"], "back_on": "2026-03-10"}
    assert admin.send(page, "/settings/team", **typed).status_code == 303
    line = session.scalars(select(Roster)).one()
    assert (line.takes_requests, line.languages, line.shifts) == (True, ["en", "es"], None)
    assert line.out_until is not None and line.out_until.isoformat() == "2026-03-10T06:00:00+00:00"
    page = admin.page("/desk/settings/team")
    assert "out" in page.main_text
    wrong = admin.send(page, "/settings/team", back_on="soon")
    assert (wrong.status_code, "Give a day such as" in wrong.text) == (422, True)
    shifts = {"back_on": "", "day-1-opens": "08:00", "day-1-closes": "12:00"}
    admin.send(admin.page("/desk/settings/team"), "/settings/team", **shifts)
    session.refresh(line)
    assert (line.shifts or [])[1] == ["08:00", "12:00"]
    assert "on duty" in admin.page("/desk/settings/team").main_text


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_now_and_its_settings_are_for_everybody(
    app: Flask, site: str, browser: Browser, session: Session, scheme: str, script: bool
) -> None:
    """AX-01, AX-05, AX-08: axe finds nothing, 320 px do not scroll, a call needs no script."""
    with app.app_context():
        admin = a_staff_member(session, "admin")
    for number, zone in enumerate(("America/New_York", "Asia/Tokyo", "America/Costa_Rica")):
        since = TUESDAY_MORNING - timedelta(minutes=100 * number)
        a_request(session, a_lead(session, time_zone=zone, waiting_since=since))
    session.commit()
    choices = {"color_scheme": scheme, "java_script_enabled": script}
    with open_page(browser, site, viewport={"width": 320, "height": 640}, **choices) as page:
        page.goto("/sign-in")
        page.fill("#email", admin.email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/")
        for path in ("/desk/settings/hours", "/desk/settings/team", "/desk/"):
            page.goto(path)
            if script:
                assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
                assert_accessible(page)
        if script:
            for menu in page.locator(".queue__row").first.locator("summary").all():
                menu.click()
                assert page.evaluate("document.documentElement.scrollWidth") <= 320
                menu.click()
        for act in ("Call logged", "Assign to me", "Assign"):
            # Heard one after another, each says whom it is about.
            page.get_by_text(re.compile(f"^{act} Janet Whitfield")).first.wait_for()
        page.locator("summary", has_text="Call logged").first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Reached").first.focus()
        page.keyboard.press("Enter")
        page.get_by_text("Logged: you reached").wait_for()
    session.expire_all()
    waiting = select(Lead.id).where(Lead.waiting_since.is_not(None))
    assert len(session.scalars(waiting).all()) == 2
