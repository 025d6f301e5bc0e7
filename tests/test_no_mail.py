"""No mail: to an address that mail came back from, or whose owner complained, nobody is sent."""

from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from leadcapture.models import Lead, SuppressionScope
from leadcapture.outbox import stops
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING
from tests.people import a_lead, a_staff_member
from tests.test_dashboard import rosa
from tests.visitors import Visitor

__all__ = ["rosa"]


def without_mail(session: Session, why: str = "no_such_address", **changes: Any) -> Lead:
    lead = a_lead(session, **changes)
    stops.suppress(session, lead.cap_hash, SuppressionScope.ALL, why, TUESDAY_MORNING)
    session.commit()
    return lead


@pytest.mark.parametrize(
    ("why", "told"),
    [("no_such_address", "does not exist"), ("complained", "marked a letter of ours as spam")],
)
def test_who_wished_for_mail_that_comes_back_is_called(
    rosa: Visitor, session: Session, why: str, told: str
) -> None:
    lead = without_mail(session, why, contact_by="email")
    page = rosa.page("/desk/")
    assert "Write to them" not in page.main_text and "I wrote to them" not in page.main_text
    assert f"Do not write to {lead.email}." in page.main_text and told in page.main_text
    assert f'href="tel:{lead.phone}"' in page.markup and "mailto:" not in page.markup
    assert "Call logged" in page.main_text


def test_who_has_no_telephone_that_can_be_dialled_is_shown_with_what_was_typed(
    rosa: Visitor, session: Session
) -> None:
    without_mail(session, phone=None, phone_typed="ask at 555")
    page = rosa.page("/desk/")
    assert "ask at 555 as typed; check it" in page.main_text
    assert "does not exist" in page.main_text and "mailto:" not in page.markup
    assert "I wrote to them" not in page.main_text and "Call logged" in page.main_text
    assert "Write to them" not in page.main_text
    assert "Neither mail nor a checked telephone reaches them" in page.main_text


def test_who_has_no_telephone_at_all_is_shown_as_such(rosa: Visitor, session: Session) -> None:
    without_mail(session, phone=None, phone_typed="")
    assert "There is no telephone either" in rosa.page("/desk/").main_text


def test_who_wished_for_a_message_on_their_telephone_is_written_to_there(
    rosa: Visitor, session: Session
) -> None:
    without_mail(session, contact_by="whatsapp")
    page = rosa.page("/desk/")
    assert "Write to them" in page.main_text and "I wrote to them" in page.main_text
    assert "Do not write to" in page.main_text and "mailto:" not in page.markup


def test_who_stopped_follow_ups_only_is_written_to(rosa: Visitor, session: Session) -> None:
    lead = a_lead(session, contact_by="email")
    scope = SuppressionScope.FOLLOW_UPS
    stops.suppress(session, lead.cap_hash, scope, "unsubscribed", TUESDAY_MORNING)
    session.commit()
    page = rosa.page("/desk/")
    assert f'href="mailto:{lead.email}"' in page.markup and "Do not write" not in page.main_text


def test_the_leads_page_says_why_in_place_of_the_link(rosa: Visitor, session: Session) -> None:
    page = rosa.page(f"/desk/leads/{without_mail(session).ref}")
    assert "Do not write there. This address does not exist." in page.main_text
    assert "mailto:" not in page.markup
    assert "mailto:" in rosa.page(f"/desk/leads/{a_lead(session).ref}").markup


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_reason_is_for_everybody(
    app: Flask, browser: Browser, site: str, session: Session, language: str
) -> None:
    with app.app_context():
        staff = a_staff_member(session, language=language)
    for changes in ({"contact_by": "email"}, {"phone": None}):
        lead = without_mail(session, **changes)
    narrow: dict[str, Any] = {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"}
    for look in ({"viewport": {"width": 1280, "height": 900}}, narrow):
        with open_page(browser, site, **look) as page:
            sign_in_by_form(page, staff.email)
            for path in ("/desk/", f"/desk/leads/{lead.ref}"):
                page.goto(path)
                words = {"en": "Do not write", "es": "No escriba"}[language]
                assert words in page.inner_text("main")
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width <= look["viewport"]["width"]
                assert_accessible(page)
