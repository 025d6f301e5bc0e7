"""Letters due: what a request makes us write, to the patient and to staff."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from leadcapture.leads import follow_ups
from leadcapture.letters import greeting
from leadcapture.letters.versions import current_versions
from leadcapture.models import Lead, Message, MessageKind, MessageState, Request
from leadcapture.outbox import links, stops
from leadcapture.outbox.queue import Draft, enqueue, new_ref
from leadcapture.settings import Settings
from leadcapture.vault import Vault

UNCONFIRMED_DAILY, UNCONFIRMED_MONTHLY = 1, 3
CONFIRMED_DAILY, CONFIRMED_MONTHLY = 5, 30

_PACKETS_QUEUED = select(
    func.count(), func.count().filter(Message.created_at > bindparam("day_ago"))
).where(
    Message.cap_hash == bindparam("cap_hash"),
    Message.kind.in_((MessageKind.PACKET, MessageKind.PACKET_LINK)),
    Message.state.not_in((MessageState.CANCELLED, MessageState.SUPPRESSED)),
    Message.created_at > bindparam("month_ago"),
)
_FOLLOW_UPS_LEFT = select(
    func.count(), func.count().filter(Message.state_at > bindparam("day_ago"))
).where(
    Message.cap_hash == bindparam("cap_hash"),
    Message.kind == MessageKind.FOLLOW_UP,
    Message.state.in_((MessageState.SENDING, MessageState.UNCERTAIN, MessageState.SENT)),
    Message.state_at > bindparam("month_ago"),
)


@dataclass(frozen=True)
class Addressee:
    """What of a lead its letters need. ``confirmed``: the address's owner has acted on a letter."""

    id: int
    ref: str
    cap_hash: str
    time_zone: str
    confirmed: bool
    is_new: bool = False

    @classmethod
    def of(cls, lead: Lead) -> "Addressee":
        """The addressee of a lead that is loaded."""
        return cls(lead.id, lead.ref, lead.cap_hash, lead.time_zone, lead.confirmed_at is not None)


@dataclass(frozen=True)
class Occasion:
    """The request that letters are written about."""

    lead: Addressee
    request_id: int
    receipt: str
    full_name: str
    recipient: str
    conditions: tuple[str, ...]
    language: str
    follow_ups: bool


def queue_letters(
    session: Session,
    vault: Vault,
    settings: Settings,
    occasion: Occasion,
    now: datetime,
    *,
    alert: bool = True,
) -> None:
    """Queue the packet (or note why not), the follow-ups agreed to, and the staff's alert."""
    drafts = []
    refused = why_no_packet(session, occasion.lead, now)
    if refused:
        session.execute(
            update(Request).where(Request.id == occasion.request_id).values(packet_note=refused)
        )
        packet_ref = _newest_packet(session, occasion.lead)
    else:
        key = f"packet:{occasion.receipt}"
        packet = packet_draft(session, settings, occasion, MessageKind.PACKET, key, now)
        packet_ref = packet.ref
        drafts.append(packet)
    # Follow-ups speak of the packet: whoever never got one gets none.
    if occasion.follow_ups and packet_ref and not _is_followed(session, occasion.lead):
        drafts += _follow_up_drafts(session, settings, occasion, packet_ref, now)
    if alert:
        key = f"alert:request:{occasion.receipt}"
        drafts.append(_alert_draft(session, settings, occasion, key, now))
    enqueue(session, vault, mail_domain(settings), drafts, now)


def alert_of_held(
    session: Session, vault: Vault, settings: Settings, occasion: Occasion, now: datetime
) -> None:
    """Tell staff that requests wait for a decision: once an hour, however many robots call."""
    key = f"alert:held:{now:%Y%m%d%H}"
    draft = _alert_draft(session, settings, occasion, key, now)
    enqueue(session, vault, mail_domain(settings), [draft], now)


