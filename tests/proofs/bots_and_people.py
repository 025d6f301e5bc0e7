"""Bots out, people in, no puzzles: scripted robots, and people at a real Chromium (AB-05)."""

import http.client
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page
from sqlalchemy import func, select

from leadcapture.database import open_session
from leadcapture.models import Lead, LeadStatus, Message, MessageKind
from tests.both import Place
from tests.chromium import open_browser, open_page
from tests.people import typed_form
from tests.proofs.finding import Finding
from tests.served import Service, a_service

_TOKEN = re.compile(r'name="token" value="([^"]+)"')
# What the service wants to have passed between the page and its sending.
MIN_SECONDS = 3
_ADVERTISEMENT = "Rank first! https://a.example https://b.example https://c.example"


def bots_and_people(place: Place, quick: bool, seed: int) -> Finding:
    """AB-05: of 100 bots one gets a letter out at most, of 50 people nobody is held."""
    del seed
    with open_browser() as browser:
        return prove_bots_and_people(place, browser, *((20, 3) if quick else (100, 50)))


def prove_bots_and_people(place: Place, browser: Browser, bots: int, people: int) -> Finding:
    """So many of each: the robots first, then the people in this browser."""
    # Each visitor comes from a network of their own, as the proxy in front tells.
    more = {"FORM_MIN_SECONDS": str(MIN_SECONDS), "FORM_LIMIT": "10 per minute"}
    more["TRUSTED_PROXIES"] = "1"
    with a_service(place.folder, place.url, place.office.port, **more) as service:
        service.start_web(workers=2, threads=2)
        send_robots(service, bots)
        for number in range(people):
            fill_in_as_a_person(browser, service.url, number)
    return _count(place, bots, people)


def _count(place: Place, bots: int, people: int) -> Finding:
    with open_session(place.engine) as session:
        mailed = session.scalars(
            select(Lead.email)
            .join(Message, Message.lead_id == Lead.id)
            .where(Message.kind == MessageKind.PACKET)
        ).all()
        kept = session.scalar(
            select(func.count()).select_from(Lead).where(Lead.status == LeadStatus.HELD)
        )
    passed = [email for email in mailed if email.startswith("bot")]
    let_in = {email for email in mailed if email.startswith("person")}
    faults = []
    if len(passed) > 1:
        faults.append(f"{len(passed)} bots got a letter out: {passed[:5]}")
    if len(let_in) != people:
        faults.append(f"{people - len(let_in)} of {people} people were kept out")
    if not kept:
        faults.append("no suspected request was kept for review")
    sentence = (
        f"{bots} bots: {len(passed)} got a letter out, {kept} kept for review; "
        f"{people} people: {len(let_in)} let in"
    )
    return Finding(sentence, faults)


@dataclass(frozen=True)
class Robot:
    """A visitor without eyes: its network, its address, and what it asks the server."""

    port: int
    number: int

    @property
    def email(self) -> str:
        return f"bot{self.number}@robots.example"

    def take_token(self) -> str:
        """The token of a fresh form."""
        found = _TOKEN.search(self._ask("GET", "/en"))
        assert found is not None
        return found[1]

    def send(self, token: str, **changes: Any) -> None:
        """Send the form; the answer is of no interest to a robot."""
        fields = typed_form(token, email=self.email, **changes)
        self._ask("POST", "/en", urlencode(fields, doseq=True))

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"X-Forwarded-For": f"198.51.100.{self.number % 250 + 1}"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer


def send_robots(service: Service, count: int) -> None:
    """A fifth each: greedy, hasty, without a token, advertising, and many with one good token."""
    robots = [Robot(service.port, number) for number in range(count)]
    patient = robots[count * 3 // 5 :]
    tokens = [robot.take_token() for robot in patient]
    for robot in robots[: count // 5]:
        robot.send(robot.take_token(), topic_code="https://pills.example")
    for robot in robots[count // 5 : count * 2 // 5]:
        robot.send(robot.take_token())
    for robot in robots[count * 2 // 5 : count * 3 // 5]:
        robot.send("made.up.token")
    threading.Event().wait(MIN_SECONDS + 0.2)
    for robot, token in zip(patient[: count // 5], tokens, strict=False):
        robot.send(token, message=_ADVERTISEMENT)
    for robot in patient[count // 5 :]:
        robot.send(tokens[-1])


def fill_in_as_a_person(browser: Browser, site: str, number: int) -> None:
    """One person in their own way: by mouse, keys, autofill, phone, without script, in Spanish."""
    way, choices = _WAYS[number % len(_WAYS)]
    headers = {"X-Forwarded-For": f"203.0.113.{number + 1}"}
    language = "es" if number % 2 else "en"
    with open_page(browser, site, extra_http_headers=headers, **choices) as page:
        page.goto(f"/{language}")
        way(page, f"person{number}@example.com")
        page.wait_for_url("**/thanks/*")


def _by_mouse(page: Page, email: str) -> None:
    page.locator("#full_name").press_sequentially("Rosa Jiménez", delay=90)
    page.locator("#email").press_sequentially(email, delay=90)
    page.locator("#conditions-4").check()
    page.locator("#consent_health").check()
    page.wait_for_timeout(MIN_SECONDS * 1000 / 3)
    page.locator("form button[type=submit]").last.click()


def _by_keys(page: Page, email: str) -> None:
    for name, words in (("full_name", "O'Brien Ñusta"), ("email", email)):
        _tab_to(page, name)
        page.keyboard.type(words, delay=90)
    for name in ("conditions-1", "consent_health", "consent_follow_ups"):
        _tab_to(page, name)
        page.keyboard.press("Space")
    page.wait_for_timeout(MIN_SECONDS * 1000 / 3)
    page.keyboard.press("Enter")


def _by_autofill(page: Page, email: str) -> None:
    # A browser fills what it knows by purpose, all at once; then the person reads and ticks.
    for purpose, words in (("name", "Janet Whitfield"), ("email", email), ("tel", "+13055550100")):
        field = page.locator(f"[autocomplete={purpose}]")
        field.evaluate("(field, words) => field.value = words", words)
    page.locator("#conditions-0").check()
    page.locator("#consent_health").check()
    page.wait_for_timeout(MIN_SECONDS * 1000)
    page.locator("form button[type=submit]").last.click()


def _as_it_is_read_aloud(page: Page, email: str) -> None:
    # Field after field in the order of the accessibility tree, each by its label alone.
    labels = page.locator("label[for=full_name], label[for=email]").all_inner_texts()
    page.get_by_label(labels[0], exact=True).fill("Luz Marina")
    page.get_by_label(labels[1], exact=True).fill(email)
    page.get_by_role("checkbox").first.check()
    page.locator("#consent_health").check()
    page.wait_for_timeout(MIN_SECONDS * 1000)
    page.get_by_role("button").last.click()


def _tab_to(page: Page, name: str) -> None:
    for _ in range(40):
        if page.evaluate("document.activeElement.id") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key never reaches {name}")


_PHONE = {"viewport": {"width": 320, "height": 640}, "has_touch": True}
_WAYS: tuple[tuple[Callable[[Page, str], None], dict[str, Any]], ...] = (
    (_by_mouse, {}),
    (_by_keys, {}),
    (_by_autofill, {}),
    (_as_it_is_read_aloud, {}),
    (_by_mouse, {"java_script_enabled": False}),
    (_by_mouse, _PHONE),
)
