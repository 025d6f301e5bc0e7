"""Waiting: who waits for a person, for how long, and whether that is too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from leadcapture.models import Lead, LeadStatus, Request, Screening, Staff

# Advice in medical travel: a call within a day, best within two hours.
ANSWER_WITHIN = timedelta(hours=2)
SHOWN = 50
COUNTED = 1_000


@dataclass(frozen=True)
class Waiting:
    """One person who waits; ``request`` is their latest."""

    lead: Lead
    request: Request | None
    since: datetime
    left: timedelta

    @property
    def is_late(self) -> bool:
        return self.left < timedelta(0)

    @property
    def late(self) -> timedelta:
        return max(-self.left, timedelta(0))


def call_queue(session: Session, now: datetime) -> Sequence[Waiting]:
    """Those who wait for a person, the longest first, fifty at most."""
    leads = session.scalars(
        select(Lead)
        .where(Lead.waiting_since.is_not(None), Lead.status != LeadStatus.HELD)
        .options(joinedload(Lead.owner).lazyload(Staff.roles))
        .order_by(Lead.waiting_since, Lead.id)
        .limit(SHOWN)
    ).all()
    latest = latest_requests(session, [lead.id for lead in leads])
    return [
        Waiting(
            lead,
            latest.get(lead.id),
            since=lead.waiting_since,
            left=lead.waiting_since + ANSWER_WITHIN - now,
        )
        for lead in leads
        if lead.waiting_since is not None
    ]


def count_waiting(session: Session) -> int:
    """How many wait, counted to a thousand at most."""
    waiting = (
        select(Lead.id)
        .where(Lead.waiting_since.is_not(None), Lead.status != LeadStatus.HELD)
        # The order makes SQLite walk the index of those who wait, not the whole table.
        .order_by(Lead.waiting_since)
        .limit(COUNTED)
    )
    return session.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def latest_requests(session: Session, lead_ids: Sequence[int]) -> dict[int, Request]:
    """The latest request of each lead that counts: held and discarded ones do not."""
    newest = (
        select(func.max(Request.id))
        .where(
            Request.lead_id.in_(lead_ids),
            Request.screening.in_((Screening.ACCEPTED, Screening.RELEASED)),
        )
        .group_by(Request.lead_id)
    )
    found = session.scalars(select(Request).where(Request.id.in_(newest)))
    return {request.lead_id: request for request in found}
