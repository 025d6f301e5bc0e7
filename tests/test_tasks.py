"""Tasks and mentions: written on a lead's page, shown on Now, reminded of, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import mentions, reminders, tags, tasks
from leadcapture.models import Lead, Mention, Message, MessageState, Staff, Task, TimelineEntry
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import make_visitor
from tests.people import NAME, NOTE, a_lead, a_message, a_request, a_staff_member
from tests.visitors import Visitor

TEXT = "Ask whether the marzipanitis allows the flight."


@pytest.fixture
def lead(session: Session) -> Lead:
    lead = a_lead(session)
    session.commit()
    return lead


@pytest.fixture
def ana(app: Flask, session: Session) -> Staff:
    with app.app_context():
        return a_staff_member(session, name="Ana Vargas", language="es")


@pytest.fixture
def bea(app: Flask, session: Session, settings: Settings) -> Visitor:
    """Bea, a coordinator, signed in."""
    with app.app_context():
        return enter(app, session, settings, a_staff_member(session, name="Bea Mora"))


def enter(app: Flask, session: Session, settings: Settings, staff: Staff) -> Visitor:
    visitor = make_visitor(app, settings, session)
    visitor.enter(staff)
    return visitor


def write_task(visitor: Visitor, lead: Lead, whose: Staff, **changes: str) -> str:
    """Type a task that is due tomorrow at 10:00 at the clinic; the page where it is refused."""
    typed = {"text": TEXT, "due_at": "2026-03-04T10:00", "owner": whose.email} | changes
    page = visitor.page(f"/desk/leads/{lead.ref}")
    answer = visitor.send(page, f"{lead.ref}/tasks", **typed)
    assert answer.status_code in (303, 422)
    return answer.text if answer.status_code == 422 else ""


def test_a_task_is_sealed_and_shown_on_the_lead_and_on_now_until_it_is_done(
    bea: Visitor, session: Session, lead: Lead, ana: Staff
) -> None:
    write_task(bea, lead, ana)
    task = session.scalars(select(Task)).one()
    # Costa Rica is six hours behind UTC all year.
    assert task.due_at == TUESDAY_MORNING + timedelta(hours=25)
    assert (task.kind, task.owner_id) == ("todo", ana.id)
    assert task.text is not None and b"marzipanitis" not in task.text
    for path in ("/desk/", f"/desk/leads/{lead.ref}"):
        text = bea.page(path).main_text
        assert TEXT in text and "Ana Vargas" in text
    now = bea.page("/desk/")
    done = bea.send(now, f"/tasks/{task.ref}/completion")
    now = bea.page(done.location)
    assert TEXT not in now.main_text
    bea.send(now, f"/tasks/{task.ref}/reopening")
    assert TEXT in bea.page("/desk/").main_text
    kinds = session.scalars(select(TimelineEntry.kind).order_by(TimelineEntry.id)).all()
    assert kinds == ["task_added", "task_done", "task_reopened"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_was_typed_of_a_task_is_kept_when_it_is_refused(
    bea: Visitor, session: Session, lead: Lead, ana: Staff
) -> None:
    for changes, why in (
        ({"due_at": "2020-01-01T10:00"}, "Say when it is due"),
        ({"due_at": ""}, "Say when it is due"),
        ({"owner": "nobody@clinic.example"}, "Choose whose task it is."),
        ({"text": "x" * 501}, "Shorten this to 500 characters."),
        ({"text": " "}, "Write what is to be done."),
    ):
        again = write_task(bea, lead, ana, **changes)
        assert why in again
        assert changes.get("text", TEXT) in again
    assert session.scalars(select(Task)).all() == []


def test_who_may_not_read_of_health_reads_their_own_tasks_only(
    app: Flask, session: Session, settings: Settings, bea: Visitor, lead: Lead, ana: Staff
) -> None:
    """AU-12."""
    with app.app_context():
        desk = a_staff_member(session, "front_desk", name="Luz Rojas")
    write_task(bea, lead, ana)
    write_task(bea, lead, desk, text="Send the map")
    luz = enter(app, session, settings, desk)
    for path in ("/desk/", f"/desk/leads/{lead.ref}"):
        page = luz.page(path)
        assert "Send the map" in page.main_text and "A task for coordinators." in page.main_text
        assert "marzipanitis" not in page.markup


def test_who_may_not_read_a_task_does_not_tick_it_off(
    app: Flask, session: Session, settings: Settings, bea: Visitor, lead: Lead, ana: Staff
) -> None:
    """Their own, and a call back, which says nothing of health, they do as everybody does."""
    with app.app_context():
        desk = a_staff_member(session, "front_desk", name="Luz Rojas")
    write_task(bea, lead, ana)
    write_task(bea, lead, desk, text="Send the map")
    tasks.add_call_back(
        session, lead, ana.id, TUESDAY_MORNING + timedelta(hours=25), TUESDAY_MORNING
    )
    luz = enter(app, session, settings, desk)
    own, call, theirs = sorted(
        session.scalars(select(Task)), key=lambda task: (task.owner_id != desk.id, task.kind)
    )
    assert (call.kind, theirs.kind, theirs.owner_id) == ("call_back", "todo", ana.id)
    token = luz.page("/desk/").form("/sign-out")["csrf_token"][0]
    for path in ("/desk/", f"/desk/leads/{lead.ref}"):
        markup = luz.page(path).markup
        for act in ("completion", "snooze"):
            assert f"/tasks/{theirs.ref}/{act}" not in markup
            for task in (own, call):
                assert f"/tasks/{task.ref}/{act}" in markup
    typed = {"csrf_token": token, "until": "tomorrow"}
    for act in ("completion", "snooze", "reopening"):
        assert luz.post(f"/desk/tasks/{theirs.ref}/{act}", data=typed).status_code == 403
        for task in (own, call):
            assert luz.post(f"/desk/tasks/{task.ref}/{act}", data=typed).status_code == 303
    assert theirs.done_at is None
    assert theirs.due_at == TUESDAY_MORNING + timedelta(hours=25)
    # What is done already is not taken back by them either, nor offered to be.
    bea.send(bea.page("/desk/"), f"/tasks/{theirs.ref}/completion")
    assert f"/tasks/{theirs.ref}/" not in luz.page(f"/desk/leads/{lead.ref}").markup


def test_the_owner_is_reminded_once_for_each_time_without_name_or_task(
    bea: Visitor,
    session: Session,
    settings: Settings,
    vault: Vault,
    lead: Lead,
    ana: Staff,
    clock: Clock,
) -> None:
    write_task(bea, lead, ana)
    task = session.scalars(select(Task)).one()
    due_at = task.due_at
    assert reminders.remind_owners(session, settings, vault, due_at - timedelta(seconds=1)) == 0
    assert reminders.remind_owners(session, settings, vault, due_at) == 1
    session.commit()
    assert reminders.remind_owners(session, settings, vault, due_at) == 0
    letter = session.scalars(select(Message)).one()
    assert (letter.recipient, letter.language, letter.kind) == (ana.email, "es", "staff_alert")
    said = str(open_payload(vault, letter)["values"])
    assert "Whitfield" not in said and "marzipanitis" not in said and lead.ref in said
    assert "mié 4 mar 2026, 10:00 Costa Rica" in said
    # Put off to next Monday, nine o'clock: asked for again, and heard of again.
    clock.now = due_at
    bea.send(bea.page("/desk/"), f"/tasks/{task.ref}/snooze", until="next_week")
    session.refresh(task)
    assert task.due_at == TUESDAY_MORNING + timedelta(days=6)
    assert reminders.remind_owners(session, settings, vault, task.due_at) == 1


def test_tomorrow_and_next_week_are_mornings_at_the_clinic() -> None:
    zone = "America/Costa_Rica"
    # 23:30 of Monday there is Tuesday in UTC.
    late = TUESDAY_MORNING - timedelta(hours=9, minutes=30)
    assert tasks.Snooze.TOMORROW.until(late, zone) == TUESDAY_MORNING
    assert tasks.Snooze.NEXT_WEEK.until(late, zone) == TUESDAY_MORNING + timedelta(days=6)


@pytest.mark.parametrize(
    ("note", "names"),
    [
        ("@Ana please call", ["Ana Vargas"]),
        ("@ana, @BEA: look", ["Ana Vargas", "Bea Mora"]),
        ("ask @José", ["José Ruiz"]),
        ("ask @Luz", []),
        ("ask @Luz Rojas and @Luz Solís", ["Luz Rojas", "Luz Solís"]),
        ("write to bea@ana.example or x@ana", []),
        ("@Anabel and @Nobody", []),
    ],
)
def test_a_name_after_an_at_sign_mentions_whom_it_names_alone(note: str, names: list[str]) -> None:
    everybody = ["Ana Vargas", "Bea Mora", "José Ruiz", "Luz Rojas", "Luz Solís"]
    colleagues = [Staff(id=number, name=name) for number, name in enumerate(everybody)]
    found = mentions.find_mentioned(note, colleagues).colleagues
    assert [one.name for one in found] == names


def test_a_mention_is_shown_to_its_colleague_until_they_open_the_lead(
    app: Flask, session: Session, settings: Settings, bea: Visitor, lead: Lead, ana: Staff
) -> None:
    ana.language = "en"
    session.commit()
    page = bea.page(f"/desk/leads/{lead.ref}")
    bea.send(page, "/notes", note=f"@Ana @Bea {NOTE}")
    told = "The note is kept. It is shown to Ana Vargas on their first page."
    assert told in bea.page(f"/desk/leads/{lead.ref}").text
    assert session.scalars(select(Mention.staff_id)).all() == [ana.id]
    session.commit()
    visitor = enter(app, session, settings, ana)
    now = visitor.page("/desk/")
    assert "You are mentioned" in now.main_text and NAME in now.main_text
    assert "marzipanitis" not in now.markup
    assert "You are mentioned" not in bea.page("/desk/").main_text
    visitor.page(f"/desk/leads/{lead.ref}")
    assert "You are mentioned" not in visitor.page("/desk/").main_text


def test_whoever_writes_a_mention_reads_whom_it_does_not_reach(
    app: Flask, session: Session, settings: Settings, bea: Visitor, lead: Lead, ana: Staff
) -> None:
    """The front desk reads no notes (AU-12), and neither somebody who left nor a misspelt name."""
    with app.app_context():
        a_staff_member(session, "front_desk", name="Fiona Desk")
        a_staff_member(session, name="Sofía (demo)", active=False)
    for note, told in (
        (
            "@Ana @Fiona Desk please call",
            "The note is kept. It is shown to Ana Vargas on their first page. Fiona Desk sees only "
            "that they are named: their role reads no notes.",
        ),
        (
            "@nobodyxyz and @Sofía (demo), look",
            "The note is kept. There is no colleague called “nobodyxyz”, “Sofía”.",
        ),
        ("Write to janet@example.com, @Bea", "The note is kept."),
    ):
        bea.send(bea.page(f"/desk/leads/{lead.ref}"), "/notes", note=note)
        flashes = bea.page(f"/desk/leads/{lead.ref}").text.partition("The note is kept.")
        assert f"{flashes[1]}{flashes[2]}".startswith(told)
        if told == "The note is kept.":
            assert "no colleague called" not in flashes[2]


@pytest.mark.parametrize(
    ("outcome", "logged"),
    [
        ("no_answer", "Logged. Janet Whitfield still waits for a person."),
        ("wrote", "Logged: you wrote to Janet Whitfield."),
    ],
)
def test_a_note_to_what_was_logged_mentions_as_any_note_does(
    app: Flask,
    session: Session,
    settings: Settings,
    bea: Visitor,
    lead: Lead,
    ana: Staff,
    outcome: str,
    logged: str,
) -> None:
    ana.language = "en"
    session.commit()
    page = bea.page(f"/desk/leads/{lead.ref}")
    bea.send(page, "/calls", outcome=outcome, note=f"@Ana, ask @Nobodyxyz. {NOTE}")
    told = (
        f"{logged} The note is kept. It is shown to Ana Vargas on their first page. "
        "There is no colleague called “Nobodyxyz”."
    )
    assert told in bea.page(f"/desk/leads/{lead.ref}").text
    assert session.scalars(select(Mention.staff_id)).all() == [ana.id]
    session.commit()
    visitor = enter(app, session, settings, ana)
    assert "You are mentioned" in visitor.page("/desk/").main_text
    bea.send(bea.page(f"/desk/leads/{lead.ref}"), "/calls", outcome=outcome, note="Nobody is named")
    assert "The note is kept" not in bea.page(f"/desk/leads/{lead.ref}").text


@pytest.mark.parametrize(
    ("note", "unknown", "shared"),
    [
        ("@nobodyxyz, @Ana and @NobodyXYZ", ["nobodyxyz"], []),
        ("janet@example.com, x@ana, mail @example.com", [], []),
        ("@ at 5 @, @@ and @-", [], []),
        ("@Luz or @José.", [], ["Luz"]),
        ("@Anabel’s", ["Anabel’s"], []),
        ("@" + "x" * 400, ["x" * 40], []),
    ],
)
def test_a_name_that_is_nobodys_or_several_peoples_is_noticed(
    note: str, unknown: list[str], shared: list[str]
) -> None:
    everybody = ["Ana Vargas", "José Ruiz", "Luz Rojas", "Luz Solís"]
    colleagues = [Staff(id=number, name=name) for number, name in enumerate(everybody)]
    found = mentions.find_mentioned(note, colleagues)
    assert (found.unknown, found.shared) == (unknown, shared)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_lead_page_with_all_of_it_is_for_everyone(
    browser: Browser, site: str, app: Flask, session: Session, vault: Vault, ana: Staff, lead: Lead
) -> None:
    """AX-01: full, in the light, and dark at 320 px without scrolling sideways."""
    ana.language = "en"
    a_request(session, lead)
    held: dict[str, Any] = {"state": MessageState.HELD, "reason": "paused"}
    for day, changes in ((3, held), (10, dict[str, Any]())):
        due_at = TUESDAY_MORNING + timedelta(days=day)
        a_message(session, lead, step=f"day-{day}", due_at=due_at, **changes)
    for name in ("Surf team", "A tag of forty characters, all of them w"):
        tag = tags.add_tag(session, name, "accent", TUESDAY_MORNING)
        tags.tag_lead(session, lead, tag, ana.id, TUESDAY_MORNING)
    for hours in (-2, 30):
        due_at = TUESDAY_MORNING + timedelta(hours=hours)
        tasks.add_task(session, vault, lead, ana, TEXT, due_at, ana.id, TUESDAY_MORNING)
    session.commit()
    narrow: dict[str, Any] = {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"}
    for look in ({"viewport": {"width": 1280, "height": 900}}, narrow):
        with open_page(browser, site, **look) as page:
            sign_in_by_form(page, ana.email)
            page.goto(f"/desk/leads/{lead.ref}")
            for summary in ("Add a task", "Resume: Follow-up · day 3"):
                page.locator("summary", has_text=summary).click()
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= look["viewport"]["width"]
            assert_accessible(page)
