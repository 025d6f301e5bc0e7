"""The ledger: each change of a message's state, as a compare-and-swap that can lose.

A claim, an intent and an outcome name the state and the fence they start from. A row count
of 0 means that somebody else moved the message meanwhile: a worker that was thought dead, an
unsubscribe, an erasure. Whoever loses leaves the row as it is. Row locks play no part.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.orm import Session

from leadcapture.models import Attempt, Message, MessageState, Task
from leadcapture.outbox.queue import new_ref

CLAIM_LEASE = timedelta(seconds=120)
SEND_LEASE = timedelta(seconds=660)
DOUBT_WAITS = timedelta(minutes=30)


def claim_next(session: Session, now: datetime) -> Message | None:
    """Claim one due message; what a person waits for goes before reminders."""
    for priority in (0, 1):
        due = (
            select(Message.id, Message.fence)
            .where(
                Message.state == MessageState.QUEUED,
                Message.priority == priority,
                Message.due_at <= now,
            )
            .order_by(Message.due_at, Message.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        found = session.execute(due).first()
        if found is not None:
            return claim(session, found.id, found.fence, now)
    return None


def is_anything_due(session: Session, now: datetime) -> bool:
    """True where a due message stands in the queue, locked by another worker or not."""
    due = select(Message.id).where(Message.state == MessageState.QUEUED, Message.due_at <= now)
    return session.scalar(due.limit(1)) is not None


def claim(session: Session, message_id: int, fence: int, now: datetime) -> Message | None:
    """Claim this message if nobody has since; None where the race was lost."""
    won = _swap(
        session,
        message_id,
        MessageState.QUEUED,
        fence,
        state=MessageState.CLAIMED,
        fence=fence + 1,
        attempts=Message.attempts + 1,
        lease_until=now + CLAIM_LEASE,
        state_at=now,
    )
    if not won:
        return None
    return session.get_one(Message, message_id, populate_existing=True)


def declare_intent(session: Session, message: Message, sha256: str, now: datetime) -> bool:
    """Say that the dot is about to be sent. False: it must not be."""
    return _swap(
        session,
        message.id,
        MessageState.CLAIMED,
        message.fence,
        state=MessageState.SENDING,
        sha256=sha256,
        lease_until=now + SEND_LEASE,
        state_at=now,
    )


def settle(
    session: Session,
    message: Message,
    state: MessageState,
    now: datetime,
    *,
    since: Sequence[MessageState] = (MessageState.CLAIMED, MessageState.SENDING),
    **changes: Any,
) -> bool:
    """Write an outcome from a claim of ours; False where the claim is ours no more."""
    for start in since:
        if _swap(
            session,
            message.id,
            start,
            message.fence,
            state=state,
            lease_until=None,
            state_at=now,
            **changes,
        ):
            return True
    return False


def reclaim_lost(session: Session, now: datetime) -> int:
    """Give back what dead workers held: claimed is safe to queue again, sending is in doubt."""
    lost = session.scalars(
        select(Message)
        .where(
            Message.state.in_((MessageState.CLAIMED, MessageState.SENDING)),
            Message.lease_until < now,
        )
        .limit(500)
        .execution_options(populate_existing=True)
    ).all()
    count = 0
    for message in lost:
        before_dot = message.state is MessageState.CLAIMED
        if before_dot:
            won = settle(
                session,
                message,
                MessageState.QUEUED,
                now,
                # Its worker may declare the intent in this very moment: then it is not free.
                since=(MessageState.CLAIMED,),
                reason="worker_lost",
                due_at=now,
            )
        else:
            won = doubt(session, message, now)
        if won:
            note_attempt(session, message, "body" if before_dot else "dot", None, "", "lost", now)
            count += 1
    return count


def doubt(session: Session, message: Message, now: datetime) -> bool:
    """Record that the relay may or may not have taken this copy."""
    return settle(
        session,
        message,
        MessageState.UNCERTAIN,
        now,
        since=(MessageState.SENDING,),
        reason="no_answer_after_dot",
        doubts=Message.doubts + 1,
    )


def resolve_doubts(session: Session, now: datetime, resend: Sequence[str]) -> int:
    """After 30 minutes without evidence: resend once, or settle as sent, or hold for staff."""
    waiting = session.scalars(
        select(Message)
        .where(Message.state == MessageState.UNCERTAIN, Message.state_at <= now - DOUBT_WAITS)
        .limit(500)
    ).all()
    for message in waiting:
        since = (MessageState.UNCERTAIN,)
        if message.kind not in resend:
            settle(
                session,
                message,
                MessageState.SENT,
                now,
                since=since,
                reason="assumed_sent",
                sent_at=message.state_at,
            )
        elif message.doubts < 2:
            settle(
                session,
                message,
                MessageState.QUEUED,
                now,
                since=since,
                reason="resent_after_doubt",
                due_at=now,
            )
        else:
            settle(session, message, MessageState.HELD, now, since=since, reason="doubt_twice")
            ask_staff(session, message, "letter_uncertain", now)
    return len(waiting)


def release(session: Session, message: Message, now: datetime) -> bool:
    """A person decides that a held message shall be tried again; False where it is not held."""
    return settle(
        session,
        message,
        MessageState.QUEUED,
        now,
        since=(MessageState.HELD,),
        reason="released",
        due_at=now,
        attempts=0,
    )


def note_attempt(
    session: Session,
    message: Message,
    phase: str,
    code: int | None,
    enhanced: str,
    outcome: str,
    now: datetime,
) -> None:
    """Add a row to the ledger of attempts."""
    session.execute(
        insert(Attempt).values(
            message_id=message.id,
            fence=message.fence,
            phase=phase,
            code=code,
            enhanced=enhanced[:12],
            outcome=outcome,
            at=now,
        )
    )


def ask_staff(session: Session, message: Message, kind: str, now: datetime) -> None:
    """Give staff one task about this message, however often it comes up."""
    key = f"{kind}:{message.ref}"
    if session.scalar(select(Task.id).where(Task.dedupe_key == key)) is None:
        session.add(
            Task(
                ref=new_ref(),
                dedupe_key=key,
                kind=kind,
                lead_id=message.lead_id,
                message_id=message.id,
                due_at=now,
                created_at=now,
            )
        )


def _swap(
    session: Session, message_id: int, start: MessageState, start_fence: int, **changes: Any
) -> bool:
    swapped = session.execute(
        update(Message)
        .where(Message.id == message_id, Message.state == start, Message.fence == start_fence)
        .values(**changes)
        .execution_options(synchronize_session=False)
    )
    return cast(CursorResult[Any], swapped).rowcount == 1
