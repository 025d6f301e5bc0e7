"""The pages for patients in a real browser: by anybody, on anything, in any state."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from leadcapture.models import Lead, Message, MessageState
from leadcapture.outbox import links
from leadcapture.settings import Settings
from tests.chromium import assert_accessible, each_look
from tests.clock import Clock
from tests.people import EMAIL, MESSAGE, NAME, PHONE_TYPED, a_message, a_request

WITHOUT_SCRIPT = {"java_script_enabled": False}


# What a browser makes of a page hangs on no database; what it brings about there is tried on both.
LOOKS_ALONE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def fill_in(page: Page, **but: str) -> None:
    typed = {"full_name": NAME, "email": EMAIL, **but}
    for name, value in typed.items():
        page.fill(f"#{name}", value)
    page.check("#conditions-1")
    page.check("#consent_health")


def press(page: Page) -> None:
    page.get_by_role("button", name="Send me the packet").click()


def is_reflowed(page: Page) -> bool:
    """True where nothing has to be scrolled sideways (WCAG 1.4.10)."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@LOOKS_ALONE
def test_every_state_of_every_page_is_accessible(
    page: Page, session: Session, settings: Settings
) -> None:
    """AX-01, AX-05."""

    def check() -> None:
        for _ in each_look(page):
            assert_accessible(page)
            assert is_reflowed(page)

    page.goto("/en")
    check()
    page.click("summary")
    check()
    page.fill("#email", "janet@gmial.com")
    press(page)
    page.wait_for_selector("#error-summary")
    check()
    fill_in(page)
    press(page)
    page.wait_for_url("**/thanks/*")
    check()
    ref = session.scalars(select(Message.ref).where(Message.kind == "packet")).one()
    cap_hash = session.scalars(select(Lead.cap_hash)).one()
    session.commit()
    page.goto(f"/packet/{links.sign(settings.hash_key, 'packet', ref)}")
    check()
    page.goto(f"/stop/{links.sign(settings.hash_key, 'stop', cap_hash)}")
    check()
    page.get_by_role("button", name="Stop the letters").click()
    page.get_by_role("heading", name="No more letters").wait_for()
    check()
    page.goto("/nowhere")
    check()


