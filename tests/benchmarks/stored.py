"""A clinic's years: many leads with their requests, consents and letters, stored at once."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select

from leadcapture.intake import addresses
from leadcapture.leads.search import search_text
from leadcapture.models import (
    Consent,
    Lead,
    LetterVersion,
    Message,
    MessageKind,
    MessageState,
    Request,
    TimelineEntry,
)
from leadcapture.outbox.queue import new_ref
from tests.people import LETTER_VALUES, MESSAGE, ZONE, test_vault

BATCH = 2_000


def store_leads(engine: Engine, count: int) -> None:
    """Store leads who asked once in the past two years and got their packet and follow-ups."""
    with engine.connect() as connection:
        first = connection.scalar(select(func.coalesce(func.max(Lead.id), 0))) or 0
    for begin in range(0, count, BATCH):
        ids = range(first + begin + 1, first + min(begin + BATCH, count) + 1)
        with engine.begin() as connection:
            _insert(connection, Lead, (_lead(number) for number in ids))
            _insert(connection, Request, (_request(number) for number in ids))
            _insert(connection, Consent, (row for number in ids for row in _consents(number)))
            _insert(connection, TimelineEntry, (_entry(number) for number in ids))
            _insert(connection, Message, (row for number in ids for row in _sent(number)))
    _count_on(engine)


def store_waiting(engine: Engine, count: int, due_at: datetime) -> None:
    """Queue follow-ups to the leads stored before, all due at that time."""
    with engine.begin() as connection:
        letter = connection.scalar(
            select(LetterVersion.id).where(
                LetterVersion.kind == "follow_up", LetterVersion.language == "en"
            )
        )
        leads = [row[0] for row in connection.execute(select(Lead.id).limit(count))]
        now = datetime.now(UTC)
        rows = (
            _message(lead, MessageKind.FOLLOW_UP, "day-3", MessageState.QUEUED, now, letter or 0)
            | {"due_at": due_at}
            for lead in leads
        )
        _insert(connection, Message, rows)
    assert len(leads) == count


def _insert(connection: Connection, model: Any, rows: Iterator[dict[str, Any]]) -> None:
    table: Table = model.__table__
    connection.execute(insert(table), list(rows))


def _count_on(engine: Engine) -> None:
    """Let PostgreSQL's counters and statistics know what was stored under chosen ids."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            for table in ("lead", "request"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
                )
        connection.exec_driver_sql("ANALYZE")


def _asked_at(number: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=40, minutes=(number * 7919) % 1_000_000)


def _lead(number: int) -> dict[str, Any]:
    email, name = f"lead.{number}@tampamail.example", f"Janet Stored {number}"
    asked = _asked_at(number)
    phone = f"+1813555{number % 10_000:04d}"
    return {
        "id": number,
        "ref": new_ref(),
        "address_key": addresses.address_key(email),
        "cap_hash": test_vault.keyed_hash("address", addresses.cap_key(email)),
        "email": email,
        "full_name": name,
        "phone": phone,
        "phone_typed": phone,
        "country": "US",
        "time_zone": ZONE,
        "language": "en",
        "contact_by": "",
        "contact_time": "",
        "status": "contacted",
        "closed_reason": "",
        "created_at": asked,
        "last_request_at": asked,
        "search_text": search_text(name, email, phone),
    }


def _request(number: int) -> dict[str, Any]:
    receipt = new_ref()
    answers = json.dumps({"conditions": ["osteoarthritis"], "message": MESSAGE})
    return {
        "id": number,
        "receipt": receipt,
        "token": secrets.token_hex(16),
        "lead_id": number,
        "channel": "web",
        "full_name": f"Janet Stored {number}",
        "email_typed": f"lead.{number}@tampamail.example",
        "phone_typed": "",
        "country": "US",
        "contact_by": "",
        "contact_time": "",
        "time_zone": ZONE,
        "language": "en",
        "page": "/",
        "touch": {},
        "answers": test_vault.seal("request", "answers", receipt, answers),
        "screening": "accepted",
        "held_reason": "",
        "packet_note": "",
        "created_at": _asked_at(number),
    }


def _consents(number: int) -> Iterator[dict[str, Any]]:
    for kind in ("health", "follow_ups"):
        yield {
            "lead_id": number,
            "request_id": number,
            "kind": kind,
            "text_version": "1",
            "text_sha256": "0" * 64,
            "language": "en",
            "page": "/",
            "given_at": _asked_at(number),
        }


def _entry(number: int) -> dict[str, Any]:
    return {
        "ref": new_ref(),
        "lead_id": number,
        "request_id": number,
        "kind": "requested",
        "facts": {"channel": "web"},
        "at": _asked_at(number),
    }


def _sent(number: int) -> Iterator[dict[str, Any]]:
    at = _asked_at(number)
    steps = [(MessageKind.PACKET, "", 0), (MessageKind.STAFF_ALERT, "", 0)]
    steps += [(MessageKind.FOLLOW_UP, f"day-{days}", days) for days in (3, 10, 24)]
    for kind, step, days in steps:
        yield _message(number, kind, step, MessageState.SENT, at + timedelta(days=days), 1)


def _message(
    lead: int, kind: MessageKind, step: str, state: MessageState, at: datetime, letter: int
) -> dict[str, Any]:
    ref = new_ref()
    email = f"lead.{lead}@tampamail.example"
    payload = json.dumps({"letter": letter, "packets": [], "values": LETTER_VALUES})
    return {
        "ref": ref,
        "kind": kind.value,
        "step": step,
        "dedupe_key": f"stored:{ref}",
        "lead_id": lead,
        "request_id": lead,
        "recipient": email,
        "cap_hash": test_vault.keyed_hash("address", addresses.cap_key(email)),
        "language": "en",
        "time_zone": ZONE,
        "priority": kind.priority,
        "payload": test_vault.seal("message", "payload", ref, payload),
        "state": state.value,
        "reason": "",
        "due_at": at,
        "fence": 1,
        "attempts": 1,
        "doubts": 0,
        "mail_id": f"<{ref}@clinic.example>",
        "created_at": at,
        "state_at": at,
    }
