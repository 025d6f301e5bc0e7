"""Links and redirects lead home, whatever a request says of where it came to (WS-04, WS-05)."""

import random
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Page as BrowserPage
from sqlalchemy.orm import Session

from leadcapture.settings import Settings
from tests.conftest import SignIn
from tests.pages import Page
from tests.people import PASSWORD, a_staff_member, typed_form
from tests.post_office import PostOffice
from tests.visitors import Visitor

HOSTS = (
    *("evil.test", "evil.test:80", "127.0.0.1", "127.0.0.1:1", "localhost", "[::1]", "0x7f.1"),
    *(
        "{own}.evil.test",
        "evil.test/{own}",
        "evil.test#{own}",
        "evil.test?{own}",
        "{own}@evil.test",
    ),
    *("evil.test\\.{own}", "{own}, evil.test", "evil.test, {own}", " evil.test", "evil.test\t", ""),
)
FORWARDED = (
    *(("X-Forwarded-Host", host) for host in ("evil.test", "{own}, evil.test", "evil.test, {own}")),
    *(("X-Forwarded-Server", "evil.test"), ("X-Host", "evil.test"), ("X-HTTP-Host", "evil.test")),
    *(("Forwarded", "host=evil.test"), ("Forwarded", 'for=1.2.3.4;host="evil.test";proto=http')),
    *(("X-Forwarded-Prefix", "//evil.test"), ("X-Script-Name", "//evil.test/")),
    *(("X-Original-URL", "//evil.test/"), ("X-Rewrite-URL", "https://evil.test/")),
    *(("X-Forwarded-Proto", "evil.test:"), ("X-Forwarded-Port", "1@evil.test")),
    *(("Origin", "null"), ("Referer", "https://evil.test/"), ("Via", "1.1 evil.test")),
)


def test_another_host_is_served_nothing(client: Visitor, settings: Settings) -> None:
    """WS-04."""
    for host in HOSTS:
        named = host.format(own=settings.public_host)
        for path in ("/en", "/sign-in", "/desk/", "/nowhere"):
            answer = client.get(path, headers={"Host": named})
            assert answer.status_code == 400, (named, path)
            assert "evil" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("settings_changes", [{}, {"trusted_proxies": 1}])
def test_what_a_proxy_is_said_to_have_forwarded_is_in_no_page_and_in_no_letter(
    client: Visitor,
    session: Session,
    settings: Settings,
    office: PostOffice,
    send_due: Callable[[], int],
) -> None:
    """WS-04: with and without a proxy in front."""
    own = settings.public_host
    headers = [(name, value.format(own=own)) for name, value in FORWARDED]
    assert len(HOSTS) + len(headers) >= 30
    for number, told in enumerate(headers):
        for path in ("/en", "/sign-in", "/desk/", "/nowhere"):
            answer = client.get(path, headers=[told])
            assert answer.status_code in (200, 302, 303, 404), (told, path)
            assert "evil" not in answer.text + str(answer.headers), (told, path)
        # Where a visitor came from is kept for the clinic; nothing else of it may be.
        token = Page(client.get("/en").text).form()["token"][0]
        fields = typed_form(token, email=f"one{number}@tampamail.example")
        answer = client.post("/en", data=fields, headers=[told])
        assert answer.status_code == 303, told
        assert "evil" not in str(answer.headers), told
    send_due()
    assert len(office.letters) >= len(headers)
    for letter in office.letters:
        words = str(letter.mail) + "".join(
            part.get_content()
            for part in letter.mail.walk()
            if part.get_content_maintype() == "text"
        )
        assert "evil" not in words
        assert settings.public_url in words


def hostile_ways(seed: int, count: int) -> list[str]:
    """Where somebody would like to be led: other origins, in all the ways to write them."""
    chance = random.Random(seed)
    starts = ("//", "///", "/\\", "\\\\", "\\/", "/\t/", "/\n/", "http:", "https:///", "https://")
    more = (
        "javascript:",
        "data:text/html,",
        "/%2f",
        "/%5c",
        "/..//",
        "/.//",
        "//\u3002",
        "\0//",
    )
    hosts = ("evil.test", "evil.test:80", "127.0.0.1@evil.test", "evil%2etest", "evil\u3002test")
    ends = ("", "/", "/desk/", "?next=//evil.test", "#x", "%0d%0aLocation: //evil.test", "\r\nX: y")
    return [
        "".join(chance.choice(of) for of in ((*starts, *more), hosts, ends)) for _ in range(count)
    ]


def test_no_address_says_where_to_go_next(
    client: Visitor, settings: Settings, sign_in: SignIn, database_kind: str
) -> None:
    """WS-05: two thousand values over both databases, wherever we redirect to."""
    colleague = sign_in()
    token = colleague.page("/desk/leads").form("/columns")["csrf_token"][0]
    redirected = 0
    for number, way in enumerate(hostile_ways(len(database_kind), 1_000)):
        said = {"next": way, "back": way, "list": way, "csrf_token": token}
        visitor, method, path, given = (
            (client, "GET", "/desk/leads", said),
            (client, "GET", "/sign-in", said),
            (colleague, "GET", "/sign-in", {"list": way, "back": way}),
            (colleague, "GET", "/desk/arrival", said),
            (colleague, "POST", "/desk/leads/columns", said),
        )[number % 5]
        typed = {"data": given} if method == "POST" else {"query_string": given}
        answer = visitor.open(path, method=method, **typed)
        assert answer.status_code < 500, way
        redirected += "Location" in answer.headers
        assert leads_home(answer.headers.get("Location", "/"), settings), way
    assert redirected >= 700


def leads_home(location: str, settings: Settings) -> bool:
    """True for an address of ours, or a path that no browser takes for a host."""
    if location.startswith(settings.public_url + "/"):
        return True
    return location.startswith("/") and location[1:2] not in ("/", "\\", "\t", "\n", "\r")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_browser_stays_here_whatever_next_says(
    page: BrowserPage, session: Session, settings: Settings, client: Visitor
) -> None:
    """WS-05: as Chromium reads addresses; the page's watch fails where another origin is asked."""
    with client.application.app_context():
        staff = a_staff_member(session)
    session.commit()
    for way in hostile_ways(6, 24):
        page.goto(f"/sign-in?{urlencode({'next': way})}")
        assert page.url.startswith(settings.public_url + "/"), way
        page.goto("/sign-in")
        page.evaluate(
            """way => { const field = document.createElement('input');
            field.name = 'next'; field.value = way;
            document.querySelector('main form').append(field) }""",
            way,
        )
        page.fill("[name=email]", staff.email)
        page.fill("[name=password]", "wrong " + PASSWORD)
        with page.expect_navigation():
            page.locator("main form button").first.click()
        assert urlsplit(page.url).netloc == settings.public_host, way
