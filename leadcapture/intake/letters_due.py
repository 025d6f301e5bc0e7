"""Letters due: what a request makes us write, to the patient and to staff."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, bindparam, func, not_, or_, select, update
from sqlalchemy.orm import Session

from leadcapture.database import table_of
from leadcapture.leads import follow_ups, references
from leadcapture.leads.staff_letters import values_of
from leadcapture.letters import greeting
from leadcapture.letters.linked import current_linked
from leadcapture.letters.versions import current_versions
from leadcapture.models import (
    Lead,
    Message,
    MessageKind,
    MessageState,
    Request,
    Suppression,
    SuppressionScope,
)
from leadcapture.outbox import caps, links
from leadcapture.outbox.ledger import PACKET_KEPT
from leadcapture.outbox.queue import Draft, enqueue, new_ref
from leadcapture.prepared import Prepared
from leadcapture.settings import Settings
from leadcapture.vault import Vault


def _sent_since(moment: str) -> ColumnElement[int]:
    # Who has not confirmed an address gets so many letters of any kind; others, of packets.
    since: ColumnElement[datetime] = bindparam(moment)
    follow_ups = and_(not_(bindparam("confirmed")), caps.is_follow_up_since(since))
    return func.count().filter(or_(caps.is_packet_since(since), follow_ups))


# What a new request is weighed against, in one question: it is asked while others wait.
_WEIGHED = select(
    select(Suppression.id)
    .where(Suppression.cap_hash == bindparam("cap_hash"), Suppression.scope == SuppressionScope.ALL)
    .exists()
    .label("is_suppressed"),
    select(Message.id)
    .where(
        Message.lead_id == bindparam("lead_id"),
        Message.kind == MessageKind.FOLLOW_UP,
        Message.state.in_((MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)),
    )
    .exists()
    .label("is_followed"),
    select(Message.ref)
    .where(Message.cap_hash == bindparam("cap_hash"), Message.kind.in_(caps.PACKETS))
    .order_by(Message.id.desc())
    .limit(1)
    .scalar_subquery()
    .label("newest_packet"),
    _sent_since("month_ago").label("in_month"),
    _sent_since("day_ago").label("in_day"),
).where(Message.cap_hash == bindparam("cap_hash"))
_STANDING = Prepared(lambda *_: _WEIGHED)
_NOTE_WHY = (
    update(table_of(Request))
    .where(Request.id == bindparam("request"))
    .values(packet_note=bindparam("why"))
)


@dataclass(frozen=True)
class Addressee:
    """What of a lead its letters need. ``confirmed``: the address's owner has acted on a letter."""

    id: int
    ref: str
    cap_hash: str
    time_zone: str
    confirmed: bool

    @classmethod
    def of(cls, lead: Lead) -> "Addressee":
        """The addressee of a lead that is loaded."""
        return cls(lead.id, lead.ref, lead.cap_hash, lead.time_zone, lead.confirmed_at is not None)


@dataclass(frozen=True)
class Occasion:
    """The request that letters are written about.

    ``no_packet`` is the word why it asks for no packet, empty where it does.
    """

    lead: Addressee
    request_id: int
    receipt: str
    full_name: str
    recipient: str
    conditions: tuple[str, ...]
    language: str
    follow_ups: bool
    no_packet: str = ""


@dataclass(frozen=True)
class Letters:
    """What is to be queued. ``no_packet`` is the word why no packet is among them, else empty."""

    drafts: tuple[Draft, ...]
    no_packet: str = ""


def letters_about(
    session: Session, settings: Settings, occasion: Occasion, now: datetime, *, alert: bool = True
) -> Letters:
    """The packet (or why there is none), the follow-ups agreed to, and the staff's alert."""
    drafts = []
    standing = _standing_of(session, occasion.lead, now)
    packet_ref = standing.newest_packet
    no_packet = occasion.no_packet or standing.no_packet
    if not occasion.recipient:
        no_packet = "no_address"
    if not no_packet:
        key = f"packet:{occasion.receipt}"
        packet = packet_draft(session, settings, occasion, MessageKind.PACKET, key, now)
        packet_ref = packet.ref
        drafts.append(packet)
    # Follow-ups speak of the packet: whoever never got one gets none.
    if occasion.recipient and occasion.follow_ups and packet_ref and not standing.is_followed:
        drafts += _follow_up_drafts(session, settings, occasion, packet_ref, now)
    if alert:
        key = f"alert:request:{occasion.receipt}"
        drafts.append(_alert_draft(session, settings, occasion, key, now))
    return Letters(tuple(drafts), no_packet)


def letters_about_held(
    session: Session, settings: Settings, occasion: Occasion, now: datetime
) -> Letters:
    """Tell staff that requests wait for a decision: once an hour, however many robots call."""
    key = f"alert:held:{now:%Y%m%d%H}"
    return Letters((_alert_draft(session, settings, occasion, key, now),))


def queue_letters(
    session: Session,
    vault: Vault,
    settings: Settings,
    letters: Letters,
    request_id: int,
    now: datetime,
) -> None:
    """Queue them in this transaction; the request notes why it got no packet, if so."""
    if letters.no_packet:
        session.connection().execute(_NOTE_WHY, {"request": request_id, "why": letters.no_packet})
    enqueue(session, vault, settings.mail_domain, letters.drafts, now)


