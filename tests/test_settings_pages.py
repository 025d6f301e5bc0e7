"""Settings: who may sign in, names of sources, texts of the form, and the record of changes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.accounts import team
from leadcapture.accounts.access import RoleName
from leadcapture.accounts.invitations import state_of
from leadcapture.database import open_session
from leadcapture.leads import sources
from leadcapture.letters import form_texts, linked
from leadcapture.models import (
    AuditEntry,
    FormText,
    Request,
    SettingChange,
    SourceRule,
    Staff,
    Tag,
)
from leadcapture.remembered import FRESH_FOR
from leadcapture.settings import Clinic, Settings
from tests.chromium import assert_accessible, open_page
from tests.clock import Clock
from tests.conftest import make_visitor
from tests.pages import Page
from tests.people import PASSWORD, a_request, a_staff_member
from tests.visitors import Visitor

ACCOUNTS = "/desk/settings/accounts"
SOURCES = "/desk/settings/sources"
TAGS = "/desk/settings/tags"
TEXTS = "/desk/settings/texts"
SERVICES = "/desk/settings/services"
PACKETS = "/desk/settings/packets"
PAGES = (ACCOUNTS, SOURCES, SERVICES, TAGS, PACKETS, TEXTS, f"{TEXTS}/version?language=es&number=0")

TOPICS = ["athletes", "autoimmune", "general", "osteoarthritis"]

SignIn = Callable[..., tuple[Visitor, Staff]]


@pytest.fixture
def sign_in(app: Flask, settings: Settings, session: Session) -> SignIn:
    """A new visitor, signed in as somebody of this role, and who that is."""

    def signed_in(role: str = "admin", name: str = "Marta Solís") -> tuple[Visitor, Staff]:
        with app.app_context():
            staff = a_staff_member(session, role, name=name)
        visitor = make_visitor(app, settings, session)
        visitor.enter(staff)
        return visitor, staff

    return signed_in


def role_of(session: Session, member: Staff) -> list[str]:
    session.refresh(member)
    return [role.name for role in member.roles]


def post(visitor: Visitor, page: str, action: str, **typed: Any) -> Any:
    """Send fields of our own with the token of that page."""
    token = visitor.page(page).form("/sign-out")["csrf_token"]
    return visitor.post(action, data={"csrf_token": token, **typed})


def test_another_role_signs_a_colleague_out_and_stands_on_record(
    sign_in: SignIn, session: Session
) -> None:
    """AU-05, AU-11: not without the password; who, when and what was before are shown."""
    admin, _ = sign_in()
    rosa, staff = sign_in("coordinator", "Rosa Alvarado")
    typed = {"member": staff.email, "role": "front_desk"}
    refused = post(admin, ACCOUNTS, f"{ACCOUNTS}/role", **typed, password="not mine at all")
    assert (refused.status_code, role_of(session, staff)) == (422, ["coordinator"])
    assert "That is not your password" in refused.text
    assert rosa.get("/desk/").status_code == 200
    done = post(admin, ACCOUNTS, f"{ACCOUNTS}/role", **typed, password=PASSWORD)
    assert (done.status_code, role_of(session, staff)) == (303, ["front_desk"])
    assert rosa.get("/desk/").status_code == 303
    shown = admin.page(ACCOUNTS).main_text
    assert "Role: Front desk (before: Coordinator)" in shown
    assert "Marta Solís, just now" in shown
    change = session.scalars(select(SettingChange)).one()
    sealed = session.scalars(select(AuditEntry).where(AuditEntry.act == "setting_changed")).one()
    assert (sealed.subject, sealed.actor_id) == (f"access {change.id}", change.actor_id)


def test_a_closed_account_ends_at_the_next_click_and_opens_again(
    sign_in: SignIn, session: Session
) -> None:
    """AU-05."""
    admin, _ = sign_in()
    rosa, staff = sign_in("coordinator", "Rosa Alvarado")
    typed = {"member": staff.email, "password": PASSWORD}
    post(admin, ACCOUNTS, f"{ACCOUNTS}/state", **typed, state="closed")
    assert rosa.get("/desk/").status_code == 303
    rosa.send(rosa.page("/sign-in"), "/sign-in", email=staff.email, password=PASSWORD)
    assert rosa.get("/desk/").status_code == 303
    post(admin, ACCOUNTS, f"{ACCOUNTS}/state", **typed, state="open")
    assert rosa.get("/desk/").status_code == 303, "an old session does not come back to life"
    rosa.send(rosa.page("/sign-in"), "/sign-in", email=staff.email, password=PASSWORD)
    assert rosa.get("/desk/").status_code == 200


def test_the_last_administrator_stays_one(sign_in: SignIn, session: Session) -> None:
    admin, staff = sign_in()
    typed = {"member": staff.email, "password": PASSWORD}
    answer = post(admin, ACCOUNTS, f"{ACCOUNTS}/state", **typed, state="closed")
    assert (answer.status_code, "only administrator" in answer.text) == (422, True)
    answer = post(admin, ACCOUNTS, f"{ACCOUNTS}/role", **typed, role="coordinator")
    assert (answer.status_code, role_of(session, staff)) == (422, ["admin"])
    _, second = sign_in("admin", "Ana Mora")
    session.commit()
    assert team.disable(session, second)
    with pytest.raises(team.LastAdmin):
        team.change_role(session, staff, RoleName.FRONT_DESK)


def test_an_invitation_is_shown_once_and_can_be_withdrawn(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    admin, _ = sign_in()
    page = admin.page(ACCOUNTS)
    made = admin.send(page, "/settings/invitations", role="front_desk", password=PASSWORD)
    assert made.status_code == 200
    token = made.text.partition("/welcome/")[2].partition('"')[0]
    assert state_of(session, token, clock()) == "open"
    page = admin.page(ACCOUNTS)
    assert token not in page.markup
    assert admin.send(page, "/withdrawal").status_code == 303
    assert state_of(session, token, clock()) == "expired"
    clock.advance(timedelta(seconds=1))
    assert admin.get(f"/welcome/{token}").status_code == 410


def test_the_first_rule_that_fits_names_a_source_in_python_and_in_the_database(
    sign_in: SignIn, session: Session
) -> None:
    admin, _ = sign_in()
    for touch in (
        {"first": {"utm_source": "Google", "utm_medium": "CPC"}},
        {"first": {"utm_source": "google"}, "last": {"utm_source": "news"}},
        {"last": {"utm_source": "google", "utm_medium": "cpc"}},
        {"first": {"utm_source": "google"}, "last": {"utm_medium": "cpc"}},
        {},
    ):
        a_request(session, touch=touch)
    a_request(session, channel="phone", touch={"first": {"utm_source": "google"}})
    for typed in (
        {"name": "Google Ads", "utm_source": " Google ", "utm_medium": "cpc"},
        {"name": "Called us", "channel": "phone"},
        {"name": "Google", "utm_source": "google"},
    ):
        assert admin.send(admin.page(SOURCES), "/sources", **typed).status_code == 303
    expected = ["Google Ads", "Google", "Google Ads", "Google", "web", "Called us"]

    def named() -> list[str]:
        rules = sources.read_rules(session)
        requests = session.scalars(select(Request).order_by(Request.id)).all()
        asked = select(sources.source_column(rules)).order_by(Request.id)
        found = [sources.source_of(request, rules) for request in requests]
        assert found == list(session.scalars(asked))
        return found

    assert named() == expected
    page = admin.page(SOURCES)
    assert "2 of the latest requests" in page.main_text
    third = session.scalars(select(SourceRule).where(SourceRule.name == "Google")).one()
    for _ in range(3):
        post(admin, SOURCES, f"{SOURCES}/{third.ref}/position")
    assert named() == ["Google", "Google", "Google", "Google", "web", "Google"]
    removed = post(admin, SOURCES, f"{SOURCES}/{third.ref}/removal")
    again = admin.page(removed.location)
    assert "Removed. It still stands" in again.text
    assert admin.send(again, "/settings/sources").status_code == 303
    assert named() == expected
    assert "conditions" not in admin.page(SOURCES).main_text


def test_a_rule_that_makes_no_sense_is_given_back_as_it_was_typed(
    sign_in: SignIn, session: Session
) -> None:
    """AX-03."""
    admin, _ = sign_in()
    rule = sources.add_rule(session, "Here already", {"utm_source": "twin"})
    page = admin.page(SOURCES)
    for typed in (
        {"name": "", "utm_source": "x"},
        {"name": "n" * 61, "utm_source": "x"},
        {"name": "Nothing asked"},
        {"name": "Odd", "channel": "pigeon"},
        {"name": "Long", "referrer": "r" * 81},
        {"name": "Twin", "utm_source": "TWIN"},
    ):
        answer = admin.send(page, "/settings/sources", **typed)
        assert (answer.status_code, "<title>Error" in answer.text) == (422, True)
        assert 'aria-invalid="true"' in answer.text
        for value in typed.values():
            assert value in answer.text or value == "pigeon"
        assert len(sources.read_rules(session)) == 1
    kept = {"name": "Here already", "utm_source": "twin"}
    assert post(admin, SOURCES, f"{SOURCES}/{rule.ref}", **kept).status_code == 303
    assert post(admin, SOURCES, f"{SOURCES}/{rule.ref}", **kept | {"name": ""}).status_code == 422


def test_a_version_is_looked_at_before_visitors_read_it_and_an_older_one_comes_back(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    admin, _ = sign_in()
    clinic = Clinic()

    def headline() -> str:
        clock.advance(FRESH_FOR)
        return form_texts.current(session, "en", clinic, clock()).headline

    assert headline() == "Request your information packet"
    typed = {"headline": "Ask {{ clinic_name }}", "next": "We call.\n\n- **Soon**"}
    kept = admin.send(admin.page(TEXTS), "/settings/texts", **typed)
    look = admin.page(kept.location)
    assert "Ask Cellebration Wellness" in look.main_text
    assert [element.text for element in look.find("strong")] == ["Soon"]
    assert headline() == "Request your information packet"
    assert admin.send(look, "/use").status_code == 303
    assert headline() == "Ask Cellebration Wellness"
    assert "Version in use: 1 (before: 0)" in admin.page(TEXTS).main_text
    # The same words again are the same version; others are a new one.
    assert admin.send(admin.page(TEXTS), "/settings/texts").location == kept.location
    admin.send(admin.page(TEXTS), "/settings/texts", headline="Another")
    assert [version.number for version in form_texts.versions(session, "en")] == [2, 1]
    shipped = admin.page(f"{TEXTS}/version?language=en&number=0")
    assert admin.send(shipped, "/use").status_code == 303
    assert headline() == "Request your information packet"
    assert form_texts.current(session, "es", clinic, clock()).headline.startswith("Pida")
    before = [(version.number, version.sha256) for version in form_texts.versions(session, "en")]
    assert [number for number, _ in before] == [2, 1], "going back loses nothing"


def test_a_text_that_cannot_be_used_is_given_back_with_what_is_wrong(
    sign_in: SignIn, session: Session
) -> None:
    """AX-03; what letters may not claim the form may not claim either."""
    admin, _ = sign_in()
    page = admin.page(TEXTS)
    for part, text, sentence in (
        ("headline", "", "Write something here"),
        ("intro", "w" * 601, "Shorten this to 600"),
        ("next", "Go to {{ packet_link }}", "no name “packet_link”"),
        ("next", "Our cells cure arthritis.", "We may not say “cure”"),
    ):
        answer = admin.send(page, "/settings/texts", **{part: text})
        assert (answer.status_code, "<title>Error" in answer.text) == (422, True)
        assert answer.text.count(sentence) == 2
        assert text in answer.text
    assert session.scalars(select(FormText)).all() == []


def test_what_a_form_text_says_stays_words() -> None:
    """Neither a value nor a text becomes HTML, nor a script's address a link."""
    odd = Clinic(name="<b>*Odd*</b>")
    parts = {**form_texts.SHIPPED["en"], "intro": "<i>x</i> {{ clinic_name }}"}
    line = form_texts.words_of(parts, odd).intro[0].line
    assert "".join(piece.words for piece in line) == "<i>x</i> <b>*Odd*</b>"
    assert {piece.kind for piece in line} == {"text"}


