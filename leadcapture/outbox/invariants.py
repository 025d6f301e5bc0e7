"""The ledger's invariants as questions to the database: which rows break which of them.

I4 and I5 see what the relay answered to us, as far as we wrote it down, not what it delivered.
I9 is kept where letters are composed; of it the database shows the fields that become headers, and
`said` what the sealed payloads hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
)
from sqlalchemy.orm import Session, aliased

from leadcapture.models import (
    Attempt,
    AuditEntry,
    Lead,
    Message,
    MessageKind,
    MessageState,
    Request,
    Screening,
    Suppression,
    SuppressionScope,
)
from leadcapture.outbox.ledger import DOUBT_WAITS

LEASE_GRACE = timedelta(seconds=60)
DOUBT_GRACE = timedelta(minutes=5)
# An intent may commit while a suppression of the same moment is still being written.
STOP_GRACE = timedelta(seconds=10)
TRIGGERS = frozenset({"audit_message_insert", "audit_message_state", "audit_message_delete"})
Question = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Scope:
    """Which rows are looked at: those that these conditions hold for, and all open ones."""

    messages: ColumnElement[bool]
    requests: ColumnElement[bool]
    now: datetime
    whole: bool


@dataclass(frozen=True)
class Check:
    """One way to break an invariant: its word, and the question for reference and lead."""

    invariant: str
    what: str
    question: Callable[[Scope], Question]


# A later release may know states that this one does not: here they are plain words.
_STATE = type_coerce(Message.state, String)
_FINAL = tuple(state.value for state in MessageState if state.is_final)
_STOPPED = ("cancelled", "suppressed", "expired")
_AFTER_INTENT = ("sending", "sent", "uncertain", "bounced")


def _about(condition: ColumnElement[bool]) -> Question:
    return select(Message.ref, Message.lead_id).where(condition)


def _without_lead(scope: Scope) -> Question:
    return (
        select(Request.receipt, literal(None))
        .outerjoin(Lead, Lead.id == Request.lead_id)
        .where(scope.requests, Lead.id.is_(None))
    )


def _without_packet(scope: Scope) -> Question:
    packet = exists().where(Message.dedupe_key == literal("packet:") + Request.receipt)
    return select(Request.receipt, Request.lead_id).where(
        scope.requests,
        Request.screening.in_((Screening.ACCEPTED, Screening.RELEASED)),
        Request.packet_note == "",
        ~packet,
    )


def _overdue(scope: Scope) -> Question:
    over = or_(Message.lease_until.is_(None), Message.lease_until < scope.now - LEASE_GRACE)
    return _about(and_(_STATE.in_(("claimed", "sending")), over))


def _undecided(scope: Scope) -> Question:
    long_ago = scope.now - DOUBT_WAITS - DOUBT_GRACE
    return _about(and_(_STATE == "uncertain", Message.state_at < long_ago))


def _left_final(scope: Scope) -> Question:
    returned = and_(AuditEntry.from_state == "sent", AuditEntry.to_state == "bounced")
    left = exists().where(
        AuditEntry.message_id == Message.id,
        AuditEntry.from_state.in_(set(_FINAL) - set(_STOPPED)),
        ~returned,
    )
    return _about(and_(scope.messages, left))


def _sent_unanswered(scope: Scope) -> Question:
    accepted = exists().where(Attempt.message_id == Message.id, Attempt.outcome == "sent")
    settled = exists().where(
        AuditEntry.message_id == Message.id,
        AuditEntry.from_state == "uncertain",
        AuditEntry.to_state == "sent",
    )
    return _about(and_(scope.messages, _STATE == "sent", ~accepted, ~settled))


def _sent_too_often(scope: Scope) -> Question:
    accepted = (
        select(func.count())
        .where(Attempt.message_id == Message.id, Attempt.outcome == "sent")
        .scalar_subquery()
    )
    # Of one try, a doubt and the 250 that its worker heard after all are one copy.
    in_doubt = and_(Attempt.phase == "dot", Attempt.outcome.in_(("uncertain", "lost")))
    copies = (
        select(func.count(Attempt.fence.distinct()))
        .where(Attempt.message_id == Message.id, or_(Attempt.outcome == "sent", in_doubt))
        .scalar_subquery()
    )
    never_again = and_(Message.kind == MessageKind.FOLLOW_UP, copies > 1)
    return _about(and_(scope.messages, or_(accepted > 1, never_again)))


def _doubts_unrecorded(scope: Scope) -> Question:
    recorded = (
        select(func.count())
        .where(
            AuditEntry.message_id == Message.id,
            AuditEntry.to_state == "uncertain",
            AuditEntry.from_state.is_not(None),
        )
        .scalar_subquery()
    )
    # A row that was there before the audit brought its doubts along.
    adopted = exists().where(
        AuditEntry.message_id == Message.id,
        AuditEntry.from_state.is_(None),
        AuditEntry.to_state != "queued",
    )
    return _about(and_(scope.messages, Message.doubts != recorded, ~adopted))


def _copies_differ(scope: Scope) -> Question:
    other = exists().where(
        AuditEntry.message_id == Message.id,
        AuditEntry.sha256.is_not(None),
        AuditEntry.sha256 != func.coalesce(Message.sha256, ""),
    )
    unknown = and_(
        _STATE.in_(_AFTER_INTENT), or_(Message.sha256.is_(None), Message.mail_date.is_(None))
    )
    renamed = func.substr(Message.mail_id, 2, func.length(Message.ref)) != Message.ref
    return _about(and_(scope.messages, or_(other, unknown, renamed)))


def _left_after_stop(scope: Scope) -> Question:
    left = exists().where(
        AuditEntry.message_id == Message.id,
        AuditEntry.from_state.in_(_STOPPED),
        AuditEntry.to_state != "deleted",
    )
    earlier = aliased(AuditEntry)
    intent = exists().where(
        AuditEntry.message_id == Message.id,
        AuditEntry.to_state == "sending",
        earlier.message_id == Message.id,
        earlier.to_state.in_(_STOPPED),
        earlier.id < AuditEntry.id,
    )
    return _about(and_(scope.messages, or_(left, intent)))


def suppressed_sendings(scope: Scope) -> Question:
    """Reference, lead, intent and suppression's instant of each copy to a suppressed address."""
    concerned = or_(
        and_(Suppression.scope == SuppressionScope.ALL, Message.kind != MessageKind.STAFF_ALERT),
        Message.kind == MessageKind.FOLLOW_UP,
    )
    return (
        select(Message.ref, Message.lead_id, AuditEntry.at, Suppression.created_at)
        .join(AuditEntry, AuditEntry.message_id == Message.id)
        .join(Suppression, Suppression.cap_hash == Message.cap_hash)
        .where(
            scope.messages,
            concerned,
            AuditEntry.to_state == "sending",
            AuditEntry.at > Suppression.created_at,
        )
    )


