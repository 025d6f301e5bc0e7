"""The demo: thirty believable leads, one in every state, written by the functions that serve."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leadcapture.intake.consent_texts import current_text
from leadcapture.intake.receive import discard, receive
from leadcapture.intake.submission import Submission
from leadcapture.leads import contact, pipeline
from leadcapture.models import (
    ConsentKind,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Request,
    Staff,
)
from leadcapture.settings import Settings
from leadcapture.vault import Vault

# Addresses under example.com reach nobody (RFC 2606), numbers are of the fictional 555-01 range.
_TOKEN = "demo-{}"  # noqa: S105


@dataclass(frozen=True)
class _Person:
    name: str
    language: str
    zone: str
    country: str
    condition: str
    hours_ago: float
    phone: str = ""
    message: str = ""
    follow_ups: bool = True
    then: str = ""


_NY, _CHICAGO, _DENVER, _LA, _CR = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Costa_Rica",
)

PEOPLE = (
    _Person(
        "Janet Whitfield",
        "en",
        _NY,
        "US",
        "autoimmune",
        0.2,
        "+12015550112",
        "I have had rheumatoid arthritis for eleven years. Could this be something for me?",
    ),
    _Person(
        "Rosa Solís Vargas",
        "es",
        _CR,
        "CR",
        "osteoarthritis",
        0.9,
        "+50622550134",
        "Me duelen las rodillas al subir escaleras. ¿Cuánto dura el tratamiento?",
    ),
    _Person("Marcus Ortiz", "en", _CHICAGO, "US", "athletes", 1.6, "+13125550155"),
    _Person(
        "Priya Raman",
        "en",
        _LA,
        "US",
        "autoimmune",
        3,
        "+12135550171",
        "Can I keep taking methotrexate?",
        follow_ups=False,
    ),
    _Person("William O'Dell", "en", _DENVER, "US", "not_sure", 5.5),
    _Person(
        "Carmen Ibarra",
        "es",
        _NY,
        "US",
        "autoimmune",
        9,
        "+13055550100",
        "Tengo lupus desde 2019. ¿Es seguro?",
    ),
    _Person(
        "Tom Haverford-Lee", "en", _LA, "US", "other", 14, "", "Asking for my father, who is 74."
    ),
    _Person("Denise Baptiste", "en", _NY, "US", "osteoarthritis", 20, "+16175550187"),
    _Person("Henrik Lindqvist", "en", "Europe/Stockholm", "SE", "athletes", 26),
    _Person("Ana Lucía Chaves", "es", _CR, "CR", "not_sure", 30, "+50688880123"),
    _Person(
        "Buy Cheap Watches",
        "en",
        _NY,
        "US",
        "other",
        2.2,
        "",
        "https://watches.example https://watches.example https://watches.example",
        then="held",
    ),
    _Person("Grace Kim", "en", _LA, "US", "autoimmune", 6.4, "+14155550132", then="held"),
    _Person("Robot Runner", "en", _CHICAGO, "US", "not_sure", 40, then="discarded"),
    _Person(
        "Leonard Fisk",
        "en",
        _NY,
        "US",
        "osteoarthritis",
        50,
        "+12125550144",
        "Two knee operations behind me.",
        then="contacted",
    ),
    _Person(
        "María José Quesada", "es", _CR, "CR", "autoimmune", 55, "+50670550119", then="contacted"
    ),
    _Person(
        "Samuel Adeyemi",
        "en",
        _CHICAGO,
        "US",
        "athletes",
        61,
        "+17735550126",
        "Hamstring, third time this season.",
        then="left_message",
    ),
    _Person("Ruth Abramson", "en", _NY, "US", "autoimmune", 70, "+19175550163", then="no_answer"),
    _Person("Kevin Doyle", "en", _DENVER, "US", "osteoarthritis", 80, then="booked"),
    _Person("Elena Petrova", "en", _NY, "US", "autoimmune", 95, "+16465550108", then="booked"),
    _Person("Jorge Mora Fallas", "es", _CR, "CR", "osteoarthritis", 110, then="patient"),
    _Person("Linda Castellano", "en", _NY, "US", "autoimmune", 130, "+18455550159", then="patient"),
    _Person("Peter Novak", "en", _CHICAGO, "US", "other", 150, then="closed"),
    _Person("Yolanda Reyes", "es", _LA, "US", "autoimmune", 170, then="closed"),
    _Person("Amara Diallo", "en", _NY, "US", "not_sure", 190, then="unsubscribed"),
    _Person("Chris Nguyen", "en", _LA, "US", "athletes", 210, then="failed"),
    _Person("Beatriz Salas", "es", _CR, "CR", "osteoarthritis", 12, then="uncertain"),
    _Person("Oliver Grant", "en", _NY, "US", "autoimmune", 8, "+15185550102", then="letter_held"),
    _Person("Harriet Stone", "en", _DENVER, "US", "osteoarthritis", 240, then="expired"),
    _Person("Isaac Feldman", "en", _NY, "US", "autoimmune", 260, then="bounced"),
    _Person("Teresa Umaña", "es", _CR, "CR", "not_sure", 300, then="reopened"),
)


def fill(session: Session, vault: Vault, settings: Settings, now: datetime) -> int:
    """Write the leads that are not there yet; how many. Their addresses reach nobody."""
    written = 0
    for number, person in enumerate(PEOPLE):
        token = _TOKEN.format(number)
        if session.scalar(select(Request.id).where(Request.token == token)) is None:
            _write(session, vault, settings, person, token, now)
            written += 1
    return written


def _write(
    session: Session, vault: Vault, settings: Settings, person: _Person, token: str, now: datetime
) -> None:
    asked_at = now - timedelta(hours=person.hours_ago)
    receive(session, vault, settings, _submission(person, token), asked_at)
    request = session.scalars(select(Request).where(Request.token == token)).one()
    _deliver(session, request, asked_at, now)
    _then(session, vault, settings, person, request, asked_at, now)
    session.flush()


def _submission(person: _Person, token: str) -> Submission:
    kinds = [ConsentKind.HEALTH] + [ConsentKind.FOLLOW_UPS] * person.follow_ups
    ascii_name = person.name.lower().encode("ascii", "ignore").decode()
    address = "".join(c if c.isalnum() else "." for c in ascii_name).strip(".")
    email = f"{address.replace('..', '.')}@example.com"
    held = person.then in ("held", "discarded")
    return Submission(
        token=token,
        full_name=person.name,
        email=email,
        email_typed=email,
        conditions=(person.condition,),
        consents=tuple(current_text(kind, person.language).given() for kind in kinds),
        language=person.language,
        time_zone=person.zone,
        message=person.message,
        phone=person.phone or None,
        phone_typed=person.phone,
        country=person.country,
        contact_by="phone" if person.phone else "email",
        contact_time="morning",
        page="/",
        held_reason="links" if "http" in person.message else "too_fast" if held else "",
        touch={"first": {"utm_source": "newsletter"}} if person.language == "en" else {},
    )


def _deliver(session: Session, request: Request, asked_at: datetime, now: datetime) -> None:
    """Mark as sent what would have left by itself before now."""
    for message in session.scalars(select(Message).where(Message.request_id == request.id)):
        if message.due_at < now:
            message.state = MessageState.SENT
            message.sent_at = message.state_at = max(message.due_at, asked_at)
    session.flush()


def _then(
    session: Session,
    vault: Vault,
    settings: Settings,
    person: _Person,
    request: Request,
    asked_at: datetime,
    now: datetime,
) -> None:
    """Let happen to this person what the demo shows."""
    lead, actor = request.lead, _colleague(session, now)
    soon = asked_at + timedelta(hours=1)
    if person.then in ("contacted", "booked", "patient", "reopened"):
        outcome = contact.CallOutcome.REACHED
        contact.log_call(
            session, vault, lead, actor.id, soon, outcome, "Warm, wants to read first."
        )
        contact.assign(session, lead, actor.id, actor.id, soon)
    elif person.then in (contact.CallOutcome.LEFT_MESSAGE, contact.CallOutcome.NO_ANSWER):
        outcome = contact.CallOutcome(person.then)
        contact.log_call(session, vault, lead, actor.id, soon, outcome)
    if person.then in ("booked", "patient"):
        pipeline.change_status(session, lead, LeadStatus(person.then), actor.id, soon)
    elif person.then in ("closed", "reopened"):
        reason = pipeline.ClosedReason.COST
        pipeline.change_status(session, lead, LeadStatus.CLOSED, actor.id, soon, reason)
    elif person.then == "discarded":
        discard(session, request, actor.id, soon)
    if person.then == "reopened":
        receive(session, vault, settings, _submission(person, f"again-{request.token}"), now)
        again = session.scalars(
            select(Request).where(Request.token == f"again-{request.token}")
        ).one()
        _deliver(session, again, now, now + timedelta(seconds=1))
    _spoil_letter(session, person, request, soon)


_SPOILED = {
    "failed": (MessageKind.PACKET, MessageState.FAILED, "rcpt_5.1.1"),
    "bounced": (MessageKind.PACKET, MessageState.BOUNCED, "bounced"),
    "uncertain": (MessageKind.PACKET, MessageState.HELD, "doubt_twice"),
    "letter_held": (MessageKind.PACKET, MessageState.HELD, "cannot_be_written"),
    "expired": (MessageKind.FOLLOW_UP, MessageState.EXPIRED, "too_late"),
    "unsubscribed": (MessageKind.FOLLOW_UP, MessageState.SUPPRESSED, "unsubscribed"),
}


def _spoil_letter(session: Session, person: _Person, request: Request, at: datetime) -> None:
    if person.then in _SPOILED:
        kind, state, reason = _SPOILED[person.then]
        session.execute(
            update(Message)
            .where(Message.request_id == request.id, Message.kind == kind)
            .values(state=state, reason=reason, state_at=at)
        )


def _colleague(session: Session, now: datetime) -> Staff:
    """Somebody who has done the work; an account that cannot sign in (AU-10)."""
    found = session.scalars(select(Staff).where(Staff.email == "demo@example.com")).first()
    if found is None:
        found = Staff(
            email="demo@example.com",
            name="Sofía (demo)",
            language="en",
            password=None,
            active=False,
            fs_uniquifier=secrets.token_hex(32),
            created_at=now,
        )
        session.add(found)
        session.flush()
    return found