def test_a_change_of_hours_is_kept_with_what_was_before(sign_in: SignIn, session: Session) -> None:
    admin, _ = sign_in()
    page = admin.page("/desk/settings/hours")
    assert admin.send(page, "/settings/hours").status_code == 303
    assert session.scalars(select(SettingChange)).all() == [], "nothing differs"
    typed = {"target": "60", "day-5-opens": "", "day-5-closes": "", "exception-day": "2026-12-24"}
    admin.send(page, "/settings/hours", **typed)
    shown = admin.page("/desk/settings/hours").main_text
    for line in (
        "First answer within: 60 min (before: 120 min)",
        "Saturday: – (before: 08:00–12:00)",
        "Dec 24, 2026: closed (before: –)",
    ):
        assert line in shown
    team_page = admin.page("/desk/settings/team")
    today = {"takes_requests": "on", "back_on": "2026-03-03"}
    answer = admin.send(team_page, "/settings/team", **today)
    assert (answer.status_code, "Choose a day after today" in answer.text) == (422, True)
    admin.send(team_page, "/settings/team", takes_requests="on", back_on="2026-03-10")
    shown = admin.page("/desk/settings/team").main_text
    assert "Gets new requests in turn: yes (before: –)" in shown


@pytest.mark.parametrize(
    ("typed", "shortest"),
    [
        ({"target": "15", "warn": "15"}, "15 minutes"),
        ({"target": "120", "target-phone": "10"}, "10 minutes"),
        ({"target": "1", "warn": "1"}, "1 minute"),
    ],
)
def test_a_warning_at_the_start_of_the_shortest_clock_is_refused_at_its_field(
    sign_in: SignIn, session: Session, typed: dict[str, str], shortest: str
) -> None:
    """Whoever is warned at once is not warned; all that was typed stands in the form still."""
    admin, _ = sign_in()
    page = admin.page("/desk/settings/hours")
    admin.send(page, "/settings/hours", **{"exception-day": "2026-12-24"})
    page = admin.page("/desk/settings/hours")
    more = {"exception-day": "2026-12-31", "drop-2026-12-24": "on", "day-5-opens": "07:00"}
    answer = admin.send(page, "/settings/hours", **typed, **more)
    refused = Page(answer.text)
    assert answer.status_code == 422
    [problem] = refused.find("p", id="warn-problem")
    assert f"the shortest is {shortest}" in problem.text
    form = refused.form("/settings/hours")
    assert {name: form.get(name) for name in (typed | more)} == {
        name: [value] for name, value in (typed | more).items()
    }
    assert len(session.scalars(select(SettingChange)).all()) == 1
    enough = {"target": "120", "target-phone": "16", "warn": "15"}
    assert admin.send(refused, "/settings/hours", **enough).status_code == 303
    shown = admin.page("/desk/settings/hours").main_text
    assert "Dec 24, 2026: – (before: closed)" in shown
    assert "Dec 31, 2026: closed (before: –)" in shown


