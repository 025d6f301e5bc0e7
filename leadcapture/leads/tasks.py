"""Tasks: what a person of the clinic has promised to do, by when."""

import enum
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, CursorResult, select, update
from sqlalchemy.orm import Session, joinedload

from leadcapture.leads import bulk, timeline
from leadcapture.leads.undo import begin
from leadcapture.models import BulkAct, Lead, Staff, Task
from leadcapture.vault import Vault

LONGEST_TEXT = 500
FARTHEST = timedelta(days=366)
_MORNING = time(9)
_SHOWN = 30
_DONE_SHOWN = 5


class Snooze(enum.StrEnum):
    """Until when a task is put off: 9:00 of tomorrow, or of next Monday, at the clinic."""

    TOMORROW = "tomorrow"
    NEXT_WEEK = "next_week"

    def until(self, now: datetime, zone: str) -> datetime:
        """The morning that is meant, as aware UTC."""
        today = now.astimezone(ZoneInfo(zone)).date()
        days = 1 if self is Snooze.TOMORROW else 7 - today.weekday()
        morning = datetime.combine(today + timedelta(days), _MORNING, ZoneInfo(zone))
        return morning.astimezone(UTC)


def add_call_back(
    session: Session, lead: Lead, owner_id: int, due_at: datetime, now: datetime
) -> Task:
    """A call that somebody asked for, due at this instant (aware UTC), in its owner's calendar."""
    return _add(session, "call_back", secrets.token_urlsafe(16), lead, owner_id, due_at, now)


def add_task(
    session: Session,
    vault: Vault,
    lead: Lead,
    owner: Staff,
    text: str,
    due_at: datetime,
    actor_id: int,
    now: datetime,
) -> Task:
    """Something to do for ``owner``; its text is sealed, because staff write of health there."""
    ref = secrets.token_urlsafe(16)
    task = _add(session, "todo", ref, lead, owner.id, due_at, now)
    task.text = vault.seal("task", "text", ref, text)
    facts = {"to": owner.name}
    timeline.record(session, lead.id, "task_added", now, actor_id=actor_id, facts=facts)
    return task


def tasks_of(session: Session, lead: Lead) -> tuple[Sequence[Task], Sequence[Task]]:
    """The lead's open tasks for people by their due time, and those done last."""
    found = session.scalars(
        select(Task)
        .where(Task.lead_id == lead.id, Task.kind.in_(("todo", "call_back")))
        .options(joinedload(Task.owner).lazyload(Staff.roles))
        .order_by(Task.done_at.is_not(None), Task.done_at.desc(), Task.due_at, Task.id)
        .limit(_SHOWN)
    ).all()
    opened = [task for task in found if task.done_at is None]
    return opened, found[len(opened) :][:_DONE_SHOWN]


def reopen_task(session: Session, task: Task, actor_id: int, now: datetime) -> bool:
    """Take back that it was done; False where it is open."""
    reopened = session.execute(
        update(Task).where(Task.id == task.id, Task.done_at.is_not(None)).values(done_at=None)
    )
    if not cast(CursorResult[Any], reopened).rowcount:
        return False
    if task.lead_id is not None:
        timeline.record(session, task.lead_id, "task_reopened", now, actor_id=actor_id)
    return True


def put_off(
    session: Session, task: Task, until: datetime, actor_id: int, now: datetime
) -> BulkAct | None:
    """Put the task off, with another reminder then; None where it is done."""
    facts = {
        "put_off": task.ref,
        "due_at": task.due_at.isoformat(),
        "reminded_at": task.reminded_at.isoformat() if task.reminded_at else None,
        "until": until.isoformat(),
    }
    if not _move(session, task.ref, (), until, None):
        return None
    return bulk.keep_act(session, actor_id, bulk.Act.PUT_OFF, facts, ([], []), now)


def take_back(session: Session, act: BulkAct, now: datetime) -> bool | None:
    """Have a task due as before it was put off; None where that is undone already.

    False where somebody has dealt with it since.
    """
    if not begin(session, act, now):
        return None
    facts = act.facts
    unmoved = Task.due_at == datetime.fromisoformat(facts["until"])
    reminded_at = datetime.fromisoformat(facts["reminded_at"]) if facts["reminded_at"] else None
    due_at = datetime.fromisoformat(facts["due_at"])
    return _move(session, facts["put_off"], (unmoved,), due_at, reminded_at)


def _move(
    session: Session,
    ref: str,
    where: Sequence[ColumnElement[bool]],
    due_at: datetime,
    reminded_at: datetime | None,
) -> bool:
    moved = session.execute(
        update(Task)
        .where(Task.ref == ref, Task.done_at.is_(None), *where)
        .values(due_at=due_at, reminded_at=reminded_at)
        .execution_options(synchronize_session=False)
    )
    return bool(cast(CursorResult[Any], moved).rowcount)


def _add(
    session: Session,
    kind: str,
    ref: str,
    lead: Lead,
    owner_id: int,
    due_at: datetime,
    now: datetime,
) -> Task:
    task = Task(
        ref=ref,
        dedupe_key=f"{kind}:{ref}",
        kind=kind,
        lead_id=lead.id,
        owner_id=owner_id,
        due_at=due_at,
        created_at=now,
    )
    session.add(task)
    return task
