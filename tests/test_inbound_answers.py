"""What people write back: it stops the letters and calls for a person, on both databases."""

from collections.abc import Callable
from datetime import timedelta
from email.header import Header
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.taking import take_in
from leadcapture.models import (
    Consent,
    ConsentKind,
    InboundKind,
    InboundMail,
    Lead,
    Message,
    MessageKind,
    MessageState,
    Suppression,
    SuppressionScope,
    Task,
    TimelineEntry,
)
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.incoming import BOUNCES, VACATIONS, answer, mail, vacation, verp
from tests.people import a_lead, a_message, a_request, a_staff_member

WORDS = "My quillwort operation went badly. Please call me."
Take = Callable[[bytes], InboundMail]


@pytest.fixture
def settings_changes() -> dict[str, Any]:
    return {"bounce_address": BOUNCES}


@pytest.fixture
def take(session: Session, vault: Vault, settings: Settings, clock: Clock) -> Take:
    def take_one(content: bytes) -> InboundMail:
        session.commit()
        now = clock.advance(timedelta(minutes=1))
        record, _ = take_in(session, vault, settings, content, read_mail(content), now, now)
        session.commit()
        session.expire_all()
        return record

    return take_one


def a_sequence(session: Session, **changes: Any) -> tuple[Lead, Message, Message]:
    """A lead nobody waits for, a letter to her that was sent, and one still to come."""
    lead = a_lead(session, **{"waiting_since": None} | changes)
    a_request(session, lead)
    sent = a_message(session, lead, state=MessageState.SENT)
    coming = a_message(session, lead, step="day-10", due_at=TUESDAY_MORNING + timedelta(days=7))
    session.commit()
    return lead, sent, coming


def alerts(session: Session) -> list[Message]:
    return list(session.scalars(select(Message).where(Message.kind == MessageKind.STAFF_ALERT)))


@pytest.mark.parametrize("joined_by", ["thread", "address"])
def test_an_answer_stops_the_letters_and_calls_for_a_person(
    session: Session, vault: Vault, take: Take, clock: Clock, joined_by: str
) -> None:
    lead, sent, coming = a_sequence(session)
    if joined_by == "thread":
        take(answer("her.husband@tampamail.example", WORDS, sent))
    else:
        take(answer(f"Janet <{lead.email.upper()}>", WORDS))
    assert (coming.state, coming.reason) == (MessageState.CANCELLED, "answered")
    assert lead.waiting_since == clock.now
    [entry] = session.scalars(select(TimelineEntry))
    assert (entry.kind, entry.facts) == ("answered", {"follow_ups_cancelled": 1})
    assert entry.note is not None
    assert b"quillwort" not in entry.note
    assert WORDS in vault.open("timeline_entry", "note", entry.ref, entry.note)
    [task] = session.scalars(select(Task))
    assert (task.kind, task.lead_id) == ("answer", lead.id)
    [alert] = alerts(session)
    assert alert.recipient == "desk@clinic.example"
    assert "quillwort" not in str(open_payload(vault, alert))


def test_the_owner_is_told_where_there_is_one(app: Flask, session: Session, take: Take) -> None:
    with app.app_context():
        rosa = a_staff_member(session, language="es")
    lead, sent, _ = a_sequence(session, owner_id=rosa.id)
    take(answer(lead.email, WORDS, sent))
    [alert] = alerts(session)
    assert (alert.recipient, alert.language) == (rosa.email, "es")
    assert session.scalars(select(Task)).one().owner_id == rosa.id


def test_an_answer_never_stops_the_first_response_clock(session: Session, take: Take) -> None:
    lead, sent, _ = a_sequence(session, waiting_since=TUESDAY_MORNING)
    take(answer(lead.email, WORDS, sent))
    assert lead.waiting_since == TUESDAY_MORNING


def test_many_answers_make_one_task_and_one_alert(session: Session, take: Take) -> None:
    lead, sent, _ = a_sequence(session)
    for number in range(5):
        take(answer(lead.email, f"{WORDS} {number}", sent))
    assert len(session.scalars(select(TimelineEntry)).all()) == 5
    assert len(session.scalars(select(Task)).all()) == len(alerts(session)) == 1


def test_the_same_answer_to_two_addresses_of_ours_stands_once(session: Session, take: Take) -> None:
    lead, sent, _ = a_sequence(session)
    for address in ("hello@clinic.example", BOUNCES):
        take(answer(lead.email, WORDS, sent, Delivered_To=address, Message_ID="<one@mail.example>"))
    assert len(session.scalars(select(TimelineEntry)).all()) == 1