def test_tags_are_added_renamed_put_away_and_offered_again(
    sign_in: SignIn, session: Session
) -> None:
    admin, _ = sign_in()
    assert admin.send(admin.page(TAGS), TAGS, name=" Second  opinion ").status_code == 303
    found = session.scalars(select(Tag)).one()
    for wrong in ({"name": ""}, {"name": "second OPINION"}, {"name": "x", "color": "pink"}):
        answer = admin.send(admin.page(TAGS), TAGS, **wrong)
        assert (answer.status_code, 'aria-invalid="true"' in answer.text) == (422, True)
    renamed = {"name": "Opinion", "color": "held"}
    assert post(admin, TAGS, f"{TAGS}/{found.ref}", **renamed).status_code == 303
    post(admin, TAGS, f"{TAGS}/{found.ref}/archive")
    shown = admin.page(TAGS).main_text
    assert "Offered: no (before: yes)" in shown
    assert "Colour: violet (before: grey)" in shown
    post(admin, TAGS, f"{TAGS}/{found.ref}/archive", again="yes")
    assert (found.name, found.color) == ("Opinion", "held")
    assert found.archived_at is None


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_colleague_who_goes_astray_finds_the_way_back(sign_in: SignIn) -> None:
    rosa, _ = sign_in("front_desk")
    for path, status in (("/desk/nothing-here", 404), (ACCOUNTS, 403)):
        assert rosa.page(path, status=status).link("Go to who is waiting") == "/desk/"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("settings_changes", [{"staff_idle_minutes": 20}])
