"""Keys: the desk in four keystrokes, the sheet, the switch; without script more slowly."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import presence
from leadcapture.models import Lead, LeadStatus, Staff, TimelineEntry
from leadcapture.settings import Settings
from tests.chromium import assert_accessible, open_page
from tests.clock import TUESDAY_MORNING
from tests.conftest import make_visitor
from tests.people import PASSWORD, a_lead, a_request, a_staff_member


@pytest.fixture
def rosa(app: Flask, session: Session) -> Staff:
    with app.app_context():
        return a_staff_member(session)


@pytest.fixture
def queue(session: Session, rosa: Staff) -> list[Lead]:
    """Three who wait, the longest first; the second is a colleague's."""
    leads = [
        a_lead(session, full_name=name, waiting_since=TUESDAY_MORNING - timedelta(hours=hours))
        for hours, name in ((3, "First Inline"), (2, "Second Inline"), (1, "Third Inline"))
    ]
    for lead in leads:
        a_request(session, lead)
    session.commit()
    return leads


def sign_in(page: Page, who: Staff) -> None:
    page.goto("/sign-in")
    page.fill("#email", who.email)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_next_person_is_opened_taken_called_and_left_in_four_keys(
    browser: Browser, site: str, session: Session, rosa: Staff, queue: list[Lead]
) -> None:
    """The database says what happened; the mouse is never touched."""
    pressed = 0
    with open_page(browser, site) as page:
        sign_in(page, rosa)

        def key(letter: str, then: Callable[[], object]) -> None:
            nonlocal pressed
            pressed += 1
            page.keyboard.press(letter)
            then()

        key("n", lambda: page.wait_for_url(f"**/{queue[0].ref}"))
        key("a", lambda: page.get_by_text("First Inline is yours.").wait_for())
        key("c", lambda: page.get_by_text("Logged: you reached First Inline.").wait_for())
        key("n", lambda: page.wait_for_url(f"**/{queue[1].ref}"))
        session.expire_all()
        assert pressed == 4
        first = queue[0]
        assert (first.owner_id, first.status) == (rosa.id, LeadStatus.CONTACTED)
        assert first.waiting_since is None
        kinds = select(TimelineEntry.kind).where(TimelineEntry.lead_id == first.id)
        assert session.scalars(kinds.order_by(TimelineEntry.id)).all() == [
            "assigned",
            "call_logged",
            "status_changed",
        ]
        session.commit()
        assert page.get_by_role("button", name="Reached").get_attribute("aria-keyshortcuts") == "c"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_letters_move_go_search_and_explain_and_never_bother_who_types(
    browser: Browser, site: str, session: Session, rosa: Staff, queue: list[Lead]
) -> None:
    """WCAG 2.1.4: they wait while a field has the focus, and can be switched off."""

    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent"))

    with open_page(browser, site, viewport={"width": 1280, "height": 800}) as page:
        sign_in(page, rosa)
        for letters, name in (("j", "First"), ("j", "Second"), ("k", "First"), ("jj", "Third")):
            for letter in letters:
                page.keyboard.press(letter)
            assert focused() == f"{name} Inline"
        page.keyboard.press("u")
        page.get_by_text("Third Inline still waits for a person").wait_for()
        for letter in "gl":
            page.keyboard.press(letter)
        page.wait_for_url("**/desk/leads")
        page.keyboard.press("/")
        page.keyboard.type("nag?c")
        assert page.input_value("#q") == "nag?c"
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.keyboard.press("?")
        page.get_by_role("dialog", name="Keys").wait_for()
        assert_accessible(page)
        page.keyboard.press("Escape")
        page.goto("/desk/keys")
        assert_accessible(page)
        page.get_by_role("button", name="Switch single letters off").click()
        page.get_by_text("Single letters do nothing any more").wait_for()
        page.goto("/desk/")
        page.keyboard.press("n")
        page.keyboard.press("?")
        assert page.locator("kbd").count() == 0 and page.locator("dialog").count() == 0
        page.get_by_role("link", name="Open the next").click()
        page.wait_for_url(f"**/{queue[0].ref}")


def test_next_passes_over_whom_a_colleague_has_or_looks_at(
    app: Flask, settings: Settings, session: Session, rosa: Staff, queue: list[Lead]
) -> None:
    """Two coordinators who press at once do not call the same person; it works without script."""
    with app.app_context():
        ana = a_staff_member(session, name="Ana Vargas")
    visitor = make_visitor(app, settings, session)
    visitor.enter(rosa)

    def after(lead: Lead | None) -> str | None:
        return visitor.get("/desk/next", query_string={"after": lead.ref if lead else ""}).location

    first, second, third = (f"/desk/leads/{lead.ref}" for lead in queue)
    assert [after(lead) for lead in (None, *queue)] == [first, second, third, first]
    presence.arrive(session, queue[0].id, ana.id, TUESDAY_MORNING)
    assert after(None) == second
    queue[1].owner_id = ana.id
    assert after(None) == third
    assert after(queue[2]) == first, "nobody else is left"
    queue[0].waiting_since = queue[2].waiting_since = None
    assert after(None) == "/desk/"
    assert "Nobody else is waiting for you." in visitor.page("/desk/").text
    assert visitor.get("/desk/next?after=%00%27").location == "/desk/"
