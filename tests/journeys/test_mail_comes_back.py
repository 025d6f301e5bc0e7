"""Mail comes back: a letter that bounces, a person who answers, a machine that does."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.models import Lead, Message, MessageKind, MessageState, Suppression
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.conftest import make_visitor
from tests.dovecot import Dovecot
from tests.incoming import BOUNCES, answer, bounce, vacation
from tests.people import EMAIL, PASSWORD, a_staff_member, typed_form
from tests.post_office import Letter, PostOffice
from tests.visitors import Visitor

Read = Callable[[], None]


@pytest.fixture
def settings_changes(dovecot: Dovecot) -> dict[str, Any]:
    return {"bounce_address": BOUNCES, "imap": dovecot.imap}


@pytest.fixture
def read_mailbox(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> Read:
    """Run the timetable's own job once."""
    timetable = Timetable(settings, engine, vault, clock)
    jobs = {name: job for name, job, _ in timetable.jobs()}

    def read() -> None:
        session.commit()
        timetable.tick("mailbox", jobs["mailbox"])
        session.expire_all()

    return read


@pytest.fixture
def asked(
    client: Visitor, session: Session, send_due: Callable[[], int], office: PostOffice
) -> Letter:
    """Janet has filled in the form, and her packet has left."""
    page = client.page("/en")
    token = page.form("/en")["token"][0]
    assert client.post("/en", data=typed_form(token)).status_code == 303
    send_due()
    [letter] = office.letters_to(EMAIL)
    return letter


@pytest.fixture
def rosa(app: Flask, settings: Settings, session: Session) -> Visitor:
    """Rosa, coordinator, signed in."""
    with app.app_context():
        staff = a_staff_member(session)
    visitor = make_visitor(app, settings, session)
    page = visitor.page("/sign-in")
    visitor.send(page, "/sign-in", email=staff.email, password=PASSWORD)
    return visitor


def follow_ups(session: Session) -> list[Message]:
    return list(session.scalars(select(Message).where(Message.kind == MessageKind.FOLLOW_UP)))


def packet(session: Session) -> Message:
    return session.scalars(select(Message).where(Message.kind == MessageKind.PACKET)).one()


def lead_page(session: Session, rosa: Visitor) -> str:
    lead = session.scalars(select(Lead)).one()
    return rosa.get(f"/desk/leads/{lead.ref}").text


def test_a_packet_that_comes_back_is_seen_and_no_more_mail_is_sent_there(
    asked: Letter,
    session: Session,
    dovecot: Dovecot,
    read_mailbox: Read,
    rosa: Visitor,
) -> None:
    """MD-11: the relay took it with 250; a bounce comes; staff read why and what to do."""
    message = packet(session)
    assert packet(session).state is MessageState.SENT
    dovecot.deliver(bounce(asked.sender, message, reporter="exchange"))
    read_mailbox()
    assert packet(session).state is MessageState.BOUNCED
    assert len(session.scalars(select(Suppression)).all()) == 1
    assert {letter.state for letter in follow_ups(session)} == {MessageState.SUPPRESSED}
    for page in (rosa.get("/desk/").text, lead_page(session, rosa)):
        assert "This address does not exist, says its mail server." in page
    assert "Came back" in lead_page(session, rosa)
    assert (dovecot.count(), dovecot.count("leadcapture.filed")) == (0, 1)


def test_an_answer_stops_the_sequence_and_staff_read_it_on_the_lead(
    asked: Letter,
    session: Session,
    dovecot: Dovecot,
    read_mailbox: Read,
    send_due: Callable[[], int],
    office: PostOffice,
    rosa: Visitor,
) -> None:
    words = "Could you call me about the zebrafinch clinic day?"
    dovecot.deliver(answer(EMAIL, words, packet(session)))
    read_mailbox()
    assert {letter.reason for letter in follow_ups(session)} == {"answered"}
    page = lead_page(session, rosa)
    assert "Answered by email" in page
    assert words in page
    assert "read it and call or write" in rosa.get("/desk/").text
    send_due()
    alerts = office.letters_to("desk@clinic.example")
    assert "Somebody has answered" in alerts[-1].subject
    assert "zebrafinch" not in alerts[-1].text + alerts[-1].html
    assert office.letters_to(EMAIL) == [asked]


def test_a_vacation_reply_changes_nothing(
    asked: Letter,
    session: Session,
    dovecot: Dovecot,
    read_mailbox: Read,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    """MD-13"""
    sent = len(office.letters)
    dovecot.deliver(vacation(asked.sender, packet(session), "exchange"))
    read_mailbox()
    assert {letter.state for letter in follow_ups(session)} == {MessageState.QUEUED}
    send_due()
    assert len(office.letters) == sent
    assert dovecot.count("leadcapture.filed") == 1


def test_a_strangers_mail_is_opened_by_those_who_may_read_it(
    app: Flask,
    settings: Settings,
    session: Session,
    dovecot: Dovecot,
    read_mailbox: Read,
    rosa: Visitor,
) -> None:
    dovecot.deliver(answer("who@else.example", "Do you treat <b>knees</b>?"))
    read_mailbox()
    page = rosa.page("/desk/")
    [link] = [link for link in page.links if "/desk/mail/" in link]
    assert "Do you treat &lt;b&gt;knees&lt;/b&gt;?" in rosa.get(link).text
    with app.app_context():
        front = a_staff_member(session, "front_desk")
    visitor = make_visitor(app, settings, session)
    visitor.send(visitor.page("/sign-in"), "/sign-in", email=front.email, password=PASSWORD)
    assert "/desk/mail/" not in visitor.get("/desk/").text
    assert visitor.get(link).status_code == 403
