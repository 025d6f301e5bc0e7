"""Viewing: who opened which lead is on record, and no word of what they read (PR-09)."""

from contextvars import Context
from datetime import datetime

from sqlalchemy import Engine

from leadcapture.database import open_session
from leadcapture.outbox import audit


def record_view(engine: Engine, actor_id: int, lead_ref: str, now: datetime) -> None:
    """Write the view down, in a transaction of its own, before the page is made.

    A page that only reads holds no lock to write on SQLite, so it cannot write this itself;
    where this fails, nothing is shown.
    """
    # A fresh context, because the page has said in its own that it only reads.
    Context().run(_record, engine, actor_id, lead_ref, now)


def _record(engine: Engine, actor_id: int, lead_ref: str, now: datetime) -> None:
    with open_session(engine) as session:
        audit.record(session, actor_id, "lead_viewed", lead_ref, now)
        session.commit()
