"""The statements of a letter's way, over a queue of a hundred thousand."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.orm import Session

from leadcapture.database import asking, database_now, own_moment
from leadcapture.models import Attempt, Message, MessageKind, MessageState
from leadcapture.outbox import claims
from leadcapture.outbox.claims import KeptBack
from tests.clock import Clock
from tests.people import a_message

WAITING = 30_000
OWN = ("ref", "dedupe_key", "mail_id")


def store_waiting(session: Session, clock: Clock) -> None:
    """So many reminders that are due, and one packet."""
    reminder = a_message(session, state=MessageState.CANCELLED, due_at=clock.now)
    names = [column.name for column in Message.__table__.columns if column.name != "id"]
    drawn = dict.fromkeys(OWN, "'r' || i") | {"state": "'queued'"}
    columns = ", ".join(drawn.get(name, name) for name in names)
    session.execute(
        text(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :waiting) "
            f"INSERT INTO message ({', '.join(names)}) SELECT {columns} FROM n, message "
            "WHERE message.id = :id"
        ),
        {"waiting": WAITING, "id": reminder.id},
    )
    a_message(session, kind=MessageKind.PACKET)
    session.commit()


def plans(connection: Connection, clock: Clock, kept_back: KeptBack) -> list[str]:
    """How the database goes about the claims that are tried, one after the other."""
    found: list[str] = []
    word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    connection.rollback()

    @event.listens_for(connection, "before_cursor_execute")
    def explain(
        _connection: object, cursor: object, statement: str, given: object, *_: object
    ) -> None:
        rows = cursor.execute(f"{word} {statement}", given).fetchall()  # type: ignore[attr-defined]
        found.append("\n".join(str(row[-1]) for row in rows))

    claims.claim_next(connection, clock.now, kept_back)
    claims.may_anything_leave(connection, clock.now, kept_back)
    claims.is_anything_due(connection, clock.now)
    event.remove(connection, "before_cursor_execute", explain)
    return found


def test_a_claim_among_tens_of_thousands_looks_at_a_few(
    engine: Engine, session: Session, clock: Clock
) -> None:
    """SC-10: by index, whether the server has counted the rows since or not."""
    store_waiting(session, clock)
    only_reminders = KeptBack(None, frozenset({"closed.example"}))
    told: list[str] = []
    for counted in (False, True):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if counted:
                connection.execute(text("ANALYZE message"))
            for kept_back in (claims.NOTHING, only_reminders):
                told += plans(connection, clock, kept_back)
    assert len(told) >= 8
    for plan in told:
        assert "ix_message_lane" in plan, plan
        assert "Seq Scan on message" not in plan, plan
        assert not [line for line in plan.splitlines() if line.startswith("SCAN message")], plan


@pytest.mark.parametrize("kind", [MessageKind.PACKET, MessageKind.FOLLOW_UP])
def test_an_idle_scheduler_sees_whatever_is_due(
    engine: Engine, session: Session, clock: Clock, kind: MessageKind
) -> None:
    """In one question, of whichever lane, and by the server's own clock too."""
    a_message(session, kind=kind, state=MessageState.SENT)
    # Behind any clock, the server's among them.
    message = a_message(session, kind=kind, due_at=clock.now + timedelta(days=36_500))
    session.commit()

    def is_seen(now: datetime | None) -> bool:
        with asking(engine) as connection:
            return claims.is_anything_due(connection, now)

    now = own_moment(engine, None)
    assert not is_seen(clock.now)
    assert not is_seen(now)
    message.due_at = clock.now
    session.commit()
    assert is_seen(clock.now)
    assert is_seen(now)


def test_a_letter_whose_instants_are_the_servers_goes_the_same_way(
    engine: Engine, session: Session
) -> None:
    """SC-07, SC-11: as a scheduler asks, which tells PostgreSQL no time."""
    started = database_now(session)
    first, second, not_yet = (
        a_message(session, kind=MessageKind.PACKET, due_at=started + timedelta(minutes=minutes))
        for minutes in (-2, -1, 60)
    )
    session.commit()

    def is_intended(message: Message) -> bool:
        with engine.begin() as connection:
            return claims.declare_intent(connection, message, "a" * 64, own_moment(engine, None))

    def claimed_after(message: Message) -> Message | None:
        with engine.begin() as connection:
            found = claims.note_sent_and_claim(connection, message, own_moment(engine, None))
            return found.message if found else None

    def standing(message: Message) -> tuple[MessageState, timedelta]:
        session.refresh(message)
        session.commit()
        assert abs(message.state_at - started) < timedelta(minutes=1)
        lease = (message.lease_until or message.state_at) - message.state_at
        # The server reads its clock for each of the two.
        return message.state, timedelta(seconds=round(lease.total_seconds()))

    with engine.begin() as connection:
        claimed = claims.claim_next(connection, started)
    assert claimed is not None and claimed.message.id == first.id
    assert is_intended(claimed.message)
    assert standing(first) == (MessageState.SENDING, claims.SEND_LEASE)
    following = claimed_after(claimed.message)
    assert following is not None and following.id == second.id
    assert standing(first) == (MessageState.SENT, timedelta(0))
    assert standing(second) == (MessageState.CLAIMED, claims.CLAIM_LEASE)
    assert second.mail_date is not None and second.mail_date.microsecond == 0
    overtaken = Message(id=second.id, fence=second.fence - 1)
    assert not is_intended(overtaken)
    second.lease_until = started - timedelta(seconds=1)
    session.commit()
    assert not is_intended(following)
    second.lease_until = started + timedelta(minutes=1)
    session.commit()
    assert is_intended(following)
    assert claimed_after(overtaken) is None
    assert standing(second) == (MessageState.SENDING, claims.SEND_LEASE)
    assert claimed_after(following) is None
    assert standing(second) == (MessageState.SENT, timedelta(0))
    session.refresh(not_yet)
    assert not_yet.state is MessageState.QUEUED
    noted = session.execute(select(Attempt.message_id, Attempt.fence, Attempt.outcome)).all()
    assert sorted(noted) == [(first.id, 1, "sent"), (second.id, 1, "sent")]
