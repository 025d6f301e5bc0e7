"""Reports: the numbers are right, the same in chart, table and file, and for everybody to read."""

import gzip
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from leadcapture.leads import clock as response_clock
from leadcapture.leads import csv_safe, timeline
from leadcapture.leads.figures import Figures, Period, read_figures
from leadcapture.leads.opening_time import OpeningTime
from leadcapture.leads.responses import Responses
from leadcapture.models import Lead, LeadStatus, MessageKind, MessageState, Request, Screening
from leadcapture.settings import Settings
from tests.chromium import assert_accessible, open_page
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import make_visitor
from tests.people import PASSWORD, a_lead, a_message, a_request, a_staff_member
from tests.visitors import Visitor

RULES = response_clock.default_rules("America/Costa_Rica")
DAY = TUESDAY_MORNING.date()
HOUR = timedelta(hours=1)


def asked(session: Session, at: datetime, lead: Lead | None = None, **changes: Any) -> Request:
    lead = lead or a_lead(session, created_at=at, last_request_at=at, waiting_since=at)
    return a_request(session, lead, created_at=at, consents=(), **changes)


def called(session: Session, lead_id: int, by: int, at: datetime, outcome: str) -> None:
    timeline.record(session, lead_id, "call_logged", at, actor_id=by, facts={"outcome": outcome})


def moved(session: Session, lead_id: int, by: int | None, at: datetime, to: str) -> None:
    timeline.record(session, lead_id, "status_changed", at, actor_id=by, facts={"to": to})


def read(session: Session, now: datetime, days: int = 1) -> Figures:
    return read_figures(session, Period(DAY, DAY + timedelta(days=days - 1)), RULES, now)


@given(
    st.timedeltas(timedelta(0), timedelta(days=300)),
    st.timedeltas(timedelta(0), timedelta(hours=60)),
)
def test_opening_time_is_what_the_clock_counts(since: timedelta, length: timedelta) -> None:
    """The figures and the first-response clock reckon alike, over nights and holidays."""
    begins = TUESDAY_MORNING + since
    ends = RULES.hours.after(begins, length)
    opening = OpeningTime(RULES.hours, begins, ends)
    assert opening.between(begins, ends) == length


def test_a_closed_day_is_no_opening_time(session: Session) -> None:
    """Who asks on a Sunday waits in time until Monday, though nobody else's wait is looked at."""
    asked_at = TUESDAY_MORNING + timedelta(days=5)
    sunday = DAY + timedelta(days=5)
    assert RULES.hours.of_day(sunday) is None
    asked(session, asked_at)
    found = read_figures(session, Period(sunday, sunday), RULES, asked_at + 9 * HOUR).responses
    assert (found.open, found.late) == (1, 0)


def test_half_are_answered_by_the_median_and_nine_in_ten_by_the_other() -> None:
    told = Responses(Counter(range(10, 0, -1)), in_time=6, late=4)
    assert (told.median, told.p90, told.share) == (5, 9, 60)
    assert (Responses().median, Responses().share) == (None, None)


def test_only_a_person_stops_the_clock(session: Session, app: Flask) -> None:
    """A try does not, an automatic move does not, and the hours of the night do not count."""
    with app.app_context():
        rosa = a_staff_member(session)
    start = TUESDAY_MORNING
    tried = asked(session, start)
    called(session, tried.lead_id, rosa.id, start + HOUR, "left_message")
    called(session, tried.lead_id, rosa.id, start + 3 * HOUR, "reached")
    by_itself = asked(session, start, language="es")
    moved(session, by_itself.lead_id, None, start + HOUR / 2, "contacted")
    moved(session, by_itself.lead_id, rosa.id, start + HOUR, "booked")
    # 23:30 on the clinic's clock; it opens at eight.
    night = asked(session, start + timedelta(hours=14, minutes=30))
    called(session, night.lead_id, rosa.id, start + timedelta(hours=23, minutes=10), "reached")
    written_to = asked(session, start)
    timeline.record(session, written_to.lead_id, "wrote", start + HOUR / 2, actor_id=rosa.id)
    figures = read(session, start + timedelta(days=1))
    assert sorted(figures.responses.minutes.elements()) == [10, 30, 60, 180]
    assert (figures.responses.in_time, figures.responses.late) == (3, 1)
    assert {name: told.answered for name, told in figures.people.items()} == {rosa.name: 4}
    assert {code: told.answered for code, told in figures.languages.items()} == {"en": 3, "es": 1}
    assert sorted(figures.hours) == [9, 23]


