"""Reminders: a task's owner hears by mail, once, that it is due."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from leadcapture.leads.staff_letters import values_about
from leadcapture.letters.versions import current_versions
from leadcapture.models import MessageKind, Staff, Task
from leadcapture.outbox.queue import Draft, enqueue
from leadcapture.settings import Settings
from leadcapture.vault import Vault

KINDS = ("todo", "call_back")
AT_ONCE = 200
# What was due before the service could remind is known by now.
NOT_AFTER = timedelta(days=1)


def remind_owners(session: Session, settings: Settings, vault: Vault, now: datetime) -> int:
    """Write to the owner of each task that has fallen due; how many letters.

    The letter says neither a name nor what the task is. Safe to repeat and to run in several
    processes: it exists once for each due time.
    """
    due = session.scalars(
        select(Task)
        .join(Task.owner)
        .join(Task.lead)
        .where(
            Task.done_at.is_(None),
            Task.due_at <= now,
            Task.due_at > now - NOT_AFTER,
            Task.reminded_at.is_(None),
            Task.kind.in_(KINDS),
            Staff.active,
        )
        .options(contains_eager(Task.owner).lazyload(Staff.roles), contains_eager(Task.lead))
        .order_by(Task.due_at, Task.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, of=Task)
    ).all()
    if due:
        versions = current_versions(session, now)
        drafts = [
            _draft(session, settings, task, versions["staff_task", "", _owner(task).language], now)
            for task in due
        ]
        enqueue(session, vault, settings.mail_domain, drafts, now)
        for task in due:
            task.reminded_at = now
    return len(due)


def _owner(task: Task) -> Staff:
    assert task.owner is not None
    return task.owner


def _draft(session: Session, settings: Settings, task: Task, letter: int, now: datetime) -> Draft:
    assert task.lead is not None
    owner = _owner(task)
    return Draft(
        kind=MessageKind.STAFF_ALERT,
        dedupe_key=f"alert:task:{task.ref}:{task.due_at:%Y%m%d%H%M%S}",
        recipient=owner.email,
        language=owner.language,
        time_zone=settings.clinic.time_zone,
        due_at=now,
        letter=letter,
        values=values_about(session, settings, task.lead, task.due_at),
        lead_id=task.lead_id,
    )
