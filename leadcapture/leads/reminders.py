"""Reminders: a task's owner, or who stands in for them, hears by mail, once, that it is due."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from leadcapture.leads import cover
from leadcapture.leads.clock import Rules, read_rules
from leadcapture.leads.staff_letters import values_about
from leadcapture.letters.greeting import standing_in
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

    While they are away to who stands in, or to the alert address where nobody is there to.
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
        )
        .options(contains_eager(Task.owner).lazyload(Staff.roles), contains_eager(Task.lead))
        .order_by(Task.due_at, Task.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, of=Task)
    ).all()
    if due:
        rules = read_rules(session, settings.clinic.time_zone)
        drafts = [_draft(session, settings, rules, task, now) for task in due]
        enqueue(session, vault, settings.mail_domain, drafts, now)
        for task in due:
            task.reminded_at = now
    return len(due)


def _draft(session: Session, settings: Settings, rules: Rules, task: Task, now: datetime) -> Draft:
    owner, lead = task.owner, task.lead
    assert owner is not None and lead is not None
    to = cover.acting_for(session, rules, owner, lead.language, now)
    language = to.language if to else "en"
    kind = "staff_task"
    values = values_about(session, settings, lead, task.due_at, language)
    if to is not owner:
        kind, values = "staff_cover", values | {"greeting": standing_in(owner.name, language)}
    return Draft(
        kind=MessageKind.STAFF_ALERT,
        dedupe_key=f"alert:task:{task.ref}:{task.due_at:%Y%m%d%H%M%S}",
        recipient=to.email if to else settings.staff_alerts_to,
        language=language,
        time_zone=settings.clinic.time_zone,
        due_at=now,
        letter=current_versions(session, now)[kind, "", language],
        values=values,
        lead_id=task.lead_id,
    )