def test_a_session_ends_after_twenty_minutes_without_a_sign_of_life(
    sign_in: SignIn, clock: Clock
) -> None:
    """AU-05, AX-07: each page says so, and what scripts ask by themselves is no sign of life."""
    rosa, staff = sign_in("coordinator")
    page = rosa.page("/desk/")
    assert "signed out after 20 minutes" in page.text
    clock.advance(timedelta(minutes=19))
    assert rosa.get("/desk/session").get_json() == {"left": 60}
    assert rosa.get("/desk/", headers={"X-Live": "1"}).status_code == 200
    clock.advance(timedelta(seconds=59))
    told = {"csrf_token": page.form("/sign-out")["csrf_token"]}
    assert rosa.post("/desk/session", data=told).get_json() == {"left": 1200}
    clock.advance(timedelta(minutes=20))
    assert rosa.get("/desk/").location == "/sign-in"
    page = rosa.page("/sign-in")
    assert "signed out because nothing had been done" in page.text
    rosa.send(page, "/sign-in", email=staff.email, password=PASSWORD)
    assert rosa.get("/desk/").status_code == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("settings_changes", [{"staff_idle_minutes": 720}])
def test_no_session_outlives_twelve_hours(sign_in: SignIn, clock: Clock) -> None:
    """AU-05."""
    rosa, _ = sign_in("coordinator")
    clock.advance(timedelta(hours=11))
    assert rosa.get("/desk/").status_code == 200
    clock.advance(timedelta(hours=1))
    assert rosa.get("/desk/").status_code == 303


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("settings_changes", [{"staff_idle_minutes": 3}])
def test_whoever_is_about_to_be_signed_out_is_told_and_can_stay(
    app: Flask, site: str, browser: Browser, session: Session, clock: Clock
) -> None:
    """AX-07: three minutes before; after the end the page says that nothing typed is lost."""
    with app.app_context():
        admin = a_staff_member(session, "admin")
    session.commit()
    with open_page(browser, site, viewport={"width": 320, "height": 700}) as page:
        page.goto("/sign-in")
        page.fill("#email", admin.email)
        page.fill("#password", PASSWORD)
        page.get_by_role("button").last.click()
        page.get_by_text("You will be signed out in 3 min").wait_for()
        assert_accessible(page)
        stay = page.get_by_role("button", name="Stay signed in")
        clock.advance(timedelta(minutes=2))
        with page.expect_response("**/desk/session") as answered:
            stay.click()
        assert answered.value.json() == {"left": 180}
        clock.advance(timedelta(minutes=3))
        stay.click()
        page.get_by_text("What you typed here is not lost").wait_for()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_settings_are_for_everybody(
    app: Flask, site: str, browser: Browser, session: Session
) -> None:
    """AX-01, AX-05: axe finds nothing, 320 px do not scroll, no target is under 24 px."""
    with app.app_context():
        admin = a_staff_member(session, "admin")
    a_request(session, touch={"first": {"utm_source": "google"}})
    sources.add_rule(session, "Phone", {"channel": "phone"})
    session.commit()
    with open_page(browser, site, viewport={"width": 320, "height": 700}) as page:
        page.goto("/sign-in")
        page.fill("#email", admin.email)
        page.fill("#password", PASSWORD)
        page.get_by_role("button").last.click()
        page.wait_for_url("**/desk/**")
        for path in PAGES:
            page.goto(path)
            for summary in page.locator("main summary").all():
                summary.click()
            assert_accessible(page)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) <= 0, path
        page.goto(ACCOUNTS)
        page.locator("#invite-password").fill("a wrong password of mine")
        page.get_by_role("button", name="Make a link").click()
        page.get_by_text("That is not your password").first.wait_for()
        page.emulate_media(color_scheme="dark")
        assert_accessible(page)


