"""The form in a real browser while what stands between the visitor and us fails."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from leadcapture.models import Message, MessageKind, Request
from leadcapture.settings import Settings
from tests.chromium import assert_accessible
from tests.front import Front
from tests.people import EMAIL, MESSAGE, NAME


@pytest.fixture
def database_kind() -> str:
    """What a browser sees hangs on no database; one is enough."""
    return "sqlite"


@pytest.fixture
def front(app: Flask) -> Front:
    return Front(app)


@pytest.fixture
def site(front: Front, settings: Settings, bound_socket: socket.socket) -> Iterator[str]:
    """The application behind a proxy; the address."""
    bound_socket.listen(64)
    host, port = bound_socket.getsockname()
    server = make_server(host, port, front, threaded=True, fd=bound_socket.fileno())
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield settings.public_url
    front.let_go()
    server.shutdown()
    thread.join(5)


def fill_in(page: Page, language: str = "en") -> None:
    page.goto(f"/{language}")
    page.fill("#full_name", NAME)
    page.fill("#email", EMAIL)
    page.check("#conditions-1")
    page.check("#consent_health")
    page.click("summary")
    page.fill("#message", MESSAGE)


def press(page: Page) -> None:
    page.get_by_role("button", name="Send me the packet").click()


def assert_kept(page: Page) -> None:
    """AX-03."""
    assert page.input_value("#full_name") == NAME
    assert page.input_value("#message") == MESSAGE
    assert page.is_checked("#conditions-1")
    assert page.is_checked("#consent_health")
    assert "(858) 258-5090" in page.inner_text("#trouble")


def receipts(session: Session) -> list[str]:
    """Those of all requests. The session lets go of the database at once."""
    found = list(session.scalars(select(Request.receipt)))
    session.commit()
    return found


def test_a_service_that_keeps_the_request_and_then_stalls_is_told_of_within_ten_seconds(
    page: Page, front: Front, session: Session
) -> None:
    """DD-03: never an endless spinner; the second try gets the receipt of the first."""
    fill_in(page)
    front.stalls = ("POST /en",)
    began = time.monotonic()
    press(page)
    page.wait_for_selector("[data-progress]:visible")
    page.wait_for_selector("#trouble", timeout=12_000)

    assert time.monotonic() - began < 12
    assert front.stalled == ["POST /en"], "the service had done its part"
    assert_kept(page)
    assert page.is_hidden("[data-progress]")
    assert page.evaluate("document.activeElement.id") == "trouble"
    assert_accessible(page)
    (first,) = receipts(session)

    front.let_go()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url("**/thanks/*")
    assert page.url.endswith(f"/thanks/{first}")
    assert receipts(session) == [first]
    packets = select(func.count()).where(Message.kind == MessageKind.PACKET)
    assert session.scalar(packets) == 1


def test_the_error_page_of_a_proxy_does_not_take_the_place_of_the_form(
    page: Page, front: Front, session: Session
) -> None:
    """AX-03: it has a <main> as our pages have."""
    fill_in(page)
    front.fails = ("POST /en",)
    press(page)
    page.wait_for_selector("#trouble")

    assert_kept(page)
    assert receipts(session) == []
    front.let_go()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url("**/thanks/*")
    assert len(receipts(session)) == 1


def test_who_was_received_goes_to_the_thanks_even_where_these_fail(
    page: Page, front: Front, session: Session
) -> None:
    """MD-01: the address is the receipt, and the page is there on a later look."""
    fill_in(page)
    front.fails = ("GET /thanks/",)
    press(page)
    page.wait_for_url("**/thanks/*", wait_until="commit")
    receipt = page.url.rpartition("/")[2]

    assert receipts(session) == [receipt]
    front.let_go()
    page.reload()
    assert page.get_by_role("heading", level=1).is_visible()


@pytest.mark.parametrize(
    ("language", "button", "words"),
    [
        ("en", "Send me the packet", "yours has 70000"),
        ("es", "Enviarme el paquete", "el suyo tiene 70000"),
    ],
)
def test_a_message_that_is_too_long_is_told_of_before_it_is_sent(
    page: Page, session: Session, language: str, button: str, words: str
) -> None:
    """AX-03, WS-11: nothing leaves the form, and nothing in it is touched."""
    fill_in(page, language)
    page.check("#consent_follow_ups")
    page.fill("#message", "m" * 70_000)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_role("button", name=button).click()

    assert words in page.inner_text(".trouble")
    assert page.evaluate("document.activeElement.className") == "trouble"
    assert_accessible(page)
    assert page.input_value("#message") == "m" * 70_000
    assert page.is_checked("#consent_follow_ups")
    assert sent == []
    page.fill("#message", "🦋" * 5000)
    page.get_by_role("button", name=button).click()
    page.wait_for_url("**/thanks/*")
    assert len(receipts(session)) == 1


@pytest.mark.parametrize("page_choices", [{"java_script_enabled": False}])
def test_without_script_a_message_that_is_too_long_takes_nothing_else_with_it(
    page: Page, session: Session
) -> None:
    """AX-03, AX-08."""
    fill_in(page)
    page.check("#consent_follow_ups")
    page.fill("#message", "m" * 70_000)
    press(page)
    page.wait_for_selector("#error-summary")

    assert len(page.input_value("#message")) > 60_000
    assert page.is_checked("#consent_health")
    assert page.is_checked("#consent_follow_ups")
    page.fill("#message", MESSAGE)
    press(page)
    page.wait_for_url("**/thanks/*")
    assert len(receipts(session)) == 1


def test_another_language_takes_along_what_was_typed(
    page: Page, front: Front, session: Session
) -> None:
    """AX-03, WS-16: in the page alone. What was agreed to in other words is asked again."""
    fill_in(page)
    page.select_option("#country", "CR")
    page.get_by_role("link", name="Español").click()
    page.wait_for_url("**/es")

    assert page.get_attribute("html", "lang") == "es"
    assert page.title().startswith("Pida")
    assert page.input_value("#full_name") == NAME
    assert page.input_value("#email") == EMAIL
    assert page.input_value("#message") == MESSAGE
    assert page.input_value("#country") == "CR"
    assert page.is_checked("#conditions-1")
    assert not page.is_checked("#consent_health")
    assert page.evaluate("document.activeElement.textContent") == "Español"
    assert_accessible(page)
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0

    front.fails = ("GET /en",)
    page.get_by_role("link", name="English").click()
    page.wait_for_selector("#trouble")
    assert page.input_value("#message") == MESSAGE
    front.let_go()
    page.check("#consent_health")
    page.get_by_role("button", name="Enviarme el paquete").click()
    page.wait_for_url("**/thanks/*")
    assert len(receipts(session)) == 1
    assert session.scalars(select(Request.language)).one() == "es"
