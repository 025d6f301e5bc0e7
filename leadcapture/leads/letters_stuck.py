"""Stuck letters: a person has one tried again, says that it arrived, or ends it.

Each act is a compare-and-swap of the outbox's own, so that of it and a worker's step, or of two
colleagues, one loses; whoever loses is told where the letter stands now.

A letter that ended stays so for good. Where no copy of it can have left, taking that back holds a
new letter in its place, for the same reason: it goes out when a person has it tried again.
"""

import enum
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, exists, func, select, update
from sqlalchemy.orm import Session

from leadcapture.leads import letters_again
from leadcapture.leads.decisions import finish_tasks
from leadcapture.leads.letters_ahead import TOO_LATE, Answer, is_paused, tell
from leadcapture.models import (
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import caps, ledger, policy, stops
from leadcapture.outbox.holding import hold_leads
from leadcapture.outbox.queue import draft_again, enqueue
from leadcapture.settings import Settings
from leadcapture.vault import Vault

ENDED = "staff_cancelled"
_NOTED = (MessageState.FAILED, MessageState.BOUNCED)


class Act(enum.StrEnum):
    """What a person decides of a letter that stands still; the value is the timeline's entry."""

    TRY_AGAIN = "letter_tried_again"
    ARRIVED = "letter_arrived"
    END = "letter_ended"
    NOTED = "letter_settled"
    HOLD_AGAIN = "letter_held_again"
    UNNOTED = "letter_unsettled"


def is_held(message: Message) -> bool:
    """True for what waits for a decision; a letter that a colleague paused waits for none."""
    return message.state is MessageState.HELD and not is_paused(message)


def may_try_again(message: Message) -> bool:
    """Whether another try can come to anything.

    What this release does not know how to write it holds again (SC-08), and a copy that differs
    from the first stays different (I6).
    """
    is_known = message.kind in set(MessageKind)
    return is_held(message) and is_known and message.reason != "differs_from_first_copy"


def may_have_arrived(message: Message) -> bool:
    """Whether a copy may be with its reader already: then a person can know that it is."""
    return message.state is MessageState.UNCERTAIN or (is_held(message) and message.doubts > 0)


def try_again(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Queue a held letter again, due now; its refusal where it would be stopped at once.

    Should it stop once more, it comes back to this page.
    """
    if not is_held(message):
        return TOO_LATE
    if not may_try_again(message):
        return Answer(False, refused=message.reason)
    refusal = _refusal(session, message, now)
    if refusal is not None and refusal.state is not MessageState.QUEUED:
        return Answer(False, refused=refusal.reason)
    done = ledger.release(session, message, now)
    return _told(session, message, Act.TRY_AGAIN, actor_id, now, done)


def note_arrival(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Count a letter in doubt as sent, since a colleague knows that it arrived."""
    if not may_have_arrived(message):
        return TOO_LATE
    done = ledger.settle_by_evidence(session, message, now, "staff", since=message.state)
    return _told(session, message, Act.ARRIVED, actor_id, now, done)


def end(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Never send a held letter, or never again; that is final."""
    if not is_held(message):
        return TOO_LATE
    since, reason = (MessageState.HELD,), message.reason
    cancelled = MessageState.CANCELLED
    done = ledger.settle(session, message, cancelled, now, since=since, reason=ENDED)
    return _told(session, message, Act.END, actor_id, now, done, held=reason)


def settle(session: Session, message: Message, actor_id: int, now: datetime) -> Answer:
    """Deal with whatever stands still: what failed is taken note of, what is held ends.

    A letter in doubt settles itself within half an hour, or is held.
    """
    if is_held(message):
        return end(session, message, actor_id, now)
    if message.state not in _NOTED:
        return TOO_LATE
    asked = session.scalar(select(exists().where(Task.message_id == message.id)))
    if not asked:
        ledger.ask_staff(session, message, f"letter_{message.state}", now)
        session.flush()
    if not finish_tasks(session, Task.message_id == message.id, now):
        return TOO_LATE
    return _told(session, message, Act.NOTED, actor_id, now, True)


def may_be_taken_back(message: Message) -> bool:
    """Whether what was decided of the letter can be, as far as the letter itself says.

    Of an ended one no copy may have been at the dot: a new letter would be one more (I6).
    """
    if message.state in _NOTED:
        return True
    is_ended = message.state is MessageState.CANCELLED and message.reason == ENDED
    is_known = message.kind in set(MessageKind) and message.lead_id is not None
    return is_ended and is_known and message.sha256 is None and not message.doubts


def take_back(
    session: Session,
    vault: Vault,
    settings: Settings,
    message: Message,
    actor_id: int,
    now: datetime,
) -> bool:
    """Have the letter stand still again, as it did before it was dealt with or ended.

    False where it does already, and where what came since leaves it no place.
    """
    if not may_be_taken_back(message):
        return False
    act = Act.UNNOTED if message.state in _NOTED else Act.HOLD_AGAIN
    if act is Act.UNNOTED:
        done = _ask_again(session, message)
    else:
        done = _hold_again(session, vault, settings, message, now)
    if done:
        tell(session, message, act, actor_id, now)
    return done


def _ask_again(session: Session, message: Message) -> bool:
    """Open the tasks that were ticked off last about this letter."""
    about = Task.message_id == message.id
    if session.scalar(select(exists().where(about, Task.done_at.is_(None)))):
        return False
    last = select(func.max(Task.done_at)).where(about).scalar_subquery()
    opened = session.execute(
        update(Task)
        .where(about, Task.done_at == last)
        .values(done_at=None)
        .execution_options(synchronize_session=False)
    )
    session.expire_all()
    return bool(cast(CursorResult[Any], opened).rowcount)


def _hold_again(
    session: Session, vault: Vault, settings: Settings, message: Message, now: datetime
) -> bool:
    """Write the letter anew, once, and hold it in the same transaction."""
    ended = session.scalar(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == message.lead_id, TimelineEntry.message_id == message.id)
        .where(TimelineEntry.kind == Act.END)
    )
    lead = next(iter(hold_leads(session, message.lead_id or 0)), None)
    # It goes where it was meant to go, or nowhere: whoever moved since has letters of their own.
    if ended is None or "held" not in ended.facts or lead is None:
        return False
    if lead.status is LeadStatus.MERGED or lead.email != message.recipient:
        return False
    if stops.is_suppressed(session, message.cap_hash, message.kind):
        return False
    cap_hash, is_step = message.cap_hash, message.kind == MessageKind.FOLLOW_UP
    if is_step and letters_again.is_on_its_way(session, cap_hash, message.step):
        return False
    draft = draft_again(vault, message, f"again:never:{message.ref}")
    enqueue(session, vault, settings.mail_domain, [draft], now)
    fresh = session.scalar(select(Message).where(Message.ref == draft.ref))
    if fresh is None:
        return False
    since, reason = (MessageState.QUEUED,), str(ended.facts["held"])
    ledger.settle(session, fresh, MessageState.HELD, now, since=since, reason=reason)
    ledger.ask_staff(session, fresh, "letter_held", now)
    return True


def _refusal(session: Session, message: Message, now: datetime) -> policy.Refusal | None:
    """What would stop it at once; not its time, where the release gives it that anew."""
    if message.kind not in caps.PACKETS:
        return policy.refusal(session, message, now)
    kept_until, message.not_after = message.not_after, None
    try:
        return policy.refusal(session, message, now)
    finally:
        message.not_after = kept_until


def _told(
    session: Session,
    message: Message,
    act: Act,
    actor_id: int,
    now: datetime,
    is_done: bool,
    **facts: str,
) -> Answer:
    """Tell on the timeline and in the audit who decided, and ask nobody any more."""
    session.refresh(message)
    if not is_done:
        return TOO_LATE
    finish_tasks(session, Task.message_id == message.id, now)
    tell(session, message, act, actor_id, now, state=message.state, **facts)
    return Answer(True, message.due_at)