def test_a_packet_that_is_not_ticked_is_linked_alone_from_now_on(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    """PR-12."""
    admin, _ = sign_in()
    page = admin.page(PACKETS)
    assert sorted(page.form(PACKETS)["attached"]) == TOPICS
    done = admin.send(page, PACKETS, attached=["general", "athletes", "no such packet"])
    assert done.status_code == 303
    assert linked.current_linked(session, clock()) == {"autoimmune", "osteoarthritis"}
    page = admin.page(PACKETS)
    assert sorted(page.form(PACKETS)["attached"]) == ["athletes", "general"]
    told = "behind its link alone (before: attached, and behind its link)"
    assert page.main_text.count(told) == 2
    admin.send(page, PACKETS)
    assert "Nothing was changed" in admin.page(PACKETS).text
    admin.send(page, PACKETS, attached=TOPICS)
    clock.advance(FRESH_FOR)
    assert linked.current_linked(session, clock()) == frozenset()


def test_two_who_save_the_same_at_once_both_may(engine: Engine, clock: Clock) -> None:
    def save(session: Session) -> None:
        linked.keep_linked(session, ["general"], clock())

    def save_too() -> None:
        with open_session(engine) as session:
            save(session)
            session.commit()

    with ThreadPoolExecutor(1) as pool, open_session(engine) as session:
        save(session)
        other = pool.submit(save_too)
        with pytest.raises(TimeoutError):
            other.result(0.5)
        session.commit()
        other.result(20)
    with open_session(engine) as session:
        assert linked.read_linked(session) == {"general"}
