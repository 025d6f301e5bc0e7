"""Gates: a relay out of reach is not hammered, a relay that refuses us stops the queue."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadcapture.models import Gate

RELAY = "relay"
QUEUE = "queue"
FAILURES_BEFORE_PAUSE = 5
_SHORT = timedelta(seconds=5)
_LONG = timedelta(seconds=60)


def closed_gate(session: Session, now: datetime) -> Gate | None:
    """The gate that keeps all mail back now, if one does."""
    for gate in session.scalars(select(Gate).where(Gate.name.in_((RELAY, QUEUE)))):
        if gate.closed_until is None or gate.closed_until > now:
            return gate
    return None


def note_relay_down(session: Session, reason: str, now: datetime) -> None:
    """Close the relay's gate: 5 s after each of the first failures, then a minute each."""
    gate = _gate(session, RELAY, reason, now)
    gate.failures += 1
    gate.reason = reason
    pause = _SHORT if gate.failures < FAILURES_BEFORE_PAUSE else _LONG
    gate.closed_until = now + pause


def hold_queue(session: Session, reason: str, now: datetime) -> None:
    """Close the whole queue until a person opens it."""
    gate = _gate(session, QUEUE, reason, now)
    gate.reason = reason
    gate.closed_until = None


def open_gate(session: Session, name: str) -> None:
    """Let mail through again."""
    session.execute(delete(Gate).where(Gate.name == name))


def _gate(session: Session, name: str, reason: str, now: datetime) -> Gate:
    gate = session.get(Gate, name)
    if gate is not None:
        return gate
    try:
        with session.begin_nested():
            gate = Gate(name=name, reason=reason, since=now, failures=0, closed_until=None)
            session.add(gate)
    except IntegrityError:
        gate = session.get_one(Gate, name)  # Another worker closed it in this moment.
    return gate
