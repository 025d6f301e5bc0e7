"""Stopping: a person wants no more follow-ups, or no letter at all, however they say so."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leadcapture.leads import timeline
from leadcapture.leads.merged import standing_for
from leadcapture.models import Consent, ConsentKind, Lead, MessageKind, SuppressionScope
from leadcapture.outbox import stops
from leadcapture.outbox.holding import hold_leads


def stop_follow_ups(session: Session, cap_hash: str, now: datetime) -> None:
    """Stop follow-up letters to this address for ever, its lead known, unknown or erased."""
    had_stopped = stops.is_suppressed(session, cap_hash, MessageKind.FOLLOW_UP)
    leads = _leads_of(session, cap_hash)
    stops.suppress(session, cap_hash, SuppressionScope.FOLLOW_UPS, "unsubscribed", now)
    for lead in leads:
        withdraw_follow_ups(session, lead, now)
        if not had_stopped:
            timeline.record(session, lead.id, "unsubscribed", now)


def stop_everything(session: Session, cap_hash: str, now: datetime) -> None:
    """Write to this address no more: whoever says so never asked, or withdraws every consent.

    Also what somebody asks for in its name later stays here; staff see why.
    """
    had_stopped = stops.is_suppressed(session, cap_hash, MessageKind.PACKET)
    leads = _leads_of(session, cap_hash)
    stops.suppress(session, cap_hash, SuppressionScope.ALL, "refused_all", now)
    for lead in leads:
        _withdraw(session, lead, tuple(ConsentKind), now)
        if not had_stopped:
            timeline.record(session, lead.id, "refused_all", now)


def stop_all_mail(session: Session, cap_hash: str, message_id: int, now: datetime) -> bool:
    """Stop all mail to an address whose owner complained; False where they had before."""
    had_stopped = stops.is_suppressed(session, cap_hash, MessageKind.PACKET)
    leads = _leads_of(session, cap_hash)
    stops.suppress(session, cap_hash, SuppressionScope.ALL, "complained", now)
    for lead in leads:
        withdraw_follow_ups(session, lead, now)
        if not had_stopped:
            timeline.record(session, lead.id, "complained", now, message_id=message_id)
    return not had_stopped


def _leads_of(session: Session, cap_hash: str) -> Collection[Lead]:
    """The leads of an address, held; for one that was merged, the one that stands for it."""
    found = session.scalars(select(Lead).where(Lead.cap_hash == cap_hash)).all()
    return hold_leads(session, *(standing_for(session, one).id for one in found))


def withdraw_follow_ups(session: Session, lead: Lead, now: datetime) -> None:
    """End every consent to follow-ups that this lead gave."""
    _withdraw(session, lead, (ConsentKind.FOLLOW_UPS,), now)


def _withdraw(session: Session, lead: Lead, kinds: Sequence[ConsentKind], now: datetime) -> None:
    session.execute(
        update(Consent)
        .where(
            Consent.lead_id == lead.id,
            Consent.kind.in_(kinds),
            Consent.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=now)
    )
