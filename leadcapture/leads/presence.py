"""Presence: who else has a lead's page open, so that two people do not call at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, joinedload

from leadcapture.models import Lead, Presence, Staff

# A page says every ten seconds that it is open; one that has not for so long is gone.
GONE_AFTER = timedelta(seconds=25)


def arrive(session: Session, lead_id: int, staff_id: int, now: datetime) -> None:
    """Note that this person looks at the lead; ``since`` stays while they do not go away."""
    been = session.get(Presence, (lead_id, staff_id))
    since = been.since if been and been.seen_at > now - GONE_AFTER else now
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    seen = {"since": since, "seen_at": now}
    session.execute(
        insert(Presence)
        .values(lead_id=lead_id, staff_id=staff_id, **seen)
        # Two pages of one person may say so at the same moment.
        .on_conflict_do_update(index_elements=["lead_id", "staff_id"], set_=seen)
    )


def leave(session: Session, lead_id: int, staff_id: int) -> None:
    """Note that this person has closed the page."""
    session.execute(
        delete(Presence).where(Presence.lead_id == lead_id, Presence.staff_id == staff_id)
    )


def others_at(session: Session, lead_ref: str, but: int, now: datetime) -> Sequence[Presence]:
    """Who else looks at the lead, the longest there first, ten at most."""
    return session.scalars(
        select(Presence)
        .join(Lead, Lead.id == Presence.lead_id)
        .where(Lead.ref == lead_ref, Presence.staff_id != but, _is_there(now))
        .options(joinedload(Presence.staff).lazyload(Staff.roles))
        .order_by(Presence.since, Presence.staff_id)
        .limit(10)
    ).all()


def leads_with_others(session: Session, but: int, now: datetime) -> set[int]:
    """The leads that somebody else looks at now."""
    return set(
        session.scalars(
            select(Presence.lead_id).where(Presence.staff_id != but, _is_there(now)).limit(1_000)
        )
    )


def forget_the_gone(session: Session, now: datetime) -> None:
    """Drop what is left of pages that ended without a word."""
    session.execute(delete(Presence).where(Presence.seen_at <= now - GONE_AFTER))


def _is_there(now: datetime) -> ColumnElement[bool]:
    return Presence.seen_at > now - GONE_AFTER
