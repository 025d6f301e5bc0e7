"""A real Chromium: Playwright's own, else the distribution's, else it is installed."""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserType,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

from tests.parts import find_part
from tests.people import PASSWORD

AXE = Path(__file__).parent / "browser" / "vendor" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--metrics-recording-only",
    # Nothing but loopback is found, whatever Chromium would like to ask.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium for the length of a ``with``."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        try:
            yield browser
        finally:
            browser.close()


def launch(kind: BrowserType, sets_pages_aside: bool = False) -> Browser:
    """One more Chromium; ``sets_pages_aside``: with its back/forward cache, as people have it."""
    return kind.launch(
        executable_path=find_chromium(kind),
        headless=True,
        args=_SWITCHES,
        ignore_default_args=["--disable-back-forward-cache"] if sets_pages_aside else None,
    )


def find_chromium(kind: BrowserType) -> str:
    """The path of a Chromium; the distribution's is installed where there is none."""
    own = Path(kind.executable_path)
    return str(own) if own.exists() else find_part("chromium", *_NAMES)


@dataclass
class Watch:
    """What a page did that no page of ours does; `check` fails on it."""

    origin: str
    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("data", "about", "blob", "chrome-error"):
            return
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.strangers.append(request.url)

    def note_console(self, message: ConsoleMessage) -> None:
        # Chromium reports each answer of 4xx and 5xx so; tests ask for those on purpose.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def check(self) -> None:
        """Nothing was asked of another origin (PR-02), no script failed, no policy was broken."""
        assert not self.strangers, f"asked of other origins: {self.strangers}"
        assert not self.complaints, f"the console complains: {self.complaints}"


def sign_in_by_form(page: Page, email: str, language: str = "") -> None:
    """Sign a colleague in as they do: the form, by keys; then the first page."""
    page.goto(f"/sign-in?lang={language}" if language else "/sign-in")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/**")


@contextmanager
def open_page(browser: Browser, site: str, **choices: Any) -> Iterator[Page]:
    """A page of a fresh, watched context whose relative addresses are the site's.

    ``choices`` are Playwright's: ``locale``, ``viewport``, ``java_script_enabled``,
    ``color_scheme`` …
    """
    context = browser.new_context(base_url=site, **{"locale": "en-US", **choices})
    context.set_default_timeout(10_000)
    watch = Watch(site)
    context.on("request", watch.note_request)
    page = context.new_page()
    page.on("console", watch.note_console)
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))
    try:
        yield page
        watch.check()
    finally:
        context.close()


def each_look(page: Page) -> Iterator[None]:
    """The page as it stands, wide and at 320 px, in the light and in the dark."""
    for width, scheme in product((1280, 320), SCHEMES):
        page.set_viewport_size({"width": width, "height": 800})
        # Without motion: half-way from one look's colours to the other's no contrast holds.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        yield


def assert_accessible(page: Page, but: tuple[str, ...] = ()) -> None:
    """axe-core finds no violation of WCAG 2.2 AA in the page as it stands now (AX-01).

    ``but`` names rules that this page is excused from.
    """
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(_axe())
    options = {
        "runOnly": {"type": "tag", "values": _RULES},
        "rules": {name: {"enabled": False} for name in but},
        "resultTypes": ["violations"],
    }
    found = page.evaluate(f"axe.run(document, {json.dumps(options)})")
    told = [
        f"{violation['id']} ({violation['impact']}): {violation['help']}\n"
        + "\n".join(f"    {node['html'][:200]}" for node in violation["nodes"][:5])
        for violation in found["violations"]
    ]
    assert not told, f"{page.url} is not accessible to all:\n" + "\n".join(told)


@functools.cache
def _axe() -> str:
    return AXE.read_text()
