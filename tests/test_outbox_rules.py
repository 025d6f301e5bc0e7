"""Rules of the outbox that nothing else would miss: each was once broken on purpose, unnoticed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from leadcapture.database import open_engine, open_session
from leadcapture.models import (
    Consent,
    MessageKind,
    MessageState,
    Suppression,
    SuppressionScope,
)
from leadcapture.outbox import claims, ledger, links, stops
from leadcapture.outbox.relay import DOT_TIMEOUT, RelaySession
from leadcapture.settings import Relay
from tests.clock import Clock
from tests.people import a_lead, a_message, a_request, claim
from tests.post_office import PostOffice

FINAL = [state for state in MessageState if state.is_final]


def test_a_letter_queued_after_the_stop_does_not_leave(
    session: Session, send_due: Callable[[], int], office: PostOffice, clock: Clock
) -> None:
    """MD-16: its row was not there when the stop turned the rows that were."""
    lead = a_lead(session)
    a_request(session, lead)
    stop = Suppression(
        cap_hash=lead.cap_hash,
        scope=SuppressionScope.FOLLOW_UPS,
        reason="unsubscribed",
        created_at=clock.now,
    )
    session.add(stop)
    message = a_message(session, lead)
    send_due()
    session.refresh(message)
    assert (message.state, office.letters) == (MessageState.SUPPRESSED, [])


@pytest.mark.parametrize("kind", [MessageKind.PACKET, MessageKind.FOLLOW_UP])
def test_the_intent_itself_asks_for_the_stop(
    session: Session, clock: Clock, kind: MessageKind
) -> None:
    """MD-16: a stop of which nobody told the row, such as one that the release before wrote."""
    message = a_message(session, kind=kind)
    claim(session, clock.now)
    stop = Suppression(
        cap_hash=message.cap_hash,
        scope=SuppressionScope.ALL,
        reason="unsubscribed",
        created_at=clock.now,
    )
    session.add(stop)
    session.flush()
    session.refresh(message)
    connection = session.connection()
    assert not claims.declare_intent(connection, message, "0" * 64, clock.now)
    session.delete(stop)
    session.flush()
    assert claims.declare_intent(connection, message, "0" * 64, clock.now)


def test_a_follow_up_needs_its_consent_to_the_last(
    session: Session, send_due: Callable[[], int], office: PostOffice, clock: Clock
) -> None:
    """PR-03: withdrawn anywhere, by any page or by hand."""
    lead = a_lead(session)
    a_request(session, lead)
    message = a_message(session, lead)
    session.execute(update(Consent).values(withdrawn_at=clock.now))
    send_due()
    session.refresh(message)
    assert (message.state, message.reason) == (MessageState.CANCELLED, "consent_withdrawn")
    assert office.letters == []


def test_an_unsubscribe_stops_follow_ups_and_nothing_that_was_asked_for(
    session: Session, clock: Clock
) -> None:
    lead = a_lead(session)
    follow_up, packet = (
        a_message(session, lead, kind=kind) for kind in (MessageKind.FOLLOW_UP, MessageKind.PACKET)
    )
    stops.suppress(session, lead.cap_hash, SuppressionScope.FOLLOW_UPS, "unsubscribed", clock.now)
    session.flush()
    session.refresh(follow_up)
    session.refresh(packet)
    assert (follow_up.state, packet.state) == (MessageState.SUPPRESSED, MessageState.QUEUED)


def test_the_lease_of_a_dot_outlasts_the_wait_for_its_reply(session: Session, clock: Clock) -> None:
    """SC-11, RFC 5321 §4.5.3.2.6: who still waits as it may is not thought dead."""
    a_message(session, kind=MessageKind.PACKET)
    message = claim(session, clock.now)
    assert claims.declare_intent(session.connection(), message, "0" * 64, clock.now)
    clock.advance(timedelta(seconds=DOT_TIMEOUT + 30))
    assert ledger.reclaim_lost(session, clock.now) == 0
    clock.advance(timedelta(seconds=60))
    assert ledger.reclaim_lost(session, clock.now) == 1


def test_a_dead_worker_keeps_no_letter_until_the_clock_shows_its_old_time_again(
    session: Session, clock: Clock
) -> None:
    """SC-07: put back by an hour, the clock would give its lease an hour more."""
    a_message(session, kind=MessageKind.PACKET)
    claim(session, clock.now)
    clock.advance(timedelta(seconds=-10))
    assert ledger.reclaim_lost(session, clock.now) == 0
    clock.advance(timedelta(hours=-1))
    assert ledger.reclaim_lost(session, clock.now) == 1


@pytest.mark.parametrize("state", FINAL)
def test_nobody_releases_what_is_final(session: Session, clock: Clock, state: MessageState) -> None:
    """`leadcapture.outbox`: a final state never changes."""
    message = a_message(session, state=state)
    assert not ledger.release(session, message, clock.now)
    session.refresh(message)
    assert message.state is state


def test_a_line_that_is_a_dot_ends_no_letter(office: PostOffice) -> None:
    """MD-20: the lines that begin with a dot arrive as they were written."""
    letter = b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\nRCPT TO:<evil@x.test>\r\n.\r\nend\r\n"
    relay = RelaySession(Relay("127.0.0.1", office.port, security="none"), "clinic.example")
    assert relay.send("hello@clinic.example", "a@example.com", letter, lambda: True)
    relay.quit()
    assert [one.content for one in office.letters] == [letter]


def test_whoever_reads_to_write_shuts_the_door_at_once(tmp_path: Path) -> None:
    """DD-01: on SQLite a writer's transaction locks at its first reading, not at its writing."""
    engine = open_engine(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    with open_session(engine) as session, closing(sqlite3.connect(tmp_path / "x.sqlite3")) as other:
        other.execute("PRAGMA busy_timeout = 0")
        session.execute(text("SELECT 1"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        session.commit()
        other.execute("BEGIN IMMEDIATE")
    engine.dispose()


def test_a_link_of_another_house_opens_nothing_here() -> None:
    """AB-07: the proof hangs on this installation's key."""
    token = links.sign(b"a" * 32, "packet", "subject")
    assert links.verify(b"a" * 32, "packet", token) == "subject"
    assert links.verify(b"b" * 32, "packet", token) is None
