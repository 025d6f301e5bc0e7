"""Exact times: what reads ``2 hr ago`` says when that was to whoever stops at it by any way."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Locator, Page
from sqlalchemy.orm import Session

from leadcapture.models import Lead
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING
from tests.people import a_lead, a_staff_member

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 320, "height": 700},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
EXACT = "Tue 3 Mar 2026, 07:00 Costa Rica"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def lead(app: Flask, session: Session) -> Lead:
    """Who has waited for two hours; Rosa may look at it."""
    with app.app_context():
        a_staff_member(session)
    asked_at = TUESDAY_MORNING - timedelta(hours=2)
    lead = a_lead(session, waiting_since=asked_at, last_request_at=asked_at)
    session.commit()
    return lead


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def desk(
    request: pytest.FixtureRequest, browser: Browser, site: str, lead: Lead, look: dict[str, Any]
) -> Iterator[Page]:
    with open_page(browser, site, java_script_enabled=request.param, **look) as page:
        sign_in_by_form(page, "rosa.alvarado@clinic.example")
        yield page


def is_shown(time: Locator) -> bool:
    """Whether the exact time stands whole within the window, not clipped to nothing."""
    box = time.locator(".time__exact").bounding_box()
    size = time.page.viewport_size
    assert box is not None and size is not None
    is_inside = box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    return box["height"] > 10 and is_inside and box["y"] + box["height"] <= size["height"]


def test_the_exact_time_is_shown_to_whoever_stops_at_it(desk: Page, look: dict[str, Any]) -> None:
    time = desk.locator(".queue time").first
    assert time.text_content() == f"2 hr, {EXACT}"
    assert not is_shown(time)
    width = desk.evaluate("document.documentElement.scrollWidth")
    desk.locator(".queue__name a").first.focus()
    desk.keyboard.press("Shift+Tab")
    assert is_shown(time)
    desk.keyboard.press("Tab")
    assert not is_shown(time)
    if look is PHONE or look.get("has_touch"):
        time.tap()
    else:
        time.hover()
    assert is_shown(time)
    assert desk.evaluate("document.documentElement.scrollWidth") == width


def test_every_time_that_is_told_by_how_long_ago_says_when(desk: Page, lead: Lead) -> None:
    """At either end of a row, in each list; axe sees nothing against it."""
    for path in ("/desk/", "/desk/leads", "/desk/pipeline", f"/desk/leads/{lead.ref}"):
        desk.goto(path)
        times = desk.locator("main time").all()
        assert times
        for time in times:
            if not time.is_visible():
                continue
            time.focus()
            assert is_shown(time), (path, time.text_content())
            assert desk.evaluate("document.documentElement.scrollWidth") <= desk.evaluate(
                "window.innerWidth"
            )


@pytest.mark.parametrize("desk", [True], indirect=True, ids=["script"])
def test_escape_puts_it_away_until_it_is_come_to_again(desk: Page) -> None:
    """WCAG 1.4.13."""
    time = desk.locator(".queue time").first
    time.focus()
    assert is_shown(time)
    assert_accessible(desk)
    desk.keyboard.press("Escape")
    assert not is_shown(time)
    desk.keyboard.press("Shift+Tab")
    desk.keyboard.press("Tab")
    assert is_shown(time)
