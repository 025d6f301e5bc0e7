"""Cover: while a colleague is out of office another hears of what is due, and nothing moves."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import calendar, clock, reminders, tasks, watch
from leadcapture.models import Lead, Message, Roster, SettingChange, Staff, Task
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import make_visitor
from tests.people import a_lead, a_staff_member
from tests.visitors import Visitor

TEXT = "Send the map"
BACK_AT = TUESDAY_MORNING + timedelta(days=5)
NIGHT = TUESDAY_MORNING + timedelta(hours=12)
HOUR = timedelta(hours=1)
Hire = Callable[..., Staff]


@pytest.fixture
def lead(session: Session) -> Lead:
    return a_lead(session, waiting_since=None)


@pytest.fixture
def hire(app: Flask, session: Session) -> Hire:
    """A colleague with a line of the roster."""

    def hired(name: str, *roles: str, **line: Any) -> Staff:
        language = line.pop("language", "en")
        with app.app_context():
            staff = a_staff_member(session, *roles, name=name, language=language)
        facts = {"takes_requests": True, "languages": ["en", "es"], "shifts": None} | line
        session.add(Roster(staff_id=staff.id, **facts))
        session.flush()
        return staff

    return hired


@pytest.fixture
def bea(hire: Hire) -> Staff:
    return hire("Bea Mora", language="es", takes_requests=False)


@pytest.fixture
def ana(hire: Hire, bea: Staff) -> Staff:
    """Ana, out for five days; Bea stands in."""
    return hire("Ana Vargas", out_until=BACK_AT, cover_id=bea.id)


def a_task_of(session: Session, vault: Vault, lead: Lead, owner: Staff, due_at: datetime) -> Task:
    task = tasks.add_task(session, vault, lead, owner, TEXT, due_at, owner.id, TUESDAY_MORNING)
    session.commit()
    return task


def reminded(session: Session, settings: Settings, vault: Vault, now: datetime) -> Message | None:
    """The letter that the reminder of this moment made."""
    reminders.remind_owners(session, settings, vault, now)
    session.commit()
    return session.scalars(select(Message).order_by(Message.id.desc())).first()


def test_the_reminder_goes_to_who_was_named_and_says_for_whom(
    session: Session, settings: Settings, vault: Vault, lead: Lead, ana: Staff, bea: Staff
) -> None:
    task = a_task_of(session, vault, lead, ana, TUESDAY_MORNING + HOUR)
    letter = reminded(session, settings, vault, task.due_at)
    assert letter is not None and (letter.recipient, letter.language) == (bea.email, "es")
    said = open_payload(vault, letter)["values"]
    assert said["greeting"] == "Ana Vargas está fuera y usted suple."
    assert "Whitfield" not in str(said)
    session.refresh(task)
    assert task.owner_id == ana.id


def test_where_nobody_is_named_the_next_person_in_the_round_hears(
    session: Session, settings: Settings, vault: Vault, lead: Lead, hire: Hire
) -> None:
    ana = hire("Ana Vargas", out_until=BACK_AT)
    marta = hire("Marta Solís")
    task = a_task_of(session, vault, lead, ana, TUESDAY_MORNING + HOUR)
    letter = reminded(session, settings, vault, task.due_at)
    assert letter is not None and letter.recipient == marta.email


def test_where_nobody_is_on_duty_the_team_hears(
    session: Session, settings: Settings, vault: Vault, lead: Lead, hire: Hire
) -> None:
    ana = hire("Ana Vargas", out_until=BACK_AT)
    hire("Marta Solís")
    task = a_task_of(session, vault, lead, ana, NIGHT)
    letter = reminded(session, settings, vault, task.due_at)
    assert letter is not None and letter.recipient == settings.staff_alerts_to


def test_who_stands_in_and_is_away_too_hears_nothing(
    session: Session, settings: Settings, vault: Vault, lead: Lead, hire: Hire
) -> None:
    bea = hire("Bea Mora", out_until=BACK_AT)
    ana = hire("Ana Vargas", out_until=BACK_AT, cover_id=bea.id)
    marta = hire("Marta Solís")
    a_task_of(session, vault, lead, ana, TUESDAY_MORNING + HOUR)
    letter = reminded(session, settings, vault, TUESDAY_MORNING + HOUR)
    assert letter is not None and letter.recipient == marta.email


def test_what_is_due_of_who_left_the_clinic_is_heard_of(
    session: Session, settings: Settings, vault: Vault, lead: Lead, hire: Hire
) -> None:
    gone = hire("Ana Vargas")
    marta = hire("Marta Solís")
    gone.active = False
    task = a_task_of(session, vault, lead, gone, TUESDAY_MORNING + HOUR)
    letter = reminded(session, settings, vault, task.due_at)
    assert letter is not None and letter.recipient == marta.email


def test_who_is_back_hears_of_their_own_task(
    session: Session, settings: Settings, vault: Vault, lead: Lead, ana: Staff
) -> None:
    task = a_task_of(session, vault, lead, ana, BACK_AT)
    letter = reminded(session, settings, vault, task.due_at)
    assert letter is not None and letter.recipient == ana.email
    assert "greeting" not in open_payload(vault, letter)["values"]


def test_the_warning_of_an_owner_who_is_away_goes_to_who_stands_in(
    session: Session, settings: Settings, vault: Vault, ana: Staff, bea: Staff
) -> None:
    """Where nobody on duty could take the lead over, which would be the first thing to happen."""
    lead = a_lead(session, owner_id=ana.id)
    session.commit()
    duty = watch.ResponseWatch(settings, vault)
    due = clock.default_rules(settings.clinic.time_zone).warnings_after(TUESDAY_MORNING)
    told = []
    for at in due:
        duty.watch_responses(session, at)
        session.commit()
        told.append(session.scalars(select(Message.recipient).order_by(Message.id.desc())).first())
    assert lead.owner_id == ana.id
    # The third is for somebody who was not warned yet, and there is nobody.
    assert told == [bea.email, bea.email, settings.staff_alerts_to]


def test_the_calendar_of_who_stands_in_has_what_is_due_until_they_are_back(
    session: Session, vault: Vault, lead: Lead, ana: Staff, bea: Staff
) -> None:
    soon = a_task_of(session, vault, lead, ana, TUESDAY_MORNING + HOUR)
    a_task_of(session, vault, lead, ana, BACK_AT + HOUR)
    assert list(calendar.due_for(session, bea.id, TUESDAY_MORNING)) == [soon]
    assert list(calendar.due_for(session, bea.id, BACK_AT)) == []
    assert len(calendar.due_for(session, ana.id, TUESDAY_MORNING)) == 2


def enter(app: Flask, session: Session, settings: Settings, staff: Staff) -> Visitor:
    visitor = make_visitor(app, settings, session)
    visitor.enter(staff)
    return visitor


def test_now_says_who_stands_in_and_until_when(
    app: Flask,
    session: Session,
    settings: Settings,
    vault: Vault,
    lead: Lead,
    ana: Staff,
    bea: Staff,
    hire: Hire,
    clock: Clock,
) -> None:
    bea.language = "en"
    luis = hire("Luis Rojas", out_until=BACK_AT)
    a_task_of(session, vault, lead, ana, TUESDAY_MORNING + HOUR)
    visitor = enter(app, session, settings, bea)
    for path in ("/desk/", f"/desk/leads/{lead.ref}"):
        assert "Ana Vargas (out until Mar 8, 2026) you stand in" in visitor.page(path).main_text
    marta = enter(app, session, settings, hire("Marta Solís"))
    assert "Ana Vargas (out until Mar 8, 2026) Bea Mora stands in" in marta.page("/desk/").main_text
    a_task_of(session, vault, lead, luis, TUESDAY_MORNING + HOUR)
    told = marta.page("/desk/").main_text
    assert "Luis Rojas (out until Mar 8, 2026) for whoever is on duty" in told
    clock.now = BACK_AT
    assert "stands in" not in marta.page("/desk/").main_text


def test_whoever_gives_a_task_to_who_is_away_reads_who_gets_the_letter(
    app: Flask, session: Session, settings: Settings, lead: Lead, ana: Staff, hire: Hire
) -> None:
    luis = hire("Luis Rojas", out_until=BACK_AT)
    marta = enter(app, session, settings, hire("Marta Solís"))
    for owner, day, who in (
        (ana, "04", "Ana Vargas is out of office until Mar 8, 2026: Bea Mora gets mail"),
        (luis, "04", "Luis Rojas is out of office until Mar 8, 2026: whoever is on duty gets"),
        (ana, "09", "The task is kept. Ana Vargas gets mail"),
    ):
        page = marta.page(f"/desk/leads/{lead.ref}")
        assert "Ana Vargas (out until Mar 8, 2026)" in page.main_text
        typed = {"text": TEXT, "due_at": f"2026-03-{day}T10:00", "owner": owner.email}
        marta.send(page, f"{lead.ref}/tasks", **typed)
        assert who in marta.page(f"/desk/leads/{lead.ref}").text


def test_the_front_desk_reads_what_it_stands_in_for_and_no_coordinators_task(
    app: Flask, session: Session, settings: Settings, vault: Vault, lead: Lead, hire: Hire
) -> None:
    """AU-12."""
    luz = hire("Luz Rojas", "front_desk")
    away = {"out_until": BACK_AT, "cover_id": luz.id}
    for name, role in (("Leo Arias", "front_desk"), ("Ana Vargas", "coordinator")):
        a_task_of(session, vault, lead, hire(name, role, **away), TUESDAY_MORNING + HOUR)
    told = enter(app, session, settings, luz).page("/desk/").main_text
    assert (told.count(TEXT), told.count("A task for coordinators.")) == (1, 1)


def test_the_admin_names_who_stands_in(
    app: Flask, session: Session, settings: Settings, bea: Staff
) -> None:
    with app.app_context():
        rosa = a_staff_member(session, "admin", name="Rosa Jiménez")
    session.commit()
    admin = enter(app, session, settings, rosa)
    page = admin.page("/desk/settings/team")
    assert "what is still open is theirs again" in page.main_text
    csrf = page.markup.partition('name="csrf_token" value="')[2].partition('"')[0]
    typed = {"csrf_token": csrf, "member": rosa.email, "back_on": "2026-03-10"}
    for wrong in ("nobody@clinic.example", rosa.email):
        answer = admin.post("/desk/settings/team", data=typed | {"cover": wrong})
        assert answer.status_code == 422 and "Choose a colleague who may sign in" in answer.text
    admin.post("/desk/settings/team", data=typed | {"cover": bea.email})
    assert (
        session.scalars(select(Roster.cover_id).where(Roster.staff_id == rosa.id)).one() == bea.id
    )
    page = admin.page("/desk/settings/team")
    assert "Bea Mora stands in" in page.main_text and "Who stands in" in page.main_text
    assert session.scalars(select(SettingChange.after)).one()["cover"] == "Bea Mora"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_pages_that_say_who_stands_in_are_for_everybody(
    app: Flask,
    browser: Browser,
    site: str,
    session: Session,
    vault: Vault,
    lead: Lead,
    ana: Staff,
    language: str,
) -> None:
    with app.app_context():
        rosa = a_staff_member(session, "admin", name="Rosa Jiménez", language=language)
    session.add(Roster(staff_id=rosa.id, takes_requests=True, languages=["en"]))
    a_task_of(session, vault, lead, ana, TUESDAY_MORNING - HOUR)
    narrow: dict[str, Any] = {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"}
    for look in ({"viewport": {"width": 1280, "height": 900}}, narrow):
        with open_page(browser, site, java_script_enabled=False, **look) as page:
            sign_in_by_form(page, rosa.email)
            for path in ("/desk/", f"/desk/leads/{lead.ref}", "/desk/settings/team"):
                page.goto(path)
                words = {"en": "Bea Mora stands in", "es": "suple Bea Mora"}
                assert words[language] in page.inner_text("main")
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width <= look["viewport"]["width"]
        with open_page(browser, site, **look) as page:
            sign_in_by_form(page, rosa.email)
            for path in ("/desk/", f"/desk/leads/{lead.ref}", "/desk/settings/team"):
                page.goto(path)
                assert_accessible(page)
