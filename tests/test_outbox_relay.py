"""The session with the relay: TLS or nothing, a stop that leaves no doubt, an outcome that
survives the database."""

import dataclasses
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.dashboard import words
from leadcapture.models import Gate, Message, MessageKind, MessageState
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import Refused, RelaySession
from leadcapture.outbox.replies import Phase, Reply, Verdict, judge
from leadcapture.settings import Relay, Settings, SmtpSecurity
from leadcapture.vault import Vault
from tests.certificates import make_certificate
from tests.clock import Clock
from tests.people import a_message
from tests.post_office import PhaseName, PostOffice, open_post_office
from tests.postgres import Postgres
from tests.served import a_service
from tests.waiting import until

STOPS_WITHIN = 30.0
LETTER = b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("security", "fault", "reason"),
    [
        ("starttls", "stripped", "connect_no_tls"),
        ("starttls", "expired", "connect_tls"),
        ("starttls", "self_signed", "connect_tls"),
        ("starttls", "wrong_host", "connect_tls"),
        ("tls", "expired", "connect_tls"),
        ("tls", "self_signed", "connect_tls"),
        ("tls", "wrong_host", "connect_tls"),
    ],
)
def test_without_a_line_that_proves_itself_nothing_is_said(
    security: SmtpSecurity,
    fault: str,
    reason: str,
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    tmp_path: Path,
) -> None:
    """MD-18: 0 bytes of AUTH or MAIL; the queue holds at once with a named reason."""
    host = "elsewhere.example" if fault == "wrong_host" else "localhost"
    age = timedelta(days=-1) if fault == "expired" else timedelta(days=1)
    shown = make_certificate(tmp_path, host, age)
    trusted = "" if fault == "self_signed" else str(shown.path)
    message = a_message(session, kind=MessageKind.PACKET)
    session.commit()
    context = None if fault == "stripped" else shown.context
    passwords = {"clinic": "a password of ours"}
    with open_post_office(context, passwords, tls_at_once=security == "tls") as office:
        relay = Relay("localhost", office.port, security, "clinic", "a password of ours", trusted)
        told = dataclasses.replace(settings, relay=relay)
        line = RelaySession(relay, "clinic.example", timeout=5)
        Dispatcher(engine, told, vault, line, clock).send_due()
        assert {phase for phase, _ in office.heard} <= {"ehlo", "starttls", "quit"}
        assert office.letters == []
    session.refresh(message)
    assert (message.state, message.attempts) == (MessageState.QUEUED, 0)
    gate = session.scalars(select(Gate)).one()
    assert (gate.name, gate.reason, gate.closed_until) == ("queue", reason, None)
    assert words.REASON[reason]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_over_a_line_that_proves_itself_the_letter_leaves(
    tmp_path: Path, security: SmtpSecurity
) -> None:
    """MD-18: the same relay with a certificate that we trust; RFC 8314 §3.3 for ``tls``."""
    shown = make_certificate(tmp_path)
    passwords = {"clinic": "a password of ours"}
    with open_post_office(shown.context, passwords, tls_at_once=security == "tls") as office:
        relay = Relay(
            "localhost", office.port, security, "clinic", "a password of ours", str(shown.path)
        )
        line = RelaySession(relay, "clinic.example", timeout=5)
        assert line.send("hello@clinic.example", "a@example.org", LETTER, lambda: True)
        line.quit()
        assert [letter.over_tls for letter in office.letters] == [True]


IN_ONE_BREATH = b"250-post.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


@pytest.mark.parametrize(
    ("phase", "code", "heard_last"),
    [("mail", 451, "data"), ("rcpt", 550, "data"), ("data", 451, "data"), ("mail", 421, "mail")],
)
def test_in_one_breath_every_refusal_is_the_one_that_it_is(
    office: PostOffice, phase: PhaseName, code: int, heard_last: str
) -> None:
    """MD-06, RFC 2920: the first refusal counts, and the next letter is another letter."""
    office.at("ehlo").say(IN_ONE_BREATH)
    office.at(phase).reply(code, times=1)
    line = RelaySession(Relay("127.0.0.1", office.port, "none"), "clinic.example", timeout=5)
    with pytest.raises(Refused) as refused:
        line.send("hello@clinic.example", "a@example.org", LETTER, lambda: True)
    assert (refused.value.reply.phase, refused.value.reply.code) == (phase, code)
    assert [said for said, _ in office.heard][-1] == heard_last
    assert line.send("hello@clinic.example", "b@example.org", LETTER, lambda: True)
    line.quit()
    assert [letter.recipients for letter in office.letters] == [("b@example.org",)]


def test_a_relay_that_offers_no_way_to_sign_in_that_we_know_is_ours_to_mend(
    office: PostOffice,
) -> None:
    """MD-06: the queue is held and says why; an endless wait for the relay would tell nobody."""
    office.at("ehlo").say(b"250-post.test\r\n250 AUTH XOAUTH2\r\n")
    relay = Relay("127.0.0.1", office.port, "none", "clinic", "a password of ours")
    line = RelaySession(relay, "clinic.example", timeout=5)
    with pytest.raises(Refused) as refused:
        line.send("hello@clinic.example", "a@example.org", LETTER, lambda: True)
    assert judge(refused.value.reply) is Verdict.HOLD_QUEUE
    assert words.REASON["auth_no_auth"]


