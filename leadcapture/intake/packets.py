"""The private page of a packet: opened by its link, confirmed by its reader, issued again."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from leadcapture.intake import letters_due
from leadcapture.leads import timeline
from leadcapture.models import (
    Consent,
    ConsentKind,
    Lead,
    LetterVersion,
    Message,
    MessageKind,
    Request,
)
from leadcapture.outbox import links
from leadcapture.outbox.queue import enqueue, new_ref, open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault


@dataclass(frozen=True)
class OpenedPacket:
    """What stands behind a packet link. ``documents`` are empty unless it is open."""

    state: Literal["open", "expired", "unknown"]
    language: str = "en"
    documents: list[LetterVersion] = field(default_factory=list)
    lead_id: int | None = None
    message_ref: str = ""


def open_packet(
    session: Session, vault: Vault, settings: Settings, token: str, now: datetime
) -> OpenedPacket:
    """Follow a packet link; it reads only, so a mail scanner that follows it changes nothing."""
    message = _message_of(session, settings, token)
    if message is None:
        return OpenedPacket("unknown")
    if now > message.created_at + timedelta(days=settings.packet_link_days):
        return OpenedPacket("expired", message.language, [], message.lead_id, message.ref)
    payload = open_payload(vault, message)
    wanted: list[int] = [*payload["packets"], *payload.get("linked", [])]
    versions = {
        version.id: version
        for version in session.scalars(select(LetterVersion).where(LetterVersion.id.in_(wanted)))
    }
    documents = [versions[number] for number in wanted]
    return OpenedPacket("open", message.language, documents, message.lead_id, message.ref)


def confirm_address(session: Session, message_ref: str, now: datetime) -> None:
    """A person read our letter and pressed a button: the address that it went to is theirs.

    Not the lead's, where that has been changed since; where the leads of two addresses were
    merged, that of the two.
    """
    letter = session.scalars(select(Message).where(Message.ref == message_ref)).one()
    if letter.lead_id is None:
        return
    confirmed = session.execute(
        update(Lead)
        .where(
            or_(Lead.id == letter.lead_id, Lead.merged_into_id == letter.lead_id),
            Lead.cap_hash == letter.cap_hash,
            Lead.confirmed_at.is_(None),
        )
        .values(confirmed_at=now)
        .returning(Lead.id)
    )
    if confirmed.first() is not None:
        timeline.record(session, letter.lead_id, "address_confirmed", now)


def issue_again(
    session: Session, vault: Vault, settings: Settings, token: str, now: datetime
) -> bool:
    """Queue a letter with a new link, to the lead's own address only; False where it may not be.

    The link's age does not matter, its proof does; AB-01's cap counts this letter too.
    """
    message = _message_of(session, settings, token)
    if message is None or message.lead_id is None or message.request_id is None:
        return False
    lead = session.get_one(Lead, message.lead_id)
    if letters_due.why_no_packet(session, letters_due.Addressee.of(lead), now):
        return False
    request = session.get_one(Request, message.request_id)
    # One letter a day for one old link, however often the button is pressed.
    key = f"link:{message.ref}:{now:%Y%m%d}"
    _queue(session, vault, settings, lead, request, MessageKind.PACKET_LINK, key, now)
    timeline.record(session, lead.id, "packet_link_asked", now, request_id=request.id)
    return True


def may_send(session: Session, lead: Lead) -> bool:
    """True where there is an address, and a standing consent to mail that tells of health."""
    agreed = select(Consent.id).where(
        Consent.lead_id == lead.id,
        Consent.kind == ConsentKind.HEALTH,
        Consent.withdrawn_at.is_(None),
    )
    return bool(lead.email) and session.scalar(agreed.limit(1)) is not None


def send_again(
    session: Session,
    vault: Vault,
    settings: Settings,
    lead: Lead,
    actor_id: int,
    now: datetime,
) -> None:
    """Staff send the packets of the lead's last request once more, past the cap."""
    request = session.scalars(
        select(Request)
        .where(Request.lead_id == lead.id)
        .order_by(Request.created_at.desc(), Request.id.desc())
        .limit(1)
    ).one()
    key = f"resend:{lead.ref}:{new_ref()}"
    _queue(session, vault, settings, lead, request, MessageKind.PACKET, key, now)
    timeline.record(
        session, lead.id, "packet_sent_again", now, actor_id=actor_id, request_id=request.id
    )


def _queue(
    session: Session,
    vault: Vault,
    settings: Settings,
    lead: Lead,
    request: Request,
    kind: MessageKind,
    dedupe_key: str,
    now: datetime,
) -> None:
    answers = json.loads(vault.open("request", "answers", request.receipt, request.answers))
    occasion = letters_due.Occasion(
        lead=letters_due.Addressee.of(lead),
        request_id=request.id,
        receipt=request.receipt,
        full_name=request.full_name,
        recipient=lead.email,
        conditions=tuple(answers["conditions"]),
        language=request.language,
        follow_ups=False,
    )
    draft = letters_due.packet_draft(session, settings, occasion, kind, dedupe_key, now)
    enqueue(session, vault, settings.mail_domain, [draft], now)


def _message_of(session: Session, settings: Settings, token: str) -> Message | None:
    ref = links.verify(settings.hash_key, "packet", token)
    if ref is None:
        return None
    return session.scalars(
        select(Message).where(
            Message.ref == ref,
            Message.kind.in_((MessageKind.PACKET, MessageKind.PACKET_LINK)),
        )
    ).first()
