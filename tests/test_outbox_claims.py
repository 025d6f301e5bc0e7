"""The statements of a letter's way, over a queue of a hundred thousand."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session

from leadcapture.database import asking, own_moment
from leadcapture.models import Message, MessageKind, MessageState
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
