"""Bounces and complaints: believed only when they prove what they are about, on both databases."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.taking import NotYet, take_in
from leadcapture.models import (
    InboundKind,
    InboundMail,
    Message,
    MessageKind,
    MessageState,
    Suppression,
    SuppressionScope,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import envelope
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.incoming import BOUNCES, bounce, complaint, forgeries, verp
from tests.people import a_lead, a_message

Take = Callable[[bytes], InboundMail]


@pytest.fixture
def settings_changes() -> dict[str, Any]:
    return {"bounce_address": BOUNCES}


@pytest.fixture
def take(session: Session, vault: Vault, settings: Settings, clock: Clock) -> Take:
    """Take one mail in, as the mailbox's job does, and commit."""

    def take_one(content: bytes) -> InboundMail:
        mail = read_mail(content)
        record, _ = take_in(session, vault, settings, content, mail, clock.now, clock.now)
        session.commit()
        session.expire_all()
        return record

    return take_one


def a_sent_letter(session: Session, **changes: Any) -> Message:
    message = a_message(session, **{"state": MessageState.SENT} | changes)
    session.commit()
    return message


def suppressions(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Suppression)) or 0


def test_a_proven_bounce_marks_the_letter_and_stops_the_address(
    session: Session, settings: Settings, take: Take
) -> None:
    """MD-11: report, failed, 5.1.1, our proof in the recipient that the mail was delivered to."""
    message = a_sent_letter(session)
    later = a_message(session, message.lead, state=MessageState.QUEUED)
    assert take(bounce(verp(settings, message), message)).kind is InboundKind.BOUNCE
    assert (message.state, message.reason) == (MessageState.BOUNCED, "returned_5.1.1")
    [stopped] = session.scalars(select(Suppression))
    assert (stopped.cap_hash, stopped.scope) == (message.cap_hash, SuppressionScope.ALL)
    assert later.state is MessageState.SUPPRESSED
    [task] = session.scalars(select(Task))
    assert (task.kind, task.message_id) == ("letter_bounced", message.id)


def test_the_proof_may_come_in_the_envelope_id_or_in_capitals(
    session: Session, settings: Settings, take: Take
) -> None:
    """MD-11: mail systems fold case."""
    message, other = a_sent_letter(session), a_sent_letter(session)
    take(bounce(BOUNCES, message, envid=envelope.envelope_of(settings, message).envid.upper()))
    take(bounce(verp(settings, other).upper(), other))
    assert {message.state, other.state} == {MessageState.BOUNCED}


def test_two_hundred_forged_and_automatic_mails_suppress_nothing(
    session: Session, settings: Settings, take: Take
) -> None:
    """MD-11, AB-07: of 200, none; not one row but their own record."""
    message = a_sent_letter(session)
    for content in forgeries(random.Random(20260303), settings, message, 200):
        kind = take(content).kind
        assert kind in (InboundKind.UNPROVEN, InboundKind.AUTOMATIC, InboundKind.STRANGER)
    assert message.state is MessageState.SENT
    assert suppressions(session) == 0
    assert session.scalars(select(TimelineEntry)).all() == []
    # One of them is a person's who forwards a bounce: staff are shown what we do not know.
    assert set(session.scalars(select(Task.kind))) == {"mail_from_stranger"}


@pytest.mark.parametrize(
    ("action", "status", "state", "suppressed"),
    [
        ("failed", "5.1.1", MessageState.BOUNCED, True),
        ("failed", "5.1.10", MessageState.BOUNCED, True),
        ("failed", "5.2.1", MessageState.BOUNCED, True),
        ("failed", "5.1.8", MessageState.BOUNCED, False),
        ("failed", "5.2.2", MessageState.BOUNCED, False),
        ("failed", "5.7.1", MessageState.BOUNCED, False),
        ("failed", "5.0.0", MessageState.BOUNCED, False),
        ("failed", "4.4.7", MessageState.BOUNCED, False),
        ("failed", "nonsense", MessageState.BOUNCED, False),
        ("relayed", "5.1.1", MessageState.SENT, False),
        ("delivered", "2.0.0", MessageState.SENT, False),
        ("delayed", "4.2.2", MessageState.SENT, False),
    ],
)
def test_only_a_fault_of_the_address_stops_it(
    session: Session,
    settings: Settings,
    take: Take,
    action: str,
    status: str,
    state: MessageState,
    suppressed: bool,
) -> None:
    """MD-11: the outbox's table: not for policy, a full mailbox, or what was only delayed."""
    message = a_sent_letter(session)
    take(bounce(verp(settings, message), message, action=action, status=status))
    assert message.state is state
    assert suppressions(session) == suppressed


