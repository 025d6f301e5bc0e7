"""Unsent: what is typed in one form of a lead's page is not lost when another is sent."""

import pytest
from playwright.sync_api import Dialog, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import contact
from leadcapture.models import Lead, LeadStatus, Staff, Task
from tests.chromium import assert_accessible, each_look
from tests.clock import TUESDAY_MORNING
from tests.people import NOTE, a_message, test_vault
from tests.test_live import Open, ana, bea, janet, of, open_desk

__all__ = ["ana", "bea", "janet", "open_desk"]

# What a browser does is the same whatever keeps the leads.
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture
def page(session: Session, open_desk: Open, ana: Staff, janet: Lead) -> Page:
    """Janet's page, on which Ana has begun a note."""
    a_message(session, janet)
    session.commit()
    page = open_desk(ana, of(janet))
    page.fill("#note", NOTE)
    return page


def kept_by_the_browser(page: Page) -> int:
    return int(page.evaluate("localStorage.length + sessionStorage.length"))


@pytest.mark.parametrize(
    ("button", "said"),
    [
        ("Reached", "Logged: you reached Janet Whitfield. 1 follow-up is cancelled."),
        ("No answer", "Logged. Janet Whitfield still waits for a person."),
        ("Assign to me", "Janet Whitfield is yours."),
        ("Move", "1 lead is now:"),
        ("Send the packet", "The packet is on its way to"),
        ("Skip", "Skipped"),
    ],
)
def test_a_note_that_is_begun_stays_when_another_button_is_pressed(
    page: Page, session: Session, janet: Lead, button: str, said: str
) -> None:
    page.get_by_role("button", name=button).first.click()
    page.get_by_text(said).first.wait_for()
    assert page.input_value("#note") == NOTE
    assert page.locator("#note").count() == 1
    assert kept_by_the_browser(page) == 0
    # It is the same form still, and what was done can be done once more.
    page.get_by_role("button", name="Save the note").click()
    page.get_by_text("The note is kept.").wait_for()
    assert page.input_value("#note") == ""
    page.locator(".timeline__note", has_text=NOTE).wait_for()


def test_an_act_is_undone_beside_the_note(page: Page, session: Session, janet: Lead) -> None:
    page.get_by_role("button", name="Reached").click()
    page.get_by_text("Logged: you reached Janet Whitfield.").wait_for()
    page.locator(".lead-head .state--contacted").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator(".lead-head .state--new").wait_for()
    session.refresh(janet)
    assert (janet.status, janet.waiting_since) == (LeadStatus.NEW, TUESDAY_MORNING)
    session.commit()
    page.select_option("#move-status", "booked")
    page.get_by_role("button", name="Move").click()
    page.locator(".lead-head .state--booked").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Undone: 1 lead stands as before.").wait_for()
    page.locator(".lead-head .state--new").wait_for()
    assert page.input_value("#note") == NOTE
    session.refresh(janet)
    assert janet.status == LeadStatus.NEW


def test_a_note_stays_beside_what_went_wrong_and_both_can_be_mended(
    page: Page, session: Session, janet: Lead
) -> None:
    page.fill("#call-note", "He asked for the evening.")
    page.get_by_role("button", name="Asked to be called back").click()
    page.get_by_text("Say when they want to be called back").wait_for()
    assert page.evaluate("document.activeElement.id") == "problem"
    assert page.title().startswith("Error:")
    assert_accessible(page)
    assert page.input_value("#note") == NOTE
    assert page.input_value("#call-note") == "He asked for the evening."
    page.fill("#call-back-at", "2026-03-04T10:00")
    page.get_by_role("button", name="Asked to be called back").click()
    page.get_by_text("You are to call back").wait_for()
    assert page.input_value("#note") == NOTE
    assert page.input_value("#call-note") == page.input_value("#call-back-at") == ""
    assert page.locator("#problem").count() == 0
    assert not page.title().startswith("Error:")
    assert session.scalars(select(Task.kind)).all() == ["call_back"]


def test_a_note_that_was_refused_stays_when_another_button_is_pressed(
    page: Page, janet: Lead
) -> None:
    page.evaluate("note.maxLength = 100000")
    page.fill("#note", NOTE * 200)
    page.get_by_role("button", name="Save the note").click()
    page.get_by_text(f"A note has {contact.LONGEST_NOTE} characters at most").wait_for()
    page.get_by_role("button", name="Reached").click()
    page.get_by_text("Logged: you reached Janet Whitfield.").wait_for()
    assert page.input_value("#note") == NOTE * 200
    assert page.url.endswith(of(janet))


def close_what_a_colleague_took_over(page: Page, session: Session, bea: Staff, janet: Lead) -> None:
    """Send a move that was chosen before a colleague changed the lead."""
    page.select_option("#move-status", "closed")
    page.select_option("#move-reason", "cost")
    contact.assign(session, janet, bea.id, bea.id, TUESDAY_MORNING)
    session.commit()
    page.locator(".timeline__what", has_text="Took over the lead").wait_for()
    page.get_by_role("button", name="Move").click()