def why_no_packet(session: Session, lead: Addressee, now: datetime) -> str:
    """The word why this address gets no packet now, empty where it does (AB-01)."""
    return _standing_of(session, lead, now).no_packet


@dataclass(frozen=True)
class _Standing:
    no_packet: str
    is_followed: bool
    newest_packet: str | None


def _standing_of(session: Session, lead: Addressee, now: datetime) -> _Standing:
    found = _STANDING.run(
        session.connection(),
        {
            "cap_hash": lead.cap_hash,
            "lead_id": lead.id,
            "confirmed": lead.confirmed,
            "day_ago": now - caps.DAY,
            "month_ago": now - caps.MONTH,
        },
    ).one()
    cap = caps.CONFIRMED if lead.confirmed else caps.UNCONFIRMED
    no_packet = ""
    if found.is_suppressed:
        no_packet = "suppressed"
    elif found.in_day >= cap.daily:
        no_packet = "sent_today"
    elif found.in_month >= cap.monthly:
        no_packet = "sent_often"
    return _Standing(no_packet, found.is_followed, found.newest_packet)


def packet_draft(
    session: Session,
    settings: Settings,
    occasion: Occasion,
    kind: MessageKind,
    dedupe_key: str,
    now: datetime,
) -> Draft:
    """The letter that brings the packets (``PACKET``) or a new link to them (``PACKET_LINK``).

    Where one of them is never attached, none is: the letter then speaks of its link alone.
    """
    versions = current_versions(session, now)
    topics = packet_topics(occasion.conditions)
    wanted = tuple(versions["packet", topic, occasion.language] for topic in topics)
    is_attached = current_linked(session, now).isdisjoint(topics)
    letter = ("packet_letter", "" if is_attached else "linked")
    if kind is MessageKind.PACKET_LINK:
        is_attached, letter = False, ("packet_link", "")
    ref = new_ref()
    values = _patient_values(settings, occasion) | {
        "packet_link": _link(settings, "packet", "packet", ref)
    }
    return Draft(
        kind=kind,
        dedupe_key=dedupe_key,
        recipient=occasion.recipient,
        language=occasion.language,
        time_zone=occasion.lead.time_zone,
        due_at=now,
        not_after=now + PACKET_KEPT,
        letter=versions[*letter, occasion.language],
        packets=wanted if is_attached else (),
        linked=() if is_attached else wanted,
        values=values,
        lead_id=occasion.lead.id,
        request_id=occasion.request_id,
        cap_hash=occasion.lead.cap_hash,
        ref=ref,
    )


def packet_topics(conditions: tuple[str, ...]) -> list[str]:
    """Which packets answer these conditions, each once; the general one where none is its own."""
    own = ("autoimmune", "osteoarthritis", "athletes")
    topics = [topic for topic in own if topic in conditions]
    return topics or ["general"]


def _follow_up_drafts(
    session: Session, settings: Settings, occasion: Occasion, packet_ref: str, now: datetime
) -> list[Draft]:
    versions = current_versions(session, now)
    lead = occasion.lead
    values = _patient_values(settings, occasion) | {
        "packet_link": _link(settings, "packet", "packet", packet_ref)
    }
    return [
        Draft(
            kind=MessageKind.FOLLOW_UP,
            step=step.topic,
            dedupe_key=f"step:{lead.ref}:{occasion.receipt}:{step.topic}",
            recipient=occasion.recipient,
            language=occasion.language,
            time_zone=lead.time_zone,
            due_at=due_at,
            not_after=not_after,
            letter=versions["follow_up", step.topic, occasion.language],
            values=values,
            lead_id=lead.id,
            request_id=occasion.request_id,
            cap_hash=lead.cap_hash,
        )
        for step, due_at, not_after in follow_ups.plan(now, lead.time_zone)
    ]


def _alert_draft(
    session: Session, settings: Settings, occasion: Occasion, key: str, now: datetime
) -> Draft:
    """A letter to staff without a name or a word of health: it may be read on any screen."""
    receipt = references.spoken(occasion.receipt)
    values = values_of(settings, occasion.lead.ref, receipt, now, "en")
    return Draft(
        kind=MessageKind.STAFF_ALERT,
        dedupe_key=key,
        recipient=settings.staff_alerts_to,
        language="en",
        time_zone=settings.clinic.time_zone,
        due_at=now,
        letter=current_versions(session, now)["staff_alert", "", "en"],
        values=values | {"language": {"en": "English", "es": "Spanish"}[occasion.language]},
        lead_id=occasion.lead.id,
        request_id=occasion.request_id,
    )


def _patient_values(settings: Settings, occasion: Occasion) -> dict[str, str]:
    clinic = settings.clinic
    stop = links.stop_link(settings.public_url, settings.hash_key, occasion.lead.cap_hash)
    return {
        "greeting": greeting(occasion.full_name, occasion.language),
        "clinic_name": clinic.name,
        "clinic_phone": clinic.phone,
        "postal_address": clinic.postal_address,
        "stop_link": stop,
        "preferences_link": stop,
        "receipt": references.spoken(occasion.receipt),
    }


def _link(settings: Settings, path: str, purpose: str, subject: str) -> str:
    return f"{settings.public_url}/{path}/{links.sign(settings.hash_key, purpose, subject)}"
