"""A newcomer's first quarter of an hour, as the README tells it: `up`, ask, read, sign in, call."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from pypdf import PdfReader

from tests.chromium import assert_accessible, each_look, open_page
from tests.served import Process, answers, free_port, run_command
from tests.waiting import until

PASSWORD = "seven herons over slow water"
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 320, "height": 640}


class Up:
    """`leadcapture up` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("LEADCAPTURE_")
        } | {
            "LEADCAPTURE_DATA_DIR": str(folder / "data"),
            "LEADCAPTURE_DNS_CHECK": "no",
            "LEADCAPTURE_FORM_MIN_SECONDS": "0",
            "PYTHONUNBUFFERED": "1",
        }
        words = ["leadcapture", "up", f"--port={self.port}"]
        self.process = Process(words, self.environ, folder / "up.log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def welcome_link(self) -> str:
        found = re.search(r"http\S+/welcome/\S+", self.process.log)
        return found[0] if found else ""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up"))
    up.process.start()
    until(
        lambda: "scheduler started" in up.process.log and answers(up.port),
        within=60,
        what="leadcapture up",
    )
    yield up
    assert up.process.stop() == 0, "one SIGTERM stops everything cleanly"


def ask(page: Page, language: str, name: str, email: str) -> None:
    page.goto(f"/{language}")
    assert page.locator("html").get_attribute("lang") == language
    page.fill("#full_name", name)
    page.fill("#email", email)
    page.check("#conditions-0")
    page.check("#consent_health")
    page.check("#consent_follow_ups")
    page.click(".send button")
    page.wait_for_url("**/thanks/**")
    assert_accessible(page)


def read_mail(page: Page, email: str) -> Page:
    """Open the newest letter to this address, once it is there."""

    def has_come() -> bool:
        page.goto("/mailbox")
        return page.locator("tr", has_text=email).count() > 0

    until(has_come, within=10, what=f"a letter to {email}")
    page.locator("tr", has_text=email).first.locator("a").click()
    page.wait_for_load_state()
    return page


@pytest.mark.parametrize(
    ("language", "subject", "filename"),
    [
        ("en", "The information you asked for", "information-packet.pdf"),
        ("es", "La información que nos pidió", "paquete-informativo.pdf"),
    ],
)
def test_a_patient_asks_and_reads_the_packet(
    up: Up, browser: Browser, tmp_path: Path, language: str, subject: str, filename: str
) -> None:
    """PR-12, PR-02, AX-01: the form, the thanks, the letter, its PDF and its private page."""
    email = f"ana.{language}@example.com"
    with open_page(browser, up.url, viewport=PHONE) as page:
        ask(page, language, "Ana Whitaker", email)
        read_mail(page, email)
        assert page.locator("h1").inner_text() == subject
        page.click("summary")
        text = page.locator("pre").inner_text()
        attachment = page.locator("main ul a").get_attribute("href")
        content = page.request.get(str(attachment)).body()
        assert page.locator("main ul a").inner_text() == filename
        pdf = tmp_path / filename
        pdf.write_bytes(content)
        reader = PdfReader(pdf)
        assert str(reader.root_object["/Lang"]).startswith(language)
        assert "/StructTreeRoot" in reader.root_object
        assert "FDA" in "".join(sheet.extract_text() for sheet in reader.pages)
        link = re.search(rf"{up.url}/packet/\S+", text)
        assert link is not None
        page.goto(link[0])
        assert_accessible(page)
        with page.expect_download() as download:
            page.click(".packet-copy button")
        assert download.value.suggested_filename == filename


def test_staff_see_who_waits_and_a_logged_call_cancels_the_follow_ups(
    up: Up, browser: Browser
) -> None:
    """AU-10: the first administrator comes by a link that works once."""
    with open_page(browser, up.url, viewport=WIDE) as page:
        ask(page, "en", "Janet Okafor", "janet.okafor@example.com")
        page.goto(up.welcome_link)
        assert_accessible(page)
        page.fill("#name", "Rosa Alvarado")
        page.fill("#email", "rosa@clinic.example")
        page.fill("#password", PASSWORD)
        page.fill("#repeated", PASSWORD)
        page.click("main button")
        page.wait_for_url("**/desk/")
        assert_accessible(page)
        page.locator("a", has_text="Janet Okafor").first.click()
        assert page.locator(".timeline__entry--to-come").count() == 3
        assert_accessible(page)
        page.fill("#call-note", "Wants to think about it.")
        page.click("button[value=reached]")
        page.wait_for_load_state()
        assert page.locator(".timeline__entry--to-come").count() == 0
        assert page.locator(".timeline", has_text="3 follow-ups cancelled").count() == 1
        page.goto(up.welcome_link)
        assert "has been used" in page.locator("h1").inner_text()
        page.goto("/desk/")
        page.click("text=Sign out")
        page.goto("/desk/")
        assert "/desk/" not in page.url or page.locator("#password").count() == 1
        page.fill("#email", "rosa@clinic.example")
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_url("**/desk/")


def test_staff_pages_with_the_demo_are_accessible_and_fit(up: Up, browser: Browser) -> None:
    """AX-01, AX-05: no violation and no sideways scroll, light and dark, wide and 320 px."""
    run_command(["demo"], up.environ)
    with open_page(browser, up.url) as page:
        page.goto("/desk/")
        page.fill("#email", "rosa@clinic.example")
        page.fill("#password", PASSWORD)
        look_at(page)
        page.click("main button")
        page.wait_for_url("**/desk/")
        look_at(page)
        for path in ("/desk/leads", "/desk/leads?q=jan", "/desk/leads?q=nobody-at-all"):
            page.goto(path)
            look_at(page)
        page.goto("/desk/leads?q=janet")
        page.locator("tbody a").first.click()
        page.wait_for_load_state()
        look_at(page)


def look_at(page: Page) -> None:
    for _ in each_look(page):
        assert_accessible(page)
        fits(page)


def fits(page: Page) -> None:
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, f"{page.url} scrolls sideways by {width} px"


def test_a_second_up_on_the_same_port_says_so(up: Up) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "leadcapture", "up", f"--port={up.port}"],
        env=up.environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert f"Port {up.port} is taken" in done.stderr
