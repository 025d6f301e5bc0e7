"""Duplicates: who might be the same person; a suggestion, never a join (AB-08)."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Lead

_SHOWN = 5


def duplicates(session: Session, lead: Lead) -> Sequence[Lead]:
    """The newest other leads with the same telephone number, five at most."""
    if not lead.phone:
        return ()
    return session.scalars(
        select(Lead)
        .where(Lead.phone == lead.phone, Lead.id != lead.id)
        .order_by(Lead.last_request_at.desc(), Lead.id.desc())
        .limit(_SHOWN)
    ).all()
