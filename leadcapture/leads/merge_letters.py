"""The letters of two leads that become one: one person gets one sequence."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Lead, LeadStatus, Message, MessageKind, MessageState
from leadcapture.outbox import readdressing, stops
from leadcapture.outbox.readdressing import Address
from leadcapture.settings import Settings
from leadcapture.vault import Vault

CANCELLED = "merged"
_NOT_LEFT = (MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)


def keep_one_sequence(
    session: Session,
    vault: Vault,
    settings: Settings,
    kept: Lead,
    other: Lead,
    status: LeadStatus,
    now: datetime,
) -> dict[str, list[int]]:
    """One person gets one sequence, at the address that stays: that of the lead that stays.

    Where only the other has one, its letters go to the address that stays. None goes on where
    the status says that somebody has spoken with the person.
    """
    own, others = (_follow_ups(session, lead.id) for lead in (kept, other))
    ended = list(others) if own else []
    if status is not LeadStatus.NEW:
        ended = [*own, *others]
        stops.cancel_follow_ups(session, kept.id, f"status_{status}", now)
        stops.cancel_follow_ups(session, other.id, f"status_{status}", now)
    elif own:
        stops.cancel_follow_ups(session, other.id, CANCELLED, now)
    if ended or not others or not kept.email:
        return {"stopped": ended, "readdressed": []}
    letters = readdressing.letters_to(session, other.id, other.cap_hash, [MessageKind.FOLLOW_UP])
    to = Address(kept.email, kept.cap_hash)
    followed = readdressing.follow(session, vault, settings, letters, to, now)
    return {"stopped": followed.stopped, "readdressed": followed.moved}


def send_back(
    session: Session,
    vault: Vault,
    settings: Settings,
    readdressed: Sequence[int],
    other: Lead,
    now: datetime,
) -> set[int]:
    """The letters that had followed and have not left go to the other's own address again."""
    letters = session.scalars(
        select(Message)
        .where(Message.id.in_(readdressed), Message.state.in_(_NOT_LEFT))
        .execution_options(populate_existing=True)
    ).all()
    to = Address(other.email, other.cap_hash)
    followed = readdressing.follow(session, vault, settings, letters, to, now, reason="")
    return {*followed.moved, *followed.stopped}


def _follow_ups(session: Session, lead_id: int) -> Sequence[int]:
    return session.scalars(
        select(Message.id).where(
            Message.lead_id == lead_id,
            Message.kind == MessageKind.FOLLOW_UP,
            Message.state.in_(_NOT_LEFT),
        )
    ).all()
