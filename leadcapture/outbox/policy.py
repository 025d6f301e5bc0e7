"""What is checked again when a letter is about to leave."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.models import (
    Consent,
    ConsentKind,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
)
from leadcapture.outbox import caps, hours, stops

# What somebody waits for: neither consent nor hours nor caps are asked.
AWAITED = frozenset(MessageKind) - {MessageKind.FOLLOW_UP}


@dataclass(frozen=True)
class Refusal:
    """A letter does not leave: the state it takes, the word why, and when to ask again."""

    state: MessageState
    reason: str
    due_at: datetime | None = None


def needs_no_question(message: Message, is_suppressed: bool, now: datetime) -> bool:
    """True for what may leave by what its row and its address's suppressions say."""
    is_late = message.not_after is not None and now > message.not_after
    return message.kind in AWAITED and not is_suppressed and not is_late


def refusal(session: Session, message: Message, now: datetime) -> Refusal | None:
    """Why this message may not leave now; None where it may."""
    if message.not_after is not None and now > message.not_after:
        return Refusal(MessageState.EXPIRED, "too_late")
    if message.kind not in set(MessageKind):
        # A later release queued it: only that release knows when it may leave (SC-08).
        return Refusal(MessageState.HELD, "unknown_kind")
    if message.kind == MessageKind.STAFF_ALERT:
        return None
    if stops.is_suppressed(session, message.cap_hash, message.kind):
        return Refusal(MessageState.SUPPRESSED, "unsubscribed")
    if message.kind == MessageKind.FOLLOW_UP:
        return _follow_up_refusal(session, message, now)
    return None


def _follow_up_refusal(session: Session, message: Message, now: datetime) -> Refusal | None:
    lead = session.get(Lead, message.lead_id) if message.lead_id else None
    if lead is None:
        return Refusal(MessageState.CANCELLED, "erased")
    if lead.status is not LeadStatus.NEW:
        return Refusal(MessageState.CANCELLED, f"status_{lead.status}")
    if not _agreed_to_follow_ups(session, lead.id):
        return Refusal(MessageState.CANCELLED, "consent_withdrawn")
    if not hours.is_open(now, message.time_zone):
        later = hours.next_open(now, message.time_zone)
        return Refusal(MessageState.QUEUED, "quiet_hours", later)
    return _cap_refusal(session, message, lead, now)


def _agreed_to_follow_ups(session: Session, lead_id: int) -> bool:
    standing = select(Consent.id).where(
        Consent.lead_id == lead_id,
        Consent.kind == ConsentKind.FOLLOW_UPS,
        Consent.withdrawn_at.is_(None),
    )
    return session.scalar(standing.limit(1)) is not None


def _cap_refusal(session: Session, message: Message, lead: Lead, now: datetime) -> Refusal | None:
    """Per address over all kinds and leads, and less for one that nobody has confirmed.

    There a follow-up does not go before a packet that is held, however old that is; once another
    packet has left since, the held one no longer stands before it.
    """
    day, month = now - caps.DAY, now - caps.MONTH
    counted = select(
        func.count().filter(caps.is_follow_up_since(day)),
        func.count().filter(caps.is_follow_up_since(month)),
        func.count().filter(caps.is_letter_since(day)),
        func.count().filter(caps.is_letter_since(month)),
        func.max(Message.state_at).filter(caps.IS_HELD_PACKET),
        func.max(Message.state_at).filter(caps.IS_PACKET_THAT_LEFT),
    ).where(Message.cap_hash == message.cap_hash, Message.id != message.id)
    follow_ups_in_day, follow_ups_in_month, in_day, in_month, held_at, left_at = session.execute(
        counted
    ).one()
    if follow_ups_in_day >= caps.FOLLOW_UPS.daily:
        return Refusal(MessageState.SUPPRESSED, "capped_daily")
    if follow_ups_in_month >= caps.FOLLOW_UPS.monthly:
        return Refusal(MessageState.SUPPRESSED, "capped_monthly")
    if lead.confirmed_at is not None:
        return None
    if held_at is not None and (left_at is None or left_at < held_at):
        return Refusal(MessageState.SUPPRESSED, "packet_held")
    if caps.UNCONFIRMED.is_reached(in_day, in_month):
        return Refusal(MessageState.SUPPRESSED, "capped_unconfirmed")
    return None
