"""Where a visitor came from: first and last touch, bounded, ours alone, without health words."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.intake import touch
from leadcapture.models import Request
from tests.people import typed_form
from tests.visitors import Visitor


def ask(client: Visitor) -> None:
    token = client.page("/en").form()["token"][0]
    assert client.post("/en", data=typed_form(token)).status_code == 303


def touches(session: Session) -> dict[str, Any]:
    return dict(session.scalars(select(Request.touch)).one())


def test_the_first_and_the_last_touch_are_kept_with_the_request(
    client: Visitor, session: Session
) -> None:
    client.get("/?utm_source=newsletter&utm_campaign=spring")
    client.get("/en", headers={"Referer": "https://search.example/?q=my+illness"})
    client.get("/es?utm_source=friend")
    ask(client)

    kept = touches(session)
    assert kept["first"] == {
        "utm_source": "newsletter",
        "utm_campaign": "spring",
        "landing": "/",
    }
    assert kept["last"] == {"utm_source": "friend", "landing": "/es"}


def test_of_a_referrer_only_the_host_is_kept(client: Visitor, session: Session) -> None:
    """PR-01."""
    client.get("/", headers={"Referer": "https://search.example/lupus?q=lupus+cure"})
    ask(client)

    assert touches(session)["first"] == {"referrer": "search.example", "landing": "/"}


def test_our_own_pages_are_no_touch(client: Visitor, session: Session) -> None:
    response = client.get("/es", headers={"Referer": f"{client.address}/en"})
    ask(client)

    assert "Set-Cookie" not in response.headers
    assert touches(session) == {}


def test_the_cookie_is_small_ends_with_the_visit_and_stays_here(client: Visitor) -> None:
    """PR-02."""
    long = "x" * 400
    names = ("source", "medium", "campaign", "content", "term")
    query = "&".join(f"utm_{name}={long}" for name in names)
    for number in range(3):
        response = client.get(f"/?{query}{number}", headers={"Referer": f"https://{long}.example"})
    cookie = response.headers["Set-Cookie"]

    assert len(cookie) < 1200
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Max-Age" not in cookie
    assert "Expires" not in cookie


@pytest.mark.parametrize("word", ["lupus-2026", "KNEE pain", "artritis", "rodilla", "MS", "crohn"])
def test_no_health_word_gets_into_the_cookie(word: str) -> None:
    """PR-01."""
    assert touch.arrival({"utm_campaign": word}, "", "clinic.example", "/") is None


@given(st.text(max_size=1500))
def test_a_cookie_that_we_did_not_write_is_nothing(cookie: str) -> None:
    """WS-12."""
    assert touch.recall(cookie) == {}


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.dictionaries(
            st.sampled_from(["first", "last", "utm_source", "referrer", "other"]), inner
        ),
    )
)
def test_a_cookie_that_somebody_made_up_holds_no_more_than_ours(made_up: object) -> None:
    """WS-12, WS-14."""
    cookie = base64.urlsafe_b64encode(json.dumps(made_up).encode()).decode()
    for kept in touch.recall(cookie).values():
        assert set(kept) <= {"utm_source", "referrer"}
        assert all(len(value) <= 80 for value in kept.values())
