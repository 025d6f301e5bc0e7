"""Letters ahead: a person skips, pauses, resumes or hastens a letter that has not left.

Each act is a compare-and-swap of the outbox's own, so that of it and a worker's intent one
loses; whoever loses here is told that the letter is just leaving.
"""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import letters_again, timeline
from leadcapture.leads.follow_ups import KEEPS
from leadcapture.models import Message, MessageKind, MessageState, TimelineEntry
from leadcapture.outbox import audit, caps, hours, ledger, policy
from leadcapture.outbox.holding import hold_leads
from leadcapture.settings import Settings
from leadcapture.vault import Vault

PAUSED = "paused"
A_SLIP = timedelta(minutes=10)
"""So long after a pause, who pressed it may take it back."""
_UNCLAIMED = (MessageState.QUEUED, MessageState.CLAIMED)


class Act(enum.StrEnum):
    """What can be done with a letter to come; its value is the entry on the timeline."""

    SKIP = "letter_skipped"
    PAUSE = "letter_paused"
    RESUME = "letter_resumed"
    SEND_NOW = "letter_hastened"
    UNSKIP = "letter_unskipped"
    UNPAUSE = "letter_unpaused"


@dataclass(frozen=True)
class Answer:
    """What became of an act: done or not, and then when the letter leaves.

    ``refused`` is the reason word of what a letter sent now would come to; empty where it was
    only too late.
    """

    is_done: bool
    leaves_at: datetime | None = None
    refused: str = ""


TOO_LATE = Answer(False)


def is_ahead(message: Message) -> bool:
    """True for what is still to come: queued, on its way to the relay, or paused."""
    return message.state in (*_UNCLAIMED, MessageState.SENDING) or is_paused(message)


def is_paused(message: Message) -> bool:
    """True for a letter that a colleague keeps back until somebody lets it go on."""
    return message.state is MessageState.HELD and message.reason == PAUSED


def skip(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Never send this letter; the others of its sequence stay as they are."""
    since = (*_UNCLAIMED, MessageState.HELD) if is_paused(message) else _UNCLAIMED
    changes = {"state": MessageState.CANCELLED, "reason": "staff_cancelled"}
    return _act(session, message, Act.SKIP, since, changes, actor_id, now)


def unskip(
    session: Session,
    vault: Vault,
    settings: Settings,
    message: Message,
    actor_id: int,
    now: datetime,
) -> bool:
    """Have a new follow-up go out for one that was skipped; False where none may any more."""
    skipped = session.scalar(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == message.lead_id, TimelineEntry.message_id == message.id)
        .where(TimelineEntry.kind == Act.SKIP)
    )
    if skipped is None or message.kind != MessageKind.FOLLOW_UP or message.lead_id is None:
        return False
    hold_leads(session, message.lead_id)
    # Who lets a paused letter go on signs in afresh; this is no way around it.
    held = {str(message.id): PAUSED} if skipped.facts.get("paused") else {}
    if not letters_again.queue_again(session, vault, settings, [message], "skip", held, now):
        return False
    audit.record(session, actor_id, Act.UNSKIP, message.ref, now)
    facts = {"letter": message.kind, "step": message.step}
    timeline.record(
        session,
        message.lead_id,
        Act.UNSKIP,
        now,
        actor_id=actor_id,
        message_id=message.id,
        facts=facts,
    )
    return True


def pause(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Keep the letter back until somebody resumes it."""
    changes = {"state": MessageState.HELD, "reason": PAUSED}
    return _act(session, message, Act.PAUSE, _UNCLAIMED, changes, actor_id, now)


def unpause(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Take back one's own pause of these minutes: the letter leaves when it would have left.

    Any other pause ends by `resume`, for which a person signs in afresh.
    """
    paused = session.scalars(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == message.lead_id, TimelineEntry.message_id == message.id)
        .where(TimelineEntry.kind == Act.PAUSE)
        .order_by(TimelineEntry.id.desc())
        .limit(1)
    ).first()
    if paused is None or not is_paused(message) or paused.at != message.state_at:
        return TOO_LATE
    if paused.actor_id != actor_id or not paused.at <= now <= paused.at + A_SLIP:
        return TOO_LATE
    leaves_at = message.due_at
    if leaves_at < now:
        leaves_at = _soonest(message, now)
    return _let_go(session, message, Act.UNPAUSE, leaves_at, actor_id, now)


def resume(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Let a paused letter go on its day, or as soon as it may where its day has passed."""
    if not is_paused(message):
        return TOO_LATE
    leaves_at = max(message.due_at, _soonest(message, now))
    return _let_go(session, message, Act.RESUME, leaves_at, actor_id, now)


def send_now(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Move the letter to now, or to the morning where it is night and it is a follow-up.

    Consent, suppressions and caps stand: where one would stop the letter, it keeps its day.
    A letter that was tried before keeps the pause that its mail server asked for.
    """
    if not is_paused(message) and (message.state is not MessageState.QUEUED or message.attempts):
        return TOO_LATE
    leaves_at = _soonest(message, now)
    kept_until = message.not_after
    message.not_after = _kept_until(message, leaves_at)
    refusal = policy.refusal(session, message, leaves_at)
    if refusal is not None and refusal.state is not MessageState.QUEUED:
        message.not_after = kept_until
        return Answer(False, refused=refusal.reason)
    return _let_go(session, message, Act.SEND_NOW, leaves_at, actor_id, now)


def _let_go(
    session: Session,
    message: Message,
    act: Act,
    leaves_at: datetime,
    actor_id: int,
    now: datetime,
) -> Answer:
    changes = {
        "state": MessageState.QUEUED,
        "reason": "quiet_hours" if act is Act.SEND_NOW and leaves_at > now else "",
        "due_at": leaves_at,
        "not_after": _kept_until(message, leaves_at),
    }
    return _act(session, message, act, (message.state,), changes, actor_id, now)


def _act(
    session: Session,
    message: Message,
    act: Act,
    since: tuple[MessageState, ...],
    changes: dict[str, Any],
    actor_id: int,
    now: datetime,
) -> Answer:
    """Swap, and tell on the timeline and in the audit who did it."""
    state = changes.pop("state")
    was_paused = is_paused(message)
    if not ledger.settle(session, message, state, now, since=since, **changes):
        session.refresh(message)
        return TOO_LATE
    session.refresh(message)
    tell(session, message, act, actor_id, now, paused=was_paused)
    return Answer(True, message.due_at)


def tell(
    session: Session, message: Message, act: str, actor_id: int, now: datetime, **facts: Any
) -> None:
    """Tell on the timeline and in the audit what a person decided of a letter."""
    audit.record(session, actor_id, act, message.ref, now)
    if message.lead_id is not None:
        timeline.record(
            session,
            message.lead_id,
            act,
            now,
            actor_id=actor_id,
            message_id=message.id,
            facts={"letter": message.kind, "step": message.step} | facts,
        )


def _soonest(message: Message, now: datetime) -> datetime:
    if message.kind != MessageKind.FOLLOW_UP:
        return now
    return hours.next_open(now, message.time_zone)


def _kept_until(message: Message, leaves_at: datetime) -> datetime | None:
    """What a person lets go after its time is as fresh then as one that was never kept back."""
    keeps = ledger.PACKET_KEPT if message.kind in caps.PACKETS else KEEPS
    return message.not_after and max(message.not_after, leaves_at + keeps)
