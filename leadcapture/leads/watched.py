"""Watched acts: who read or took out many leads, until another administrator has looked (AB-09)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.leads import exporting, viewing
from leadcapture.leads.staff_letters import values_of
from leadcapture.letters.versions import current_versions
from leadcapture.models import AuditEntry, Export, MessageKind, Role, Staff, Task
from leadcapture.outbox import audit
from leadcapture.outbox.queue import Draft, enqueue
from leadcapture.settings import Settings
from leadcapture.vault import Vault

KINDS = (exporting.ALERT, viewing.ALERT)
_LANGUAGE = "en"
# What stood before the service could write of it is known by now.
_NOT_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Watched:
    """Whom an alert is about, with how many leads, and how many pages of many."""

    actor_id: int
    name: str
    leads: int
    pages: int = 0


def whom(session: Session, tasks: Sequence[Task]) -> dict[int, Watched]:
    """Whom each alert of these kinds is about, by the task's id."""
    found = {}
    for task in tasks:
        if task.kind in KINDS and (watched := _whom(session, task)):
            found[task.id] = watched
    return found


def may_close(session: Session, task: Task, closer: Staff) -> bool:
    """Whether this person may: of an alert about taking leads out, only another administrator.

    The only administrator there is may close an alert about themselves; it is on record.
    """
    if task.kind not in KINDS:
        return True
    if not closer.has_role("admin"):
        return False
    return not is_about(session, task, closer) or not _other_admins(session, closer)


def is_about(session: Session, task: Task, person: Staff) -> bool:
    """True for an alert about what this person did."""
    watched = _whom(session, task) if task.kind in KINDS else None
    return watched is not None and watched.actor_id == person.id


def note_closing(session: Session, task: Task, closer: Staff, now: datetime) -> None:
    """Put on record who closed the alert, and where it was their own."""
    if task.kind in KINDS:
        act = "own_alert_closed" if is_about(session, task, closer) else "alert_closed"
        audit.record(session, closer.id, act, task.ref, now)


def note_reopening(session: Session, task: Task, opener: Staff, now: datetime) -> None:
    """Put on record who took back that the alert was closed."""
    if task.kind in KINDS:
        audit.record(session, opener.id, "alert_reopened", task.ref, now)


def tell_administrators(session: Session, settings: Settings, vault: Vault, now: datetime) -> int:
    """Write to the alert address of each alert that it does not know of; how many letters.

    The letter says that there is one, and nothing of whom.
    """
    tasks = session.scalars(
        select(Task)
        .where(
            Task.done_at.is_(None),
            Task.due_at > now - _NOT_AFTER,
            Task.reminded_at.is_(None),
            Task.kind.in_(KINDS),
        )
        .with_for_update(skip_locked=True, of=Task)
    ).all()
    if tasks:
        letter = current_versions(session, now)["staff_watched", "", _LANGUAGE]
        drafts = [_draft(settings, task, letter, now) for task in tasks]
        enqueue(session, vault, settings.mail_domain, drafts, now)
        for task in tasks:
            task.reminded_at = now
    return len(tasks)


def _draft(settings: Settings, task: Task, letter: int, now: datetime) -> Draft:
    values = values_of(settings, "", "", task.due_at, _LANGUAGE)
    return Draft(
        kind=MessageKind.STAFF_ALERT,
        dedupe_key=f"alert:watched:{task.ref}:{task.due_at:%Y%m%d%H%M%S}",
        recipient=settings.staff_alerts_to,
        language=_LANGUAGE,
        time_zone=settings.clinic.time_zone,
        due_at=now,
        letter=letter,
        values=values | {"lead_link": f"{settings.public_url}/desk/"},
    )


def _whom(session: Session, task: Task) -> Watched | None:
    subject = task.dedupe_key.partition(":")[2]
    if task.kind == exporting.ALERT:
        row = session.execute(
            select(Export.actor_id, Staff.name, func.coalesce(Export.total, Export.written))
            .join(Staff, Staff.id == Export.actor_id)
            .where(Export.ref == subject)
        ).first()
        return Watched(*row) if row else None
    actor = session.get(Staff, int(subject)) if subject.isdecimal() else None
    if actor is None:
        return None
    is_page = AuditEntry.subject.in_(viewing.PAGES)
    leads, pages = session.execute(
        select(func.count().filter(~is_page), func.count().filter(is_page)).where(
            viewing.IS_VIEW,
            AuditEntry.actor_id == actor.id,
            AuditEntry.at > task.due_at - timedelta(hours=1),
        )
    ).one()
    return Watched(actor.id, actor.name, leads, pages)


def _other_admins(session: Session, one: Staff) -> bool:
    other = select(Staff.id).where(
        Staff.active, Staff.id != one.id, Staff.roles.any(Role.name == "admin")
    )
    return session.scalar(other.limit(1)) is not None
