"""The ledger: each change of a message's state, as a compare-and-swap that can lose.

Each names the state and the fence it starts from. A row count of 0 means that somebody else
moved the message meanwhile: a worker that was thought dead, an unsubscribe, an erasure.
Whoever loses leaves the row as it is. Row locks play no part. The steps that nearly every
letter takes, claim, intent and sent, are in `claims`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, and_, insert, or_, select, update
from sqlalchemy.orm import Session

from leadcapture.models import Attempt, Message, MessageState, Task
from leadcapture.outbox import caps, claims
from leadcapture.outbox.queue import new_ref

DOUBT_WAITS = timedelta(minutes=30)
STAFF_TOLD_AFTER = timedelta(hours=4)
_STOPS = ("letter_held", "letter_uncertain")
# A packet that nobody could send for so long asks staff first: who waits may have been helped, or
# want it no more. A little longer than it is tried, so that its last try is made.
PACKET_KEPT = timedelta(days=5, hours=5)


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


def keep_copy(session: Session, message: Message, payload: bytes) -> None:
    """Keep what was at the dot with the message, where it may have to go there again."""
    session.execute(
        update(Message)
        .where(
            Message.id == message.id,
            Message.fence == message.fence,
            Message.state.in_((MessageState.QUEUED, MessageState.UNCERTAIN)),
        )
        .values(payload=payload)
        .execution_options(synchronize_session=False)
    )


def reclaim_lost(session: Session, now: datetime) -> int:
    """Give back what dead workers held: claimed is safe to queue again, sending is in doubt.

    A lease longer than any that we give is of the time before the clock was put back. Before the
    dot it ends at once; after it, that would only raise a doubt about a worker that may be alive.
    """
    is_of_before = and_(
        Message.state == MessageState.CLAIMED,
        Message.lease_until > now + 2 * claims.SEND_LEASE,
    )
    lost = session.scalars(
        select(Message)
        .where(
            Message.state.in_((MessageState.CLAIMED, MessageState.SENDING)),
            or_(Message.lease_until < now, is_of_before),
        )
        .limit(500)
        .with_for_update(skip_locked=True, of=Message, key_share=True)
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
        .with_for_update(skip_locked=True, of=Message, key_share=True)
        .execution_options(populate_existing=True)
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


def settle_by_evidence(
    session: Session,
    message: Message,
    now: datetime,
    source: str,
    since: MessageState = MessageState.UNCERTAIN,
) -> bool:
    """Count a message in doubt as sent, since ``source`` shows it; False where it is in none.

    Only a person settles what is held after its second doubt.
    """
    return settle(
        session,
        message,
        MessageState.SENT,
        now,
        since=(since,),
        reason=f"evidence_{source}",
        sent_at=message.state_at,
    )


def bounce(session: Session, message: Message, now: datetime, reason: str) -> bool:
    """Write that a sent message came back; False where it is not sent, or came back before."""
    return settle(
        session, message, MessageState.BOUNCED, now, since=(MessageState.SENT,), reason=reason
    )


def release(session: Session, message: Message, now: datetime) -> bool:
    """A person decides that a held message shall be tried again; False where it is not held.

    It is kept for as long as one that was queued now.
    """
    span = {"not_after": now + PACKET_KEPT} if message.kind in caps.PACKETS else {}
    return settle(
        session,
        message,
        MessageState.QUEUED,
        now,
        since=(MessageState.HELD,),
        reason="released",
        due_at=now,
        attempts=0,
        **span,
    )


def tell_of_delay(session: Session, now: datetime) -> int:
    """Ask staff about each letter that a person has waited for over 4 h (MD-05); how many."""
    late_since = now - STAFF_TOLD_AFTER
    told = select(Task.id).where(Task.message_id == Message.id, Task.kind == "letter_late")
    # A letter is due when it is queued; after a try, ``mail_date`` says when that was.
    waited = or_(
        Message.mail_date <= late_since,
        and_(Message.mail_date.is_(None), Message.due_at <= late_since),
    )
    late = session.scalars(
        select(Message)
        .where(Message.state == MessageState.QUEUED, Message.priority == 0, waited, ~told.exists())
        .limit(500)
    ).all()
    for message in late:
        ask_staff(session, message, "letter_late", now)
    return len(late)


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
    """Give staff one task about this message, however often it comes up.

    A letter that stops again after a person had it tried again asks again.
    """
    key = f"{kind}:{message.ref}"
    task = session.scalar(select(Task).where(Task.dedupe_key == key))
    if task is None:
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
    elif task.done_at is not None and kind in _STOPS:
        task.done_at, task.due_at = None, now


def _swap(
    session: Session,
    message_id: int,
    start: MessageState,
    start_fence: int,
    **changes: Any,
) -> bool:
    swapped = session.execute(
        update(Message)
        .where(
            Message.id == message_id,
            Message.state == start,
            Message.fence == start_fence,
        )
        .values(**changes)
        .execution_options(synchronize_session=False)
    )
    return cast(CursorResult[Any], swapped).rowcount == 1
