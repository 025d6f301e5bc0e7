"""Tasks: what a person of the clinic has promised to do, by when."""

import secrets
from datetime import datetime

from sqlalchemy.orm import Session

from leadcapture.models import Lead, Task


def add_call_back(
    session: Session, lead: Lead, owner_id: int, due_at: datetime, now: datetime
) -> Task:
    """A call that somebody asked for, due at this instant (aware UTC), in its owner's calendar."""
    ref = secrets.token_urlsafe(16)
    task = Task(
        ref=ref,
        dedupe_key=f"call_back:{ref}",
        kind="call_back",
        lead_id=lead.id,
        owner_id=owner_id,
        due_at=due_at,
        created_at=now,
    )
    session.add(task)
    return task