def test_a_relay_that_waits_for_a_letter_to_nobody_gets_none(office: PostOffice) -> None:
    """RFC 2920 §3.1: it refused the recipient and takes DATA all the same. We send no dot."""
    office.at("ehlo").say(IN_ONE_BREATH)
    office.at("mail").reply(550, "5.1.8", times=1)
    line = RelaySession(Relay("127.0.0.1", office.port, "none"), "clinic.example", timeout=5)
    with pytest.raises(Refused):
        line.send("hello@clinic.example", "a@example.org", LETTER, lambda: True)
    assert line.send("hello@clinic.example", "b@example.org", LETTER, lambda: True)
    line.quit()
    assert office.connections == 2
    assert [letter.recipients for letter in office.letters] == [("b@example.org",)]


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
def test_in_one_breath_a_lost_line_is_lost_where_it_was(
    office: PostOffice, phase: PhaseName
) -> None:
    """MD-02: only what is lost after the dot is in doubt."""
    office.at("ehlo").say(IN_ONE_BREATH)
    office.at(phase).hang_up(times=1)
    line = RelaySession(Relay("127.0.0.1", office.port, "none"), "clinic.example", timeout=5)
    with pytest.raises(Refused) as refused:
        line.send("hello@clinic.example", "a@example.org", LETTER, lambda: True)
    assert refused.value.reply == Reply(Phase(phase))


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_a_letter_before_its_intent_is_let_go_at_once(office: PostOffice, phase: PhaseName) -> None:
    """SC-09: the relay is silent, and the stop waits for no timeout."""
    office.at(phase).stall(30)
    line = RelaySession(Relay("127.0.0.1", office.port, "none"), "clinic.example", timeout=30)
    refusals: list[Refused] = []

    def send() -> None:
        try:
            line.send("hello@clinic.example", "a@example.org", LETTER, lambda: True)
        except Refused as refused:
            refusals.append(refused)

    sending = threading.Thread(target=send)
    sending.start()
    until(lambda: office.connections and (phase == "connect" or phase in dict(office.heard)))
    line.abandon()
    sending.join(5)
    assert not sending.is_alive()
    [refused] = refusals
    assert refused.reply.code is None
    assert refused.reply.phase is not Phase.DOT
    assert office.letters == []


def test_after_a_stop_nothing_more_reaches_its_intent(office: PostOffice) -> None:
    """SC-09: the stop comes while the body is on its way."""
    line = RelaySession(Relay("127.0.0.1", office.port, "none"), "clinic.example", timeout=5)
    line.abandon()
    asked: list[bool] = []

    def intent() -> bool:
        asked.append(True)
        return True

    with pytest.raises(Refused):
        line.send("hello@clinic.example", "a@example.org", LETTER, intent)
    assert asked == []
    assert office.letters == []


@pytest.mark.parametrize("phase", ["ehlo", "rcpt", "data", "dot"])
def test_a_scheduler_told_to_stop_leaves_no_doubt(
    database_url: str, session: Session, office: PostOffice, tmp_path: Path, phase: PhaseName
) -> None:
    """SC-09: SIGTERM ends it within 30 s with 0 uncertain. A dot that was begun keeps its line
    until its reply; everything before is let go, free at once and without an attempt."""
    message = a_message(session, kind=MessageKind.PACKET)
    session.commit()
    office.at(phase).stall(3 if phase == "dot" else 60)

    def is_there() -> bool:
        session.refresh(message)
        state = message.state
        session.rollback()
        if phase == "dot":
            return state is MessageState.SENDING
        return phase in dict(office.heard)

    with a_service(tmp_path, database_url, office.port) as service:
        scheduler = service.start_scheduler()
        until(is_there, within=30, what=f"the letter at {phase}")
        asked = time.monotonic()
        status = scheduler.stop()
        took = time.monotonic() - asked
    assert (status, took < STOPS_WITHIN) == (0, True), took
    session.expire_all()
    wanted = MessageState.SENT if phase == "dot" else MessageState.QUEUED
    assert (message.state, message.doubts, message.attempts) == (wanted, 0, int(phase == "dot"))
    assert len(office.letters) == int(phase == "dot")


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_an_outcome_waits_for_a_database_that_restarts(
    session: Session,
    send_due: Callable[[], int],
    office: PostOffice,
    postgres: Postgres,
    engine: Engine,
) -> None:
    """MD-02: the relay has it, the database is away for a moment: it is sent, not in doubt.

    On PostgreSQL alone: an SQLite file is never away.
    """
    message = a_message(session, kind=MessageKind.PACKET)
    session.commit()
    name = engine.url.database
    assert name is not None

    def set_open(word: str) -> None:
        with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {word}'.encode())

    def go_away(_letter: object) -> None:
        set_open("false")
        postgres.disconnect(name)
        threading.Timer(1.0, set_open, ("true",)).start()

    office.before_taking = go_away
    send_due()
    session.refresh(message)
    assert (message.state, message.doubts) == (MessageState.SENT, 0)
    assert len(office.letters) == 1
    assert session.scalars(select(Message.reason)).all() == [""]