@pytest.mark.parametrize("shape", VACATIONS)
def test_a_vacation_reply_is_only_filed(
    session: Session, settings: Settings, take: Take, shape: str
) -> None:
    """MD-13: it stops no sequence, is never answered, and sends nothing."""
    lead, sent, coming = a_sequence(session)
    assert take(vacation(verp(settings, sent), sent, shape)).kind is InboundKind.AUTOMATIC
    assert coming.state is MessageState.QUEUED
    assert lead.waiting_since is None
    assert len(session.scalars(select(Message)).all()) == 2
    for model in (Suppression, Task, TimelineEntry):
        assert session.scalars(select(model)).all() == []


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Re: A word from the clinic", "STOP"),
        ("Re: A word from the clinic", "Unsubscribe.\n\nSent from my iPhone"),
        ("RE: A word", "stop!\n\nOn Tue, Mar 3, 2026 at 10:00 AM Clinic wrote:\n> We are here.\n"),
        ("Unsubscribe", ""),
        ("Re: Una palabra", "Baja"),
        ("Re: Una palabra", "¡No más correos!"),
        ("RV: Una palabra", "Darme de baja\n\nEnviado desde mi iPhone"),
    ],
)
def test_a_word_alone_stops_follow_ups(
    session: Session, take: Take, subject: str, text: str
) -> None:
    """As the stop page does: this address, follow-ups only, its consent withdrawn."""
    lead, sent, coming = a_sequence(session)
    take(answer(lead.email, text, sent, Subject=subject))
    [stopped] = session.scalars(select(Suppression))
    assert (stopped.scope, stopped.reason) == (SuppressionScope.FOLLOW_UPS, "unsubscribed")
    assert coming.state is MessageState.SUPPRESSED
    follow_ups = select(Consent).where(Consent.kind == ConsentKind.FOLLOW_UPS)
    assert session.scalars(follow_ups).one().withdrawn_at is not None
    assert [entry.kind for entry in session.scalars(select(TimelineEntry))] == ["unsubscribed"]
    assert alerts(session) == []
    assert lead.waiting_since is None


@pytest.mark.parametrize(
    ("text", "threaded"),
    [
        ("Please stop by whenever you like.", True),
        ("I want to stop the pain", True),
        ("STOP", False),
    ],
)
def test_other_words_and_other_people_stop_nothing_for_ever(
    session: Session, take: Take, text: str, threaded: bool
) -> None:
    """AB-07: an address in From proves nothing; a person looks at it."""
    lead, sent, coming = a_sequence(session)
    take(answer(lead.email, text, sent if threaded else None))
    assert session.scalars(select(Suppression)).all() == []
    assert coming.state is MessageState.CANCELLED
    assert session.scalars(select(Task)).one().kind == "answer"


def test_a_colleagues_letter_to_a_patient_is_no_answer(
    app: Flask, session: Session, take: Take
) -> None:
    with app.app_context():
        rosa = a_staff_member(session)
    lead, sent, coming = a_sequence(session)
    for sender in (rosa.email, "hello@clinic.example"):
        assert take(answer(sender, "We will call you.", sent)).kind is InboundKind.OURS
    assert coming.state is MessageState.QUEUED
    assert lead.waiting_since is None


def test_an_answer_shows_that_a_letter_in_doubt_arrived(session: Session, take: Take) -> None:
    """I4."""
    lead, sent, _ = a_sequence(session)
    sent.state = MessageState.UNCERTAIN
    take(answer(lead.email, WORDS, sent))
    assert (sent.state, sent.reason) == (MessageState.SENT, "evidence_answer")


def test_a_strangers_mail_is_kept_sealed_for_staff(
    session: Session, vault: Vault, take: Take
) -> None:
    record = take(answer("who@else.example", WORDS, In_Reply_To="<no-letter@of.ours>"))
    assert record.kind is InboundKind.STRANGER
    assert record.content is not None
    assert b"quillwort" not in record.content
    assert WORDS in vault.open("inbound_mail", "content", record.ref, record.content)
    task = session.get_one(Task, record.task_id)
    assert (task.kind, task.lead_id) == ("mail_from_stranger", None)
    assert alerts(session) == []


def test_html_is_read_as_text_and_the_quoted_letter_cut(
    session: Session, vault: Vault, take: Take
) -> None:
    lead, sent, _ = a_sequence(session)
    html = (
        "<html><head><style>p {color: red}</style></head><body><script>steal()</script>"
        "<div>Ll&aacute;meme <b>ma&ntilde;ana</b>.</div><img src=x onerror=steal()>"
        '<div class="gmail_quote">On Tue, Mar 3, 2026, Clinic &lt;hello@clinic.example&gt; wrote:'
        "<blockquote>We are here.</blockquote></div></body></html>"
    )
    subject = Header("Re: Información", "utf-8").encode()
    kind = "text/html; charset=utf-8"
    take(answer(lead.email, html, sent, Content_Type=kind, Subject=subject))
    entry = session.scalars(select(TimelineEntry)).one()
    opened = vault.open("timeline_entry", "note", entry.ref, entry.note or b"")
    assert opened == "Re: Información\n\nLlámeme mañana."


def test_a_mail_with_only_a_picture_is_still_an_answer(session: Session, take: Take) -> None:
    lead, sent, _ = a_sequence(session)
    headers = {
        "From": lead.email,
        "In-Reply-To": sent.mail_id,
        "Content-Type": "image/png",
        "Content-Transfer-Encoding": "base64",
    }
    take(mail(headers, "iVBORw0KGgo="))
    assert session.scalars(select(TimelineEntry)).one().kind == "answered"