def test_a_letter_that_is_delayed_is_noted_once(
    session: Session, settings: Settings, take: Take
) -> None:
    message = a_sent_letter(session)
    for _ in range(3):
        take(bounce(verp(settings, message), message, action="delayed", status="4.4.1"))
    [entry] = session.scalars(select(TimelineEntry))
    assert (entry.kind, entry.message_id) == ("letter_delayed", message.id)
    assert session.scalars(select(Task)).all() == []


def test_a_report_about_a_letter_in_doubt_is_evidence_that_it_left(
    session: Session, settings: Settings, take: Take
) -> None:
    """I4: and a report of failure then brings it back."""
    arrived = a_sent_letter(session, state=MessageState.UNCERTAIN, kind=MessageKind.PACKET)
    returned = a_sent_letter(session, state=MessageState.UNCERTAIN)
    take(bounce(verp(settings, arrived), arrived, action="delayed", status="4.4.1"))
    take(bounce(verp(settings, returned), returned))
    assert (arrived.state, arrived.reason) == (MessageState.SENT, "evidence_report")
    assert returned.state is MessageState.BOUNCED


def test_a_report_that_overtakes_the_relays_answer_waits(
    session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """The letter is being sent: its outcome is written first, the mail is looked at again."""
    message = a_sent_letter(session, state=MessageState.SENDING)
    content = bounce(verp(settings, message), message)
    with pytest.raises(NotYet):
        take_in(session, vault, settings, content, read_mail(content), clock.now, clock.now)
    session.rollback()
    assert session.scalars(select(InboundMail)).all() == []


def test_a_mail_is_on_record_once_however_often_it_is_fetched(
    session: Session, settings: Settings, take: Take
) -> None:
    message = a_sent_letter(session)
    content = bounce(verp(settings, message), message)
    assert take(content).id == take(content).id
    assert len(session.scalars(select(InboundMail)).all()) == 1


def test_a_bounced_alert_to_staff_is_told_and_stops_no_address(
    session: Session, settings: Settings, take: Take
) -> None:
    message = a_sent_letter(session, kind=MessageKind.STAFF_ALERT, cap_hash="")
    take(bounce(verp(settings, message), message))
    assert message.state is MessageState.BOUNCED
    assert suppressions(session) == 0


@pytest.mark.parametrize("where", ["feedback id", "return path", "original mail from", "address"])
def test_a_complaint_with_our_token_stops_all_mail_once(
    session: Session, settings: Settings, take: Take, where: str
) -> None:
    """MD-12: once for N copies."""
    message = a_sent_letter(session)
    packet = a_message(session, message.lead, kind=MessageKind.PACKET)
    session.commit()
    token = envelope.sign(settings.hash_key, envelope.COMPLAINT, message.ref)
    sender = verp(settings, message)
    shapes: dict[str, dict[str, str]] = {
        "feedback id": {"to": BOUNCES, "original": f"CFBL-Feedback-ID: {token}"},
        "return path": {"to": BOUNCES, "original": f"Return-Path: <{sender}>"},
        "original mail from": {
            "to": BOUNCES,
            "original": "Subject: x",
            "fields": f"Original-Mail-From: <{sender}>\n",
        },
        "address": {"to": sender, "original": "Subject: x"},
    }
    for _ in range(3):
        assert take(complaint(**shapes[where])).kind is InboundKind.COMPLAINT
    [stopped] = session.scalars(select(Suppression))
    assert (stopped.scope, stopped.reason) == (SuppressionScope.ALL, "complained")
    assert packet.state is MessageState.SUPPRESSED
    assert [entry.kind for entry in session.scalars(select(TimelineEntry))] == ["complained"]


@pytest.mark.parametrize("kind", ["not-spam", "fraud", "other", "abusive"])
def test_other_feedback_is_only_filed(
    session: Session, settings: Settings, take: Take, kind: str
) -> None:
    message = a_sent_letter(session, lead=a_lead(session))
    original = f"Return-Path: <{verp(settings, message)}>"
    assert take(complaint(BOUNCES, original=original, kind=kind)).kind is InboundKind.REPORT
    assert suppressions(session) == 0
