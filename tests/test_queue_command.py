"""`leadcapture queue`: how many messages, in which state, for how long (OP-02).

How long it takes over 100,000 messages: ``python -m tests.benchmarks --only queue``.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import AuditEntry, MessageKind, MessageState, Pace
from leadcapture.outbox import gates
from leadcapture.queue_table import HEADS, read_queue
from tests.clock import TUESDAY_MORNING
from tests.conftest import SignIn
from tests.people import a_message
from tests.post_office import PostOffice
from tests.served import run_command, service_environ

NOW = TUESDAY_MORNING


def test_each_message_stands_once_under_its_age(session: Session) -> None:
    """OP-02."""
    for ago in (-3600, 10, 600, 1800, 7200, 200_000, 200_000):
        a_message(session, due_at=NOW - timedelta(seconds=ago))
    held = NOW - timedelta(minutes=5)
    a_message(session, state=MessageState.HELD, state_at=held)
    a_message(session, state=MessageState.SENT)
    found = read_queue(session, NOW)
    assert [dict(zip(HEADS, row, strict=True)) for row in found.rows] == [
        {
            "state": "queued",
            "later": "1",
            "< 1 min": "1",
            "< 15 min": "1",
            "< 1 h": "1",
            "< 1 d": "1",
            "older": "2",
            "all": "7",
        },
        dict.fromkeys(HEADS, "") | {"state": "sent", "all": "1"},
        dict.fromkeys(HEADS, "·") | {"state": "held", "< 15 min": "1", "all": "1"},
    ]


def test_what_keeps_mail_back_is_named(session: Session) -> None:
    gates.hold_queue(session, "mail_553", NOW)
    gates.note_relay_down(session, "connect_lost", NOW - timedelta(hours=1))
    session.flush()
    found = read_queue(session, NOW)
    assert found.gates == [("queue", "mail_553", "2026-03-03T15:00:00+00:00", "a person")]


def test_a_pace_in_use_is_named(session: Session) -> None:
    """MD-10."""
    slow, rested = NOW + timedelta(hours=1), NOW - timedelta(minutes=1)
    session.add(Pace(name="domain:gmail.com", full_at=NOW + timedelta(seconds=42)))
    session.add(Pace(name="domain:cox.net", full_at=rested, slowed_until=slow))
    session.add(Pace(name="relay", full_at=rested))
    session.flush()
    assert read_queue(session, NOW).paces == [
        ("domain:gmail.com", "42 s", ""),
        ("domain:cox.net", "0 s", "2026-03-03T16:00:00+00:00"),
    ]


def test_the_command_prints_one_table(database_url: str, session: Session, tmp_path: Path) -> None:
    a_message(session)
    gates.hold_queue(session, "auth_535", NOW)
    session.commit()
    printed = run_command(
        ["queue"], service_environ(tmp_path, database_url, port=8000, smtp_port=25)
    )
    assert "queued" in printed and "auth_535" in printed and "a person" in printed


def test_all_mail_is_stopped_by_command_and_flows_again_from_the_first_page(
    database_url: str,
    tmp_path: Path,
    session: Session,
    office: PostOffice,
    send_due: Callable[[], int],
    sign_in: SignIn,
) -> None:
    """`leadcapture.outbox`: pause and release."""
    a_message(session, kind=MessageKind.PACKET)
    session.commit()
    run_command(["hold-outbox"], service_environ(tmp_path, database_url, port=8000, smtp_port=25))
    assert send_due() == 0
    rosa = sign_in("coordinator")
    page = rosa.page("/desk/")
    assert "All mail is stopped Whoever runs the service stopped it by command." in page.main_text
    rosa.send(page, "/mail/opening")
    assert send_due() == 1
    assert len(office.letters) == 1
    assert set(session.scalars(select(AuditEntry.act))) >= {"gate_closed", "gate_opened"}
