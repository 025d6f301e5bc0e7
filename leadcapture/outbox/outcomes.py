"""Outcomes: what becomes of a letter that the relay did not take, by what its reply means.

Each is written in the caller's transaction, as compare-and-swaps of the `ledger`.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, not_, select
from sqlalchemy.orm import Session

from leadcapture.models import Attempt, Message, MessageState, SuppressionScope
from leadcapture.outbox import caps, gates, ledger, policy, stops
from leadcapture.outbox.alerts import raise_alert
from leadcapture.outbox.holding import hold_leads
from leadcapture.outbox.queue import domain_of
from leadcapture.outbox.replies import Phase, Reply, Verdict, back_off, judge

PACKET_GIVES_UP = timedelta(days=5)
MAILBOX_FULL_GIVES_UP = timedelta(hours=24)
NONSENSE_TRIES = 3
# Only in these phases is it the letter that is tried, and not the relay.
_ITS_OWN = (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT)


def write_reply(session: Session, message: Message, reply: Reply, now: datetime) -> None:
    """Write what the relay's reply means for the letter, its domain and the relay itself."""
    verdict = judge(reply)
    outcome = _settle(session, message, reply, verdict, now)
    _note_domain(session, message, reply, verdict, now)
    if reply.says_relay_closes:
        gates.note_relay_down(session, _reason(reply, verdict), now)
    ledger.note_attempt(session, message, reply.phase, reply.code, reply.enhanced, outcome, now)


def apply_refusal(
    session: Session, message: Message, refusal: policy.Refusal, now: datetime
) -> None:
    """Write that a letter of ours may not leave, and why."""
    changes: dict[str, Any] = {"reason": refusal.reason}
    if refusal.due_at is not None:
        # Waiting for the hours is no attempt.
        changes |= {"due_at": refusal.due_at, "attempts": Message.attempts - 1}
    ledger.settle(session, message, refusal.state, now, **changes)
    if refusal.state is MessageState.EXPIRED and message.kind in caps.PACKETS:
        ledger.ask_staff(session, message, "letter_expired", now)
    if refusal.state is MessageState.HELD:
        ledger.ask_staff(session, message, "letter_held", now)


def put_back(session: Session, message: Message, now: datetime) -> None:
    """We hung up ourselves, before the dot: neither the letter nor the relay is at fault."""
    ledger.settle(
        session,
        message,
        MessageState.QUEUED,
        now,
        reason="worker_lost",
        due_at=now,
        attempts=Message.attempts - 1,
    )


def set_aside(session: Session, message: Message, reason: str, now: datetime) -> None:
    """Hold what cannot be written as it should, for a person to look at."""
    ledger.settle(session, message, MessageState.HELD, now, reason=reason)
    ledger.note_attempt(session, message, "render", None, "", "held", now)
    ledger.ask_staff(session, message, "letter_held", now)


def _settle(
    session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
) -> MessageState:
    if verdict is Verdict.UNCERTAIN:
        ledger.doubt(session, message, now)
        return MessageState.UNCERTAIN
    if verdict in (Verdict.RELAY_DOWN, Verdict.HOLD_QUEUE):
        return _close_gate(session, message, reply, verdict, now)
    reason = _reason(reply, verdict)
    gives_up = MAILBOX_FULL_GIVES_UP if verdict is Verdict.MAILBOX_FULL else PACKET_GIVES_UP
    waits = verdict in (Verdict.BACK_OFF, Verdict.MAILBOX_FULL, Verdict.NONSENSE)
    if verdict is Verdict.NONSENSE and _nonsense_before(session, message) + 1 >= NONSENSE_TRIES:
        ledger.settle(session, message, MessageState.HELD, now, reason="nonsense")
        ledger.ask_staff(session, message, "letter_held", now)
        return MessageState.HELD
    if waits and _tried_for(session, message, now) < gives_up:
        later = now + back_off(message.attempts, reply.phase)
        ledger.settle(session, message, MessageState.QUEUED, now, reason=reason, due_at=later)
        if now - (message.mail_date or message.created_at) > ledger.STAFF_TOLD_AFTER:
            ledger.ask_staff(session, message, "letter_late", now)
        return MessageState.QUEUED
    suppresses = verdict is Verdict.FAILED_AND_SUPPRESS and message.cap_hash
    if suppresses and message.lead_id is not None:
        # Other letters end with this one.
        hold_leads(session, message.lead_id)
    ledger.settle(session, message, MessageState.FAILED, now, reason=reason)
    ledger.ask_staff(session, message, "letter_failed", now)
    if suppresses:
        stops.suppress(session, message.cap_hash, SuppressionScope.ALL, "no_such_address", now)
    return MessageState.FAILED


def _nonsense_before(session: Session, message: Message) -> int:
    """How often the relay answered this letter with no code that means anything there."""
    heard = select(func.count()).where(
        Attempt.message_id == message.id,
        Attempt.outcome == MessageState.QUEUED,
        not_(Attempt.code.between(400, 599)),
        Attempt.phase.not_in((Phase.CONNECT, Phase.AUTH)),
    )
    return session.scalar(heard) or 0


def _tried_for(session: Session, message: Message, now: datetime) -> timedelta:
    """Since when the letter itself is tried, or tried again since a person released it.

    What it waited before for a relay out of reach, or for a person, is no try (MD-05).
    """
    earlier = message.attempts - 1
    if earlier < 1:
        return timedelta(0)
    tried = session.scalars(
        select(Attempt.at)
        .where(Attempt.message_id == message.id, Attempt.phase.in_(_ITS_OWN))
        .order_by(Attempt.id.desc())
        .limit(earlier)
    ).all()
    return now - tried[-1] if tried else timedelta(0)


def _close_gate(
    session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
) -> MessageState:
    """The relay's trouble is not the letter's: it goes back and no attempt is counted."""
    reason = _reason(reply, verdict)
    ledger.settle(
        session,
        message,
        MessageState.QUEUED,
        now,
        reason=verdict.value,
        due_at=now,
        attempts=Message.attempts - 1,
    )
    if verdict is Verdict.HOLD_QUEUE:
        gates.hold_queue(session, reason, now)
    else:
        gates.note_relay_down(session, reason, now)
    return MessageState.QUEUED


def _note_domain(
    session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
) -> None:
    """Close the domain's gate where its answers ask for calm."""
    domain = domain_of(message.recipient)
    if verdict is Verdict.POLICY:
        gates.note_policy_refusal(session, domain, _reason(reply, verdict), now)
    elif reply.asks_domain_for_calm:
        gates.note_domain_deferral(session, domain, _reason(reply, verdict), now)
    if verdict is Verdict.FAILED and reply.phase in (Phase.DATA, Phase.DOT):
        # The relay refuses what we write, and will refuse the next letter too.
        raise_alert(session, "content_refused", reply.phase, now)


def _reason(reply: Reply, verdict: Verdict) -> str:
    """The reply as a message's reason: its phase, and its RFC 3463 status, code or loss."""
    if verdict is Verdict.POLICY:
        return f"{reply.phase}_{reply.enhanced or '5.7'}"
    return f"{reply.phase}_{reply.enhanced or reply.code or 'lost'}"
