"""Viewing: who opened which lead is on record, and no word of what they read (PR-09)."""

from contextvars import Context
from datetime import datetime, timedelta

from sqlalchemy import Engine, case, func, literal_column, select
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.models import AuditEntry
from leadcapture.outbox import audit
from leadcapture.outbox.alerts import raise_alert

VIEWED = "lead_viewed"
ALERT = "many_views"
MANY = 200
"""More views of leads by one person in an hour are a reason to ask them (AB-09)."""
LIST = "list"
BOARD = "pipeline"
PAGES = (LIST, BOARD)
PAGE_COUNTS = 4
"""As how many views a page of either counts: it shows many names, of which few are read."""
SITTING = timedelta(hours=1)
# As a literal, so that PostgreSQL sees that the index of views alone will do.
IS_VIEW = AuditEntry.act == literal_column(f"'{VIEWED}'")


def record_view(
    session: Session,
    engine: Engine,
    actor_id: int,
    lead_ref: str,
    now: datetime,
    refreshes: bool = False,
    page: str = "",
) -> None:
    """Write the view of a lead, or of one of the `PAGES`, down before the page is made.

    In a transaction of its own: a page that only reads holds no lock to write on SQLite, and who
    holds it must let go first, or this would wait for them. Where this fails, nothing is shown. An
    open page that ``refreshes`` itself is one view for each `SITTING`; that it says so counts for
    nothing where no view of it is on record. ``page`` tells one page of the list or of the pipeline
    from another, without a word of what was sought.
    """
    if refreshes and _is_on_record(session, actor_id, lead_ref, page, now):
        return
    # A fresh context, because the page has said in its own that it only reads.
    Context().run(_record, engine, actor_id, lead_ref, page, now)


def _is_on_record(session: Session, actor_id: int, lead_ref: str, page: str, now: datetime) -> bool:
    known = select(AuditEntry.id).where(
        IS_VIEW,
        AuditEntry.at > now - SITTING,
        AuditEntry.actor_id == actor_id,
        AuditEntry.subject == lead_ref,
        AuditEntry.reason == page,
    )
    return session.scalar(known.limit(1)) is not None


def _record(engine: Engine, actor_id: int, lead_ref: str, page: str, now: datetime) -> None:
    with open_session(engine) as session:
        audit.record(session, actor_id, VIEWED, lead_ref, now, reason=page)
        session.commit()


def watch_views(session: Session, now: datetime) -> None:
    """Raise an alert about each person who opened more than `MANY` leads in the past hour.

    A page of the list or of the pipeline counts as `PAGE_COUNTS`.
    """
    weight = case((AuditEntry.subject.in_(PAGES), PAGE_COUNTS), else_=1)
    busy = (
        select(AuditEntry.actor_id)
        .where(IS_VIEW, AuditEntry.at > now - timedelta(hours=1))
        .group_by(AuditEntry.actor_id)
        .having(func.sum(weight) > MANY)
    )
    for actor_id in session.scalars(busy).all():
        raise_alert(session, ALERT, str(actor_id), now)
