"""Decisions: what stands still until a person decides, and how it is settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    and_,
    exists,
    func,
    or_,
    select,
    union,
    union_all,
    update,
)
from sqlalchemy.orm import Session, contains_eager, joinedload

from leadcapture.leads import timeline
from leadcapture.leads.letters_ahead import PAUSED
from leadcapture.models import Message, MessageState, Request, Screening, Staff, Task

SHOWN = 50
COUNTED = 1_000
_LATEST = 100
_STUCK = (MessageState.FAILED, MessageState.UNCERTAIN, MessageState.HELD, MessageState.BOUNCED)


# What the service raises about itself, and about what colleagues take out of it.
ALERTS = (
    *("audit_broken", "content_refused", "queue_held", "scheduler_silent"),
    *("leads_exported", "many_views"),
    *(f"sweep_i{number}" for number in range(1, 11)),
)


@dataclass(frozen=True)
class StuckLetter:
    """A message that did not reach its reader, and the open task about it, if any."""

    message: Message
    task: Task | None


@dataclass(frozen=True)
class Counts:
    """How many open tasks there are of each part, each counted to a thousand at most."""

    alerts: int
    overdue: int
    today: int
    later: int


def held_requests(session: Session, page: int = 1) -> Sequence[Request]:
    """The requests that screening held, newest first, fifty a page."""
    return session.scalars(
        select(Request)
        .where(Request.screening == Screening.HELD)
        .options(joinedload(Request.lead))
        .order_by(Request.created_at.desc(), Request.id.desc())
        .limit(SHOWN)
        .offset((page - 1) * SHOWN)
    ).all()


def count_held(session: Session) -> int:
    """How many requests are held, counted to a thousand at most."""
    held = select(Request.id).where(Request.screening == Screening.HELD).limit(COUNTED)
    return session.scalar(select(func.count()).select_from(held.subquery())) or 0


def stuck_letters(session: Session, page: int = 1) -> tuple[Sequence[StuckLetter], int]:
    """Held, failed, uncertain and returned messages that nobody has settled (OP-06).

    The newest first, fifty a page; and how many there are.
    """
    stuck = Message.id.in_(_asked_about(session)), _is_stuck()
    rows = session.execute(
        select(Message, func.count().over())
        .outerjoin(Message.lead)
        .options(contains_eager(Message.lead))
        .where(*stuck)
        .order_by(Message.state_at.desc(), Message.id.desc())
        .limit(SHOWN)
        .offset((page - 1) * SHOWN)
    ).all()
    messages = [message for message, _ in rows]
    count = rows[0][1] if rows else 0
    if not rows and page > 1:
        count = session.scalar(select(func.count()).select_from(Message).where(*stuck)) or 0
    tasks = session.scalars(
        select(Task)
        .where(Task.message_id.in_([message.id for message in messages]), Task.done_at.is_(None))
        .order_by(Task.id.desc())
    )
    # A message may have gathered several tasks; one line tells of them all.
    by_message = {task.message_id: task for task in tasks}
    return [StuckLetter(message, by_message.get(message.id)) for message in messages], count


def open_alerts(session: Session) -> Sequence[Task]:
    """What the service says of itself, the newest first, fifty at most."""
    return session.scalars(
        select(Task)
        .where(Task.done_at.is_(None), Task.kind.in_(ALERTS))
        .options(joinedload(Task.lead), joinedload(Task.owner).lazyload(Staff.roles))
        .order_by(Task.due_at.desc(), Task.id.desc())
        .limit(SHOWN)
    ).all()


def open_tasks(session: Session, but: Sequence[str] = (), page: int = 1) -> Sequence[Task]:
    """Open tasks of people that the stuck letters do not already show, by their due time.

    Fifty a page. ``but``: kinds that are shown elsewhere.
    """
    return session.scalars(
        select(Task)
        .outerjoin(Message, Task.message_id == Message.id)
        .where(*_is_for_people(but))
        .options(joinedload(Task.lead), joinedload(Task.owner).lazyload(Staff.roles))
        .order_by(Task.due_at, Task.id)
        .limit(SHOWN)
        .offset((page - 1) * SHOWN)
    ).all()


def count_tasks(
    session: Session, now: datetime, midnight: datetime, but: Sequence[str] = ()
) -> Counts:
    """How many alerts stand, and how many tasks of people are overdue, due today, due later."""
    people = (
        select(Task.id)
        .outerjoin(Message, Task.message_id == Message.id)
        .where(*_is_for_people(but))
        .limit(COUNTED)
    )
    parts = (
        select(Task.id).where(Task.done_at.is_(None), Task.kind.in_(ALERTS)).limit(COUNTED),
        people.where(Task.due_at < now),
        people.where(Task.due_at >= now, Task.due_at < midnight),
        people.where(Task.due_at >= midnight),
    )
    counted = (
        select(func.count()).select_from(part.subquery()).scalar_subquery() for part in parts
    )
    return Counts(*session.execute(select(*counted)).one())


def finish_task(session: Session, task: Task, actor_id: int, now: datetime) -> bool:
    """Tick a task off; False where somebody has already."""
    done = finish_tasks(session, Task.id == task.id, now)
    if done and task.lead_id is not None:
        timeline.record(
            session,
            task.lead_id,
            "task_done",
            now,
            actor_id=actor_id,
            message_id=task.message_id,
            facts={"task": task.kind},
        )
    return bool(done)


def finish_tasks(session: Session, which: ColumnElement[bool], now: datetime) -> int:
    """Tick off the open ones of these tasks; how many there were."""
    finished = session.execute(
        update(Task).where(which, Task.done_at.is_(None)).values(done_at=now)
    )
    return cast(CursorResult[Any], finished).rowcount


def _asked_about(session: Session) -> Sequence[int]:
    """The messages that may want a decision, found from the few: most of all that ever failed
    were settled long ago, and their number only grows.

    A letter gets its task in the transaction that stops it. Should one ever have none, it is seen
    among the hundred of its state that were due last.
    """
    has_open_task = (
        select(Task.message_id)
        .where(Task.done_at.is_(None), Task.message_id.is_not(None))
        .order_by(Task.due_at.desc())
        .limit(COUNTED)
    )
    is_uncertain = select(Message.id).where(Message.state == MessageState.UNCERTAIN).limit(COUNTED)
    lanes = (
        select(Message.id)
        .where(Message.state == state, Message.priority == priority)
        .order_by(Message.due_at.desc())
        .limit(_LATEST)
        for state in _STUCK
        for priority in (0, 1)
    )
    latest = union_all(*(select(lane.subquery().c.id) for lane in lanes)).subquery()
    has_no_task = select(latest.c.id).where(~exists().where(Task.message_id == latest.c.id))
    ways = (select(way.subquery()) for way in (has_open_task, is_uncertain, has_no_task))
    return [number for number in session.scalars(union(*ways)) if number is not None]


def _is_stuck() -> ColumnElement[bool]:
    about = exists().where(Task.message_id == Message.id)
    unsettled = or_(
        about.where(Task.done_at.is_(None)), ~about, Message.state == MessageState.UNCERTAIN
    )
    # What a colleague keeps back waits for nobody's decision; its lead's page shows it.
    return and_(Message.state.in_(_STUCK), Message.reason != PAUSED, unsettled)


def _is_for_people(but: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return (
        Task.done_at.is_(None),
        Task.kind.not_in((*ALERTS, *but)),
        or_(Message.id.is_(None), Message.state.not_in(_STUCK)),
    )
