"""A form that comes again: a retry is the same request, a correction is one of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, func, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from leadcapture.database import db
from leadcapture.models import Lead, Message, MessageKind, Request, Screening
from leadcapture.settings import Settings
from tests.clock import Clock
from tests.conftest import SignIn, make_visitor
from tests.pages import Page
from tests.people import EMAIL, MESSAGE, typed_form
from tests.visitors import Visitor

WRONG = "janet@exampel.com"


def token_of(client: Visitor) -> str:
    return client.page("/en").form()["token"][0]


def requests(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Request)) or 0


def packets_to(session: Session) -> list[str]:
    packets = select(Message.recipient).where(Message.kind == MessageKind.PACKET)
    return sorted(session.scalars(packets.order_by(Message.id)))


def take_away(session: Session, table: str) -> None:
    session.execute(text(f"ALTER TABLE {table} RENAME TO {table}_gone"))
    session.commit()


def bring_back(session: Session, table: str) -> None:
    session.execute(text(f"ALTER TABLE {table}_gone RENAME TO {table}"))
    session.commit()


def test_a_corrected_address_is_a_request_of_its_own(
    client: Visitor, session: Session, sign_in: SignIn
) -> None:
    """DD-03, AB-05: whoever got no answer and mended a slip gets the packet once a person looked.

    Otherwise one form, taken once, would write to as many as a robot likes.
    """
    token = token_of(client)
    first = client.post("/en", data=typed_form(token, email=WRONG)).location
    second = client.post("/en", data=typed_form(token)).location

    assert first != second
    assert packets_to(session) == [WRONG]
    assert sorted(session.scalars(select(Lead.email))) == sorted([EMAIL, WRONG])
    held = session.scalars(select(Request).where(Request.screening == Screening.HELD)).one()
    assert (held.held_reason, held.lead.email) == ("other_address", EMAIL)
    decision = f"/desk/requests/{held.receipt}/decision"
    rosa = sign_in()
    now = rosa.page("/desk/")
    assert "The same form came before with another address." in now.main_text
    rosa.send(now, decision, decision="release")
    assert packets_to(session) == sorted([EMAIL, WRONG])
    assert client.post("/en", data=typed_form(token)).location == second
    assert client.post("/en", data=typed_form(token, email=WRONG)).location == first
    assert requests(session) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"full_name": "Janet W. Field"},
        {"message": "something else"},
        {"conditions": "athletes"},
        {"consent_follow_ups": None},
        {"phone": "+1 727 555 0199"},
    ],
)
def test_whatever_is_corrected_is_kept(
    client: Visitor, session: Session, changed: dict[str, str | None]
) -> None:
    token = token_of(client)
    first = client.post("/en", data=typed_form(token)).location
    second = client.post("/en", data=typed_form(token, **changed)).location

    assert first != second
    assert requests(session) == 2
    assert packets_to(session) == [EMAIL], "one address gets one packet a day (AB-01)"


def test_what_only_looks_different_is_the_same_request(client: Visitor, session: Session) -> None:
    """DD-03: spaces and capitals of an address, and how the form was sent."""
    token = token_of(client)
    first = client.post("/en", data=typed_form(token)).location
    again = typed_form(token, email=f" {EMAIL.upper()} ", message=f"{MESSAGE}\r\n")

    assert client.post("/en?utm_source=mail", data=again).location == first
    assert requests(session) == 1


def test_parallel_posts_of_two_wordings_are_two_requests(
    app: Flask, settings: Settings, session: Session, client: Visitor
) -> None:
    """DD-03: 20 at once; each wording has one receipt, and the first of them its packet."""
    token = token_of(client)
    session.commit()
    start = threading.Barrier(20)

    def post(number: int) -> tuple[bool, str]:
        is_wrong = number % 2 == 0
        visitor = make_visitor(app, settings, None)
        fields = typed_form(token, email=WRONG if is_wrong else EMAIL)
        start.wait()
        return is_wrong, str(visitor.post("/en", data=fields).location)

    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(post, range(20)))
    assert len(set(told)) == 2
    assert requests(session) == 2
    assert len(packets_to(session)) == 1


def test_a_form_that_comes_once_costs_no_question_more(
    app: Flask, client: Visitor, session: Session
) -> None:
    """A retry is looked at only where there is one."""
    asked: list[str] = []

    def note(_c: object, _u: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    with app.app_context():
        engine: Engine = db.engine
    fields = typed_form(token_of(client))
    event.listen(engine, "before_cursor_execute", note)
    client.post("/en", data=fields)
    event.remove(engine, "before_cursor_execute", note)

    assert not [one for one in asked if one.startswith("SELECT") and "FROM request" in one]


def test_an_old_form_keeps_its_words_while_the_database_is_away(
    client: Visitor, clock: Clock, session: Session
) -> None:
    """AX-03, DD-05: and it is still known then which request it had made."""
    fields = typed_form(token_of(client))
    first = client.post("/en", data=fields)
    clock.advance(timedelta(days=3))
    take_away(session, "request")
    response = client.post("/en", data=fields)
    bring_back(session, "request")

    assert response.status_code == 503
    page = Page(response.text)
    assert page.form()["message"] == [MESSAGE]
    assert page.form()["consent_health"] != []
    assert client.post("/en", data=page.form()).location == first.location
    assert requests(session) == 1


def test_an_old_form_that_was_corrected_is_asked_for_one_more_press(
    client: Visitor, clock: Clock, session: Session
) -> None:
    token = token_of(client)
    client.post("/en", data=typed_form(token, email=WRONG))
    clock.advance(timedelta(days=3))
    response = client.post("/en", data=typed_form(token))

    assert response.status_code == 400
    assert client.post("/en", data=Page(response.text).form()).status_code == 303
    assert packets_to(session) == sorted([EMAIL, WRONG])


@pytest.mark.parametrize("settings_changes", [{"form_limit": "1 per minute"}])
def test_a_retry_over_the_limit_is_told_its_receipt(client: Visitor, session: Session) -> None:
    """DD-03: who presses again was taken already; who says something new has to wait."""
    token = token_of(client)
    first = client.post("/en", data=typed_form(token))
    again = client.post("/en", data=typed_form(token))

    assert (again.status_code, again.location) == (303, first.location)
    assert client.post("/en", data=typed_form(token, email=WRONG)).status_code == 429
    assert client.post("/en", data=typed_form(token_of(client))).status_code == 429
    take_away(session, "request")
    response = client.post("/en", data=typed_form(token))
    bring_back(session, "request")
    assert response.status_code == 429
    assert Page(response.text).form()["message"] == [MESSAGE]
    assert requests(session) == 1
