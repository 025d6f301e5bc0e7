"""The desk's layout: nothing runs into its neighbour, on a telephone, in Spanish, or on paper."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, Locator, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import tasks
from leadcapture.models import Lead, Staff, Task
from leadcapture.vault import Vault
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING, Clock
from tests.desk_pages import addresses
from tests.people import a_lead, a_message, a_request, a_staff_member

LONG = "maria_fernanda_rodriguez_solis@universidadcostarica.ac.cr"
LONGER = f"maria.fernanda.rodriguez.solis.de.la.cruz.hernandez.montero{LONG[30:]}"
NAME = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwaren"
# What can be pressed, what is typed into, and what only the screen's reader needs to know.
CONTROLS = (
    "button, .button, .key, [type=search], [type=password], #tag, [type=date], "
    ".figures__file, .idle-note, .filters, .leads__tick, .bulk__bar"
)
SHOWN = """parts => parts
    .filter(part => part.checkVisibility({visibilityProperty: true}))
    .filter(part => part.getClientRects().length)
    .map(part => part.outerHTML.slice(0, 80))"""
TEXT_FITS = """field => {
    const style = getComputedStyle(field);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = style.font;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return pen.measureText(field.placeholder).width <= room;
}"""

Open = Callable[..., AbstractContextManager[Page]]


@pytest.fixture
def database_kind() -> str:
    """What a page looks like asks no database: one is enough."""
    return "sqlite"


@pytest.fixture
def lead(app: Flask, session: Session) -> Lead:
    """Who wants mail at a long address; three more wait beside."""
    with app.app_context():
        a_staff_member(session, "admin")
    # Past the limit of mailboxes (RFC 5321), as the list took it over.
    a_lead(session, email=LONGER, contact_by="email")
    a_lead(session, full_name=NAME, time_zone="America/Chicago")
    a_request(session)
    lead = a_lead(session, email=LONG, contact_by="email")
    a_request(session, lead)
    a_message(session, lead, due_at=TUESDAY_MORNING + timedelta(days=3))
    session.commit()
    return lead


@pytest.fixture
def open_desk(browser: Browser, site: str, lead: Lead) -> Open:
    @contextmanager
    def desk(width: int, language: str = "en", height: int = 800) -> Iterator[Page]:
        with open_page(browser, site, viewport={"width": width, "height": height}) as page:
            sign_in_by_form(page, "rosa.alvarado@clinic.example", language)
            page.goto(f"/desk/?lang={language}")
            assert page.locator("html").get_attribute("lang") == language
            yield page

    return desk


def left_of(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["x"]


def right_of(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"]


def assert_no_wider(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


@pytest.mark.parametrize("width", [320, 1280])
def test_a_long_address_or_name_stays_in_its_place(open_desk: Open, lead: Lead, width: int) -> None:
    """AX-05."""
    with open_desk(width) as page:
        assert_no_wider(page, width)
        for link in page.locator(".queue__name a").all():
            assert right_of(link) <= right_of(link.locator("xpath=ancestor::div[1]")) + 1
        page.goto(f"/desk/leads/{lead.ref}")
        assert_no_wider(page, width)
        panel = page.locator(".lead__who .panel").first
        assert right_of(panel.locator("a[href^=mailto]")) < right_of(panel)
        page.goto("/desk/leads")
        assert_no_wider(page, width)
        name = page.locator("tbody th a", has_text=NAME)
        # An inline box that runs over its cell is told by the cell's own width.
        assert right_of(name) <= right_of(name.locator("xpath=.."))
        assert name.locator("xpath=..").evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_from_the_top_of_a_telephone_links_lead_to_what_stands_far_below(open_desk: Open) -> None:
    with open_desk(320) as page:
        links = page.get_by_role("navigation", name="Further down").get_by_role("link")
        assert links.all_text_contents() == ["To do 0", "Needs a decision 0"]
        assert all(link.is_visible() and right_of(link) <= 320 for link in links.all())
        assert_accessible(page)
        links.last.click()
        assert page.locator("#undecided").evaluate(
            "part => part.getBoundingClientRect().top < window.innerHeight"
        )
        page.set_viewport_size({"width": 1280, "height": 800})
        # There they stand beside those who wait.
        assert page.locator("#jumps").is_hidden()


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_words_of_either_language_have_room(
    open_desk: Open, clock: Clock, language: str
) -> None:
    # At night, when a call has to wait for another day.
    clock.advance(timedelta(hours=13))
    with open_desk(1280, language) as page:
        row = page.locator(".queue__row", has=page.locator(".queue__from")).first
        assert left_of(row.locator(".queue__acts")) - right_of(row.locator(".queue__from")) >= 8
        tops = {
            round(part["y"])
            for part in (each.bounding_box() for each in row.locator(".queue__acts > *").all())
            if part
        }
        assert len(tops) <= 2, "its acts stand in one line"
    with open_desk(320, language) as page:
        since = page.locator(".queue__from").first
        assert since.evaluate("part => getComputedStyle(part, '::before').content") == "none"
        page.goto("/desk/requests/new")
        card = page.locator("form#taken")
        for button in page.locator(".taken__then .button").all():
            assert right_of(button) < right_of(card)
        page.goto("/desk/leads")
        assert page.locator("#q").evaluate(TEXT_FITS)


def test_on_paper_stands_what_is_read_and_nothing_to_press(
    app: Flask, session: Session, open_desk: Open, lead: Lead
) -> None:
    """Every page of the desk; where fields are what a page tells, they stay."""
    paths = addresses(app, session)
    del paths["dashboard.reports_table"]
    paths["dashboard.lead"] = f"/desk/leads/{lead.ref}"
    session.commit()
    told = {}
    with open_desk(800) as page:
        page.emulate_media(media="print")
        for endpoint, path in paths.items():
            answer = page.request.get(path)
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            page.goto(path, wait_until="domcontentloaded")
            seen = page.locator(CONTROLS).evaluate_all(SHOWN)
            may_stay = endpoint.startswith(("dashboard.hours", "dashboard.team"))
            if seen and not may_stay:
                told[path] = seen
        assert not told
        page.goto(f"/desk/leads/{lead.ref}")
        for words in ("How to reach them", "What they asked", "Timeline", LONG):
            assert page.get_by_text(words).first.is_visible(), words
        page.goto("/desk/reports")
        assert page.get_by_text("Feb 2, 2026 – Mar 3, 2026").is_visible()
        page.goto("/desk/leads")
        assert page.get_by_role("link", name=NAME).is_visible()


def test_a_lead_on_paper_says_whose_it_is_and_what_is_to_do(
    session: Session, vault: Vault, open_desk: Open, lead: Lead
) -> None:
    """Without the forms around it; a lead without a task has no empty box."""
    owner = session.scalars(select(Staff)).one()
    lead.owner_id = owner.id
    due_at = TUESDAY_MORNING + timedelta(hours=3)
    for words in ("Ask about her scans", "Over and done"):
        task = tasks.add_task(session, vault, lead, owner, words, due_at, owner.id, TUESDAY_MORNING)
    task.done_at = TUESDAY_MORNING
    session.commit()
    with open_desk(800) as page:
        page.emulate_media(media="print")
        page.goto(f"/desk/leads/{lead.ref}")
        parts = page.locator(".lead__next, .lead__more")
        seen = " ".join(" ".join(parts.all_inner_texts()).split())
        due = page.locator(".task__text + p").first.inner_text()
        assert seen == f"Owner {owner.name} Tasks 1 Ask about her scans {due}"
        assert "due" in due and owner.name in due
        tops = [
            box["y"] for part in page.locator(".lead > *").all() if (box := part.bounding_box())
        ]
        assert tops == sorted(set(tops)), "one below the other, in the order of the page"
        task = session.scalars(select(Task).where(Task.done_at.is_(None))).one()
        task.done_at = TUESDAY_MORNING
        session.commit()
        page.goto(f"/desk/leads/{lead.ref}")
        assert " ".join(parts.all_inner_texts()).split() == ["Owner", *owner.name.split()]
