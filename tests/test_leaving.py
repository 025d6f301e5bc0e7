"""Leaving: nothing stays in the browser, and an ended session loses nothing that was typed."""

from contextlib import closing
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.accounts import kept_forms
from leadcapture.models import KeptForm, Lead, Staff, TimelineEntry
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.chromium import assert_accessible, launch, open_page
from tests.clock import Clock
from tests.conftest import make_visitor
from tests.people import MESSAGE, NAME, NOTE, PASSWORD, a_lead, a_request, a_staff_member
from tests.visitors import Visitor


@pytest.fixture
def rosa(app: Flask, session: Session) -> Staff:
    with app.app_context():
        return a_staff_member(session)


@pytest.fixture
def janet(session: Session, rosa: Staff) -> Lead:
    lead = a_lead(session)
    a_request(session, lead)
    session.commit()
    return lead


def sign_in(visitor: Visitor, who: Staff) -> str | None:
    """Where signing in leads."""
    page = visitor.page("/sign-in")
    visitor.send(page, "/sign-in", email=who.email, password=PASSWORD)
    return visitor.get("/desk/arrival").location


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_after_signing_out_back_shows_nothing_and_nothing_is_stored(
    browser: Browser, site: str, janet: Lead, rosa: Staff
) -> None:
    """WS-16, in a real Chromium with its back/forward cache."""
    with (
        closing(launch(browser.browser_type, sets_pages_aside=True)) as with_cache,
        open_page(with_cache, site) as page,
    ):
        page.goto(f"/desk/leads/{janet.ref}")
        page.fill("#email", rosa.email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_text(MESSAGE).wait_for()
        page.get_by_role("link", name="Leads", exact=True).click()
        page.wait_for_url("**/desk/leads")
        stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert page.evaluate(stored) == '[{},{},""]'
        with page.expect_response("**/sign-out") as answer:
            page.get_by_role("button", name="Sign out").click()
        assert answer.value.all_headers()["clear-site-data"] == '"cache", "storage"'
        page.wait_for_url("**/sign-in")
        for _ in range(2):
            page.go_back()
            page.wait_for_url("**/sign-in")
            shown = page.content()
            assert not any(word in shown for word in (NAME, MESSAGE, "Whitfield"))
        assert page.evaluate(stored) == '[{},{},""]'


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_note_typed_past_the_session_comes_back_after_signing_in(
    browser: Browser, site: str, session: Session, janet: Lead, rosa: Staff
) -> None:
    """AX-03, AX-07: as the person meets it, in every state accessible."""
    with open_page(browser, site) as page:
        page.goto(f"/desk/leads/{janet.ref}")
        page.fill("#email", rosa.email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.fill("#note", NOTE)
        page.context.clear_cookies()
        page.get_by_role("button", name="Save the note").click()
        page.get_by_text("Your session had ended").wait_for()
        assert NOTE not in page.content()
        assert NOTE not in str(page.context.cookies())
        assert_accessible(page)
        page.fill("#email", rosa.email)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/kept")
        assert page.input_value("textarea") == NOTE
        assert_accessible(page)
        page.get_by_role("button", name="Save it now").click()
        page.get_by_text("The note is kept.").wait_for()
    session.expire_all()
    assert [entry.kind for entry in session.scalars(select(TimelineEntry))] == ["note_added"]
    assert session.scalars(select(KeptForm)).all() == []


def test_a_kept_form_is_its_writers_alone_for_an_hour(
    app: Flask,
    settings: Settings,
    session: Session,
    vault: Vault,
    janet: Lead,
    rosa: Staff,
    clock: Clock,
) -> None:
    with app.app_context():
        ana = a_staff_member(session, name="Ana Vargas")
    address = f"/desk/leads/{janet.ref}/notes"

    def send_late(writer: str) -> int:
        return (
            make_visitor(app, settings, session)
            .post(
                address,
                data={"note": NOTE, "writer": writer, "csrf_token": "gone", "password": PASSWORD},
            )
            .status_code
        )

    writer = kept_forms.sign_writer(vault, rosa.id)
    for forged in ("", "7", writer[:-4] + "AAA=", "ñ", kept_forms.sign_writer(vault, 999)):
        assert send_late(forged) in (400, 303)
        assert session.scalars(select(KeptForm)).all() == []
    assert (send_late(writer), send_late(writer)) == (303, 303)
    kept = session.scalars(select(KeptForm)).one()
    assert NOTE.encode() not in kept.sealed
    assert session.scalars(select(TimelineEntry)).all() == []
    anas, rosas = (make_visitor(app, settings, session) for _ in range(2))
    assert (sign_in(anas, ana), sign_in(rosas, rosa)) == ("/desk/", "/desk/kept")
    shown = rosas.page("/desk/kept").text
    assert NOTE in shown and PASSWORD not in shown
    assert anas.get("/desk/kept").location == "/desk/"
    clock.advance(timedelta(hours=1))
    assert rosas.get("/desk/kept").location == "/desk/"
    assert send_late(writer) == 303
    rosas.send(rosas.page("/desk/kept"), "/desk/kept")
    assert session.scalars(select(KeptForm)).all() == []
