"""The short forms of the proofs of delivery; their judge is shown to see what it must."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leadcapture.models import MessageKind, MessageState
from leadcapture.outbox.envelope import envelope_of
from leadcapture.settings import Settings, load
from tests.both import Place
from tests.people import a_lead, a_message
from tests.post_office import PostOffice
from tests.proofs.delivered import compare
from tests.proofs.fault_ledger import Size, prove_ledger
from tests.proofs.oracle import Copy, Journal
from tests.proofs.schedulers import Size as Schedulers
from tests.proofs.schedulers import prove_schedulers
from tests.proofs.window import prove_window
from tests.served import service_environ

SENT_AT = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)


@pytest.fixture
def place(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> Place:
    return Place(database_kind, database_url, engine, tmp_path, office)


def test_nothing_is_lost_while_schedulers_die_and_the_relay_fails(place: Place) -> None:
    """MD-02, MD-03; ten thousand: ``python -m tests.proofs --only ledger``."""
    size = Size(people=30, breaks_for=2, heals_within=60, whole=False)
    assert prove_ledger(place, size, seed=2).faults == []


def test_four_schedulers_deliver_each_reminder_once(place: Place) -> None:
    """SC-02; kills, stops and deaths: ``python -m tests.proofs --only schedulers``."""
    size = Schedulers(kills=0, shared=40, stops=(), deaths=())
    assert prove_schedulers(place, size, seed=2).faults == []


def test_the_intent_is_committed_after_the_body_and_before_the_dot(place: Place) -> None:
    """MD-04; in milliseconds: ``python -m tests.proofs --only window``."""
    assert prove_window(place, count=10, silence=0.6, bound=5.0).faults == []


@pytest.fixture
def whole(session: Session, tmp_path: Path) -> tuple[Journal, Settings]:
    """A packet and a follow-up that were sent once, and the journal that says so."""
    environ = service_environ(
        tmp_path,
        "sqlite:///unused",
        port=8000,
        smtp_port=9,
        BOUNCE_ADDRESS="bounces@clinic.example",
    )
    settings, journal = load(environ), Journal()
    for kind in (MessageKind.PACKET, MessageKind.FOLLOW_UP):
        message = a_message(session, a_lead(session), kind=kind, mail_date=SENT_AT, sha256="0" * 64)
        message.state = MessageState.SENT
        journal.copies.append(
            Copy(
                mail_id=message.mail_id,
                date="Tue, 03 Mar 2026 15:00:00 +0000",
                sender=envelope_of(settings, message).sender,
                recipient=message.recipient,
                header_to=message.recipient,
                sha256="0" * 64,
                at=SENT_AT,
            )
        )
    session.flush()
    return journal, settings


def _words(session: Session, journal: Journal, settings: Settings) -> str:
    return "\n".join(compare(session, journal, settings, SENT_AT).faults)


def test_the_judge_sees_what_is_lost_and_what_is_doubled(
    session: Session, whole: tuple[Journal, Settings]
) -> None:
    """MD-02: neither a missing copy nor one too many passes."""
    journal, settings = whole
    right = _words(session, journal, settings)
    assert "lost" not in right
    assert "copies after" not in right
    lost = dataclasses.replace(journal, copies=journal.copies[1:])
    assert "lost: sent, and the relay never took it" in _words(session, lost, settings)
    doubled = dataclasses.replace(journal, copies=journal.copies * 2)
    assert "2 copies after 0 uncertain events" in _words(session, doubled, settings)
    assert "2 extra copies of 0 uncertain" in _words(session, doubled, settings)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sha256": "1" * 64}, "whose bytes are others"),
        ({"date": "Tue, 03 Mar 2026 15:00:01 +0000"}, "of another Date"),
        ({"recipient": "else@x.example"}, "to another address"),
        ({"sender": "bounces+abc@clinic.example"}, "names another message"),
        ({"mail_id": "<x@clinic.example>"}, "that nobody queued"),
    ],
)
def test_the_judge_sees_a_copy_that_is_not_the_same(
    session: Session, whole: tuple[Journal, Settings], change: dict[str, str], fault: str
) -> None:
    """MD-03, I8"""
    journal, settings = whole
    assert fault not in _words(session, journal, settings)
    journal.copies[0] = dataclasses.replace(journal.copies[0], **change)  # type: ignore[arg-type]
    assert fault in _words(session, journal, settings)
