"""Stuck letters: a person has one tried again, says that it arrived, or ends it.

Each act is a compare-and-swap of the outbox's own, so that of it and a worker's step, or of two
colleagues, one loses; whoever loses is told where the letter stands now.
"""

import enum
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from leadcapture.leads import timeline
from leadcapture.leads.decisions import finish_tasks
from leadcapture.leads.letters_ahead import TOO_LATE, Answer, is_paused
from leadcapture.models import Message, MessageKind, MessageState, Task
from leadcapture.outbox import audit, caps, ledger, policy

_NOTED = (MessageState.FAILED, MessageState.BOUNCED)


class Act(enum.StrEnum):
    """What a person decides of a letter that stands still; the value is the timeline's entry."""

    TRY_AGAIN = "letter_tried_again"
    ARRIVED = "letter_arrived"
    END = "letter_ended"
    NOTED = "letter_settled"


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
    since = (MessageState.HELD,)
    cancelled = MessageState.CANCELLED
    done = ledger.settle(session, message, cancelled, now, since=since, reason="staff_cancelled")
    return _told(session, message, Act.END, actor_id, now, done)


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
    session: Session, message: Message, act: Act, actor_id: int, now: datetime, is_done: bool
) -> Answer:
    """Tell on the timeline and in the audit who decided, and ask nobody any more."""
    session.refresh(message)
    if not is_done:
        return TOO_LATE
    finish_tasks(session, Task.message_id == message.id, now)
    audit.record(session, actor_id, act, message.ref, now)
    if message.lead_id is not None:
        timeline.record(
            session,
            message.lead_id,
            act,
            now,
            actor_id=actor_id,
            message_id=message.id,
            facts={"letter": message.kind, "step": message.step, "state": message.state},
        )
    return Answer(True, message.due_at)