def test_a_second_request_waits_with_the_first_until_somebody_answers(
    session: Session, app: Flask
) -> None:
    with app.app_context():
        rosa = a_staff_member(session)
    first = asked(session, TUESDAY_MORNING)
    lead = first.lead
    asked(session, TUESDAY_MORNING + HOUR, lead)
    called(session, lead.id, rosa.id, TUESDAY_MORNING + 2 * HOUR, "reached")
    asked(session, TUESDAY_MORNING + 3 * HOUR, lead)
    called(session, lead.id, rosa.id, TUESDAY_MORNING + 4 * HOUR, "reached")
    figures = read(session, TUESDAY_MORNING + 6 * HOUR)
    assert (figures.total, sorted(figures.responses.minutes.elements())) == (3, [60, 120])
    assert figures.funnel["asked"] == 1
    # A period that begins between the two requests does not count their wait again.
    asked(session, TUESDAY_MORNING + timedelta(days=1), lead)
    asked(session, TUESDAY_MORNING + timedelta(days=2), lead)
    later = Period(DAY + timedelta(days=2), DAY + timedelta(days=2))
    figures = read_figures(session, later, RULES, TUESDAY_MORNING + timedelta(days=2))
    assert (figures.total, figures.responses.waiting) == (1, 0)


def test_who_still_waits_is_late_only_when_the_time_is_up(session: Session) -> None:
    asked(session, TUESDAY_MORNING)
    asked(session, TUESDAY_MORNING + 2 * HOUR)
    asked(session, TUESDAY_MORNING, screening=Screening.HELD)
    asked(session, TUESDAY_MORNING, screening=Screening.DISCARDED)
    told = read(session, TUESDAY_MORNING + 3 * HOUR).responses
    assert (told.late, told.open, told.answered, told.waiting, told.share) == (1, 1, 0, 2, 0)


def test_days_sources_the_funnel_and_letters(session: Session, app: Flask) -> None:
    """A day is the clinic's: 05:59 UTC still belongs to the evening before."""
    with app.app_context():
        rosa = a_staff_member(session)
    midnight = datetime(2026, 3, 4, 6, tzinfo=UTC)
    ends = midnight + timedelta(days=1)
    for at, channel in ((midnight - HOUR, "web"), (midnight, "phone"), (ends, "web")):
        request = asked(session, at, channel=channel)
        for state in (MessageState.SENT, MessageState.BOUNCED):
            kind = MessageKind.PACKET
            a_message(session, request.lead, kind=kind, request_id=request.id, state=state)
    reached = asked(session, midnight)
    called(session, reached.lead_id, rosa.id, midnight + HOUR, "reached")
    closed = asked(session, midnight)
    moved(session, closed.lead_id, rosa.id, midnight + HOUR, "booked")
    moved(session, closed.lead_id, rosa.id, midnight + 2 * HOUR, "closed")
    asked(session, midnight).lead.status = LeadStatus.PATIENT
    figures = read(session, ends, days=2)
    assert figures.requests == {DAY: {"web": 1}, date(2026, 3, 4): {"phone": 1, "web": 3}}
    assert figures.sources == ["web", "phone"]
    assert figures.funnel == {"asked": 5, "reached": 3, "booked": 2, "patient": 1}
    assert figures.letters == {"sent": 2, "bounced": 2}


@pytest.fixture
def visitor(app: Flask, settings: Settings, session: Session) -> Visitor:
    """Somebody of the front desk, signed in: reports are for the whole team."""
    with app.app_context():
        staff = a_staff_member(session, "front_desk")
    visitor = make_visitor(app, settings, session)
    visitor.enter(staff)
    return visitor