def foreign_recipients(scope: Scope) -> Question:
    """Reference, lead, recipient and the person's addresses where they are not letter-equal."""
    return (
        select(Message.ref, Message.lead_id, Message.recipient, Lead.email, Request.email_typed)
        .join(Lead, Lead.id == Message.lead_id)
        .outerjoin(Request, Request.id == Message.request_id)
        .where(
            scope.messages,
            Message.kind != MessageKind.STAFF_ALERT,
            func.lower(Message.recipient) != func.lower(Lead.email),
        )
    )


def _several_recipients(scope: Scope) -> Question:
    several = or_(*(Message.recipient.contains(sign) for sign in (",", ";", " ")))
    twice = Message.recipient.like("%@%@%")
    return _about(and_(scope.messages, or_(several, twice, ~Message.recipient.contains("@"))))


def _unsafe_headers(scope: Scope) -> Question:
    unsafe = or_(
        *(
            field.contains(sign)
            for field in (Message.recipient, Message.mail_id, Message.step, Message.language)
            for sign in ("\n", "\r")
        ),
        ~Message.mail_id.like("<%@%>"),
    )
    return _about(and_(scope.messages, unsafe))


def _unaudited(scope: Scope) -> Question:
    newest = (
        select(AuditEntry.to_state)
        .where(AuditEntry.message_id == Message.id)
        .order_by(AuditEntry.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return _about(and_(scope.messages, func.coalesce(newest, "") != _STATE))


def _entry_missing(scope: Scope) -> Question:
    steps = (
        select(
            Message.ref,
            Message.lead_id,
            AuditEntry.from_state,
            func.lag(AuditEntry.to_state)
            .over(partition_by=AuditEntry.message_id, order_by=AuditEntry.id)
            .label("before"),
        )
        .join(Message, Message.id == AuditEntry.message_id)
        .where(scope.messages)
        .subquery()
    )
    torn = func.coalesce(steps.c.from_state, "") != func.coalesce(steps.c.before, "")
    return select(steps.c.ref, steps.c.lead_id).where(torn)


CHECKS = (
    Check("I1", "no_lead", _without_lead),
    Check("I2", "no_packet", _without_packet),
    Check("I3", "lease_overrun", _overdue),
    Check("I3", "doubt_overrun", _undecided),
    Check("I3", "final_left", _left_final),
    Check("I4", "sent_unanswered", _sent_unanswered),
    Check("I5", "sent_too_often", _sent_too_often),
    Check("I5", "doubts_unrecorded", _doubts_unrecorded),
    Check("I6", "copies_differ", _copies_differ),
    Check("I7", "left_after_stop", _left_after_stop),
    Check("I8", "several_recipients", _several_recipients),
    Check("I9", "unsafe_headers", _unsafe_headers),
    Check("I10", "unaudited", _unaudited),
    Check("I10", "entry_missing", _entry_missing),
)


def missing_triggers(session: Session) -> Iterator[str]:
    """The triggers that write the audit, where they do not stand or are switched off."""
    if session.get_bind().dialect.name == "sqlite":
        there = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        there = (
            "SELECT tgname FROM pg_trigger "
            "WHERE tgrelid = 'message'::regclass AND tgenabled IN ('O', 'A')"
        )
    yield from sorted(TRIGGERS - set(session.scalars(text(there))))
