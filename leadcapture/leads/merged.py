"""Merged: where a lead that went into another is found now, and by which words."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads.search import search_text
from leadcapture.models import Lead
from leadcapture.outbox.holding import hold_leads


def standing_for(session: Session, lead: Lead) -> Lead:
    """The lead itself, or the one that stands for it since they were merged."""
    if lead.merged_into_id is None:
        return lead
    return session.get_one(Lead, lead.merged_into_id)


def hold_standing(session: Session, lead: Lead) -> Lead:
    """`standing_for`, held; whoever was merged in this very moment is followed."""
    [held] = hold_leads(session, lead.id)
    while held.merged_into_id is not None:
        [held] = hold_leads(session, held.merged_into_id)
    return held


def merged_into(session: Session, lead: Lead) -> Sequence[Lead]:
    """The leads that this one stands for, the oldest first."""
    return session.scalars(
        select(Lead).where(Lead.merged_into_id == lead.id).order_by(Lead.id)
    ).all()


def write_search_text(session: Session, lead: Lead) -> None:
    """Let the lead be found by its own words first, then by those of whom it stands for."""
    people = (lead, *merged_into(session, lead))
    texts = [
        search_text(person.full_name, person.email, person.phone or person.phone_typed)
        for person in people
    ]
    lead.search_text = " ".join(dict.fromkeys(" ".join(texts).split()))
