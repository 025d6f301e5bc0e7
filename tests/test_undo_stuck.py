"""Undo of what was decided on Now: an alert closed, a letter dealt with, a letter never sent."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leadcapture.leads import letters_stuck
from leadcapture.models import (
    AuditEntry,
    Lead,
    Message,
    MessageKind,
    MessageState,
    SuppressionScope,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import ledger, stops
from leadcapture.outbox.alerts import raise_alert
from tests.chromium import assert_accessible, open_page
from tests.clock import TUESDAY_MORNING
from tests.people import PASSWORD, a_lead, a_message, a_staff_member
from tests.post_office import PostOffice
from tests.test_dashboard import rosa
from tests.visitors import Visitor

__all__ = ["rosa"]


@pytest.fixture
def lead(session: Session) -> Lead:
    return a_lead(session, waiting_since=None)


def stuck(session: Session, lead: Lead, **changes: Any) -> Message:
    """A packet's letter that stands still, and the task about it."""
    facts = {"kind": MessageKind.PACKET, "state": MessageState.HELD, "reason": "nonsense"} | changes
    message = a_message(session, lead, **facts)
    ledger.ask_staff(session, message, f"letter_{message.state}", message.state_at)
    session.commit()
    return message


def letters(session: Session) -> list[tuple[str, str]]:
    session.expire_all()
    found = session.scalars(select(Message).order_by(Message.id))
    return [(letter.state.value, letter.reason) for letter in found]


@pytest.mark.parametrize("where", ["now", "lead"])
def test_what_is_never_sent_is_held_again_for_the_same_reason_and_goes_nowhere(
    rosa: Visitor,
    session: Session,
    lead: Lead,
    where: str,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    path = "/desk/" if where == "now" else f"/desk/leads/{lead.ref}"
    first = stuck(session, lead)
    rosa.send(rosa.page(path), "/settlement", act="never")
    told = rosa.page(path)
    assert "Packet is never sent. Undo" in told.text
    rosa.send(told, "/settlement", act="back")
    page = rosa.page(path)
    assert "Undone: Packet is held as before and not sent by itself." in page.text
    assert "nothing sensible" in rosa.page("/desk/").main_text
    assert letters(session) == [("cancelled", "staff_cancelled"), ("held", "nonsense")]
    send_due()
    assert office.letters == []
    # The notice of then, pressed once more, queues nothing twice.
    rosa.send(told, "/settlement", act="back")
    assert "Not undone: Packet stays as it is." in rosa.page(path).text
    assert len(letters(session)) == 2
    kinds = session.scalars(select(TimelineEntry.kind).order_by(TimelineEntry.id)).all()
    assert kinds == ["letter_ended", "letter_held_again"]
    acts = session.scalars(select(AuditEntry.act).where(AuditEntry.subject == first.ref)).all()
    assert {"letter_ended", "letter_held_again"} <= set(acts)


def test_the_letter_that_is_held_again_goes_out_when_a_person_has_it_tried(
    rosa: Visitor,
    session: Session,
    lead: Lead,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    stuck(session, lead)
    rosa.send(rosa.page("/desk/"), "/settlement", act="never")
    rosa.send(rosa.page("/desk/"), "/settlement", act="back")
    rosa.send(rosa.page("/desk/"), "/release", password=PASSWORD)
    assert letters(session)[1] == ("queued", "released")
    send_due()
    assert len(office.letters) == 1


@pytest.mark.parametrize("changes", [{"doubts": 1}, {"sha256": "0" * 64}, {"kind": "unheard_of"}])
def test_what_may_have_arrived_or_is_unknown_ends_for_good(
    rosa: Visitor, session: Session, lead: Lead, changes: dict[str, Any]
) -> None:
    """I6: a new letter would be a copy that differs from the first."""
    message = stuck(session, lead)
    session.execute(update(Message).values(**changes))
    session.commit()
    rosa.send(rosa.page("/desk/"), "/settlement", act="never")
    told = rosa.page("/desk/").text
    assert "is never sent." in told and "Undo" not in told
    session.refresh(message)
    assert not letters_stuck.may_be_taken_back(message)


def test_who_stopped_our_letters_meanwhile_has_none_held(
    rosa: Visitor, session: Session, lead: Lead
) -> None:
    message = stuck(session, lead)
    rosa.send(rosa.page("/desk/"), "/settlement", act="never")
    told = rosa.page("/desk/")
    scope = SuppressionScope.ALL
    stops.suppress(session, message.cap_hash, scope, "refused_all", TUESDAY_MORNING)
    session.commit()
    rosa.send(told, "/settlement", act="back")
    assert "Not undone: Packet stays as it is." in rosa.page("/desk/").text
    assert len(letters(session)) == 1


@pytest.mark.parametrize("state", [MessageState.FAILED, MessageState.BOUNCED])
def test_what_was_dealt_with_waits_for_a_decision_again(
    rosa: Visitor, session: Session, lead: Lead, state: MessageState
) -> None:
    stuck(session, lead, state=state, reason="no_such_address")
    rosa.send(rosa.page("/desk/"), "/settlement")
    told = rosa.page("/desk/")
    assert "every letter has arrived" in told.main_text and "Settled. Undo" in told.text
    rosa.send(told, "/settlement", act="back")
    page = rosa.page("/desk/")
    assert "Undone: Packet waits for a decision again." in page.text
    assert "Dealt with" in page.main_text
    assert letters(session) == [(state.value, "no_such_address")]
    rosa.send(told, "/settlement", act="back")
    assert "Not undone: Packet stays as it is." in rosa.page("/desk/").text
    entries = session.scalars(select(TimelineEntry.kind).order_by(TimelineEntry.id)).all()
    assert entries == ["letter_settled", "letter_unsettled"]


def test_an_alert_that_was_closed_stands_on_now_again(rosa: Visitor, session: Session) -> None:
    raise_alert(session, "sweep_i7", "zz", TUESDAY_MORNING)
    session.commit()
    task = session.scalars(select(Task)).one()
    rosa.send(rosa.page("/desk/"), f"/tasks/{task.ref}/completion")
    told = rosa.page("/desk/")
    assert "From the service itself" not in told.main_text and "Done. Undo" in told.text
    rosa.send(told, f"/tasks/{task.ref}/reopening")
    assert "From the service itself" in rosa.page("/desk/").main_text


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_undo_is_for_everybody(
    app: Flask,
    browser: Browser,
    site: str,
    session: Session,
    lead: Lead,
    script: bool,
    language: str,
) -> None:
    with app.app_context():
        admin = a_staff_member(session, "admin", language=language)
    stuck(session, lead)
    looks: dict[str, Any] = {"viewport": {"width": 320, "height": 700}, "color_scheme": "dark"}
    never, undo, undone = {
        "en": ("Never send", "Undo", "is held as before"),
        "es": ("No enviar nunca", "Deshacer", "queda retenida como antes"),
    }[language]
    with open_page(browser, site, java_script_enabled=script, **looks) as page:
        page.goto("/sign-in")
        page.fill("#email", admin.email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/")
        page.locator("button", has_text=never).click()
        page.get_by_role("button", name=undo).wait_for()
        if script:
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            assert_accessible(page)
        page.get_by_role("button", name=undo).click()
        page.get_by_text(undone).wait_for()
        assert page.locator("button", has_text=never).count() == 1
