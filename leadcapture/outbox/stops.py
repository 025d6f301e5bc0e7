"""Stops: what has not left is cancelled or suppressed, in the transaction of its cause."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Update, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageKind, MessageState, Suppression, SuppressionScope

_SCOPES = select(Suppression.scope).where(Suppression.cap_hash == bindparam("cap_hash"))
_STOPPABLE = tuple(state for state in MessageState if state.is_stoppable)


def cancel_follow_ups(session: Session, lead_id: int, reason: str, now: datetime) -> int:
    """Cancel the lead's follow-ups that have not left; how many there were."""
    return _rows(
        session,
        update(Message)
        .where(
            Message.lead_id == lead_id,
            Message.kind == MessageKind.FOLLOW_UP,
            Message.state.in_(_STOPPABLE),
        )
        .values(state=MessageState.CANCELLED, reason=reason, state_at=now),
    )


def suppress(
    session: Session, cap_hash: str, scope: SuppressionScope, reason: str, now: datetime
) -> int:
    """Stop mail to an address for ever, known lead or not; how many messages this stopped.

    The same transaction turns the address's queued and claimed rows, so that of this and a
    worker's intent one loses, whichever commits first. Safe to repeat.
    """
    try:
        with session.begin_nested():
            session.execute(
                insert(Suppression).values(
                    cap_hash=cap_hash, scope=scope, reason=reason, created_at=now
                )
            )
    except IntegrityError:
        pass  # It stands already; the rows below may be newer than it.
    concerned = Message.kind == MessageKind.FOLLOW_UP
    if scope is SuppressionScope.ALL:
        concerned = Message.kind != MessageKind.STAFF_ALERT
    return _rows(
        session,
        update(Message)
        .where(Message.cap_hash == cap_hash, concerned, Message.state.in_(_STOPPABLE))
        .values(state=MessageState.SUPPRESSED, reason=reason, state_at=now),
    )


def is_suppressed(session: Session, cap_hash: str, kind: str) -> bool:
    """True where this kind of message may not go to this address."""
    scopes = session.execute(_SCOPES, {"cap_hash": cap_hash}).scalars().all()
    return SuppressionScope.ALL in scopes or (
        kind == MessageKind.FOLLOW_UP and SuppressionScope.FOLLOW_UPS in scopes
    )


def why_no_mail(session: Session, cap_hash: str) -> str:
    """The reason word of why no mail at all goes to this address; empty where some may."""
    stopped = select(Suppression.reason).where(
        Suppression.cap_hash == cap_hash, Suppression.scope == SuppressionScope.ALL
    )
    return session.scalar(stopped) or ""


def _rows(session: Session, statement: Update) -> int:
    return cast(CursorResult[Any], session.execute(statement)).rowcount
