"""What the desk tells: days with their dates, towns, countries, what became of a letter or file."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from leadcapture import places, web
from leadcapture.dashboard import times
from leadcapture.languages import speak
from leadcapture.models import MessageState
from tests.chromium import open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING
from tests.conftest import SignIn
from tests.people import PASSWORD, a_lead, a_message, a_request, a_staff_member
from tests.test_figures import called

NOTES_WHAT_IS_DRAWN = """
    window.drawn = [];
    const fillText = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
      window.drawn.push(text);
      return fillText.call(this, text, ...more);
    };
"""


@pytest.fixture
def database_kind() -> str:
    """What a page says asks no database: one is enough."""
    return "sqlite"


@pytest.mark.parametrize(
    ("days", "english", "spanish"),
    [
        (-6, "Wed 09:00", "mié 09:00"),
        (6, "Mon 09:00", "lun 09:00"),
        (-7, "Tue 24 Feb 09:00", "mar 24 feb 09:00"),
        (7, "Tue 10 Mar 09:00", "mar 10 mar 09:00"),
    ],
)
def test_a_day_out_of_this_week_has_its_date(
    app: Flask, days: int, english: str, spanish: str
) -> None:
    """Six days either way no two days have the same name."""
    told = []
    with app.test_request_context("/?lang=en"):
        for language in ("en", "es"):
            speak(language)
            at = web.now() + timedelta(days=days)
            told.append(times.day_and_time(at))
            assert times.day_if_other(at) == told[-1]
    assert told == [english, spanish]


def test_a_patients_town_is_told_where_both_clocks_agree(app: Flask) -> None:
    """In March it is as late in Chicago as in Costa Rica; nobody is called at the wrong town."""
    with app.test_request_context("/?lang=en"):
        told = times.both_clocks("America/Chicago")
        assert told.striptags() == "09:00 Chicago (the same here)"
        assert times.both_clocks("America/Costa_Rica").striptags() == "09:00 Costa Rica"
        assert times.both_clocks("Mars/Olympus_Mons").striptags() == "09:00 Costa Rica"
        away = times.both_clocks("America/New_York").striptags()
        assert away == "10:00 New York (09:00 Costa Rica)"
        speak("es")
        assert times.both_clocks("America/Chicago").striptags() == "09:00 Chicago (igual aquí)"


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_country_is_one_where_people_live(
    sign_in: SignIn, session: Session, language: str
) -> None:
    rosa = sign_in()
    lead = a_lead(session)
    for path in (f"/desk/leads?lang={language}", f"/desk/leads/{lead.ref}/details?lang={language}"):
        text = rosa.get(path).text
        for code in ("EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"):
            assert f'<option value="{code}"' not in text, (path, code)
        for code, name in (("US", ""), ("CR", "Costa Rica"), ("KE", ""), ("XK", "Kosovo")):
            assert f'<option value="{code}"' in text and name in text, (path, code)
    names = [name for _code, name in places.every_country(language)]
    assert len(names) == 250
    initials = [name[0] for name in names[4:]]
    assert (initials[0], initials[-1]) == ("A", "Z"), "no accent stands after all letters"


def test_side_by_side_a_cancelled_letter_says_when_it_was_cancelled(
    sign_in: SignIn, session: Session
) -> None:
    rosa = sign_in()
    one, other = a_lead(session), a_lead(session)
    in_weeks = TUESDAY_MORNING + timedelta(days=24)
    two_hours_ago = TUESDAY_MORNING - timedelta(hours=2)
    ended: dict[str, Any] = {
        "state": MessageState.CANCELLED,
        "state_at": two_hours_ago,
        "reason": "contacted",
    }
    a_message(session, one, step="day-24", due_at=in_weeks, **ended)
    page = f"/desk/leads/{one.ref}/merging/{other.ref}"
    text = rosa.page(page).main_text
    assert "Cancelled 2 hr ago" in text and "in 3 weeks" not in text
    a_message(session, other, step="day-24", due_at=in_weeks)
    assert "in 3 weeks" in rosa.page(page).main_text


def test_once_a_file_comes_the_page_says_no_more_that_nothing_was_exported(
    app: Flask, browser: Browser, site: str, session: Session
) -> None:
    with app.app_context():
        email = a_staff_member(session).email
    a_lead(session)
    session.commit()
    with open_page(browser, site) as page:
        sign_in_by_form(page, email)
        page.goto("/desk/exports/new")
        page.fill("#password", "not mine")
        page.keyboard.press("Enter")
        page.get_by_text("Nothing was exported yet").wait_for()
        assert page.title().startswith("Error: ")
        page.fill("#password", PASSWORD)
        with page.expect_download() as coming:
            page.get_by_role("button", name="Download the file").click()
        assert coming.value.suggested_filename == "leads-2026-03-03.csv"
        assert page.get_by_text("That is not your password").count() == 0
        assert page.get_by_role("alert").and_(page.locator(".notice--failed")).count() == 0
        assert page.title().startswith("Export leads – ")
        assert page.locator("#password").get_attribute("aria-invalid") is None


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_chart_of_long_waits_has_hours_as_its_table_does(
    app: Flask, browser: Browser, site: str, session: Session, language: str
) -> None:
    with app.app_context():
        rosa = a_staff_member(session)
    asked_at = TUESDAY_MORNING - timedelta(days=2)
    lead = a_lead(session, created_at=asked_at, waiting_since=None)
    a_request(session, lead, created_at=asked_at)
    called(session, lead.id, rosa.id, TUESDAY_MORNING, "reached")
    session.commit()
    hint = {"en": "Whoever still waits past their time", "es": "Quien sigue esperando pasado"}
    with open_page(browser, site, viewport={"width": 1280, "height": 900}) as page:
        page.add_init_script(NOTES_WHAT_IS_DRAWN)
        sign_in_by_form(page, rosa.email)
        page.goto(f"/desk/reports?period=7&lang={language}")
        page.locator("[data-plot=hours] canvas").wait_for()
        drawn = page.evaluate("window.drawn")
        unit = {"en": "hr", "es": "h"}[language]
        assert any(str(text).endswith(f" {unit}") for text in drawn), drawn
        assert not any(str(text).endswith(" min") for text in drawn), drawn
        assert page.get_by_text(hint[language]).is_visible()
