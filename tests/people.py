"""The people of the tests: one believable patient, the letters she gets, the staff who answer.

Each function writes one row with the sensible rest and returns it, flushed, not committed.
The health words are unique: where one of them turns up, it came from here.
"""

import json
import secrets
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from flask_security import hash_password
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from leadcapture.database import table_of
from leadcapture.intake import addresses
from leadcapture.leads.search import search_text
from leadcapture.models import (
    Consent,
    ConsentKind,
    Lead,
    LeadStatus,
    LetterVersion,
    Message,
    MessageKind,
    MessageState,
    Request,
    Role,
    Screening,
    Staff,
)
from leadcapture.outbox import claims
from leadcapture.outbox.queue import lane_of, new_ref
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING

Row = TypeVar("Row")

NAME = "Janet Whitfield"
EMAIL = "janet.whitfield@tampamail.example"
PHONE = "+18135550142"
PHONE_TYPED = "(813) 555-0142"
ZONE = "America/New_York"
MESSAGE = "My knees have been zebrafinch sore since the quillwort operation in May."
NOTE = "She told me about her marzipanitis; call before lunch."
CONDITIONS = ("osteoarthritis",)
PASSWORD = "seven herons over slow water"

LETTER_VALUES = {
    "greeting": "Hello Janet,",
    "first_name": "Janet",
    "clinic_name": "Cellebration Wellness",
    "clinic_phone": "(858) 258-5090",
    "postal_address": "Escazú, San José, Costa Rica",
    "packet_link": "http://127.0.0.1:8000/packet/abc.def",
    "stop_link": "http://127.0.0.1:8000/stop/abc.def",
    "preferences_link": "http://127.0.0.1:8000/stop/abc.def",
    "lead_link": "http://127.0.0.1:8000/desk/leads/abc",
    "receipt": "a-receipt-of-hers",
    "received_at": "Tue 3 Mar 2026, 09:00 Costa Rica",
    "language": "English",
}

PATIENT_WORDS = (
    "Whitfield",
    "janet.whitfield",
    "8135550142",
    "555-0142",
    "zebrafinch",
    "quillwort",
    "marzipanitis",
)
"""What must never stand in a log: the default person's name, address, telephone and answers."""

test_keys = {"k001": bytes(range(32))}
test_vault = Vault(test_keys, "k001", bytes(range(32, 64)))
"""The keys of the tests; the fixture ``settings`` has the same."""


def a_lead(session: Session, **changes: Any) -> Lead:
    """Janet Whitfield of Tampa, who asked this morning and waits; each lead has its own address.

    The first in a database has `EMAIL`, the later ones a number in it.
    """
    facts: dict[str, Any] = {
        "ref": new_ref(),
        "email": _own_address(session),
        "full_name": NAME,
        "phone": PHONE,
        "phone_typed": PHONE_TYPED,
        "country": "US",
        "time_zone": ZONE,
        "language": "en",
        "status": LeadStatus.NEW,
        "created_at": TUESDAY_MORNING,
        "last_request_at": TUESDAY_MORNING,
        "waiting_since": TUESDAY_MORNING,
    } | changes
    facts.setdefault("address_key", addresses.address_key(facts["email"]))
    facts.setdefault(
        "cap_hash", test_vault.keyed_hash("address", addresses.cap_key(facts["email"]))
    )
    facts.setdefault(
        "search_text", search_text(facts["full_name"], facts["email"], facts["phone"] or "")
    )
    return _add(session, Lead(**facts))


def copy_lead(session: Session, lead: Lead, number: int, **changes: Any) -> None:
    """So many more leads like this one, with addresses of their own."""
    session.flush()
    table = table_of(Lead)
    facts = {column.name: getattr(lead, column.name) for column in table.columns} | changes
    del facts["id"]
    rows = [
        facts
        | {"ref": f"copy{lead.id}-{each}", "address_key": f"copy{lead.id}-{each}@mail.example"}
        for each in range(number)
    ]
    session.execute(insert(table), rows)


def a_request(
    session: Session,
    lead: Lead | None = None,
    *,
    message: str = MESSAGE,
    conditions: tuple[str, ...] = CONDITIONS,
    consents: tuple[ConsentKind, ...] = (ConsentKind.HEALTH, ConsentKind.FOLLOW_UPS),
    **changes: Any,
) -> Request:
    """What she typed, sealed, with her consents; held where ``screening`` says so."""
    lead = lead or a_lead(session)
    receipt = changes.pop("receipt", new_ref())
    answers = json.dumps({"conditions": conditions, "message": message})
    facts: dict[str, Any] = {
        "receipt": receipt,
        "token": secrets.token_hex(16),
        "lead_id": lead.id,
        "channel": "web",
        "full_name": lead.full_name,
        "email_typed": lead.email,
        "phone": lead.phone,
        "phone_typed": lead.phone_typed,
        "country": lead.country,
        "time_zone": lead.time_zone,
        "language": lead.language,
        "page": "/",
        "touch": {},
        "answers": test_vault.seal("request", "answers", receipt, answers),
        "screening": Screening.ACCEPTED,
        "created_at": lead.last_request_at,
    } | changes
    request = _add(session, Request(**facts))
    for kind in consents:
        _add(session, _consent(lead, request, kind))
    return request