def test_a_question_about_a_stale_move_stands_above_the_note_until_it_is_answered(
    page: Page, session: Session, bea: Staff, janet: Lead
) -> None:
    close_what_a_colleague_took_over(page, session, bea, janet)
    page.get_by_text("has changed since you opened the page").wait_for()
    assert page.input_value("#note") == NOTE
    for _ in each_look(page):
        assert_accessible(page)
    # Meanwhile something else happens; the question is not merged away.
    contact.add_note(session, test_vault, janet, bea.id, TUESDAY_MORNING, "Hello")
    session.commit()
    page.wait_for_timeout(2_500)
    page.get_by_role("button", name="Save it anyway").click()
    page.locator(".lead-head .state--closed").wait_for()
    assert page.get_by_text("has changed since you opened the page").count() == 0
    assert page.input_value("#note") == NOTE


def test_whoever_discards_a_stale_move_keeps_the_note(
    page: Page, session: Session, bea: Staff, janet: Lead
) -> None:
    close_what_a_colleague_took_over(page, session, bea, janet)
    page.get_by_role("link", name="Discard mine and open the lead").click()
    page.get_by_text("has changed since you opened the page").wait_for(state="detached")
    assert page.input_value("#note") == NOTE
    assert page.input_value("#move-reason") == ""


def test_a_task_that_is_begun_stays_when_the_note_is_saved(page: Page, session: Session) -> None:
    page.locator("summary", has_text="Add a task").click()
    page.fill("#task-text", "Send the map")
    page.fill("#task-due", "2026-03-04T10:00")
    page.get_by_role("button", name="Save the note").click()
    page.get_by_text("The note is kept.").wait_for()
    assert page.input_value("#note") == ""
    assert page.input_value("#task-text") == "Send the map"
    assert page.input_value("#task-due") == "2026-03-04T10:00"
    page.get_by_role("button", name="Add the task").click()
    page.get_by_text("The task is kept.").wait_for()
    assert session.scalars(select(Task.kind)).all() == ["todo"]


def test_no_answer_and_no_session_leave_what_was_typed_where_it_stands(
    page: Page, session: Session, janet: Lead, ana: Staff
) -> None:
    page.context.set_offline(True)
    page.get_by_role("button", name="Reached").click()
    page.get_by_text("No answer came, so it may be saved or not").wait_for()
    assert page.input_value("#note") == NOTE
    page.context.set_offline(False)
    page.context.clear_cookies()
    page.get_by_role("button", name="Move").click()
    page.get_by_text("Copy what you typed here before you sign in again.").wait_for()
    assert page.input_value("#note") == NOTE
    session.refresh(janet)
    assert (janet.owner_id, janet.status) == (None, LeadStatus.NEW)


def test_where_nothing_else_is_typed_the_browser_sends_the_form_itself(
    page: Page, janet: Lead
) -> None:
    page.fill("#note", "")
    page.evaluate("window.isTheOldPage = true")
    page.get_by_role("button", name="Reached").click()
    page.get_by_text("Logged: you reached Janet Whitfield.").wait_for()
    assert page.evaluate("window.isTheOldPage") is None
    page.fill("#note", NOTE)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in**")
    assert kept_by_the_browser(page) == 0


@pytest.fixture
def asked(page: Page) -> list[str]:
    """What the browser asked about this page, whose reader always stays."""
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    return asked


def test_what_came_back_with_a_problem_is_asked_about_until_it_is_taken(
    page: Page, asked: list[str]
) -> None:
    page.fill("#note", "")
    page.get_by_text("Add a task", exact=True).click()
    page.fill("#task-text", "Call about the second form")
    page.fill("#task-due", "2020-03-04T10:00")
    page.get_by_role("button", name="Add the task").click()
    page.locator("#task-due[aria-invalid=true]").wait_for()
    # A browser asks only after somebody who has done something here.
    page.locator("#task-text").click()
    page.get_by_role("link", name="Leads", exact=True).click()
    assert asked == ["beforeunload"]
    assert page.input_value("#task-text") == "Call about the second form"
    page.fill("#task-due", "2026-03-04T10:00")
    page.get_by_role("button", name="Add the task").click()
    page.locator("#task-due:not([aria-invalid])").wait_for(state="attached")
    page.get_by_role("link", name="Leads", exact=True).click()
    page.wait_for_url("**/desk/leads")
    assert asked == ["beforeunload"]


def test_whoever_leaves_a_begun_note_is_asked_first(page: Page, asked: list[str]) -> None:
    """The browser asks; to stay keeps what is written, and what is saved is not asked about."""
    # A browser asks only after somebody who has done something here.
    page.locator("#note").press_sequentially(" and more")
    page.get_by_role("link", name="Leads", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    assert asked == ["beforeunload", "beforeunload"]
    assert page.input_value("#note") == f"{NOTE} and more"
    page.get_by_role("button", name="Save the note").click()
    page.get_by_text("The note is kept.").wait_for()
    page.get_by_role("link", name="Leads", exact=True).click()
    page.wait_for_url("**/desk/leads")
    assert len(asked) == 2