@LOOKS_ALONE
def test_the_form_is_done_by_keyboard_alone(page: Page) -> None:
    """AX-02: in at most 25 key actions, the focus always to be seen."""
    page.goto("/en")
    keys = 0

    def key(name: str) -> None:
        nonlocal keys
        page.keyboard.press(name)
        keys += 1

    def focused() -> str:
        return str(page.evaluate("document.activeElement.id"))

    def go_to(name: str) -> None:
        while focused() != name:
            assert keys < 25
            key("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert float(outline.removesuffix("px")) >= 2

    go_to("full_name")
    page.keyboard.type(NAME)
    go_to("email")
    page.keyboard.type(EMAIL)
    go_to("conditions-1")
    key("Space")
    go_to("consent_health")
    key("Space")
    key("Enter")
    page.wait_for_url("**/thanks/*")
    assert keys <= 25


# The indicator's colour against what lies around it (WCAG 1.4.11), and whether the middle of the
# focused element is its own (2.4.11). A pixel's colour is asked by painting it: it may be named in
# any way that CSS knows.
_FOCUS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const paint = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const focused = document.activeElement, style = getComputedStyle(focused), around = [];
  for (let one = focused.parentElement; one; one = one.parentElement)
    around.unshift(getComputedStyle(one).backgroundColor);
  const [low, high] = [paint(around), paint([...around, style.outlineColor])]
    .map(light).sort((a, b) => a - b);
  const box = focused.getBoundingClientRect();
  const points = [.5, .1, .9].map(part => [box.x + box.width * part, box.y + box.height / 2]);
  const shown = points.filter(([x, y]) => {
    const top = document.elementFromPoint(x, y);
    return top && (focused.contains(top) || top.contains(focused));
  });
  return {
    name: focused.id || focused.outerHTML.slice(0, 60),
    drawn: style.outlineStyle !== 'none' ? parseFloat(style.outlineWidth) : 0,
    contrast: (high + .05) / (low + .05),
    // What is outside of the window is nowhere to be found either.
    covered: shown.length < points.length,
  };
}"""


@LOOKS_ALONE
@pytest.mark.parametrize(
    "page_choices",
    [
        {"color_scheme": scheme, "viewport": {"width": width, "height": 640}}
        for scheme, width in (("light", 1280), ("dark", 320))
    ],
)
def test_the_focus_is_seen_at_every_stop_of_the_form(page: Page) -> None:
    """AX-02: its mark has a contrast of 3 to 1 at least, and nothing lies over what has it."""
    page.goto("/en")
    page.evaluate("document.querySelector('details').open = true")
    stops = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        found = page.evaluate(_FOCUS)
        stops[found["name"]] = found
    assert {"full_name", "email", "consent_health", "message"} <= stops.keys()
    assert len(stops) >= 15
    for name, stop in stops.items():
        assert stop["drawn"] >= 2, name
        assert stop["contrast"] >= 3, (name, stop["contrast"])
        assert not stop["covered"], name


@LOOKS_ALONE
@pytest.mark.parametrize("settings_changes", [{"form_limit": "3 per hour"}])
def test_every_refusal_of_the_form_is_accessible(
    page: Page, session: Session, settings: Settings, clock: Clock
) -> None:
    """AX-01: a token past its days, too long a text, a database away, too many; a new link."""

    def send(status: int, **fields: str) -> None:
        page.goto("/en")
        page.click("summary")
        fill_in(page)
        for name, value in fields.items():
            page.locator(f"[name={name}]").evaluate("(field, text) => field.value = text", value)
        with page.expect_navigation() as answer:
            # As a browser without the script sends it.
            page.evaluate("HTMLFormElement.prototype.submit.call(document.forms[0])")
        assert answer.value is not None and answer.value.status == status
        for _ in each_look(page):
            assert_accessible(page)
            assert is_reflowed(page)

    packet = a_message(session, a_request(session).lead, kind="packet", state=MessageState.SENT)
    path = f"/packet/{links.sign(settings.hash_key, 'packet', packet.ref)}"
    session.commit()
    send(400, token="an.old.one")
    send(413, message="a" * 70_000)
    session.execute(text("ALTER TABLE message RENAME TO message_gone"))
    session.commit()
    send(503)
    session.execute(text("ALTER TABLE message_gone RENAME TO message"))
    session.commit()
    send(429)
    clock.advance(timedelta(days=31))
    page.goto(path)
    assert_accessible(page)
    page.locator("main form button").first.click()
    page.wait_for_url("**/link*")
    for _ in each_look(page):
        assert_accessible(page)


@LOOKS_ALONE
@pytest.mark.parametrize("page_choices", [{}, WITHOUT_SCRIPT])
def test_an_error_gets_the_focus_and_everything_is_kept(page: Page) -> None:
    """AX-03, AX-08."""
    page.goto("/en")
    page.click("summary")
    page.fill("#message", MESSAGE)
    page.fill("#phone", PHONE_TYPED)
    fill_in(page, email="janet")
    press(page)
    page.wait_for_selector("#error-summary")

    assert page.title().startswith("Error: ")
    assert page.evaluate("document.activeElement.id") == "error-summary"
    assert page.input_value("#message") == MESSAGE
    assert page.input_value("#phone") == PHONE_TYPED
    assert page.is_checked("#conditions-1")
    assert page.is_checked("#consent_health")
    page.get_by_role("link", name="Please check the address").click()
    page.fill("#email", EMAIL)
    press(page)
    page.wait_for_url("**/thanks/*")


@pytest.mark.parametrize("page_choices", [WITHOUT_SCRIPT])
def test_everything_works_without_script(page: Page, session: Session, settings: Settings) -> None:
    """AX-08."""
    page.goto("/")
    fill_in(page)
    press(page)
    page.wait_for_url("**/thanks/*")
    ref = session.scalars(select(Message.ref).where(Message.kind == "packet")).one()
    session.commit()

    page.goto(f"/packet/{links.sign(settings.hash_key, 'packet', ref)}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PDF").click()

    assert download.value.suggested_filename == "information-packet.pdf"


@pytest.mark.parametrize("page_choices", [{"timezone_id": "America/Denver", "locale": "es-CR"}])
def test_the_time_zone_is_chosen_for_the_visitor(page: Page, session: Session) -> None:
    page.goto("/")
    assert page.get_attribute("html", "lang") == "es"
    fill_in(page)
    page.get_by_role("button", name="Enviarme el paquete").click()
    page.wait_for_url("**/thanks/*")

    assert session.scalars(select(Lead.time_zone)).one() == "America/Denver"


def test_when_the_database_fails_the_text_stays_and_is_sent_again(
    page: Page, session: Session
) -> None:
    """DD-05, AX-03."""
    page.goto("/en")
    fill_in(page)
    session.execute(text("ALTER TABLE message RENAME TO message_gone"))
    session.commit()
    press(page)
    page.wait_for_selector("#error-summary")
    assert "could not save" in page.inner_text("#error-summary")

    session.execute(text("ALTER TABLE message_gone RENAME TO message"))
    session.commit()
    press(page)
    page.wait_for_url("**/thanks/*")


@LOOKS_ALONE
def test_autofill_and_a_quick_hand_are_no_robot(page: Page, session: Session) -> None:
    """AB-05, AX-09: every personal field says what it is, and the trap says that it is none."""
    page.goto("/en")
    purposes = page.eval_on_selector_all(
        "input[autocomplete], select[autocomplete]",
        "fields => Object.fromEntries(fields.map(f => [f.name, f.autocomplete]))",
    )

    assert purposes == {
        "full_name": "name",
        "email": "email",
        "phone": "tel",
        "country": "country",
        "topic_code": "off",
    }
    assert page.get_attribute("#topic_code", "tabindex") == "-1"


@LOOKS_ALONE
def test_targets_are_big_enough_and_wide_spacing_loses_nothing(page: Page) -> None:
    """AX-05: WCAG 2.5.8 and 1.4.12."""
    page.goto("/en")
    small = page.eval_on_selector_all(
        "main button, main input:not([type=hidden]):not([tabindex='-1']), main select, "
        "main summary, header a",
        """found => found.filter(e => e.checkVisibility()).map(e => [e.name || e.innerText,
           e.getBoundingClientRect()]).filter(([, box]) => box.width < 24 || box.height < 24)
           .map(([name]) => name)""",
    )
    assert small == []
    page.evaluate(
        """() => { const sheet = new CSSStyleSheet();
        sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important;'
          + 'word-spacing: .16em !important } p { margin-bottom: 2em !important }');
        document.adoptedStyleSheets = [sheet]; }"""
    )
    cut = page.eval_on_selector_all(
        "main *:not(.visually-hidden)",
        """found => found.filter(e => getComputedStyle(e).overflow === 'hidden'
           && e.scrollHeight > e.clientHeight + 1).map(e => e.outerHTML.slice(0, 80))""",
    )
    assert cut == []
    assert is_reflowed(page)


@LOOKS_ALONE
def test_help_stands_in_the_same_place_on_every_page(page: Page) -> None:
    """AX-06."""
    places = set()
    for path in ("/en", "/nowhere", "/stop/x", "/packet/x", "/thanks/x"):
        page.goto(path)
        box: Any = page.locator("header .help a").first.bounding_box()
        places.add((box["x"], box["y"]))

    assert len(places) == 1


@LOOKS_ALONE
def test_nothing_of_a_visitor_stays_in_the_browser(page: Page) -> None:
    """PR-02, WS-16."""
    page.goto("/en")
    fill_in(page)
    press(page)
    page.wait_for_url("**/thanks/*")

    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
