"""The queue at a glance: how many messages are in which state, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from leadcapture.models import Gate, Message, MessageState, Pace

AGES: tuple[tuple[str, timedelta], ...] = (
    ("< 1 min", timedelta(minutes=1)),
    ("< 15 min", timedelta(minutes=15)),
    ("< 1 h", timedelta(hours=1)),
    ("< 1 d", timedelta(days=1)),
)
HEADS = ("state", "later", *(name for name, _ in AGES), "older", "all")


@dataclass(frozen=True)
class QueueTable:
    """``rows`` go with `HEADS`; ``gates`` are (name, why, since, until) of the closed ones.

    A queued message is as old as its due time, another as its state. Messages that are done
    are only counted. ``paces`` are (name, seconds of its allowance used, half pace until) of those
    in use, the fullest first. Instants are in ISO 8601, UTC.
    """

    rows: Sequence[tuple[str, ...]]
    gates: Sequence[tuple[str, str, str, str]]
    paces: Sequence[tuple[str, str, str]] = ()


def read_queue(session: Session, now: datetime) -> QueueTable:
    """Count by index alone: a second at most over 100,000 messages (OP-02)."""
    total = {
        MessageState(state): count
        for state, count in session.execute(
            select(Message.state, func.count()).group_by(Message.state)
        )
    }
    queued = (MessageState.QUEUED,)
    moving = tuple(state for state in MessageState if not state.is_final and state not in queued)
    aged = _count_ages(session, queued, Message.due_at, now)
    aged |= _count_ages(session, moving, Message.state_at, now)
    rows = [
        (state.value, *_cells(aged.get(state)), str(total[state]))
        for state in MessageState
        if state in total
    ]
    gates = [_describe(gate) for gate in _closed(session, now)]
    return QueueTable(rows, gates, _read_paces(session, now))


def _count_ages(
    session: Session,
    states: tuple[MessageState, ...],
    since: InstrumentedAttribute[datetime],
    now: datetime,
) -> dict[MessageState, tuple[int, ...]]:
    edges = [now, *(now - age for _, age in AGES)]
    buckets: list[ColumnElement[bool]] = [since > now]
    buckets += [and_(since <= upper, since > lower) for upper, lower in pairwise(edges)]
    buckets.append(since <= edges[-1])
    counted = select(Message.state, *(func.sum(case((bucket, 1), else_=0)) for bucket in buckets))
    grouped = counted.where(Message.state.in_(states)).group_by(Message.state)
    return {
        MessageState(state): tuple(map(int, counts)) for state, *counts in session.execute(grouped)
    }


def _cells(counts: tuple[int, ...] | None) -> list[str]:
    if counts is None:
        return [""] * (len(HEADS) - 2)
    return [str(count) if count else "·" for count in counts]


def _closed(session: Session, now: datetime) -> Sequence[Gate]:
    still = (Gate.closed_until.is_(None)) | (Gate.closed_until > now)
    return session.scalars(select(Gate).where(still).order_by(Gate.since, Gate.name)).all()


def _read_paces(session: Session, now: datetime) -> list[tuple[str, str, str]]:
    in_use = (Pace.full_at > now) | (Pace.slowed_until > now)
    paces = session.scalars(select(Pace).where(in_use).order_by(Pace.full_at.desc()).limit(20))
    return [
        (
            pace.name,
            f"{max(0.0, (pace.full_at - now).total_seconds()):.0f} s",
            pace.slowed_until.isoformat(timespec="seconds")
            if pace.slowed_until and pace.slowed_until > now
            else "",
        )
        for pace in paces
    ]


def _describe(gate: Gate) -> tuple[str, str, str, str]:
    until = gate.closed_until.isoformat(timespec="seconds") if gate.closed_until else "a person"
    return gate.name, gate.reason, gate.since.isoformat(timespec="seconds"), until
