"""Taking in: one mail goes on record once, with all that follows from it, in one transaction."""

import hashlib
import json
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadcapture.intake.inbound import answers, arrivals
from leadcapture.intake.inbound.mail import Mail, message_id_of
from leadcapture.intake.inbound.sorting import Sorted, sort
from leadcapture.leads import stopping, timeline
from leadcapture.leads.merged import hold_standing
from leadcapture.models import (
    InboundKind,
    InboundMail,
    Message,
    MessageState,
    SuppressionScope,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import ledger, stops
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Settings
from leadcapture.vault import Vault

# Of the 5.1 statuses (RFC 3463 §3.2) these two are about the sender's address: ours.
_OUR_FAULT = ("5.1.7", "5.1.8")


class NotYet(Exception):
    """The mail is about a message that is being sent this moment: look again in a while."""


def take_in(
    session: Session,
    vault: Vault,
    settings: Settings,
    content: bytes,
    mail: Mail | None,
    received_at: datetime,
    now: datetime,
) -> tuple[InboundMail, bool]:
    """The mail's record, and whether it is new: then all that follows from the mail is done.

    ``mail`` is what was read in ``content``, None where it cannot be read. Raises `NotYet`;
    then nothing may be committed and the mail stays where it is.
    """
    record = InboundMail(
        ref=new_ref(),
        mail_id_hash=vault.keyed_hash(
            "mail-id", mail.message_id if mail else message_id_of(content)
        ),
        sha256=hashlib.sha256(content).hexdigest(),
        kind=InboundKind.UNREADABLE,
        received_at=received_at,
        fetched_at=now,
    )
    known = _known(session, record)
    if known is not None:
        return known, False
    if mail is None:
        record.task_id = _new_task(session, record, "mail_unreadable", now).id
        return record, True
    found = _held(session, sort(session, settings, mail))
    record.kind = found.kind
    record.lead_id = found.lead.id if found.lead else None
    record.message_id = found.message.id if found.message else None
    _follow_up(session, vault, settings, record, mail, found, now)
    return record, True


def _known(session: Session, record: InboundMail) -> InboundMail | None:
    """The record that stands already, another worker's or ours from before a kill; None puts
    this one there.
    """
    known = select(InboundMail).where(
        InboundMail.mail_id_hash == record.mail_id_hash, InboundMail.sha256 == record.sha256
    )
    found = session.scalar(known)
    if found is not None:
        return found
    try:
        with session.begin_nested():
            session.add(record)
    except IntegrityError:
        return session.scalars(known).one()
    return None


def _held(session: Session, found: Sorted) -> Sorted:
    """What was found, its lead held before its letters, and both as they stand then."""
    if found.lead is None:
        return found
    lead = hold_standing(session, found.lead)
    if found.message is not None:
        session.refresh(found.message)
    return replace(found, lead=lead)


def _follow_up(
    session: Session,
    vault: Vault,
    settings: Settings,
    record: InboundMail,
    mail: Mail,
    found: Sorted,
    now: datetime,
) -> None:
    match found.kind:
        case InboundKind.BOUNCE | InboundKind.DELAY | InboundKind.REPORT if found.message:
            _take_report(session, mail, found.message, found.kind, now)
        case InboundKind.COMPLAINT if found.message:
            ledger.settle_by_evidence(session, found.message, now, "complaint")
            if found.message.cap_hash:
                stopping.stop_all_mail(session, found.message.cap_hash, found.message.id, now)
        case InboundKind.ANSWER if found.lead:
            answer = answers.Answer(mail, found.lead, found.message, record.received_at)
            answers.take_answer(session, vault, settings, answer, now)
        case InboundKind.NOTICE | InboundKind.UNPROVEN if found.sender:
            arrivals.take_notice(session, vault, settings, found.sender, mail, record, now)
        case InboundKind.STRANGER:
            words = {"sender": mail.sender, "subject": mail.subject, "text": mail.text}
            record.content = vault.seal("inbound_mail", "content", record.ref, json.dumps(words))
            record.task_id = _new_task(session, record, "mail_from_stranger", now).id


def _take_report(
    session: Session, mail: Mail, message: Message, kind: InboundKind, now: datetime
) -> None:
    """A proven delivery report: that it exists shows that the relay had taken the letter."""
    if message.state is MessageState.SENDING:
        raise NotYet
    if ledger.settle_by_evidence(session, message, now, "report"):
        session.refresh(message)
    if kind is InboundKind.DELAY and message.lead_id is not None:
        _note_delay(session, message, message.lead_id, now)
    if kind is not InboundKind.BOUNCE or mail.delivery is None:
        return
    status = mail.delivery.status
    if ledger.bounce(session, message, now, f"returned_{status or 'unsaid'}"):
        ledger.ask_staff(session, message, "letter_bounced", now)
    if is_address_fault(status) and message.cap_hash:
        stops.suppress(session, message.cap_hash, SuppressionScope.ALL, "no_such_address", now)


def is_address_fault(status: str) -> bool:
    """True where the address itself can never get mail (RFC 3463): not for policy or quota."""
    return (status.startswith("5.1.") and status not in _OUR_FAULT) or status == "5.2.1"


def _note_delay(session: Session, message: Message, lead_id: int, now: datetime) -> None:
    """Say once on the timeline that the letter is held up on its way."""
    told = select(TimelineEntry.id).where(
        TimelineEntry.message_id == message.id, TimelineEntry.kind == "letter_delayed"
    )
    if session.scalar(told.limit(1)) is None:
        timeline.record(session, lead_id, "letter_delayed", now, message_id=message.id)


def _new_task(session: Session, record: InboundMail, kind: str, now: datetime) -> Task:
    task = Task(
        ref=new_ref(),
        dedupe_key=f"{kind}:{record.ref}",
        kind=kind,
        lead_id=record.lead_id,
        due_at=now,
        created_at=now,
    )
    session.add(task)
    session.flush()
    return task
