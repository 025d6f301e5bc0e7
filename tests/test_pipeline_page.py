"""The pipeline: what stands in its columns, and how a card is moved with or without a pointer."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from leadcapture.dashboard.pipeline_page import CARDS
from leadcapture.database import db
from leadcapture.leads import tags, viewing
from leadcapture.leads.filters import LISTED
from leadcapture.models import AuditEntry, Lead, LeadStatus, Staff, TimelineEntry
from leadcapture.settings import Settings
from tests.chromium import assert_accessible, open_page
from tests.clock import TUESDAY_MORNING
from tests.conftest import make_visitor
from tests.pages import Element
from tests.pages import Page as Read
from tests.people import PASSWORD, a_lead, a_message, a_staff_member
from tests.visitors import Visitor


@pytest.fixture
def rosa(app: Flask, session: Session) -> Staff:
    with app.app_context():
        staff = a_staff_member(session)
    session.commit()
    return staff


@pytest.fixture
def desk(app: Flask, settings: Settings, session: Session, rosa: Staff) -> Visitor:
    """Rosa, signed in."""
    visitor = make_visitor(app, settings, session)
    visitor.enter(rosa)
    return visitor


def column(page: Read, status: str) -> Element:
    return page.find("section", id=f"column-{status}")[0]


def names(page: Read, status: str) -> list[str]:
    return [card.find("a")[0].text for card in column(page, status).find("li", class_="card")]


def test_a_card_says_who_waits_how_long_for_whom_and_what_comes_next(
    desk: Visitor, session: Session, rosa: Staff
) -> None:
    ana = a_lead(session, full_name="Ana", owner_id=rosa.id)
    bea = a_lead(session, full_name="Bea", status=LeadStatus.BOOKED, waiting_since=None)
    a_lead(session, full_name="Held", status=LeadStatus.HELD)
    a_message(session, bea, due_at=TUESDAY_MORNING + timedelta(days=3))
    tag = tags.add_tag(session, "VIP", "accent", TUESDAY_MORNING)
    tags.put_on(session, tag.id, [bea.id])
    page = desk.page("/desk/pipeline")
    assert (names(page, "new"), names(page, "booked"), names(page, "patient")) == (
        ["Ana"],
        ["Bea"],
        [],
    )
    assert "New 1" in column(page, "new").text and "oldest" in column(page, "new").text
    (card,) = page.find("li", id=f"lead-{ana.ref}")
    assert "waits" in card.text and "Rosa Alvarado" in card.text
    (card,) = page.find("li", id=f"lead-{bea.ref}")
    assert "nobody" in card.text and "Letter in 3 days" in card.text and "VIP" in card.text
    assert "Held" not in page.main_text
    assert names(desk.page("/desk/pipeline?owner=me"), "new") == ["Ana"]
    assert names(desk.page("/desk/pipeline?owner=nobody"), "booked") == ["Bea"]


def test_a_card_moves_by_its_form_and_back_from_the_message(
    desk: Visitor, session: Session
) -> None:
    lead = a_lead(session)
    columns = {key.key: "7" for key in Lead.__table__.columns if key.key != "status"}
    before = {key: getattr(lead, key) for key in columns}
    sent = desk.send(desk.page("/desk/pipeline?owner=nobody"), "/move", to="booked", **columns)
    assert sent.status_code == 303 and sent.location.endswith(f"#lead-{lead.ref}")
    assert "owner=nobody" in sent.location
    changed = {key for key in columns if getattr(lead, key) != before[key]}
    assert changed == {"waiting_since", "version"}, "WS-14"
    page = desk.page(sent.location)
    assert lead.status is LeadStatus.BOOKED and "1 lead is now: Booked." in page.main_text
    page = desk.page(desk.send(page, "/undoing").location)
    assert names(page, "new") == [lead.full_name] and "Undone: 1 lead" in page.main_text
    assert (lead.status, lead.waiting_since) == (LeadStatus.NEW, TUESDAY_MORNING)


@pytest.mark.parametrize(
    ("status", "to", "shown_at", "why"),
    [
        ("new", "closed", "new", "Say why"),
        ("new", "closed:x", "new", "Say why"),
        ("new", "held", "new", "Choose where the lead goes."),
        ("new", "", "new", "Choose where the lead goes."),
        ("patient", "booked", "patient", "cannot go to “Booked” from there. Possible: Closed."),
        ("booked", "patient", "new", "a colleague has moved this lead to “Booked” meanwhile"),
        ("held", "contacted", "held", "Possible: –."),
    ],
)
def test_a_refused_move_says_why_and_changes_nothing(
    desk: Visitor, session: Session, status: str, to: str, shown_at: str, why: str
) -> None:
    lead = a_lead(session, status=LeadStatus(status))
    token = desk.page("/desk/pipeline").form("/sign-out")["csrf_token"]
    fields = {"csrf_token": token, "to": to, "from": shown_at}
    answer = desk.post(f"/desk/leads/{lead.ref}/move", data=fields)
    assert answer.status_code == 422
    page = Read(answer.text)
    assert why in page.main_text and page.title.startswith("Error")
    assert lead.status == status
    assert session.scalars(select(TimelineEntry)).all() == []


def test_a_refused_move_to_a_board_that_was_not_looked_at_is_on_record_and_waits_for_nobody(
    desk: Visitor, session: Session
) -> None:
    """The view is written in a transaction of its own, for which no other may be open to write."""
    lead = a_lead(session)
    for query in ("", "owner=nobody"):
        token = desk.page("/desk/leads").form("/sign-out")["csrf_token"]
        fields = {"csrf_token": token, "to": "", "from": "new", "list": query}
        answer = desk.post(f"/desk/leads/{lead.ref}/move", data=fields)
        assert answer.status_code == 422 and "Choose where the lead goes." in answer.text
    views = select(AuditEntry.subject).where(viewing.IS_VIEW, AuditEntry.subject == viewing.BOARD)
    assert len(session.scalars(views).all()) == 2


def test_a_column_shows_its_first_fifty_and_more_at_the_same_number_of_questions(
    app: Flask, desk: Visitor, session: Session
) -> None:
    def questions() -> tuple[int, Read]:
        asked: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            asked.append(statement)

        with app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", note)
        page = desk.page("/desk/pipeline")
        event.remove(engine, "before_cursor_execute", note)
        return len([one for one in asked if not one.startswith("BEGIN")]), page

    for status in LISTED:
        a_lead(session, status=status)
    few, _ = questions()
    for number in range(CARDS):
        asked_at = TUESDAY_MORNING - timedelta(minutes=number)
        a_lead(session, full_name=f"Person {number}", last_request_at=asked_at)
    many, page = questions()
    assert many == few <= 25
    assert len(names(page, "new")) == CARDS
    older = desk.page(column(page, "new").find("a", class_="button")[-1].get("href"))
    assert names(older, "new") == [f"Person {CARDS - 1}"]
    assert len(names(older, "booked")) == 1
    assert "Back to the newest" in column(older, "new").text


def test_an_empty_board_teaches_what_will_stand_there(desk: Visitor) -> None:
    assert "The board is empty." in desk.page("/desk/pipeline").main_text
    assert "Every lead has an owner." in desk.page("/desk/pipeline?owner=nobody").main_text


@pytest.fixture
def board(browser: Browser, site: str, session: Session, rosa: Staff) -> Iterator[Page]:
    """The board in a browser: Ana and Bea are new, Cleo is booked, Dora a patient."""
    for number, (name, status) in enumerate(
        (("Ana", "new"), ("Bea", "new"), ("Cleo", "booked"), ("Dora", "patient"))
    ):
        asked_at = TUESDAY_MORNING - timedelta(minutes=number)
        a_lead(session, full_name=name, status=LeadStatus(status), last_request_at=asked_at)
    session.commit()
    with open_page(browser, site, viewport={"width": 1280, "height": 800}) as page:
        page.goto("/sign-in")
        page.get_by_label("Email").fill(rosa.email)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/desk/**")
        page.goto("/desk/pipeline")
        yield page


def test_cards_are_moved_by_pointer_and_by_keys_and_the_board_is_accessible(board: Page) -> None:
    """AX-01, AX-02, AX-05: the pointer, the keys, a refusal, a closing, an undo, 320 px, dark."""

    def card(name: str) -> str:
        return f".card:has-text('{name}')"

    def has_focus(name: str) -> None:
        board.locator(f"{card(name)} a:focus").wait_for()

    def within(status: str, name: str) -> None:
        board.locator(f"#column-{status} {card(name)}").wait_for()

    assert_accessible(board)
    board.drag_and_drop(card("Ana"), "#column-contacted")
    within("contacted", "Ana")
    board.get_by_text("1 lead is now: Contacted.").wait_for()
    board.drag_and_drop(card("Dora"), "#column-new")
    board.locator("#board-note", has_text="Dora cannot go to “New” from “Patient”.").wait_for()
    board.drag_and_drop(card("Cleo"), "#column-closed")
    board.locator("#board-note", has_text="Choose why Cleo is closed.").wait_for()
    assert board.evaluate("document.activeElement.value") == "closed:not_interested"
    assert_accessible(board)
    board.keyboard.press("ArrowDown")
    board.keyboard.press("ArrowDown")
    board.keyboard.press("Enter")
    within("closed", "Cleo")
    has_focus("Cleo")
    board.get_by_role("button", name="Undo").click()
    within("booked", "Cleo")

    board.get_by_role("button", name="Undo").wait_for(state="detached")
    board.get_by_role("link", name="Bea").focus()
    for key, name in (
        ("ArrowRight", "Ana"),
        ("ArrowRight", "Cleo"),
        ("Home", "Cleo"),
        ("ArrowLeft", "Ana"),
        ("ArrowLeft", "Bea"),
    ):
        board.keyboard.press(key)
        has_focus(name)
    board.keyboard.press("s")
    board.keyboard.press("Escape")
    has_focus("Bea")
    board.keyboard.press("s")
    board.locator("button[value=contacted]:focus").wait_for()
    board.keyboard.press("ArrowDown")
    board.keyboard.press("Enter")
    within("booked", "Bea")

    board.set_viewport_size({"width": 320, "height": 800})
    board.emulate_media(color_scheme="dark")
    board.locator("summary").last.click()
    assert board.evaluate("document.documentElement.scrollWidth") == 320
    assert_accessible(board)
