"""The letters of two leads that become one, and of two that are parted again.

One person gets one sequence. A letter that ended stays so for good: where an undo lets it go on
after all, it is a new one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.leads import letters_again
from leadcapture.models import (
    Lead,
    LeadStatus,
    Merge,
    Message,
    MessageKind,
    MessageState,
    TimelineEntry,
)
from leadcapture.outbox import readdressing, stops
from leadcapture.outbox.readdressing import Address
from leadcapture.settings import Settings
from leadcapture.vault import Vault

CANCELLED = "merged"
_NOT_LEFT = (MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)
_STOPPED = (MessageState.CANCELLED, MessageState.SUPPRESSED)


def keep_one_sequence(
    session: Session,
    vault: Vault,
    settings: Settings,
    kept: Lead,
    other: Lead,
    status: LeadStatus,
    now: datetime,
) -> dict[str, Any]:
    """One person gets one sequence, at the address that stays: that of the lead that stays.

    Where only the other has one, its letters go to the address that stays. None goes on where
    the status says that somebody has spoken with the person.
    """
    own, others = (_follow_ups(session, lead.id) for lead in (kept, other))
    held = _why_held(session, [*own, *others])
    ended = list(others) if own else []
    if status is not LeadStatus.NEW:
        ended = [*own, *others]
        stops.cancel_follow_ups(session, kept.id, f"status_{status}", now)
        stops.cancel_follow_ups(session, other.id, f"status_{status}", now)
    elif own:
        stops.cancel_follow_ups(session, other.id, CANCELLED, now)
    if ended or not others or not kept.email:
        return {"stopped": ended, "held": held, "readdressed": []}
    letters = readdressing.letters_to(session, other.id, other.cap_hash, [MessageKind.FOLLOW_UP])
    to = Address(kept.email, kept.cap_hash)
    reasons = {str(letter.id): letter.reason for letter in letters if letter.reason}
    followed = readdressing.follow(session, vault, settings, letters, to, now)
    moved = {"readdressed": followed.moved, "reasons": reasons}
    return {"stopped": followed.stopped, "held": held, **moved}


def send_back(
    session: Session,
    vault: Vault,
    settings: Settings,
    moved: Mapping[str, Any],
    other: Lead,
    now: datetime,
) -> set[int]:
    """The letters that had followed and have not left go to the other's own address again."""
    letters = session.scalars(
        select(Message)
        .where(Message.id.in_(moved["readdressed"]), Message.state.in_(_NOT_LEFT))
        .execution_options(populate_existing=True)
    ).all()
    to = Address(other.email, other.cap_hash)
    # The release before noted no reasons.
    reasons: Mapping[str, str] = moved.get("reasons", {})
    back: set[int] = set()
    for letter in letters:
        reason = reasons.get(str(letter.id), "")
        followed = readdressing.follow(session, vault, settings, [letter], to, now, reason)
        back |= {*followed.moved, *followed.stopped}
    return back


def stopped_by(session: Session, merge: Merge) -> Sequence[Message]:
    """The follow-ups that ended in the merge itself, the oldest first."""
    return session.scalars(
        select(Message)
        .where(
            Message.id.in_(merge.moved["stopped"]),
            Message.state.in_(_STOPPED),
            Message.state_at == merge.at,
        )
        .order_by(Message.id)
        .execution_options(populate_existing=True)
    ).all()


def queue_again(
    session: Session, vault: Vault, settings: Settings, merge: Merge, now: datetime
) -> Counter[int]:
    """Queue anew what ended in the merge and may still go out; how many letters, by lead.

    Called when the two stand apart again. Each goes to its lead's address of now, on its old day
    and no later than it might have; what a colleague kept back is kept back again. None goes on
    where somebody has dealt with the person since: nobody can tell with which of the two.
    """
    held: Mapping[str, str] | None = merge.moved.get("held")
    # The release before did not note what was held: such a letter might go out now.
    if held is None or _was_dealt_with(session, merge):
        return Counter()
    stopped = stopped_by(session, merge)
    return letters_again.queue_again(session, vault, settings, stopped, merge.ref, held, now)


def _was_dealt_with(session: Session, merge: Merge) -> bool:
    """Whether since the merge the person answered, was spoken with, or staff stopped letters."""
    merged = select(func.max(TimelineEntry.id)).where(
        TimelineEntry.lead_id == merge.kept_id,
        TimelineEntry.kind == "merged",
        TimelineEntry.at == merge.at,
    )
    since = session.execute(
        select(TimelineEntry.kind, TimelineEntry.facts).where(
            TimelineEntry.lead_id == merge.kept_id,
            TimelineEntry.kind.in_(letters_again.DEALT_WITH),
            # By their order: an answer's instant is when it was written, and it may be read later.
            TimelineEntry.id > merged.scalar_subquery(),
        )
    )
    return any(letters_again.has_dealt(kind, facts) for kind, facts in since)


def _follow_ups(session: Session, lead_id: int) -> Sequence[int]:
    return session.scalars(
        select(Message.id).where(
            Message.lead_id == lead_id,
            Message.kind == MessageKind.FOLLOW_UP,
            Message.state.in_(_NOT_LEFT),
        )
    ).all()


def _why_held(session: Session, message_ids: Sequence[int]) -> dict[str, str]:
    """The reasons of those that are held, by their ids as JSON has them."""
    held = session.execute(
        select(Message.id, Message.reason).where(
            Message.id.in_(message_ids), Message.state == MessageState.HELD
        )
    )
    return {str(number): reason for number, reason in held}