def test_page_and_files_say_the_same_and_cost_the_same(
    visitor: Visitor, app: Flask, session: Session, clock: Clock
) -> None:
    """The number of questions does not grow; the page keeps below 60 KB, a chart's parts too."""
    clock.advance(timedelta(days=40))

    def questions() -> int:
        count: list[int] = []

        def note(*_given: object) -> None:
            count.append(1)

        with app.app_context():
            engine: Engine = app.extensions["sqlalchemy"].engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            visitor.page("/desk/reports?period=90")
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return len(count)

    asked(session, TUESDAY_MORNING)
    # The rules of the clock are read once in ten seconds.
    visitor.page("/desk/reports?period=7")
    few = questions()
    for number in range(12):
        channel = ("web", "phone", "mail")[number % 3]
        asked(session, TUESDAY_MORNING + number * 26 * HOUR, channel=channel)
    assert questions() == few
    page = visitor.page("/desk/reports?from=2026-03-03&to=2026-04-10")
    assert len(gzip.compress(page.markup.encode())) < 60_000
    for link in [link for link in page.links if "/reports/table" in link]:
        answer = visitor.get(link)
        head, *rows = csv_safe.read_rows(answer.text)
        name = link.partition("of=")[2].partition("&")[0]
        assert answer.headers["Content-Disposition"] == (
            f'attachment; filename="{name}-2026-03-03-2026-04-10.csv"'
        )
        tables = [
            table
            for table in page.find("table")
            if [cell.text for cell in table.find("thead")[0].find("th")] == head
        ]
        assert any(len(table.find("tbody")[0].find("tr")) == len(rows) for table in tables), name
        if name == "requests":
            assert head == ["Day", "Form", "Email", "Telephone"]
            assert sum(int(cell) for row in rows for cell in row[1:]) == 13
            assert rows[0] == ["2026-03-03", "2", "0", "0"]


@pytest.mark.parametrize(
    "typed",
    ["from=soon&to=later", "from=2026-03-02&to=2026-03-01", "from=2024-01-01&to=2026-03-01"],
)
def test_days_that_make_no_sense_are_explained(visitor: Visitor, typed: str) -> None:
    answer = visitor.get(f"/desk/reports?{typed}")
    assert (answer.status_code, 'aria-invalid="true"' in answer.text) == (422, True)
    assert visitor.get(f"/desk/reports/table?of=requests&{typed}").status_code == 404
    assert "Nobody asked in these days" in visitor.page("/desk/reports?period=forever").main_text


SEEN_SHIFTS = """() => new Promise(done => new PerformanceObserver(list => done(
    list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
    .observe({type: 'layout-shift', buffered: true}) ?? setTimeout(() => done(0), 300))"""
HAS_INK = """canvas => canvas.getContext('2d')
    .getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0)"""


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_charts_are_for_everybody(
    app: Flask, site: str, browser: Browser, session: Session, clock: Clock
) -> None:
    """AX-01, AX-05: axe finds nothing in light and dark, nothing jumps, 320 px do not scroll."""
    with app.app_context():
        email = a_staff_member(session).email
    for number in range(9):
        asked(session, TUESDAY_MORNING - number * 7 * HOUR, channel=("web", "phone")[number % 2])
    session.commit()
    clock.advance(HOUR)
    for scheme, width, script in (
        ("light", 1280, True),
        ("dark", 320, True),
        ("light", 320, False),
    ):
        choices = {"color_scheme": scheme, "java_script_enabled": script}
        with open_page(browser, site, viewport={"width": width, "height": 900}, **choices) as page:
            page.goto("/sign-in")
            page.fill("#email", email)
            page.fill("#password", PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url("**/desk/")
            page.goto("/desk/reports?period=7")
            if script:
                canvases = page.locator("[data-plot] canvas")
                canvases.nth(1).wait_for()
                assert all(canvases.nth(at).evaluate(HAS_INK) for at in range(2))
                assert page.evaluate(SEEN_SHIFTS) < 0.02
                page.locator("summary", has_text="Numbers").first.press("Enter")
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert_accessible(page)
            else:
                page.locator("summary", has_text="Numbers").first.press("Enter")
                assert page.get_by_role("cell", name="1", exact=True).first.is_visible()
                assert page.locator("[data-plot]").first.is_hidden()
            if width == 320 and script:
                for path in ("/desk/exports", "/desk/exports/new", "/desk/calendar"):
                    page.goto(path)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width
                    assert_accessible(page)
