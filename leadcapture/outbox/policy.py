"""What is checked again when a letter is about to leave."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
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
from leadcapture.outbox import hours, stops

# What somebody waits for: neither consent nor hours nor caps are asked.
AWAITED = frozenset(MessageKind) - {MessageKind.FOLLOW_UP}
DAILY_FOLLOW_UPS = 1
MONTHLY_FOLLOW_UPS = 5
DAILY_MAIL_UNCONFIRMED = 1
MONTHLY_MAIL_UNCONFIRMED = 3
_PACKETS = (MessageKind.PACKET, MessageKind.PACKET_LINK)
_LEFT = (MessageState.SENT, MessageState.SENDING, MessageState.UNCERTAIN)
_AHEAD = (MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)


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
    """Per address over all kinds and leads: one follow-up a day, five in 30 days.

    An address that nobody has confirmed gets one message of any kind a day, three in 30 days. A
    packet that is still to leave counts there: it was asked for, and goes first.
    """

    def count(*which: ColumnElement[bool]) -> int:
        others = (Message.cap_hash == message.cap_hash, Message.id != message.id)
        return session.scalar(select(func.count()).where(*others, *which)) or 0

    def left(since: timedelta, *kinds: MessageKind) -> int:
        # Whatever became of it: after a doubt a copy may have arrived.
        has_left = or_(Message.state.in_(_LEFT), Message.doubts > 0)
        return count(Message.kind.in_(kinds), has_left, Message.state_at > now - since)

    if left(timedelta(days=1), MessageKind.FOLLOW_UP) >= DAILY_FOLLOW_UPS:
        return Refusal(MessageState.SUPPRESSED, "capped_daily")
    if left(timedelta(days=30), MessageKind.FOLLOW_UP) >= MONTHLY_FOLLOW_UPS:
        return Refusal(MessageState.SUPPRESSED, "capped_monthly")
    if lead.confirmed_at is None:
        kinds = (MessageKind.FOLLOW_UP, *_PACKETS)
        ahead = count(Message.kind.in_(_PACKETS), Message.state.in_(_AHEAD))
        if (
            left(timedelta(days=1), *kinds) + ahead >= DAILY_MAIL_UNCONFIRMED
            or left(timedelta(days=30), *kinds) + ahead >= MONTHLY_MAIL_UNCONFIRMED
        ):
            return Refusal(MessageState.SUPPRESSED, "capped_unconfirmed")
    return None
