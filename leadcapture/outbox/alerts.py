"""Alerts: a task that stands while a fault stands, and is done when the fault is gone."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leadcapture.models import Task
from leadcapture.outbox.queue import new_ref


def raise_alert(
    session: Session, kind: str, subject: str, now: datetime, lead_id: int | None = None
) -> bool:
    """Have an open task of this kind about this subject; True where none was open.

    A task that was ticked off while its fault stands is opened again.
    """
    insert: Any = (
        sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    )
    statement = insert(Task.__table__).values(
        ref=new_ref(),
        dedupe_key=_key(kind, subject),
        kind=kind,
        lead_id=lead_id,
        due_at=now,
        created_at=now,
    )
    raised = session.execute(
        statement.on_conflict_do_update(
            index_elements=["dedupe_key"],
            set_={"done_at": None, "due_at": now, "reminded_at": None},
            where=Task.done_at.is_not(None),
        ).returning(Task.id)
    )
    return raised.first() is not None


def clear_alerts(session: Session, kind: str, now: datetime, still: Collection[str] = ()) -> int:
    """Tick off this kind's tasks, save those about subjects whose fault ``still`` stands."""
    gone = open_subjects(session, kind) - set(still)
    for subject in gone:
        session.execute(
            update(Task).where(Task.dedupe_key == _key(kind, subject)).values(done_at=now)
        )
    return len(gone)


def open_subjects(session: Session, kind: str) -> set[str]:
    """What the open tasks of this kind are about."""
    keys = session.scalars(select(Task.dedupe_key).where(Task.kind == kind, Task.done_at.is_(None)))
    return {key.removeprefix(f"{kind}:") for key in keys}


def _key(kind: str, subject: str) -> str:
    return f"{kind}:{subject}"[:120]