def why_no_packet(session: Session, lead: Addressee, now: datetime) -> str:
    """The word why this address gets no packet now, empty where it does (AB-01)."""
    if stops.is_suppressed(session, lead.cap_hash, MessageKind.PACKET):
        return "suppressed"
    daily, monthly = (
        (CONFIRMED_DAILY, CONFIRMED_MONTHLY)
        if lead.confirmed
        else (UNCONFIRMED_DAILY, UNCONFIRMED_MONTHLY)
    )
    window = {
        "cap_hash": lead.cap_hash,
        "day_ago": now - timedelta(days=1),
        "month_ago": now - timedelta(days=30),
    }
    in_month, in_day = session.execute(_PACKETS_QUEUED, window).one()
    if not lead.confirmed and (in_month or not lead.is_new):
        # Who has not confirmed gets so many letters of any kind.
        left_in_month, left_in_day = session.execute(_FOLLOW_UPS_LEFT, window).one()
        in_month, in_day = in_month + left_in_month, in_day + left_in_day
    if in_day >= daily:
        return "sent_today"
    return "sent_often" if in_month >= monthly else ""


def packet_draft(
    session: Session,
    settings: Settings,
    occasion: Occasion,
    kind: MessageKind,
    dedupe_key: str,
    now: datetime,
) -> Draft:
    """The letter that brings the packets (``PACKET``) or a new link to them (``PACKET_LINK``)."""
    versions = current_versions(session, now)
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
        letter=versions[
            "packet_letter" if kind is MessageKind.PACKET else "packet_link", "", occasion.language
        ],
        packets=tuple(
            versions["packet", topic, occasion.language]
            for topic in packet_topics(occasion.conditions)
        ),
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


def mail_domain(settings: Settings) -> str:
    """The domain of our Message-IDs: the sender's, which no visitor can choose."""
    return settings.mail_from.rpartition("@")[2]


def _newest_packet(session: Session, lead: Addressee) -> str | None:
    """The reference of the packet that this address was sent last."""
    newest = select(Message.ref).where(
        Message.cap_hash == lead.cap_hash,
        Message.kind.in_((MessageKind.PACKET, MessageKind.PACKET_LINK)),
    )
    return session.scalar(newest.order_by(Message.id.desc()).limit(1))


def _is_followed(session: Session, lead: Addressee) -> bool:
    """True while letters of an earlier sequence are still to come."""
    if lead.is_new:
        return False
    coming = select(Message.id).where(
        Message.lead_id == lead.id,
        Message.kind == MessageKind.FOLLOW_UP,
        Message.state.in_((MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)),
    )
    return session.scalar(coming.limit(1)) is not None


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
    clinic = settings.clinic
    return Draft(
        kind=MessageKind.STAFF_ALERT,
        dedupe_key=key,
        recipient=settings.staff_alerts_to,
        language="en",
        time_zone=clinic.time_zone,
        due_at=now,
        letter=current_versions(session, now)["staff_alert", "", "en"],
        values={
            "clinic_name": clinic.name,
            "clinic_phone": clinic.phone,
            "postal_address": clinic.postal_address,
            "receipt": occasion.receipt,
            "received_at": f"{now:%Y-%m-%d %H:%M} UTC",
            "language": {"en": "English", "es": "Spanish"}[occasion.language],
            "lead_link": f"{settings.public_url}/desk/leads/{occasion.lead.ref}",
        },
        lead_id=occasion.lead.id,
        request_id=occasion.request_id,
    )


def _patient_values(settings: Settings, occasion: Occasion) -> dict[str, str]:
    clinic = settings.clinic
    stop = _link(settings, "stop", "stop", occasion.lead.cap_hash)
    return {
        "greeting": greeting(occasion.full_name, occasion.language),
        "clinic_name": clinic.name,
        "clinic_phone": clinic.phone,
        "postal_address": clinic.postal_address,
        "stop_link": stop,
        "preferences_link": stop,
        "receipt": occasion.receipt,
    }


def _link(settings: Settings, path: str, purpose: str, subject: str) -> str:
    return f"{settings.public_url}/{path}/{links.sign(settings.hash_key, purpose, subject)}"
