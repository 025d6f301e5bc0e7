"""By hand: what a colleague takes down of a call or a visit becomes a request like any other.

It goes through `receive`, in one transaction: who gave an address joins the lead of that address;
who gave only a telephone is known by that, and by nothing where a colleague says that another
person already has this number. Nothing goes out unless the person agreed to it aloud.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.intake import addresses, phones
from leadcapture.intake.consent_texts import text_read_aloud
from leadcapture.intake.receive import receive
from leadcapture.intake.submission import Submission
from leadcapture.leads import contact, timeline
from leadcapture.leads.merged import standing_for, write_search_text
from leadcapture.models import Lead, Request
from leadcapture.outbox import audit
from leadcapture.settings import Settings
from leadcapture.vault import Vault

CHANNELS = ("phone", "walk_in", "event")
_SUGGESTED = 5


@dataclass(frozen=True)
class TakenDown:
    """What a colleague wrote while somebody spoke.

    ``email`` is normalised or empty. ``known`` is the lead that the person is, as the colleague
    said; ``is_somebody_new`` that they are none of those with the same telephone. ``agreed``: the
    person said yes to the words of `text_read_aloud`; ``has_spoken``: nobody need call them.
    """

    token: str
    full_name: str
    email: str
    email_typed: str
    phone_typed: str
    language: str
    channel: str
    conditions: tuple[str, ...] = ()
    message: str = ""
    agreed: bool = False
    wants_packet: bool = False
    has_spoken: bool = False
    known: Lead | None = None
    is_somebody_new: bool = False
    touch: Mapping[str, Any] = field(default_factory=dict)

    @property
    def phone(self) -> str | None:
        """The telephone in E.164, None where there is none that can be read."""
        return phones.read_phone(self.phone_typed) if self.phone_typed else None


def take_down(
    session: Session,
    vault: Vault,
    settings: Settings,
    taken: TakenDown,
    actor_id: int,
    now: datetime,
) -> Request:
    """Write the request and all that it causes. The same token changes nothing twice.

    What the person said of their health is kept and the packet sent only where they agreed.
    """
    if taken.known is not None and taken.email:
        _give_address(session, vault, taken.known, taken.email, actor_id, now)
    submission = _submission(taken, actor_id)
    received = receive(session, vault, settings, submission, now)
    request = session.scalars(select(Request).where(Request.receipt == received.receipt)).one()
    if not received.is_repeat:
        audit.record(session, actor_id, "request_taken_down", request.lead.ref, now)
        if taken.has_spoken:
            session.refresh(request.lead)
            reached = contact.CallOutcome.REACHED
            contact.log_call(session, vault, request.lead, actor_id, now, reached)
    return request


def lead_of_token(session: Session, token: str) -> Lead | None:
    """Whose the request is that this token made; None where it made none."""
    return session.scalar(select(Lead).join(Request).where(Request.token == token))


def people_with(session: Session, phone: str | None) -> Sequence[Lead]:
    """The latest leads with this telephone (E.164), five at most.

    Who was merged into another is that other one.
    """
    if phone is None:
        return ()
    found = session.scalars(
        select(Lead)
        .where(Lead.phone == phone)
        .order_by(Lead.last_request_at.desc(), Lead.id.desc())
        .limit(_SUGGESTED)
    ).all()
    standing = {lead.id: lead for lead in (standing_for(session, one) for one in found)}
    return list(standing.values())


def person_at(session: Session, email: str) -> Lead | None:
    """The lead of this address (normalised), or that stands for it; None where there is none."""
    found = session.scalar(select(Lead).where(Lead.address_key == addresses.address_key(email)))
    return standing_for(session, found) if found else None


def _submission(taken: TakenDown, actor_id: int) -> Submission:
    email = taken.email or (taken.known.email if taken.known else "")
    sends_packet = bool(taken.wants_packet and taken.agreed and email)
    return Submission(
        token=taken.token,
        full_name=taken.full_name,
        email=email,
        email_typed=taken.email_typed[: addresses.LONGEST],
        conditions=taken.conditions if taken.agreed else (),
        consents=(text_read_aloud(taken.language).given(),) if taken.agreed else (),
        language=taken.language,
        time_zone=phones.guess_zone(taken.phone, ""),
        message=taken.message,
        phone=taken.phone,
        phone_typed=taken.phone_typed,
        page=taken.channel,
        channel=taken.channel,
        touch=taken.touch,
        person_key="" if email else _key_without_address(taken),
        no_packet="" if sends_packet else "not_asked" if email else "no_address",
        recorded_by=actor_id,
    )


def _key_without_address(taken: TakenDown) -> str:
    if taken.known is not None:
        return taken.known.address_key
    if taken.phone and not taken.is_somebody_new:
        return addresses.phone_key(taken.phone)
    return addresses.nobody_key(taken.token)


def _give_address(
    session: Session, vault: Vault, lead: Lead, email: str, actor_id: int, now: datetime
) -> None:
    """Put the address on a lead that had none; one that another lead has stays there."""
    if lead.email or person_at(session, email) is not None:
        return
    lead.email, lead.address_key = email, addresses.address_key(email)
    lead.cap_hash = vault.keyed_hash("address", addresses.cap_key(email))
    write_search_text(session, lead)
    session.flush()
    timeline.record(session, lead.id, "address_given", now, actor_id=actor_id)
