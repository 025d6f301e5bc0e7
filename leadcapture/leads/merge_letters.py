"""The letters of two leads that become one, and of two that are parted again.

One person gets one sequence. A letter that ended stays so for good: where an undo lets it go on
after all, it is a new one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.leads.contact import CallOutcome, Meeting
from leadcapture.models import (
    OPEN_STATES,
    Lead,
    LeadStatus,
    Merge,
    Message,
    MessageKind,
    MessageState,
    TimelineEntry,
)
from leadcapture.outbox import ledger, policy, readdressing, stops
from leadcapture.outbox.queue import Draft, domain_of, enqueue, open_payload
from leadcapture.outbox.readdressing import Address
from leadcapture.settings import Settings
from leadcapture.vault import Vault

CANCELLED = "merged"
_NOT_LEFT = (MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)
_STOPPED = (MessageState.CANCELLED, MessageState.SUPPRESSED)
_DEALT_WITH = ("answered", "call_logged", *Meeting, "status_changed", "follow_ups_cancelled")


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
    again = dict(_drafts(session, vault, settings, merge, now))
    mail_domain = settings.mail_from.rpartition("@")[2]
    enqueue(session, vault, mail_domain, again.values(), now)
    for number, draft in again.items():
        if why := held.get(str(number)):
            fresh = session.scalars(select(Message).where(Message.ref == draft.ref)).one()
            since = (MessageState.QUEUED,)
            ledger.settle(session, fresh, MessageState.HELD, now, since=since, reason=why)
    return Counter(draft.lead_id for draft in again.values() if draft.lead_id)


def _drafts(
    session: Session, vault: Vault, settings: Settings, merge: Merge, now: datetime
) -> Iterator[tuple[int, Draft]]:
    """The letters that go on, each beside the id of the one that it stands for."""
    for letter in stopped_by(session, merge):
        lead = session.get(Lead, letter.lead_id) if letter.lead_id else None
        if lead is None or not _may_go_on(session, letter, lead, now):
            continue
        payload = open_payload(vault, letter)
        yield (
            letter.id,
            Draft(
                kind=MessageKind.FOLLOW_UP,
                step=letter.step,
                dedupe_key=f"again:{merge.ref}:{letter.ref}",
                recipient=lead.email,
                language=letter.language,
                time_zone=lead.time_zone,
                due_at=letter.due_at,
                not_after=letter.not_after,
                letter=payload["letter"],
                packets=tuple(payload["packets"]),
                values=readdressing.values_for(settings, payload["values"], lead.cap_hash),
                lead_id=lead.id,
                request_id=letter.request_id,
                cap_hash=lead.cap_hash,
            ),
        )


def _may_go_on(session: Session, letter: Message, lead: Lead, now: datetime) -> bool:
    """As when it leaves, on its day; the same step may be on its way there since a new request."""
    refusal = policy.refusal(session, letter, max(letter.due_at, now))
    if refusal is not None and refusal.state is not MessageState.QUEUED:
        return False
    if not domain_of(lead.email) or stops.is_suppressed(session, lead.cap_hash, letter.kind):
        return False
    same = select(Message.id).where(
        Message.cap_hash == lead.cap_hash,
        Message.kind == MessageKind.FOLLOW_UP,
        Message.step == letter.step,
        Message.state.in_(OPEN_STATES),
    )
    return session.scalar(same.limit(1)) is None


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
            TimelineEntry.kind.in_(_DEALT_WITH),
            # By their order: an answer's instant is when it was written, and it may be read later.
            TimelineEntry.id > merged.scalar_subquery(),
        )
    )
    return any(
        kind != "call_logged" or facts.get("outcome") == CallOutcome.REACHED
        for kind, facts in since
    )


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