def a_letter_version(session: Session, **changes: Any) -> LetterVersion:
    """A version of a text of ours: a follow-up of three lines unless told otherwise."""
    facts: dict[str, Any] = {
        "kind": "follow_up",
        "topic": f"test-{secrets.token_hex(4)}",
        "language": "en",
        "number": 1,
        "subject": "A word from the clinic",
        "text": "---\nlayout: 1\nsubject: A word from the clinic\npreview: We are here.\n---\n\n"
        "{{ greeting }}\n\nWe are here when you have questions.\n",
        "pdf": None,
        "sha256": secrets.token_hex(32),
        "created_at": TUESDAY_MORNING,
    } | changes
    return _add(session, LetterVersion(**facts))


def a_message(
    session: Session,
    lead: Lead | None = None,
    *,
    letter: LetterVersion | None = None,
    packets: tuple[int, ...] | None = None,
    values: dict[str, str] | None = None,
    **changes: Any,
) -> Message:
    """A letter in the outbox, due now: the first follow-up to her unless told otherwise.

    It pins the newest published texts of its kind in her language (a packet's letter pins the
    packet on osteoarthritis too) and has a value for every placeholder.
    """
    lead = lead or a_lead(session)
    ref = changes.pop("ref", new_ref())
    kind = MessageKind(changes.pop("kind", MessageKind.FOLLOW_UP))
    step = changes.pop("step", "day-3" if kind is MessageKind.FOLLOW_UP else "")
    letter = letter or _letter_for(session, kind, step, lead.language)
    if packets is None:
        about = _newest(session, "packet", CONDITIONS[0], lead.language)
        packets = (about.id,) if about and kind is MessageKind.PACKET else ()
    payload = {"letter": letter.id, "packets": packets, "values": values or LETTER_VALUES}
    facts: dict[str, Any] = {
        "ref": ref,
        "kind": kind,
        "step": step,
        "dedupe_key": f"test:{ref}",
        "lead_id": lead.id,
        "recipient": lead.email,
        "domain": lane_of(kind, changes.get("recipient", lead.email)),
        "cap_hash": lead.cap_hash,
        "language": lead.language,
        "time_zone": lead.time_zone,
        "priority": kind.priority,
        "payload": test_vault.seal("message", "payload", ref, json.dumps(payload)),
        "state": MessageState.QUEUED,
        "due_at": TUESDAY_MORNING,
        "mail_id": f"<{ref}@clinic.example>",
        "created_at": TUESDAY_MORNING,
        "state_at": TUESDAY_MORNING,
    } | changes
    return _add(session, Message(**facts))


def a_staff_member(session: Session, role: str = "coordinator", **changes: Any) -> Staff:
    """Rosa Alvarado, coordinator; she signs in with `PASSWORD`. Needs an application context."""
    number = len(session.scalars(select(Staff.id)).all())
    facts: dict[str, Any] = {
        "email": f"rosa.alvarado{number or ''}@clinic.example",
        "name": "Rosa Alvarado",
        "language": "en",
        "password": hash_of(changes.pop("password", PASSWORD)),
        "active": True,
        "fs_uniquifier": secrets.token_hex(32),
        "created_at": TUESDAY_MORNING - timedelta(days=30),
    } | changes
    return _add(session, Staff(**facts, roles=[a_role(session, role)]))


@cache
def hash_of(password: str) -> str:
    """As the service stores it, made once: it costs a tenth of a second, as it should."""
    return str(hash_password(password))


def a_role(session: Session, name: str) -> Role:
    """The role of this name, made where it is not there yet."""
    role = session.scalars(select(Role).where(Role.name == name)).first()
    return role or _add(session, Role(name=name))


def typed_form(token: str, **changes: Any) -> dict[str, Any]:
    """The fields of the public form as she sends them; None takes a field away."""
    fields: dict[str, Any] = {
        "token": token,
        "full_name": NAME,
        "email": EMAIL,
        "conditions": list(CONDITIONS),
        "consent_health": "y",
        "consent_follow_ups": "y",
        "phone": PHONE_TYPED,
        "country": "US",
        "time_zone": ZONE,
        "message": MESSAGE,
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def claim(session: Session, now: datetime) -> Message:
    """What a dispatcher does first: the message that goes next, claimed."""
    claimed = claims.claim_next(session.connection(), now)
    assert claimed is not None, "nothing is due"
    return session.get_one(Message, claimed.message.id, populate_existing=True)


def _own_address(session: Session) -> str:
    taken = session.scalar(select(Lead.id).order_by(Lead.id.desc()).limit(1))
    name, _, domain = EMAIL.partition("@")
    return f"{name}.{taken}@{domain}" if taken else EMAIL


def _consent(lead: Lead, request: Request, kind: ConsentKind) -> Consent:
    return Consent(
        lead_id=lead.id,
        request_id=request.id,
        kind=kind,
        text_version="1",
        text_sha256="0" * 64,
        language=lead.language,
        page="/",
        given_at=request.created_at,
    )


def _letter_for(session: Session, kind: MessageKind, step: str, language: str) -> LetterVersion:
    wanted = "packet_letter" if kind is MessageKind.PACKET else kind.value
    return _newest(session, wanted, step, language) or a_letter_version(session)


def _newest(session: Session, kind: str, topic: str, language: str) -> LetterVersion | None:
    return session.scalars(
        select(LetterVersion)
        .where(
            LetterVersion.kind == kind,
            LetterVersion.topic == topic,
            LetterVersion.language == language,
        )
        .order_by(LetterVersion.number.desc())
        .limit(1)
    ).first()


def _add(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row
