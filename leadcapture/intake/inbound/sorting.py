"""Sorting: what a mail is, and which message and lead it is about; nothing is changed here."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.intake.addresses import address_key
from leadcapture.intake.inbound.authentication import confirms
from leadcapture.intake.inbound.mail import Mail
from leadcapture.intake.inbound.senders import ours, sender_of
from leadcapture.leads.merged import standing_for
from leadcapture.models import InboundKind, Lead, Message, MessageKind, NoticeSender, Staff
from leadcapture.outbox import envelope
from leadcapture.settings import Settings


@dataclass(frozen=True)
class Sorted:
    """What a mail was taken for, the message that it is about or answers, and whose it is.

    ``sender`` is the service that sent a notice, or whose name an ``unproven`` mail bears.
    """

    kind: InboundKind
    message: Message | None = None
    lead: Lead | None = None
    sender: NoticeSender | None = None


def sort(session: Session, settings: Settings, mail: Mail) -> Sorted:
    """What this mail is.

    ``unproven``: a report that proves nothing, which is only filed, or a notice that may be forged.
    """
    if mail.delivery is not None or mail.complaint is not None:
        message = _message(session, proven_ref(settings, mail))
        if message is None:
            return Sorted(InboundKind.UNPROVEN)
        return Sorted(_kind_of_report(mail), message, message.lead)
    sender = sender_of(session, mail.sender) if mail.sender else None
    if sender is not None and not _is_ours(session, settings, mail.sender):
        # Before the rest, because no person writes such mails.
        is_true = _is_confirmed(settings, mail)
        return Sorted(InboundKind.NOTICE if is_true else InboundKind.UNPROVEN, sender=sender)
    if mail.is_automatic:
        return Sorted(InboundKind.AUTOMATIC)
    if _is_ours(session, settings, mail.sender):
        return Sorted(InboundKind.OURS)
    answered = _answered(session, mail)
    if answered is not None:
        return Sorted(InboundKind.ANSWER, answered, answered.lead)
    lead = _lead_of(session, mail.sender)
    return Sorted(InboundKind.ANSWER if lead else InboundKind.STRANGER, lead=lead)


def proven_ref(settings: Settings, mail: Mail) -> str | None:
    """The reference of the message that a report proves to be about (MD-11); None for no proof.

    A token counts only in its own place and for its own purpose; two that disagree prove
    nothing.
    """
    senders = list(mail.delivered_to)
    tokens = [(envelope.ENVID, mail.delivery.envid)] if mail.delivery else []
    if mail.complaint is not None:
        senders += mail.complaint.senders
        tokens += [(envelope.COMPLAINT, token) for token in mail.complaint.feedback_ids]
    tokens += [
        (envelope.SENDER, envelope.token_of_sender(settings.bounce_address, address))
        for address in senders
    ]
    found = {envelope.verify(settings.hash_key, purpose, token) for purpose, token in tokens}
    proven = found - {None}
    return proven.pop() if len(proven) == 1 else None


def _is_confirmed(settings: Settings, mail: Mail) -> bool:
    """Whether From is true; where we were not told our mail server's name, it is believed."""
    authserv_id = settings.imap.authserv_id if settings.imap else ""
    domain = mail.sender.rpartition("@")[2]
    return not authserv_id or confirms(mail.results, authserv_id, domain)


def _kind_of_report(mail: Mail) -> InboundKind:
    if mail.complaint is not None:
        return InboundKind.COMPLAINT if mail.complaint.is_abuse else InboundKind.REPORT
    kinds = {"failed": InboundKind.BOUNCE, "delayed": InboundKind.DELAY}
    return kinds.get(mail.delivery.action if mail.delivery else "", InboundKind.REPORT)


def _message(session: Session, ref: str | None) -> Message | None:
    if ref is None:
        return None
    return session.scalar(select(Message).where(Message.ref == ref))


def _is_ours(session: Session, settings: Settings, sender: str) -> bool:
    """True for our own addresses: what staff write to a patient is no patient's answer."""
    if sender in ours(settings):
        return True
    return session.scalar(select(Staff.id).where(func.lower(Staff.email) == sender)) is not None


def _answered(session: Session, mail: Mail) -> Message | None:
    """The letter to a patient that this mail answers, the nearest of the thread."""
    if not mail.threads:
        return None
    found = session.scalars(
        select(Message).where(
            Message.mail_id.in_(mail.threads),
            Message.kind != MessageKind.STAFF_ALERT,
            Message.lead_id.is_not(None),
        )
    ).all()
    by_id = {message.mail_id: message for message in found}
    return next((by_id[one] for one in mail.threads if one in by_id), None)


def _lead_of(session: Session, sender: str) -> Lead | None:
    if not sender:
        return None
    found = session.scalar(select(Lead).where(Lead.address_key == address_key(sender)))
    return standing_for(session, found) if found else None
